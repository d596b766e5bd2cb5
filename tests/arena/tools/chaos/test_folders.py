"""Run folders: held by one process, copied, moved, of an earlier and of a later version."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from arena.loop import play
from arena.run.state import Arena
from arena.run.store import SCHEMA_VERSION, Store, backup_of
from arena.watch.queries import open_run
from tests.helpers.brief_runs import brief, digest
from tests.helpers.crashes import Crash
from tests.helpers.old_schemas import downgrade


def dump(database: Path) -> list[str]:
    with sqlite3.connect(database) as db:
        return list(db.iterdump())


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path) -> None:
    with brief(tmp_path, "held", "generations=0"):
        with pytest.raises(ValueError, match=rf"another process is running .*held: process {os.getpid()} on \S+$"):
            Arena.open(tmp_path / "held")
        (tmp_path / "held" / ".lock").write_text("\x1b[31m process 7\n")  # what others wrote is not repeated
        with pytest.raises(ValueError, match=r"another process is running .*held$"):
            Arena.open(tmp_path / "held")
    Arena.open(tmp_path / "held").close()  # the file stays, the lock is gone


def test_copied_and_moved_folders_go_on_as_the_same_run_each_for_itself(calm: str, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_an_earlier_run_is_kept_beside_the_one_that_is_brought_up_to_date(
    version: str, undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "old"
    shutil.copytree(undisturbed, folder)
    downgrade(folder / "run.db", version)
    before = dump(folder / "run.db")
    (folder / f".run.db.schema{version}.bak.new").write_text("what a killed upgrade left behind")
    with Arena.open(folder) as arena:
        assert arena.store.meta()["schema_version"] == str(SCHEMA_VERSION)
    backup = folder / f"run.db.schema{version}.bak"
    assert backup == backup_of(folder / "run.db", version)
    assert dump(backup) == before
    assert sorted(p.name for p in folder.glob("*run.db*") if not p.name.startswith("run.db-")) == sorted(
        ["run.db", backup.name]
    )
    with sqlite3.connect(backup) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)  # one file: it can be copied back as it is
    backup.replace(folder / "run.db")
    assert dump(folder / "run.db") == before  # the way back
    Arena.open(folder).close()


def test_an_earlier_run_is_not_touched_when_its_backup_cannot_be_kept(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(undisturbed, folder)
    downgrade(folder / "run.db", "3")
    before = dump(folder / "run.db")
    backup_of(folder / "run.db", "3").mkdir()  # in its way
    with pytest.raises(OSError, match=r"run\.db\.schema3\.bak"):
        Arena.open(folder)
    assert dump(folder / "run.db") == before
    assert not list(folder.glob(".run.db.schema3*"))


def test_a_later_run_is_refused_with_its_version_and_not_touched(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    shutil.copytree(undisturbed, folder)
    with sqlite3.connect(folder / "run.db") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    before = dump(folder / "run.db")
    for opens in (Arena.open, open_run, lambda f: Store(f / "run.db")):
        with pytest.raises(ValueError, match=r"run\.db has schema version 99, this .* version \d+: a later version of"):
            opens(folder)
    assert dump(folder / "run.db") == before and not list(folder.glob("*.bak"))
