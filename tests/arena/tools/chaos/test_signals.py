"""SIGTERM and SIGINT: the output, what is stored, and that the resumed run equals the undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from arena.loop import play
from arena.phases.records import Listener
from arena.run.signals import GracefulStop, Interrupted, Stopped
from arena.run.state import Arena
from arena.watch.sinks.listener import both
from tests.helpers.brief_runs import BRIEF, brief, digest

CONFIG = "configs/tiny.yaml"


def at(event: str, generation: int, phase: str, times: int = 1) -> Listener:
    """A listener that sends this process SIGTERM at an event of the loop."""

    def listen(heard: str, data: dict[str, Any]) -> None:
        if (heard, data.get("generation"), data.get("phase")) == (event, generation, phase):
            for _ in range(times):
                signal.raise_signal(signal.SIGTERM)

    return listen


def test_first_and_second_sigterm(calm: str, tmp_path: Path) -> None:
    """The first ends the run after the phase in progress, the second within it."""
    said: list[str] = []
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM)
    arena = brief(tmp_path, "asked")

    def leaving(listener: Listener, grace: float = 30.0) -> None:
        with GracefulStop(said.append, grace) as leaves:
            play(arena, both(leaves, listener))  # the reverse of the program's order, so that it is called first

    with arena, pytest.raises(Stopped):
        leaving(at("phase", 1, "solve"))
    assert said == ["SIGTERM: stopping after solve of generation 1, in 30 s at the latest"]
    with Arena.open(tmp_path / "asked") as arena:
        assert (1, "solve") in arena.store.finished() and (1, "grade") not in arena.store.finished()
        with pytest.raises(Interrupted):
            leaving(at("phase", 1, "sleep", times=2))
        assert (1, "post") in arena.store.finished() and (1, "sleep") not in arena.store.finished()
    with Arena.open(tmp_path / "asked") as arena:
        with pytest.raises(Interrupted):  # the grace time ends within the phase
            leaving(at("phase", 1, "sleep"), grace=0.0001)
        assert (1, "sleep") not in arena.store.finished()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    with Arena.open(tmp_path / "asked") as arena, pytest.raises(Stopped):
        leaving(at("done", 2, "read"))
    with Arena.open(tmp_path / "asked") as arena:
        assert (2, "read") in arena.store.finished()
        assert play(arena)
    assert digest(tmp_path / "asked") == calm


def test_sigterm_ends_a_paused_run_at_once(tmp_path: Path) -> None:
    with brief(tmp_path, "paused") as arena:

        def pause(event: str, data: dict[str, Any]) -> None:
            if event == "done":
                arena.store.insert({"control": [{"kind": "pause"}]})
            if event == "control":
                signal.setitimer(signal.ITIMER_REAL, 0.05)

        with GracefulStop() as leaves, pytest.raises(Stopped):
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
            play(arena, both(pause, leaves))
        assert arena.store.finished() == {(0, "birth")}


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    """`run_arena.py` in a process of its own, once it plays."""
    process = subprocess.Popen(
        [sys.executable, "run_arena.py", *command, "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    adapters = folder / "adapters" / "g0001"
    while not adapters.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    return process


@pytest.mark.slow
def test_sigterm_output(tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    process = start(folder, "run", CONFIG, f"run.folder={tmp_path}", "run.name=seen", *BRIEF, "generations=500")
    second = subprocess.run([sys.executable, "run_arena.py", "resume", str(folder)], capture_output=True, text=True)
    assert second.returncode == 2
    assert f"error: another process is running {folder}: process {process.pid} on " in second.stderr
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert time.monotonic() - began < 25
    on = f"resume with: {sys.executable} run_arena.py resume {folder}"
    assert out.strip().splitlines()[-1] == f"stopped by SIGTERM, all finished phases are stored; {on}"
    assert err.count("\n") <= 1 and "Traceback" not in err
    with Arena.open(folder) as arena:
        finished = arena.store.finished()
    assert (1, "turnover") in finished or (1, "sleep") in finished
