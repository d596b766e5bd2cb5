"""Changes to the tables of run.db since schema version 4: one function a step.

A step is a function of the database under `@STEPS()`; it adds tables, columns or indexes, and is never changed or
taken out after a release. New runs get schema 4 and then every step, so that they have the same tables as migrated
runs. The table that lists the applied steps (`_sqlite_migrations`, of sqlite-utils) is made with the first step.

`migrate` is called when a run is opened for writing, and keeps a copy of the file first. Opening for reading never
migrates: `version_error` says what to do.

Left out: steps that replace a trigger or a virtual table; `arena.run.integrity` refuses a file whose triggers are not
the current ones before any step could run.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database, Migrations

from agents.atomic import replacing
from arena.config.shipped import typed_command

SCHEMA_VERSION = "4"
"""`schema_version` in table `meta`; steps do not change it."""
UNRELEASED = ("1", "2", "3")
STEPS = Migrations("ratchet")


@STEPS()
def add_learning(db: Database) -> None:
    """What training needs. `logprobs`: of the sampled tokens, a JSON list; NULL where no objective needs them.
    `estimates`: of an attempt's chance to be right, before it and after each step, a JSON list; NULL without a value
    function. `stopped`: whether an estimate ended the attempt. `corrections`: failed attempts as their agents rewrote
    them (`sleep.review`) in a number of `tries`; `step`, from 1, is the one that was called wrong last, 0 if none."""
    for table in ("problems", "attempts", "grades"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN logprobs TEXT")
    db.execute("ALTER TABLE attempts ADD COLUMN estimates TEXT")
    db.execute("ALTER TABLE attempts ADD COLUMN stopped INTEGER")
    db.execute(
        "CREATE TABLE corrections (attempt TEXT PRIMARY KEY, generation INTEGER, agent TEXT, step INTEGER, tries"
        " INTEGER, text TEXT, correct INTEGER)"
    )


def pending(db: Database) -> list[str]:
    """Names of the steps that a database lacks, in their order. Raises ValueError for a damaged list of steps."""
    try:
        return [step.name for step in STEPS.pending(db)]
    except (LookupError, sqlite3.OperationalError) as error:
        raise ValueError(f"its table {STEPS.migrations_table} is damaged: {error}") from None


def apply_steps(db: Database) -> None:
    """Apply the pending steps, each in its own transaction. Does nothing, and adds no table, if there are none."""
    if pending(db):
        STEPS.apply(db)


def migrate(db: Database, path: Path) -> None:
    """Apply the pending steps to the database at `path`, after a backup of it (`backup_path`).

    Raises OSError, and changes nothing, if the backup cannot be written.
    """
    if not (steps := pending(db)):
        return
    backup = backup_path(path, steps[0])
    try:
        with replacing(backup) as new, closing(sqlite3.connect(new)) as copy:
            db.conn.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # a single file, without a write-ahead log beside it
    except sqlite3.OperationalError as error:
        raise OSError(f"cannot write the backup {backup.name}: {error}; {path} was not changed") from None
    apply_steps(db)


def backup_path(path: Path, step: str) -> Path:
    """The copy of a database as it was before `step` was applied to it."""
    return path.with_name(f"{path.name}.before_{step}.bak")


def version_error(db: Database, path: Path, upgrade: bool = False) -> str | None:
    """Why this program cannot read a database of another version, and what to do; None for the current version, and
    with `upgrade` for one that only lacks steps."""
    found = db.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    version = found[0] if found else None
    if version in UNRELEASED:
        return (
            f"{path} has schema version {version}, which was never released and cannot be read: play the run again, "
            f"`{typed_command('run', path.with_name('config.yaml'), 'run.name=NEW_NAME')}`"
        )
    if version != SCHEMA_VERSION:
        later = str(version).isdecimal() and int(str(version)) > int(SCHEMA_VERSION)
        hint = ": a later version of Ratchet wrote it; nothing was changed" if later else ""
        return f"{path} has schema version {version}, this program reads version {SCHEMA_VERSION}{hint}"
    steps = pending(db)
    known = {step.name for step in STEPS.pending(Database(memory=True))}
    if unknown := [step.name for step in STEPS.applied(db) if step.name not in known]:
        return f"{path} has the schema step {unknown[0]!r}: a later version of Ratchet wrote it; nothing was changed"
    if steps and not upgrade:
        return (
            f"{path} was written by an earlier version (it lacks the schema step {steps[0]!r}): "
            f"`{typed_command('resume', path.parent)}` updates it and keeps a backup"
        )
    return None
