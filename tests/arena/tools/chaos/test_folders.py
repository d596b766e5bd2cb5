"""Run folders: locked by one process, copied, moved, and of a later version."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from arena.loop import play
from arena.run.state import Arena
from arena.run.store import Store
from arena.watch.queries import open_run
from tests.helpers.brief_runs import brief, digest
from tests.helpers.crashes import Crash


def dump(database: Path) -> list[str]:
    with sqlite3.connect(database) as db:
        return list(db.iterdump())


def test_second_process_is_told_the_holder(tmp_path: Path) -> None:
    with brief(tmp_path, "held", "generations=0"):
        with pytest.raises(ValueError, match=rf"another process is running .*held: process {os.getpid()} on \S+$"):
            Arena.open(tmp_path / "held")
        (tmp_path / "held" / ".lock").write_text("\x1b[31m process 7\n")  # what others wrote is not repeated
        with pytest.raises(ValueError, match=r"another process is running .*held$"):
            Arena.open(tmp_path / "held")
    Arena.open(tmp_path / "held").close()  # the file stays, the lock is gone


def test_copied_and_moved_folders_resume(calm: str, tmp_path: Path) -> None:
    """Each continues independently, as the same run."""
    arena = brief(tmp_path, "first")

    def die(event: str, data: dict[str, object]) -> None:
        if event == "done" and (data["generation"], data["phase"]) == (1, "turnover"):
            # as a killed process leaves it: with SQLite's own files, and without a close
            shutil.copytree(tmp_path / "first", tmp_path / "elsewhere" / "copy")
            raise Crash

    with arena, pytest.raises(Crash):
        play(arena, die)
    assert (tmp_path / "elsewhere" / "copy" / "run.db-wal").stat().st_size
    (tmp_path / "first").rename(tmp_path / "moved")
    with Arena.open(tmp_path / "moved") as moved, Arena.open(tmp_path / "elsewhere" / "copy") as copied:
        play(copied)
        assert moved.store.finished() < copied.store.finished()  # one knows nothing of the other
        play(moved)
    assert digest(tmp_path / "moved") == digest(tmp_path / "elsewhere" / "copy") == calm
    assert not (tmp_path / "first").exists()


def test_later_version_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    shutil.copytree(undisturbed, folder)
    with sqlite3.connect(folder / "run.db") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    before = dump(folder / "run.db")
    for opens in (Arena.open, open_run, lambda f: Store(f / "run.db")):
        with pytest.raises(ValueError, match=r"run\.db has schema version 99, this .* version \d+: a later version of"):
            opens(folder)
    assert dump(folder / "run.db") == before and not list(folder.glob("*.bak"))
