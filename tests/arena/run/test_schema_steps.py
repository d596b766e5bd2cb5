"""Databases of earlier and later schema versions: read, migrated with a backup, or refused in one line."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database
from typer.testing import CliRunner

from arena.cli.app import app
from arena.loop import play
from arena.run.ledger import verify
from arena.run.schema_steps import STEPS, backup_path
from arena.run.state import Arena
from arena.run.store import Store, reference_database
from arena.watch.queries import open_run
from tests.helpers.brief_runs import digest

SCHEMA4 = Path(__file__).parent / "data" / "schema4.tar.gz"
"""Two generations of `configs/tiny.yaml`, cut down, played when version 4 was the newest; without adapters and keys."""
DIGEST = "7d0af1c2d17bc70e55c3f323f48ae1bd7989f84802ddf39f96d34260b9f7cff0"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The folder of the stored run of schema 4, before all steps."""
    with tarfile.open(SCHEMA4) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "schema4"


@pytest.fixture
def stored(first: Path) -> Path:
    """The same after all steps, without the backup."""
    Store(first / "run.db", upgrade=True).close()
    for backup in first.glob("*.bak"):
        backup.unlink()
    return first


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Registers a further schema step, until the test ends."""
    monkeypatch.setattr(STEPS, "_migrations", [*STEPS._migrations])

    def register(name: str, *statements: str) -> None:
        @STEPS(name=name)
        def run(db: Database) -> None:
            for statement in statements:
                db.execute(statement)

        reference_database.cache_clear()

    yield register
    monkeypatch.undo()
    reference_database.cache_clear()


def dump(database: Path) -> list[str]:
    with sqlite3.connect(database) as db:
        return list(db.iterdump())


def tables(database: Path) -> set[str]:
    with sqlite3.connect(database) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master")}


def test_first_run_is_updated(first: Path) -> None:
    """A run of before all steps is refused for reading, with the command that updates it; its backup is whole."""
    before = dump(first / "run.db")
    (name, *_) = [step.name for step in STEPS.pending(Database(memory=True))]
    with pytest.raises(ValueError, match=rf"lacks the schema step '{name}'\): `ratchet resume .*schema4"):
        Store(first / "run.db")
    assert dump(first / "run.db") == before
    Store(first / "run.db", upgrade=True).close()
    assert digest(first) == DIGEST and dump(backup_path(first / "run.db", name)) == before


def test_stored_run_is_read(stored: Path) -> None:
    """The digest is as recorded, the log verifies, and reading changes nothing."""
    before = dump(stored / "run.db")
    assert digest(stored) == DIGEST
    store = Store(stored / "run.db")
    assert verify(store) == []
    store.close()
    said = {}
    for command in (["digest"], ["library", "verify"], ["analyze", "--no-plots"]):
        result = CliRunner().invoke(app, [command[0], str(stored), *command[1:]])
        missing = command[0] == "library"  # of this run, only the adapters are not stored
        assert result.exit_code == (2 if missing else 0), result.output
        said[command[0]] = result.output
    assert said["library"].count("wrong ") == 1 and "6 adapters are missing" in said["library"]
    assert said["digest"].strip() == DIGEST
    assert "held-out" in said["analyze"]
    assert open_run(stored).name == "schema4"
    assert dump(stored / "run.db") == before


def test_opening_for_writing_adds_nothing(stored: Path) -> None:
    """Without pending steps, opening a run for writing changes neither its tables nor its digest."""
    before = dump(stored / "run.db")
    Store(stored / "run.db", upgrade=True).close()
    assert dump(stored / "run.db") == before and digest(stored) == DIGEST
    assert not list(stored.glob("*.bak"))


def test_steps_run_when_resumed(undisturbed: Path, tmp_path: Path, step: Callable[..., None]) -> None:
    """A run that lacks steps is refused for reading; resuming applies them in order and keeps a whole backup."""
    folder = tmp_path / "old"
    shutil.copytree(undisturbed, folder)
    before, old = dump(folder / "run.db"), digest(folder)
    step("0001_mood", "ALTER TABLE agents ADD COLUMN mood TEXT")
    step("0002_moods", "UPDATE agents SET mood = 'calm'", "CREATE TABLE moods (mood TEXT)")
    for opens in (open_run, lambda f: Store(f / "run.db")):
        with pytest.raises(ValueError, match=r"lacks the schema step '0001_mood'\): `ratchet resume .*old`"):
            opens(folder)
    assert dump(folder / "run.db") == before
    backup = folder / "run.db.before_0001_mood.bak"
    backup.with_name(f".{backup.name}.new").write_text("left by a process that was killed")
    with Arena.open(folder) as arena:
        assert play(arena)
        assert {r["mood"] for r in arena.store.query("SELECT mood FROM agents")} == {"calm"}
        assert [s.name for s in STEPS.applied(arena.store.db)][-2:] == ["0001_mood", "0002_moods"]
        assert not verify(arena.store)
    assert digest(folder) != old and "moods" in tables(folder / "run.db")
    assert backup == backup_path(folder / "run.db", "0001_mood") and dump(backup) == before
    assert [p.name for p in folder.glob("*run.db*.bak*")] == [backup.name]
    with sqlite3.connect(backup) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)  # a single file, which can be copied back
    assert open_run(folder).name == "calm"
    backup.replace(folder / "run.db")
    assert dump(folder / "run.db") == before  # the way back
    Arena.open(folder).close()


def test_new_runs_get_all_steps(stored: Path, tmp_path: Path, step: Callable[..., None]) -> None:
    """A new database and a migrated one have the same tables and columns."""
    step("0001_mood", "ALTER TABLE agents ADD COLUMN mood TEXT", "CREATE TABLE moods (mood TEXT)")
    Store(tmp_path / "new.db", create=True).close()
    Store(stored / "run.db", upgrade=True).close()
    with sqlite3.connect(tmp_path / "new.db") as new, sqlite3.connect(stored / "run.db") as old:
        sql = "SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c ORDER BY m.name, c.cid"
        assert new.execute(sql).fetchall() == old.execute(sql).fetchall()


def test_digest_leaves_out_the_list_of_steps(stored: Path, step: Callable[..., None]) -> None:
    """The list of applied steps holds times, which two equal runs do not share."""
    step("0001_nothing")
    Store(stored / "run.db", upgrade=True).close()
    assert STEPS.migrations_table in tables(stored / "run.db") and digest(stored) == DIGEST


def test_failed_backup_leaves_the_run_unchanged(stored: Path, step: Callable[..., None]) -> None:
    step("0001_mood", "ALTER TABLE agents ADD COLUMN mood TEXT")
    before = dump(stored / "run.db")
    (stored / "run.db.before_0001_mood.bak").mkdir()  # where the backup would be written
    with pytest.raises(OSError, match=r"run\.db\.before_0001_mood\.bak"):
        Store(stored / "run.db", upgrade=True)
    assert dump(stored / "run.db") == before
    assert not list(stored.glob(".run.db.before*"))


def test_failed_step_is_rolled_back(stored: Path, step: Callable[..., None]) -> None:
    """A step that fails half way leaves nothing; the steps before it stay, and it is still pending."""
    step("0001_mood", "ALTER TABLE agents ADD COLUMN mood TEXT")
    step("0002_moods", "CREATE TABLE moods (mood TEXT)", "CREATE TABLE broken (mood TEXT)")
    with sqlite3.connect(stored / "run.db") as db:
        db.execute("CREATE TABLE broken (x)")
    with pytest.raises(ValueError, match="not a readable run database: table broken already exists"):
        Store(stored / "run.db", upgrade=True)
    assert "moods" not in tables(stored / "run.db")
    with pytest.raises(ValueError, match="lacks the schema step '0002_moods'"):
        Store(stored / "run.db")


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_unreleased_versions_are_refused(version: str, stored: Path) -> None:
    """One line that names the version and what to do; nothing is changed."""
    with sqlite3.connect(stored / "run.db") as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [version])
    before = dump(stored / "run.db")
    for opens in (Arena.open, open_run, lambda f: Store(f / "run.db"), lambda f: Store(f / "run.db", upgrade=True)):
        with pytest.raises(
            ValueError, match=rf"run\.db has schema version {version}, which was never released .*`ratchet"
        ):
            opens(stored)
    assert dump(stored / "run.db") == before and not list(stored.glob("*.bak"))


def test_unknown_steps_are_refused(stored: Path, step: Callable[..., None]) -> None:
    """A database with a step that this program does not know is of a later version."""
    step("0009_later", "CREATE TABLE later (x)")
    Store(stored / "run.db", upgrade=True).close()
    STEPS._migrations.pop()
    reference_database.cache_clear()
    before = dump(stored / "run.db")
    for opens in (Arena.open, open_run, lambda f: Store(f / "run.db")):
        with pytest.raises(ValueError, match=r"run\.db has the schema step '0009_later': a later version of Ratchet"):
            opens(stored)
    assert dump(stored / "run.db") == before


def test_damaged_list_of_steps_is_one_line(stored: Path) -> None:
    with sqlite3.connect(stored / "run.db") as db:
        db.execute(f"DROP TABLE {STEPS.migrations_table}")
        db.execute(f"CREATE TABLE {STEPS.migrations_table} (migration_set TEXT, x TEXT)")
        db.execute(f"INSERT INTO {STEPS.migrations_table} VALUES ('ratchet', 'y')")
    for opens in (open_run, lambda f: Store(f / "run.db")):
        with pytest.raises(ValueError, match="not a readable run database: its table _sqlite_migrations is damaged"):
            opens(stored)
