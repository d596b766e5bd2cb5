"""Interactive commands refuse to run without a terminal, and end when it vanishes."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from arena.config.shipped import ROOT
from arena.run.store import Store
from arena.watch.app import Watch
from arena.watch.launch import RunProcess
from arena.watch.terminal import VANISHED
from tests.helpers.screens import copy, screen, use

PROGRAM = str(ROOT / "run_arena.py")
LIMIT = 60.0
"""Seconds until a process that should have ended fails the test."""


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_watch_needs_a_terminal(undisturbed: Path, stream: str) -> None:
    """One line that names the alternative, whichever stream is none."""
    parent, child = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), child)
    streams[stream] = subprocess.DEVNULL if stream == "stdin" else subprocess.PIPE
    ended = subprocess.Popen([sys.executable, PROGRAM, "watch", str(undisturbed)], cwd=ROOT, **streams)  # type: ignore[call-overload]
    os.close(child)
    assert ended.wait(LIMIT) == 2
    said = ended.stderr.read() if stream == "stderr" else os.read(parent, 9999)
    text = " ".join(said.decode().split())
    assert "watch needs a terminal, but standard" in text and f"analyze {undisturbed}" in text
    os.close(parent)


def test_run_with_screens_needs_a_terminal(tmp_path: Path) -> None:
    words = [sys.executable, PROGRAM, "run", "tiny", "--watch", f"run.folder={tmp_path}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT)
    assert done.returncode == 2 and "needs a terminal" in done.stderr and not list(tmp_path.iterdir())


def read_until(parent: int | FileIO, text: bytes) -> bytes:
    seen, end = b"", time.monotonic() + LIMIT
    while text not in seen:
        assert time.monotonic() < end, seen[-500:]
        if select.select([parent], [], [], 0.2)[0]:
            seen += os.read(parent if isinstance(parent, int) else parent.fileno(), 65536)
    return seen


Terminal = tuple[FileIO, FileIO]
"""The two ends of a pseudo-terminal. They are file objects because those can be closed twice: a second `os.close` of a
number closes whatever file got that number in between, such as the database of a later test."""


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with ExitStack() as ends:
        parent, child = (ends.enter_context(FileIO(end, "r+")) for end in pty.openpty())
        yield parent, child


def in_terminal(child: FileIO, *words: str) -> subprocess.Popen[bytes]:
    """A process whose terminal is not its controlling one, so that it gets no SIGHUP."""
    env = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    return subprocess.Popen(
        [sys.executable, PROGRAM, *words],
        cwd=ROOT,
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        env=env,
    )


def test_watch_ends_when_its_terminal_vanishes(undisturbed: Path, terminal: Terminal) -> None:
    parent, child = terminal
    process = in_terminal(child, "watch", str(undisturbed))
    child.close()
    read_until(parent, b"generation 3 of 3")
    parent.close()
    assert process.wait(LIMIT) == VANISHED


def test_watch_ends_at_a_hangup(undisturbed: Path) -> None:
    """A controlling terminal that is closed sends SIGHUP."""
    pid, parent = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, PROGRAM, "watch", str(undisturbed)])
    read_until(parent, b"generation 3 of 3")
    os.close(parent)
    end = time.monotonic() + LIMIT
    while (found := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert os.waitstatus_to_exitcode(found[1]) in (VANISHED, -signal.SIGHUP)


def test_watch_still_quits_by_key(undisturbed: Path, terminal: Terminal) -> None:
    parent, child = terminal
    process = in_terminal(child, "watch", str(undisturbed))
    read_until(parent, b"generation 3 of 3")
    parent.write(b"q")
    while process.poll() is None:  # read what it draws, so that it can end
        if select.select([parent], [], [], 0.2)[0]:
            parent.read(65536)
    assert process.returncode == 0


def test_play_ends_when_its_terminal_vanishes(undisturbed: Path, tmp_path: Path, terminal: Terminal) -> None:
    """The transcript says that the game was left."""
    folder = Path(shutil.copytree(undisturbed, tmp_path / "copy"))
    parent, child = terminal
    process = in_terminal(child, "play", str(folder))
    child.close()
    read_until(parent, b"> ")
    parent.close()
    assert process.wait(LIMIT) in (0, VANISHED)
    assert '"left"' in (folder / "play" / "0001.jsonl").read_text()


def test_run_plays_on_without_its_terminal(tmp_path: Path, terminal: Terminal) -> None:
    """A live display that vanishes stops nothing; SIGTERM does."""
    parent, child = terminal
    process = in_terminal(child, "run", "tiny", f"run.folder={tmp_path}", "generations=100")
    child.close()
    read_until(parent, b"[propose]")
    parent.close()
    store = Store(tmp_path / "tiny" / "run.db")
    before, end = len(store.finished()), time.monotonic() + LIMIT
    while len(store.finished()) < before + 4:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    store.close()
    process.terminate()
    process.wait(LIMIT)


@pytest.mark.parametrize("finished", [True, False])
def test_closing_lines_name_resume(undisturbed: Path, tmp_path: Path, finished: bool) -> None:
    """After a stop the command that continues the run is named, after the end it is not."""
    folder = copy(undisturbed, tmp_path / "run")
    if not finished:
        Store(folder / "run.db").db.execute("DELETE FROM phases WHERE phase = 'final'")
    (folder / "run.log").write_text("")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(LIMIT)
    said = "\n".join(RunProcess(process, folder).closing_lines())
    assert ("The run has ended" in said) == finished
    assert (f"resume {folder}" in said) != finished


def test_stopped_run_names_the_command(stopped: Path) -> None:
    async def look(app: Watch, pilot: Any) -> None:
        assert f"to continue: ratchet resume {stopped}" in screen(app)

    use(stopped, look, (300, 24))
