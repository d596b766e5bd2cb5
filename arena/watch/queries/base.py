"""Open a run for reading, connect without write access, and make untrusted text safe to display."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from arena.config.schema import load_config, nearest
from arena.run.integrity import check_foreign_objects, check_numbers, check_schema
from arena.run.paths import check_folder, no_run
from arena.run.schema_steps import version_error
from arena.run.store import check_database, reference_database, unreadable, uri_of
from arena.watch.models import Run


class Busy(Exception):
    """The database is locked or missing, perhaps for a moment only; the caller may try again. The message says
    which."""


def open_run(folder: Path) -> Run:
    """Open the run in `folder`.

    Raises:
        ValueError: if there is no run, its database is damaged, or its schema has another version.
    """
    if not folder.is_dir():
        raise ValueError(f"no run folder at {folder}{nearest(folder.name, _siblings(folder))}")
    database = folder / "run.db"
    if not database.exists():
        raise ValueError(no_run(folder))
    check_folder(folder)
    check_database(database)
    config = load_config(folder / "config.yaml")
    run = Run(
        folder,
        config.run.name,
        config.main_domain,
        config.generations,
        config.rounds.solvers,
        config.rewards.setter,
        config.review.mode,
        config.review.per_generation,
        config.review.wait,
        config.measure.ratchet.every,
    )
    try:
        with read_only(database) as db:
            check_foreign_objects(db, reference_database())
            wrong = version_error(Database(db), database)
            if wrong is None:
                check_schema(db, reference_database())
                check_numbers(db)
    except Busy:
        return run  # locked by a writer; the screens try again
    except sqlite3.DatabaseError as error:
        raise unreadable(database, error) from None
    except ValueError as error:
        raise ValueError(f"{database} is not a readable run database: {error}") from None
    if wrong is not None:
        raise ValueError(wrong)
    return run


def _siblings(folder: Path) -> list[str]:
    return [p.name for p in folder.parent.glob("*") if p.is_dir()]


@contextmanager
def read_only(database: Path, at: int | None = None) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, closed after use. With `at` it sees the run as of the end of that generation.
    Raises Busy if the database is locked or missing."""
    uri = uri_of(database)
    uri += "&mode=ro" if "?" in uri else "?mode=ro"
    db = None
    try:
        db = sqlite3.connect(uri, uri=True, timeout=0.2, isolation_level=None, check_same_thread=False)
        if at is not None:
            step_back(db, at)
        db.execute("PRAGMA query_only = 1")
        yield db
    except sqlite3.OperationalError as error:
        raise_busy(database, error)
        raise
    finally:
        if db is not None:
            db.close()


def step_back(db: sqlite3.Connection, at: int) -> None:
    """Hide what is later than generation `at`: temporary views take the places of the tables on this connection.

    A row is hidden by its generation. An agent exists from its birth, a command or a decision from when the run took
    it, and a post that waited for approval is in the library from the generation of its approval.
    """
    tests = dict.fromkeys(_tables_with(db, "generation"), "generation <= {at}")
    tests["agents"], tests["control"] = "born <= {at}", "taken <= {at}"
    tests["posts"] += " AND id NOT IN (SELECT id FROM main.waiting WHERE decided > {at})"
    for table, test in tests.items():
        columns = "rowid AS rowid, *"
        if table == "waiting":
            names = [row[1] for row in db.execute("PRAGMA main.table_info(waiting)")]
            later = f"CASE WHEN decided <= {int(at)} THEN decided END AS decided"
            columns = ", ".join(["rowid AS rowid", *(later if name == "decided" else name for name in names)])
        where = test.format(at=int(at))
        db.execute(f'CREATE TEMP VIEW "{table}" AS SELECT {columns} FROM main."{table}" WHERE {where}')


def _tables_with(db: sqlite3.Connection, column: str) -> list[str]:
    sql = (
        "SELECT m.name FROM main.sqlite_master m JOIN pragma_table_info(m.name) c"
        " WHERE m.type = 'table' AND c.name = ? ORDER BY m.name"
    )
    return [row[0] for row in db.execute(sql, [column])]


def raise_busy(database: Path, error: sqlite3.DatabaseError) -> None:
    """Raise Busy if `error` means that the database is locked or missing; otherwise return."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise Busy("the run's database is locked") from None
    if code == sqlite3.SQLITE_CANTOPEN:
        raise Busy(f"{database} cannot be opened; was it moved or deleted?") from None


def safe(text: str) -> str:
    """Replace control, format and surrogate characters of untrusted text, which could control the terminal or reorder a
    line, by U+FFFD. Line feeds stay."""
    if text.isascii() and text.isprintable():
        return text
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(c if c == "\n" or unicodedata.category(c) not in bad else "\N{REPLACEMENT CHARACTER}" for c in text)


@dataclass(frozen=True)
class Rows:
    """A connection as the functions of `arena.report.metrics` take it."""

    db: sqlite3.Connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        return dicts(self.db, sql, parameters)


def dicts(db: sqlite3.Connection, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    cursor = db.execute(sql, parameters)
    names = [c[0] for c in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
