"""The sandboxes: permitted operations work, and hostile programs have no other effect.

Hostile programs get a folder with a secret, the port of a listener and our process id. The tests check their actual
effects, not only the results that the sandbox reports.
"""

import functools
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.tools.doctor import sandboxes
from curricula.sandbox import DETAIL, KINDS, REASONS, CallResult, Limits, NotPlain, Sandbox, plain
from curricula.sandbox_monty import Monty, closed
from curricula.sandbox_subprocess import SCRIPT, Subprocess, available
from curricula.sandbox_wire import decode, encode
from curricula.sandboxes import make_sandbox
from tests.helpers.hostile_programs import BIG, DEEP, FILES, HANGING, NETWORK, PROCESSES, SOURCES, TRICKS

LIMITS = Limits(time=0.5)
SOON = 8.0
"""Seconds: far from a hang, also on a machine that is busy with other things."""


@functools.cache
def alone(kind: str) -> Sandbox:
    """A sandbox without the other: the interpreter, or Python in a process."""
    return Monty(LIMITS) if kind == "monty" else Subprocess(LIMITS)


@pytest.fixture(params=["monty", "subprocess"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return alone(request.param)


def value(sandbox: Sandbox, code: str, *args: Any) -> CallResult:
    (ran,) = sandbox.call(code, "f", [args])
    return ran


def children() -> list[int]:
    """Ids of live processes of the subprocess sandbox: of this process, or left behind. Not those that another Python,
    such as a test process beside this one, is waiting for."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_script(pid) and not is_foreign(pid)]


def is_script(pid: int) -> bool:
    return str(SCRIPT) in command(pid)


def is_foreign(pid: int) -> bool:
    while is_script(pid):
        try:
            pid = int(Path(f"/proc/{pid}/status").read_text().split("PPid:")[1].split()[0])
        except OSError:  # it has ended
            return True
    return pid != os.getpid() and "python" in command(pid).partition("\0")[0]


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


# Permitted operations


def test_values_round_trip(sandbox: Sandbox) -> None:
    values: list[Any] = [None, True, 1, -(2**200), 0.5, float("inf"), "ä\n\"'", [1, (2,)], {"a": {1, 2}, 3: []}, set()]
    results = sandbox.call("def f(x):\n    return x", "f", [(v,) for v in values])
    assert [r.value for r in results] == values and all(r.ok and r.reason == "ok" for r in results)
    assert [type(r.value) for r in results] == [type(v) for v in values]
    assert type(results[6].value[1] if isinstance(results[6].value, list) else results[7].value[1]) is tuple


def test_calls_are_isolated(sandbox: Sandbox) -> None:
    code = "seen = []\ndef f(xs):\n    seen.append(1)\n    xs.append(len(seen))\n    return xs"
    one = [0]
    assert [r.value for r in sandbox.call(code, "f", [(one,), (one,), (one,)])] == [[0, 1]] * 3
    assert one == [0]
    assert value(sandbox, "def f():\n    return seen").reason == "raised"


def test_reasons(sandbox: Sandbox) -> None:
    """Each kind of failure has its own reason."""
    cases = {
        "def f(:": ("syntax", "line 1"),
        "def g():\n    return 1": ("raised", "does not define f"),
        "def f():\n    return 1 / 0": ("raised", "ZeroDivisionError"),
        "def f(x):\n    return x": ("raised", "TypeError"),
        "x = 1 / 0\ndef f():\n    return 1": ("raised", "ZeroDivisionError"),
        "f = 3": ("raised", "not callable"),
    }
    for code, (reason, words) in cases.items():
        ran = value(sandbox, code)
        assert (ran.ok, ran.reason) == (False, reason) and words in ran.detail, (code, ran)
    assert value(sandbox, "ｆ = lambda: 1").value == 1  # Python normalises identifiers
    assert sandbox.call("def f():\n    return 1", "f(); f", [()])[0].reason == "syntax"
    assert sandbox.call("", "f", []) == []


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    yield 1",
        "class A(dict):\n    pass\ndef f():\n    return 1",
        "import heapq\ndef f():\n    return heapq.nlargest(1, [1, 2])",
        "from fractions import Fraction\ndef f():\n    return 1",
        "from collections import ChainMap\ndef f():\n    return 1",
        "def f():\n    return len(memoryview(b'ab'))",
        "import sys\ndef f():\n    return sys.getswitchinterval()",
        "def f():\n    'doc'\n    return f.__doc__",
    ],
)
def test_monty_unsupported_features(code: str) -> None:
    """Features that monty lacks give the reason "unsupported"."""
    assert value(alone("monty"), code).reason == "unsupported"
    assert value(make_sandbox("subprocess", LIMITS), code).reason in ("ok", "not data")


def test_programs_are_deterministic(sandbox: Sandbox) -> None:
    code = "def f():\n    return [str({str(i) for i in range(20)}), hash('a')]"
    assert len({str(value(sandbox, code)) for _ in range(3)}) == 1
    if sandbox.name == "monty":
        clocks = "import random, time, datetime\ndef f():\n    time.sleep(9)\n    return [random.random(), time.time()]"
        first, second = sandbox.call(clocks, "f", [(), ()])
        assert first == second and first.ok


def test_subprocess_runs_full_python() -> None:
    names = (
        "bisect cmath collections copy dataclasses datetime decimal enum fractions functools hashlib heapq itertools "
    )
    names += "json math operator random re statistics string typing unicodedata zlib"
    imports = "".join(f"import {name}\n" for name in names.split())
    code = imports + "class A(enum.Enum):\n    X = 1\ndef g(n):\n    yield from range(n)\ndef f(n):\n"
    code += "    return [str(fractions.Fraction(1, n)), heapq.nsmallest(2, g(n)), A(1).name, bool(random.random())]"
    assert value(make_sandbox("subprocess", LIMITS), code, 3).value == ["1/3", [0, 1], "X", True]


# Plain data only


def test_only_plain_data_is_returned(sandbox: Sandbox) -> None:
    for made in (
        "lambda: 1",
        "range(3)",
        "b'a'",
        "1j",
        "frozenset([1])",
        "[{1: (print,)}]",
        "...",
        "int",
        "ValueError()",
    ):
        ran = value(sandbox, f"def f():\n    return {made}")
        assert (ran.ok, ran.reason) == (False, "not data"), (made, ran)
    liar = "class A:\n    def __eq__(self, other):\n        return True\n    def __repr__(self):\n        return '42'\n"
    liar += "    def __hash__(self):\n        return 1\n"
    for made in ("A()", "[A()]", "{A(): 1}", "A"):
        assert value(sandbox, liar + f"def f():\n    return {made}").reason == "not data"
    for base in ("int", "str", "list", "dict"):
        sub = f"class A({base}):\n    def __eq__(self, other):\n        return True\ndef f():\n    return A()"
        assert value(sandbox, sub).reason in ("not data", "unsupported")


@pytest.mark.parametrize(
    "made",
    [
        "'x' * 70000",
        "[0] * 70000",
        "10 ** 5000",
        "[10 ** 3000] * 1000",
        "a",
        "[[[a]]]",
        "{i: 0 for i in range(5000)}",
        "{(i, i): {j for j in range(100)} for i in range(100)}",
        "b",
        "c",
    ],
)
def test_large_values_are_refused(sandbox: Sandbox, made: str) -> None:
    code = "a = []\na.append(a)\nb = 0\nfor _ in range(20000):\n    b = [b]\n"
    code += "c = [0]\nfor _ in range(9):\n    c = [c] * 50\n"
    ran = value(sandbox, f"{code}def f():\n    return {made}")
    assert not ran.ok and ran.reason in ("output", "memory", "time", "crashed"), ran
    assert ran.reason == "output" or made == "c"


def test_plain_copies_and_counts() -> None:
    inner = [1]
    copied = plain((inner, inner), Limits())
    assert copied == ([1], [1]) and copied[0] is not inner and copied[0] is not copied[1]
    for wrong in (object(), b"", "\ud800", [float], {frozenset()}, 2**20000, "x" * 70000, set(range(5000))):
        with pytest.raises(NotPlain):
            plain(wrong, Limits())


@pytest.mark.parametrize(
    "said", ["x", ["i"], ["i", 3, 4], ["q", []], ["l", 3], ["d", [[1]]], 3, ["s", [["l", []]]], {}]
)
def test_decode_is_safe(said: Any) -> None:
    """Any JSON from the pipe is decoded to plain data or refused."""
    if isinstance(said, str):
        assert decode(said) == said
        return
    with pytest.raises((ValueError, TypeError)):
        decode(said)
    assert decode(encode({(1, -2.5): [None, {"a"}]})) == {(1, -2.5): [None, {"a"}]}


# Hostile programs


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[tuple[str, int, int]]:
    """Targets of hostile programs (folder, port, process id); checks afterwards that nothing changed or connected."""
    (tmp_path / "secret").write_text("the secret")
    before = set(Path.cwd().iterdir())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield str(tmp_path), listener.getsockname()[1], os.getpid()
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]
    assert (tmp_path / "secret").read_text() == "the secret" and (tmp_path / "secret").stat().st_mode & 0o777 != 0o777
    assert set(Path.cwd().iterdir()) == before and not children()


@pytest.mark.slow
@pytest.mark.parametrize("programs", [FILES, PROCESSES, NETWORK], ids=["files", "processes", "network"])
def test_no_outside_access(sandbox: Sandbox, programs: dict[str, str], victim: tuple[str, int, int]) -> None:
    if sandbox.name == "subprocess" and not {"seccomp", "landlock"} <= set(sandbox.guards):
        pytest.skip(f"guards in force here: {', '.join(sandbox.guards)}")
    began = time.monotonic()
    for name, code in programs.items():
        ran = value(sandbox, code, *victim)
        assert not ran.ok and ran.reason in REASONS, (name, ran)
        assert "secret" not in ran.detail.replace("/secret", ""), (name, ran)
    assert time.monotonic() - began < SOON * 2


@pytest.mark.slow
@pytest.mark.parametrize("programs", [HANGING, BIG, DEEP], ids=["time", "size", "depth"])
def test_no_process_survives(sandbox: Sandbox, programs: dict[str, str]) -> None:
    for name, body in programs.items():
        began = time.monotonic()
        ran = value(sandbox, f"def f():\n    {body}")
        assert time.monotonic() - began < SOON, name
        assert not ran.ok and ran.reason != "not data", (name, ran)
        assert ran.reason in REASONS and len(ran.detail) <= DETAIL, (name, ran)
    assert value(sandbox, "def f():\n    return 1").value == 1 and not children()


def test_repeated_timeouts_end_the_calls(sandbox: Sandbox) -> None:
    code = "def f(n):\n    while n > 1:\n        pass\n    return n"
    began = time.monotonic()
    ran = sandbox.call(code, "f", [(0,), (5,), (1,), (5,), *[(5,)] * 96, (1,)])
    assert time.monotonic() - began < SOON
    assert [r.value for r in ran[:4]] == [0, None, 1, None] and {r.reason for r in ran[3:]} == {"time"}


@pytest.mark.slow
def test_introspection_tricks_fail(sandbox: Sandbox) -> None:
    sources = SOURCES | {name: f"def f():\n    {body}" for name, body in TRICKS.items()}
    for name, code in sources.items():
        began = time.monotonic()
        ran = value(sandbox, code)
        assert time.monotonic() - began < SOON, name
        assert not ran.ok and ran.reason in REASONS, (name, ran)
        assert len(ran.detail) <= DETAIL and ran.detail.isprintable(), (name, ran)
    assert value(sandbox, "def f():\n    return 1").value == 1 and not children()


def test_forged_result_affects_own_call_only() -> None:
    code = (
        "import os\ndef f(i):\n    if i == 1:\n        for fd in range(64):\n            for _ in range(3):\n"
        '                try:\n                    os.write(fd, b\'S\\0\\0\\0\\x10["ok", true, ""]\')\n'
        "                except OSError:\n                    pass\n        os._exit(0)\n    return i"
    )
    ran = make_sandbox("subprocess", LIMITS).call(code, "f", [(0,), (1,), (2,)])
    assert [r.value for r in ran] == [0, None, 2] and ran[1].reason == "crashed"


def test_text_arguments_are_not_code(sandbox: Sandbox) -> None:
    said = "1) or (True"
    assert value(sandbox, "def f(x):\n    return x == 1", said).value is False
    assert value(sandbox, "def f(x):\n    return x", "\"'''\n\\").value == "\"'''\n\\"


@given(st.one_of(st.text(max_size=60), st.text("def f():\n returnx+([{'\\\"0,=\t", max_size=60)), st.text(max_size=3))
@settings(max_examples=150, deadline=None)
def test_call_is_total(code: str, name: str) -> None:
    for function in ("f", name):
        (ran,) = alone("monty").call(code, function, [()])
        assert ran.ok or (ran.reason in REASONS and ran.detail.isprintable() and len(ran.detail) <= DETAIL)


# Workers and guards


def test_sandbox_is_thread_safe(sandbox: Sandbox) -> None:
    codes = [f"def f(x):\n    return x * {i}" for i in range(8)] + ["import json\ndef f(x):\n    return 1 // 0"] * 2
    with ThreadPoolExecutor(5) as pool:
        ran = list(pool.map(lambda code: sandbox.call(code, "f", [(1,), (2,)]), codes))
    assert [[r.value for r in each] for each in ran] == [[i, 2 * i] for i in range(8)] + [[None, None]] * 2


def test_dead_interpreter_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Subprocess(LIMITS)
    assert value(sandbox, "import ctypes\ndef f():\n    return ctypes.string_at(0)").reason == "crashed"
    monkeypatch.setattr(sandbox, "_guards", ["seccomp", "no such guard"])
    assert value(sandbox, "def f():\n    return 1").reason == "crashed"  # never runs without a promised guard


def test_without_guards_attacks_succeed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without guards the same programs succeed, which shows that the guards stop them in the other tests."""
    sandbox = Subprocess(LIMITS)
    found = sandbox._guards
    (tmp_path / "secret").write_text("the secret")
    who = (str(tmp_path), 0, os.getpid())

    def under(*guards: str) -> CallResult:
        monkeypatch.setattr(sandbox, "_guards", list(guards))
        return value(sandbox, program, *who)

    program = FILES["read"]
    assert under().value == "the secret" and under("seccomp").ok is ("seccomp" in found)
    assert "landlock" not in found or under("landlock").detail.startswith("PermissionError")
    program = FILES["here"]
    assert under().value == 1
    assert "seccomp" not in found or under("seccomp").detail.startswith("PermissionError")
    assert "landlock" not in found or under("landlock").detail.startswith("PermissionError")
    program = (
        "import os, time\ndef f(*_):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(99)\n    return 1"
    )
    assert under().reason == "time" and not children()  # its remaining processes were killed
    assert "seccomp" not in found or under("seccomp").detail.startswith("PermissionError")


def test_network_namespace_without_seccomp(victim: tuple[str, int, int]) -> None:
    sandbox = Subprocess(LIMITS)
    sandbox._guards = ["network namespace"]
    ran = value(sandbox, NETWORK["connect"], *victim)
    if ran.reason == "crashed":
        pytest.skip("this system lets nobody make a network of their own")
    assert ran.reason == "raised" and "OSError" in ran.detail


def test_closed_code() -> None:
    assert closed("import math\nfrom itertools import chain, count\ndef f(x):\n    return math.gcd(x, 3)")
    for code in (
        "import random", "import math, random", "from os import path", "exec('1')", "x = id(3)", "class A: pass",
        "().__class__", "def f():\n    return 'ä'", "from math import (\nsin)", "import math; import sys",
    ):  # fmt: skip
        assert not closed(code), code


def test_guard_detection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard counts as missing only if the system reports it; a failed start raises OSError."""

    def answers(said: bytes) -> None:
        monkeypatch.setattr("curricula.sandbox_subprocess.exchange", lambda messages, seconds: said)

    answers(b"S\0\0\0\x10" + b'["no", null, ""]')
    assert available.__wrapped__() == ()
    answers(b"S\0\0\0\x10" + b'["ok", null, ""]')
    assert available.__wrapped__() == ("seccomp", "landlock", "rlimits")
    for busy in (b"", b"L\0\0\0\0"):
        answers(busy)
        with pytest.raises(OSError, match="takes too long"):
            available.__wrapped__()


def test_doctor_lists_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curricula.sandboxes._shared", {})
    monkeypatch.setattr("curricula.sandbox_subprocess.available", lambda: ("rlimits",))
    (fast, line), (state, said) = sandboxes()
    assert (fast, state) == ("ok", "missing") and "pydantic-monty" in line
    assert "do not use it" in said and said.endswith("rlimits, no seccomp, no landlock")
    make_sandbox("monty").close()


def test_sandboxes_are_shared() -> None:
    assert make_sandbox("monty", LIMITS) is make_sandbox("monty", LIMITS)
    assert make_sandbox() is not make_sandbox("monty", LIMITS)
    with pytest.raises(ValueError, match="monty, monty_only, subprocess, got 'docker'"):
        make_sandbox("docker")
    assert all(make_sandbox(kind, LIMITS).guards for kind in KINDS)
