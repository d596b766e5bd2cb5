"""Watching a run that another process plays, and a database that is moved or replaced meanwhile."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from arena.run.store import Store
from arena.watch import launch, queries
from arena.watch.app import Watch
from arena.watch.launch import RunProcess
from arena.watch.queries import open_run, read_only
from tests.helpers.screens import PATIENCE, SIZES, copy, press, screen, settle, use

pytestmark = pytest.mark.alone


async def until(app: Watch, pilot: Any, holds: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await pilot.pause(0.05)


@pytest.mark.slow
def test_watching_does_not_change_the_run(undisturbed: Path, tmp_path: Path) -> None:
    seen = set()
    process = RunProcess.start(["run", "configs/tiny.yaml", f"run.folder={tmp_path}"], tmp_path / "tiny")
    assert process.wait_ready(), process.last_lines()

    async def main() -> None:
        app = Watch(open_run(tmp_path / "tiny"), 0.1, process.error_line)
        async with app.run_test(size=SIZES[0]) as pilot:
            while app.snapshot is None or not app.snapshot.finished:
                for keys in (["1"], ["2"], ["enter", "escape"], ["3"], ["4"], ["enter", "escape"]):
                    await pilot.press(*keys)
                    await pilot.pause(0.2)
                    if app.snapshot is not None:
                        seen.add(app.snapshot.last)
                assert not process.error_line(), process.last_lines()
            await settle(app, pilot)
            assert "finished" in await press(app, pilot, "1") and "generation 3 of 3" in screen(app)

    async def bounded() -> None:
        await asyncio.wait_for(main(), PATIENCE)

    asyncio.run(bounded())
    assert process.process.wait(PATIENCE) == 0 and (3, "final") in seen
    digests = []
    for folder in (undisturbed, tmp_path / "tiny"):
        store = Store(folder / "run.db")
        digests.append(store.digest())
        store.close()
    assert digests[0] == digests[1]
    assert "The library holds" in process.last_lines(40)  # its lines went to the log


def test_missing_database_is_reported_and_reopened(undisturbed: Path, tmp_path: Path) -> None:
    """What was read stays on the screen while the database is missing."""
    folder = copy(undisturbed, tmp_path / "moved")

    async def play(app: Watch, pilot: Any) -> None:
        (folder / "run.db").rename(folder / "elsewhere.db")
        app.poll()
        await until(app, pilot, lambda: "cannot be opened; was it moved or deleted?" in screen(app))
        assert "generation 3 of 3" in screen(app)  # what was read stays
        await pilot.press("2", "1")
        (folder / "elsewhere.db").rename(folder / "run.db")
        await settle(app, pilot)
        assert "cannot be opened" not in screen(app)
        assert "generation 3: 15 set" in await press(app, pilot, "2")

    use(folder, play)


def test_restarted_run_is_read_again(undisturbed: Path, empty: Path, tmp_path: Path) -> None:
    folder = copy(undisturbed, tmp_path / "anew")

    async def play(app: Watch, pilot: Any) -> None:
        assert "generation 3 of 3" in screen(app)
        shutil.copy(empty / "run.db", folder / "fresh.db")
        os.replace(folder / "fresh.db", folder / "run.db")
        app.poll()
        await settle(app, pilot)
        assert "no phase has run yet" in screen(app) and "generation 0 of 3" in screen(app)

    use(folder, play)


# -- run --watch ---------------------------------------------------------------------------------------------------


def test_failed_start_leaves_no_folder(tmp_path: Path) -> None:
    said, wrong = io.StringIO(), io.StringIO()
    folder = tmp_path / "tiny"
    command = ["run", "configs/tiny.yaml", f"run.folder={tmp_path}", "population.agent=3"]
    code = launch.launch(command, folder, lambda *_: pytest.fail("there is nothing to watch"), said, wrong)
    assert code == 2 and "error:" in wrong.getvalue() and "agents" in wrong.getvalue()
    assert not folder.exists()


def test_run_error_is_shown_and_printed(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy(undisturbed, tmp_path / "other")
    store = Store(folder / "run.db")
    store.set_meta({"python": "2.7"})
    store.close()
    said, wrong = io.StringIO(), io.StringIO()

    def watch(at: Path, error_line: Any) -> None:
        async def main() -> None:
            app = Watch(open_run(at), 0.05, error_line)
            async with app.run_test(size=SIZES[0], notifications=True) as pilot:
                await until(app, pilot, lambda: "the run ended with exit status 2" in " ".join(screen(app).split()))
                await pilot.press("q")

        asyncio.run(main())

    code = launch.launch(["resume", str(folder)], folder, watch, said, wrong)
    assert code == 2 and "was run with python 2.7" in wrong.getvalue() and "exit status 2" in wrong.getvalue()
    assert (folder / "run.log").is_file() and (folder / "run.db").is_file()


@pytest.mark.slow
def test_closing_the_watcher_leaves_the_run(tmp_path: Path) -> None:
    said, wrong = io.StringIO(), io.StringIO()

    def watch(at: Path, error_line: Any) -> None:
        assert open_run(at).name == "tiny" and not error_line()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:  # until two phases have finished, so that there is something to resume
            with read_only(at / "run.db") as db:
                if queries.phases_after(db, 2):
                    break
            time.sleep(0.1)
        with pytest.raises(ValueError, match="another process is running"):
            launch.launch(["resume", str(at)], at, watch, said, wrong)

    command = ["run", "configs/tiny.yaml", f"run.folder={tmp_path}", "generations=40"]
    assert launch.launch(command, tmp_path / "tiny", watch, said, wrong) == 0
    pids = [int(word.strip(";,")) for word in said.getvalue().split() if word.strip(";,").isdigit()]
    assert len(set(pids)) == 1 and "The run continues in process" in said.getvalue() and not wrong.getvalue()
    assert f"watch {tmp_path / 'tiny'}" in said.getvalue()
    assert os.getpgid(pids[0]) == pids[0] != os.getpgid(0)  # no signal to this terminal's processes reaches it
    os.kill(pids[0], 2)  # as the closing lines say
    os.waitpid(pids[0], 0)
    assert "resume with: ratchet resume" in (tmp_path / "tiny" / "run.log").read_text()


@pytest.mark.slow
def test_run_watch_in_a_terminal(tmp_path: Path) -> None:
    """The program in a pseudo-terminal: it draws, quits on q, and prints the closing lines."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "run_arena.py", "run", "configs/tiny.yaml", f"run.folder={tmp_path}", "generations=1",
               "--watch"]  # fmt: skip
    environment = os.environ | {"TERM": "xterm-256color", "LINES": "24", "COLUMNS": "80"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    text, pressed = b"", False
    while True:
        if not select.select([ours], [], [], PATIENCE)[0]:
            process.kill()
            pytest.fail(f"nothing more came: {text[-2000:]!r}")
        try:
            more = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        text += more
        if not pressed and b"finished" in text:
            os.write(ours, b"q")
            pressed = True
    assert process.wait(PATIENCE) == 0, text[-2000:]
    os.close(ours)
    said = text.decode(errors="replace")
    assert ("starting the run in process" in said and "population" in said) or "name" in said
    assert "The run has ended" in said or "The run continues" in said
    assert (tmp_path / "tiny" / "run.log").is_file()


def test_watch_needs_a_terminal(tmp_path: Path) -> None:
    command = [sys.executable, "run_arena.py", "run", "configs/tiny.yaml", f"run.folder={tmp_path}", "--watch"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and done.stderr.startswith("error: --watch needs a terminal")
    assert not (tmp_path / "tiny").exists()
