"""Checks that a run.db is a run's database and is not damaged, before it is read and after reading it failed.

Before: its tables and columns exist, nothing in the file runs by itself (a view, an unknown trigger, a generated
column), and numbers that other code counts up to are plausible. This takes a few index look-ups, whatever the size of
the run. After: `explained` turns the errors of a damaged run into a one-line diagnosis, for which `diagnose` reads
everything and names the table, the row and the column.

Left out: whether the records are true (`library verify` checks the signed ones), and most of whether rows fit each
other (REFERENCES has what is checked).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from arena.run.faults import is_for_user, wants_traceback

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
NUMBERS = {"problems": ("logprobs",), "attempts": ("logprobs", "estimates"), "grades": ("logprobs",)}
"""Columns that hold JSON lists of numbers, by table."""
OBJECTS = {"problems": ("features",), "knowledge": ("memory",)}
"""Columns that hold JSON objects, by table."""
REFERENCES = (
    ("problems", "round", "rounds", "id"),
    ("attempts", "round", "problems", "round"),
    ("outcomes", "round", "problems", "round"),
    ("grades", "attempt", "attempts", "id"),
    ("retirements", "name", "agents", "name"),
    ("sleeps", "agent", "agents", "name"),
    ("corrections", "agent", "agents", "name"),
    ("corrections", "attempt", "attempts", "id"),
    ("knowledge", "agent", "agents", "name"),
    ("guesses", "agent", "agents", "name"),
    ("rewards", "agent", "agents", "name"),
)
"""(table, column, table and column that hold the same value)."""
WRITTEN_BY = {"rounds": "read", "problems": "propose", "attempts": "solve", "grades": "grade", "outcomes": "grade"}
WRITTEN_BY |= {"corrections": "sleep"}
"""The phase that writes a table; without its row in `phases`, none of its rows of that generation may exist."""
UNINDEXED = {"reads", "withheld", "removals", "guesses", "refusals", "grades", "rounds", "control", "telemetry"}
"""Tables without an index of generations, where finding the largest one would read every row."""


class DamagedError(ValueError):
    """A check of stored records found damage. The message is one line that names the file and the damage."""


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
            return next(_damage(db), None) or next(_gaps(db), None)
    except sqlite3.Error as error:
        return f"the file is damaged: {error}"


@contextmanager
def explained(folders: Sequence[Path]) -> Iterator[None]:
    """Raise the `cause` of an error in place of the error. With the environment variable RATCHET_TRACEBACK, every error
    passes unchanged."""
    try:
        yield
    except (*FAILURES, ValueError) as error:
        if wants_traceback() or (why := cause(error, folders)) is error:
            raise
        raise why from error


def cause(error: Exception, folders: Sequence[Path]) -> Exception:
    """Why reading these runs failed.

    A DamagedError that names the run and the damage, if a check of the stored records finds any; an OSError for a
    database that is locked or out of reach; otherwise the error itself, with a note that the check found nothing.
    Messages for the user are returned unchecked.
    """
    if is_for_user(error) or getattr(error, "__notes__", None):
        return error
    databases = [folder / "run.db" for folder in folders if (folder / "run.db").is_file()]
    for database in databases:
        if isinstance(error, sqlite3.Error) and (reason := out_of_reach(database, error)):
            return reason
        if found := diagnose(database):
            return DamagedError(f"{database} cannot be read: {found}")
    if databases:
        error.add_note(f"A check of {', '.join(map(str, databases))} found no damage.")
    return error


def out_of_reach(path: Path, error: sqlite3.Error, doing: str = "open") -> OSError | None:
    """An error that says why a database cannot be used now: locked, or a disk that is full, read-only or failing. None
    for other errors."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return OSError(f"cannot {doing} {path}: another program has it locked; close it, try again")
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return OSError(f"cannot {doing} {path}: {error}")
    return None


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
            if column in NUMBERS.get(table, ()):
                yield from _bad_json(db, table, column, list, float)
            if column in OBJECTS.get(table, ()):
                yield from _bad_json(db, table, column, dict)
            if kind == b"TEXT":
                yield from _bad_text(db, table, column)


def _gaps(db: sqlite3.Connection) -> Iterator[str]:
    """Rows that lack another row, or that are lacking themselves."""
    for table, column, other, key in REFERENCES:
        row = db.execute(
            f"SELECT rowid, {column} FROM {table} WHERE {column} NOT IN (SELECT {key} FROM {other}) LIMIT 1"
        ).fetchone()
        if row:
            yield f"table {table}, row {row[0]}: table {other} has no {key} {_short(_text(row[1]))}"
    for table, phase in WRITTEN_BY.items():
        sql = (
            f"SELECT rowid, generation FROM {table} WHERE generation NOT IN"
            " (SELECT generation FROM phases WHERE phase = ?) LIMIT 1"
        )
        if row := db.execute(sql, [phase]).fetchone():
            yield f"table {table}, row {row[0]}: the phase {phase} of generation {_short(row[1])} was not finished"
    row = db.execute(
        "SELECT round FROM problems WHERE valid AND round NOT IN (SELECT round FROM outcomes)"
        " AND generation IN (SELECT generation FROM phases WHERE phase = 'grade') LIMIT 1"
    ).fetchone()
    if row:
        yield f"table outcomes lacks the round {_short(_text(row[0]))}, whose problem was graded"


def _bad_json(
    db: sqlite3.Connection, table: str, column: str, shape: type[list] | type[dict], item: type = str
) -> Iterator[str]:
    """Rows whose JSON is not a list of items of a type, or not an object."""
    for rowid, text in db.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL"):
        try:
            value = json.loads(text)
            fits = isinstance(value, shape) and (isinstance(value, dict) or all(type(v) is item for v in value))
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


def _text(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) else f"{value}"
    return text if len(text) <= 80 else text[:77] + "..."
