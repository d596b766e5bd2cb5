"""Checks that a run.db is a run's database and is not damaged, before it is read and after reading it failed.

Before: its tables and columns exist, nothing in the file runs by itself (a view, an unknown trigger, a generated
column), and numbers that other code counts up to are plausible. This takes a few index look-ups, whatever the size of
the run. After: `explained` turns the errors of a damaged run into a one-line diagnosis, for which `diagnose` reads
everything and names the table, the row and the column.

Left out: whether the records are true (`library verify` checks the signed ones), and whether rows fit each other.
"""

from __future__ import annotations

import json
import os
import sqlite3
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from arena.config.shipped import ROOT, is_own_file

FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, sqlite3.Error)
"""Errors, besides ValueError, that reading a damaged record can cause."""
SLACK = 1000
"""How many generations after the last one played a row may name."""
LONGEST = 100_000_000
"""Bytes of one value, at most; the values of a run stay below a thousandth of it."""
LISTS = {
    "agents": ("parents",),
    "rounds": ("solvers",),
    "attempts": ("notes",),
    "posts": ("cites",),
    "waiting": ("cites",),
}
"""Columns that hold JSON lists of strings, by table."""
OBJECTS = {"problems": ("features",), "knowledge": ("memory",)}
"""Columns that hold JSON objects, by table."""
UNINDEXED = {"reads", "withheld", "removals", "guesses", "refusals", "grades", "rounds", "control", "telemetry"}
"""Tables without an index of generations, where finding the largest one would read every row."""


def check_foreign_objects(db: sqlite3.Connection, ours: sqlite3.Connection) -> None:
    """Raise ValueError, without the file's name, if `db` has a view, trigger or virtual table that `ours` lacks.

    Must be the first query on a file of unknown origin, because later queries could run what it holds.
    """
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    known, found = _parts(ours), _parts(db)
    for (kind, name), sql in found.items():
        if kind == "view" or (kind == "trigger" and _plain(sql) != _plain(known.get((kind, name)))):
            raise ValueError(f"it holds the {kind} {str(name)[:60]!r}, which no run has")
        virtual = kind == "table" and _plain(sql).startswith("create virtual")
        if virtual and _plain(sql) != _plain(known.get((kind, name))):
            raise ValueError(f"it holds the virtual table {str(name)[:60]!r}, which no run has")


def check_schema(db: sqlite3.Connection, ours: sqlite3.Connection) -> None:
    """Raise ValueError, without the file's name, unless `db` has the tables and columns of `ours`."""
    known, found = _parts(ours), _parts(db)
    for kind, name in known:
        if kind == "table" and name != "sqlite_sequence":
            if (kind, name) not in found:
                raise ValueError(f"it lacks the table {name}")
            lacking = _columns(ours, name) - _columns(db, name)
            if lacking:
                raise ValueError(f"its table {name} lacks the column {min(lacking)}, or computes it")


def check_numbers(db: sqlite3.Connection) -> None:
    """Raise ValueError, without the file's name, for rows of generations that were never played, and for agents with
    unknown parents or among their own ancestors."""
    phases, least, last = db.execute("SELECT COUNT(*), MIN(generation), MAX(generation) FROM phases").fetchone()
    if phases and not (type(least) is int and type(last) is int and least >= 0 and last < phases + SLACK):
        raise ValueError(f"its {phases} phases are of the generations {_short(least)} to {_short(last)}")
    most = (last or 0) + SLACK
    for table in _tables(db):
        column = "born" if table == "agents" else "generation"
        if table in UNINDEXED or column not in _columns(db, table):
            continue
        low, high = db.execute(f"SELECT MIN({column}), MAX({column}) FROM {table}").fetchone()
        for value in (low, high):
            if value is not None and not (type(value) is int and 0 <= value <= most):
                raise ValueError(f"table {table} has a row of generation {_short(value)}; {last or 0} were played")
    _check_descent(db)


def diagnose(path: Path) -> str | None:
    """The first damage in a run.db that could not be read, in one sentence; None if there is none. Reads all of it."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            db.text_factory = bytes
            broken = db.execute("PRAGMA quick_check(1)").fetchone()
            if broken is None or broken[0] != b"ok":
                said = broken[0] if broken else b"no answer"
                return f"the file is damaged: {_short(said.decode('utf-8', 'replace'))}"
            return next(_damage(db), None)
    except sqlite3.Error as error:
        return f"the file is damaged: {error}"


@contextmanager
def explained(folders: Sequence[Path], playing: bool = False) -> Iterator[None]:
    """Turn an error that a damaged record causes into a ValueError of one line, which names the run and the damage.

    Errors that this program raises itself, for the user to read, pass unchanged; so does every error if the environment
    variable RATCHET_TRACEBACK is set. While a run is `playing`, an error that no damage explains passes unchanged too,
    because it is a fault of this program.
    """
    try:
        yield
    except (*FAILURES, ValueError) as error:
        if os.environ.get("RATCHET_TRACEBACK") or (isinstance(error, ValueError) and _is_ours(error)):
            raise
        for folder in folders:
            database = folder / "run.db"
            if database.is_file() and (found := diagnose(database)):
                raise ValueError(f"{database} cannot be read: {found}") from error
        if playing:
            raise
        names = ", ".join(map(str, folders))
        raise ValueError(
            f"{names} cannot be read ({_where(error)}): its records do not fit each other; if nobody changed its "
            "files, that is a mistake of this program, and RATCHET_TRACEBACK=1 shows where"
        ) from error


def _damage(db: sqlite3.Connection) -> Iterator[str]:
    kinds = {"INTEGER": ("integer", "null"), "REAL": ("real", "integer", "null"), "TEXT": ("text", "null")}
    for table in _tables(db):
        if table.startswith(("sqlite_", "posts_fts")):
            continue
        for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})").fetchall():
            column, allowed = name.decode(), kinds.get(kind.decode(), ("integer", "real", "text", "null"))
            marks = ", ".join(f"'{a}'" for a in allowed)
            wrong = f"typeof({column}) NOT IN ({marks})"
            if kind == b"REAL":
                wrong += f" OR abs({column}) > 1e300"
            row = db.execute(f"SELECT rowid, typeof({column}) FROM {table} WHERE {wrong} LIMIT 1").fetchone()
            if row:
                yield f"table {table}, row {row[0]}, column {column}: it holds {row[1].decode()}, expected {allowed[0]}"
            if column in LISTS.get(table, ()):
                yield from _bad_json(db, table, column, list)
            if column in OBJECTS.get(table, ()):
                yield from _bad_json(db, table, column, dict)
            if kind == b"TEXT":
                yield from _bad_text(db, table, column)


def _bad_json(db: sqlite3.Connection, table: str, column: str, shape: type[list] | type[dict]) -> Iterator[str]:
    for rowid, text in db.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL"):
        try:
            value = json.loads(text)
            fits = isinstance(value, shape) and (isinstance(value, dict) or all(isinstance(v, str) for v in value))
        except (ValueError, TypeError, RecursionError):
            fits = False
        if not fits:
            yield f"table {table}, row {rowid}, column {column}: expected a JSON {shape.__name__}"


def _bad_text(db: sqlite3.Connection, table: str, column: str) -> Iterator[str]:
    for rowid, text in db.execute(f"SELECT rowid, {column} FROM {table} WHERE typeof({column}) = 'text'"):
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            yield f"table {table}, row {rowid}, column {column}: it is not UTF-8"


def _check_descent(db: sqlite3.Connection) -> None:
    """Parents must be older than their children, by birth and then by number. Only an agent that migrated from another
    island may have unknown parents."""
    rows = db.execute("SELECT rowid, name, parents, inherited FROM agents ORDER BY born, number").fetchall()
    age = {name: at for at, (_, name, _, _) in enumerate(rows) if isinstance(name, str)}
    for at, (rowid, name, parents, inherited) in enumerate(rows):
        where = f"table agents, row {rowid}"
        try:
            found = json.loads(parents)
        except (ValueError, TypeError, RecursionError):
            raise ValueError(f"{where}, column parents: expected a JSON list") from None
        if name not in age or not isinstance(found, list):
            raise ValueError(f"{where}: no agent with a name and parents")
        for parent in found:
            known = isinstance(parent, str) and parent in age
            stranger = isinstance(parent, str) and not known and inherited == "migration"
            if not stranger and not (known and age[parent] < at):
                raise ValueError(f"{where}: {_short(name)} descends from {_short(parent)}, which is not older")


def _parts(db: sqlite3.Connection) -> dict[tuple[str, str], object]:
    """Tables, indexes, triggers and views, with their SQL."""
    return {(k, name): sql for k, name, sql in db.execute("SELECT type, name, sql FROM sqlite_master")}


def _tables(db: sqlite3.Connection) -> list[str]:
    rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    names = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for (n,) in rows]
    return [n for n in names if n.isidentifier()]


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    """Columns of a table, without generated ones."""
    rows = db.execute(f"PRAGMA table_xinfo({table})").fetchall()
    return {str(r[1]) for r in rows if r[6] in (0, 1)}


def _plain(sql: object) -> str:
    return " ".join(str(sql).split()).lower()


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) else f"{value}"
    return text if len(text) <= 80 else text[:77] + "..."


def _is_ours(error: BaseException) -> bool:
    """Whether a `raise` statement of this program raised the error, not code that it called, such as a JSON parser."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and is_own_file(frames[-1].filename) and (frames[-1].line or "").startswith("raise")


def _where(error: BaseException) -> str:
    """The error in one line, with the last line of this program on its way."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if is_own_file(f.filename)]
    at = f" in {Path(frames[-1].filename).relative_to(ROOT)}, line {frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())[:120]
    return f"{type(error).__name__}{': ' * bool(text)}{text}{at}"
