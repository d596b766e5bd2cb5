"""Worker processes of the interpreter: lost, busy, interrupted and forked ones."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from curricula import sandbox_monty
from curricula.sandbox import CallResult, Limits, Sandbox
from curricula.sandbox_monty import Monty

SOON = 48.0
"""Seconds: far from a hang, also on a machine that is busy with other things."""


def value(sandbox: Sandbox, code: str) -> CallResult:
    (ran,) = sandbox.call(code, "f", [()])
    return ran


@pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_killed_worker_is_replaced(how: signal.Signals) -> None:
    sandbox = Monty(Limits(time=0.25))
    mine = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(mine.read_text().split())
    assert value(sandbox, "def f():\n    return 1").value == 1
    workers = set(mine.read_text().split()) - before
    assert workers
    for pid in workers:
        os.kill(int(pid), how)
    assert value(sandbox, "def f():\n    return 2").value == 2
    sandbox.close()
    assert not set(mine.read_text().split()) - before
    assert value(sandbox, "def f():\n    return 3").value == 3  # the pool is opened again
    sandbox.close()


@pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_worker_lost_during_a_batch(how: signal.Signals) -> None:
    """The calls are repeated in other workers, and the time that they take is bounded."""
    sandbox = Monty(Limits(time=0.25))
    mine = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(mine.read_text().split())
    value(sandbox, "def f():\n    return 1")
    timer = threading.Timer(0.1, lambda: [os.kill(int(p), how) for p in set(mine.read_text().split()) - before])
    timer.start()
    slow = "def f(n):\n    for i in range(n):\n        pass\n    return i"
    began = time.monotonic()
    ran = sandbox.call(slow, "f", [(n,) for n in [300_000] * 60])
    timer.join()
    sandbox.close()
    assert time.monotonic() - began < SOON
    assert {r.value for r in ran if r.ok} == {299_999} and {r.reason for r in ran} <= {"ok", "time"}


def test_no_free_worker_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_monty, "TURNS", 0.2)
    sandbox = Monty(Limits(time=0.25))
    taken = [sandbox._checkout().__enter__() for _ in range(2 * sandbox_monty.CORES + 2)]
    assert value(sandbox, "def f():\n    return 1").reason == "crashed"
    taken.pop().__exit__(None, None, None)
    assert value(sandbox, "def f():\n    return 1").value == 1
    for session in taken:
        session.__exit__(None, None, None)
    sandbox.close()


class Interrupt(BaseException):
    """Raised by a signal handler, as KeyboardInterrupt is."""


def test_interrupted_calls_free_their_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_monty, "TURNS", 0.2)
    monkeypatch.setattr(sandbox_monty, "CORES", 1)
    sandbox, raised = Monty(Limits(time=0.3)), []

    def on_alarm(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        for _ in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Interrupt) as caught:
                value(sandbox, "def f():\n    while True:\n        pass")
            raised.append(caught)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert value(sandbox, "def f():\n    return 1").value == 1
    sandbox.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("used", [False, True], ids=["before", "after"])
def test_fork_leaves_the_parent_working(used: bool) -> None:
    """A child that is forked before its parent uses the sandbox has its own; one forked later gets an error."""
    program = """
import gc, os, signal, sys
from curricula import sandboxes
signal.alarm(60)
code, calls = "def f(x):\\n    return x + 1", [(i,) for i in range(64)]
sandbox = sandboxes.make_sandbox()
if sys.argv[1] == "True":
    sandbox.call(code, "f", calls)
child = os.fork()
for _ in range(200):
    try:
        assert sandboxes.make_sandbox().call(code, "f", calls)[63].value == 64
    except OSError as error:
        print(error, flush=True)
        del sandbox
        sandboxes.close_all()
        sys.exit(5)
if child:
    print("parent works,", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program, str(used)], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout.splitlines()[-1:] == ["parent works, 5" if used else "parent works, 0"]
    assert ("forked after its parent had used the sandbox" in done.stdout) is used
