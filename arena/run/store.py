"""The run store: everything that happened, in one SQLite file with one writer.

Each phase's records are written in one transaction together with the phase's own row, so that a killed run holds whole
phases only. Everything a run stores is determined by its config and what people decided, except wall-clock figures
(table `telemetry`) and keys (columns `public_key`, `signature`), which `digest` leaves out. Table `control` is the one
that others write: what people ask of the run, before it has become a record; `digest` leaves it out too.

Version 2 added what a reviewer needs, version 3 what culture needs, version 4 what budgets and doubts need. A file of
an earlier version is brought up to date, in one transaction, when its run is opened to go on with it; a copy of what it
was is kept beside it (`run.db.schema3.bak`), whole or not at all. Who only reads says how. A file of a later version is
refused.

A commit survives the death of its process, at any moment. Not guaranteed: that the last commits survive a power cut;
they are synced when SQLite folds its log into the file, and until then what is lost is lost whole, from the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from arena.run.integrity import check_numbers, check_schema, check_strange
from culture.library import COLUMNS_SINCE, SHELF, Library

Row = dict[str, Any]


SCHEMA_VERSION = 4
EARLIER = ("1", "2", "3")
PATIENCE = 30.0
"""Seconds to wait for another program that has the file locked."""
Records = Mapping[str, Sequence[Row]]

# Tables of the arena; the library brings its own (posts, posts_fts, reads).
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE phases (generation INTEGER, phase TEXT, prompt_tokens INTEGER, generated_tokens INTEGER,
    trained_tokens INTEGER, counted INTEGER, PRIMARY KEY (generation, phase));
CREATE TABLE agents (name TEXT PRIMARY KEY, number INTEGER, born INTEGER, parents TEXT, inherited TEXT,
    public_key TEXT);
CREATE TABLE retirements (name TEXT PRIMARY KEY, generation INTEGER, reward REAL);
CREATE TABLE rounds (id TEXT PRIMARY KEY, generation INTEGER, number INTEGER, domain TEXT, author TEXT, setter
    TEXT, solvers TEXT, grader TEXT, parent TEXT, parent_post TEXT);
CREATE TABLE problems (round TEXT PRIMARY KEY, generation INTEGER, domain TEXT, author TEXT, proposal TEXT, text
    TEXT, valid INTEGER, reason TEXT, detail TEXT, depth INTEGER, text_key TEXT, behaviour_key TEXT, features
    TEXT, logprob REAL, tokens INTEGER);
CREATE INDEX problems_generation ON problems (generation);
CREATE TABLE attempts (id TEXT PRIMARY KEY, generation INTEGER, round TEXT, agent TEXT, seat TEXT, number
    INTEGER, notes TEXT, text TEXT, correct INTEGER, answer_correct INTEGER, reason TEXT, step INTEGER, answer
    TEXT, logprob REAL, tokens INTEGER);
CREATE INDEX attempts_generation ON attempts (generation);
CREATE INDEX attempts_round ON attempts (round);
CREATE TABLE grades (id TEXT PRIMARY KEY, generation INTEGER, round TEXT, attempt TEXT, grader TEXT, text TEXT,
    answer TEXT, says_correct INTEGER, agrees INTEGER);
CREATE TABLE outcomes (round TEXT PRIMARY KEY, generation INTEGER, solve_rate REAL, learnable INTEGER,
    setter_reward REAL);
CREATE INDEX outcomes_generation ON outcomes (generation);
CREATE TABLE rewards (generation INTEGER, agent TEXT, role TEXT, reward REAL, n INTEGER, PRIMARY KEY
    (generation, agent, role));
CREATE TABLE guesses (id TEXT PRIMARY KEY, generation INTEGER, agent TEXT, name TEXT, prompt TEXT, text TEXT,
    correct INTEGER, reason TEXT);
CREATE TABLE refusals (post TEXT PRIMARY KEY, generation INTEGER, author TEXT, title TEXT, reason TEXT);
CREATE TABLE sleeps (generation INTEGER, agent TEXT, examples INTEGER, tokens INTEGER, steps INTEGER, loss REAL,
    PRIMARY KEY (generation, agent));
CREATE TABLE checkpoints (generation INTEGER, name TEXT, path TEXT, sha256 TEXT, PRIMARY KEY (generation,
    name));
CREATE TABLE evaluations (id TEXT PRIMARY KEY, generation INTEGER, domain TEXT, split TEXT, depth INTEGER, agent
    TEXT, problem TEXT, reading INTEGER, mode TEXT, k INTEGER, correct INTEGER, answer_correct INTEGER);
CREATE INDEX evaluations_generation ON evaluations (generation);
CREATE TABLE telemetry (generation INTEGER, phase TEXT, seconds REAL, finished TEXT);
"""
# Since version 2. `taken` and `decided` are generations; `control_commands` finds the last command in one step.
REVIEWING = """
CREATE TABLE control (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT, value TEXT, note TEXT,
    made TEXT, taken INTEGER);
CREATE INDEX control_commands ON control (seq) WHERE kind IN ('pause', 'resume', 'stop');
CREATE INDEX control_open ON control (kind, seq) WHERE taken IS NULL;
CREATE INDEX control_taken ON control (kind, taken);
CREATE TABLE waiting (id TEXT PRIMARY KEY, generation INTEGER, kind TEXT, author TEXT, title TEXT, body TEXT, cites
    TEXT, about TEXT, public_key TEXT, signature TEXT, decided INTEGER);
CREATE INDEX waiting_open ON waiting (generation) WHERE decided IS NULL;
CREATE INDEX waiting_names ON waiting (title) WHERE kind = 'definition' AND decided IS NULL;
CREATE TABLE receipts (id TEXT PRIMARY KEY, seq INTEGER UNIQUE, generation INTEGER, kind TEXT, subject TEXT, decision
    TEXT, note TEXT, body TEXT, public_key TEXT, signature TEXT);
CREATE INDEX receipts_subject ON receipts (subject);
CREATE INDEX receipts_generation ON receipts (generation);
CREATE TABLE labels (attempt TEXT PRIMARY KEY, generation INTEGER, grader TEXT, says_right INTEGER, grader_agrees
    INTEGER, execution_correct INTEGER);
CREATE INDEX labels_generation ON labels (generation);
ALTER TABLE refusals ADD COLUMN note TEXT;
"""
# Since version 3. `knowledge` is what an agent knows as it begins to guess, `wrong` how much of it is not so, `memory`
# what it recalls, as JSON. `follows` is whether the answer is what the definitions shown would make.
CULTURE = """
ALTER TABLE agents ADD COLUMN place INTEGER;
ALTER TABLE waiting ADD COLUMN applies TEXT NOT NULL DEFAULT '';
ALTER TABLE waiting ADD COLUMN supersedes TEXT NOT NULL DEFAULT '';
CREATE TABLE knowledge (generation INTEGER, agent TEXT, read INTEGER, recalled INTEGER, known INTEGER, wrong INTEGER,
    level INTEGER, memory TEXT, PRIMARY KEY (generation, agent));
CREATE TABLE ratchet (id TEXT PRIMARY KEY, generation INTEGER, mind TEXT, library TEXT, domain TEXT, depth INTEGER,
    needs INTEGER, problem TEXT, correct INTEGER, answer_correct INTEGER, follows INTEGER);
CREATE INDEX ratchet_generation ON ratchet (generation);
CREATE TABLE leaves (seq INTEGER PRIMARY KEY, generation INTEGER, kind TEXT, subject TEXT, hash TEXT);
CREATE INDEX leaves_subject ON leaves (subject);
CREATE TABLE heads (generation INTEGER PRIMARY KEY, size INTEGER, root TEXT, public_key TEXT, signature TEXT);
CREATE TABLE collapse (generation INTEGER, agent TEXT, perplexity REAL, tail_mass REAL, distinct_2 REAL, depth REAL,
    entropy REAL, PRIMARY KEY (generation, agent));
"""
# Since version 4. `requests` is how many completions a phase asked for (NULL: an earlier version played it), `doubt` is
# why a problem does not count though it is valid (NULL: it counts).
BUDGETS = """
ALTER TABLE phases ADD COLUMN requests INTEGER;
ALTER TABLE outcomes ADD COLUMN doubt TEXT;
"""
# Places of agents born before version 3: founders have their number's, at most one retired and was born a generation.
PLACES = """WITH RECURSIVE lived(name, place, gone) AS (
    SELECT a.name, a.number, r.generation FROM agents a LEFT JOIN retirements r ON r.name = a.name WHERE a.born = 0
    UNION ALL
    SELECT a.name, l.place, r.generation FROM lived l JOIN agents a ON a.born = l.gone
    LEFT JOIN retirements r ON r.name = a.name)
    UPDATE agents SET place = (SELECT place FROM lived WHERE lived.name = agents.name)"""
# Tables of islands (docs/islands.md), made where needed only: `marks` holds the last rowid of each table before a
# generation, and what came from others; `migrations` what came and went, and why not; `lost_islands` from which
# generation on the run goes without one; `island_heads` the signed heads of the islands' own logs.
MARKS = """CREATE TABLE IF NOT EXISTS marks (generation INTEGER, name TEXT, last INTEGER, arrivals TEXT,
    PRIMARY KEY (generation, name))"""
MIGRATIONS = """CREATE TABLE IF NOT EXISTS migrations (generation INTEGER, island INTEGER, direction TEXT, kind TEXT,
    subject TEXT, origin INTEGER, taken INTEGER, reason TEXT, solve_rate REAL, newborn TEXT,
    PRIMARY KEY (generation, island, direction, kind, subject))"""
LOST_ISLANDS = "CREATE TABLE IF NOT EXISTS lost_islands (island INTEGER PRIMARY KEY, generation INTEGER, reason TEXT)"
ISLAND_HEADS = """CREATE TABLE IF NOT EXISTS island_heads (generation INTEGER, island INTEGER, size INTEGER, root TEXT,
    public_key TEXT, signature TEXT, PRIMARY KEY (generation, island))"""
UNHASHED_TABLES = ("telemetry", "control", "leaves", "heads", "sqlite_sequence", "marks", "island_heads")
UNHASHED_COLUMNS = ("public_key", "signature")


def other_version(path: Path, version: str | None) -> str:
    """What to tell who meets a file of another version."""
    if version in EARLIER:
        return (
            f"{path} was written by an earlier version (schema {version}, this program reads {SCHEMA_VERSION}): "
            f"`python run_arena.py resume {path.parent}` brings it up to date; what was played is kept"
        )
    later = str(version).isdecimal() and int(str(version)) > SCHEMA_VERSION
    hint = ": a later version of Ratchet wrote it, and goes on with it; nothing was changed" if later else ""
    return f"{path} has schema version {version}, this program reads version {SCHEMA_VERSION}{hint}"


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def backup_of(path: Path, version: str) -> Path:
    """Where a file of an earlier version is kept when it is brought up to date."""
    return path.with_name(f"{path.name}.schema{version}.bak")


def uri_of(path: Path) -> str:
    """How SQLite opens a file. Where the folder cannot be written (a read-only disk) and the run was closed well, it
    is told to go without the files that it would lay beside it."""
    closed = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    return path.resolve().as_uri() + ("?immutable=1" if closed else "")


def _unreadable(path: Path, error: sqlite3.Error) -> Exception:
    """What to tell who cannot open a file: whether it is damaged, or held by another program, or out of reach."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return OSError(f"cannot open {path}: another program has had it locked for {PATIENCE:g} s; close it, try again")
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return OSError(f"cannot open {path}: {error}")
    return ValueError(f"{path} is not a readable run database: {error}")


def create_tables(db: Database) -> None:
    """Everything that a run.db of this version has, in an empty one."""
    db.conn.executescript("BEGIN;" + SCHEMA + REVIEWING + CULTURE + BUDGETS + "COMMIT;")
    Library.create_tables(db)


@cache
def ours() -> sqlite3.Connection:
    """An empty run.db in memory, to compare others with."""
    db = Database(sqlite3.connect(":memory:", check_same_thread=False))
    create_tables(db)
    return db.conn


class Store:
    """One run's database. Opened by one writing process at a time; any number may read.

    `upgrade` is for who holds the run's lock: a file of an earlier version is brought up to date.
    """

    def __init__(self, path: Path, create: bool = False, upgrade: bool = False) -> None:
        self.path = path
        if not create and not path.is_file():
            raise ValueError(f"no run database at {path}")
        connection = sqlite3.connect(uri_of(path), uri=True, isolation_level=None, timeout=PATIENCE)
        try:
            self.db = Database(connection)
            if not create:  # nothing is written to, and nothing run from, a file that is not ours
                check_strange(connection, ours())
                self.meta()
            if create:  # before anything is written: pages that words have left can be given back (arena.run.retention)
                self.db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=NORMAL")
            if create:
                create_tables(self.db)
                self.set_meta({"schema_version": str(SCHEMA_VERSION)})
            if upgrade and (version := self.meta().get("schema_version")) in EARLIER:
                self._upgrade(version)
            version = self.meta().get("schema_version")
            if version == str(SCHEMA_VERSION) and not create:
                check_schema(connection, ours())
                check_numbers(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            raise _unreadable(path, error) from None
        except ValueError as error:
            connection.close()
            raise ValueError(f"{path} is not a readable run database: {error}") from None
        except BaseException:
            connection.close()
            raise
        if version != str(SCHEMA_VERSION):
            connection.close()
            raise ValueError(other_version(path, version))

    def _upgrade(self, version: str) -> None:
        """From an earlier version to this one: tables and columns are added, nothing stored is changed."""
        steps = {"1": REVIEWING, "2": "", "3": BUDGETS}[version]
        if version != "3":
            steps += CULTURE + ";".join((*SHELF, *COLUMNS_SINCE, PLACES)) + ";" + BUDGETS
        self._back_up(backup_of(self.path, version))
        try:
            self.db.conn.executescript(
                f"BEGIN IMMEDIATE; {steps}; UPDATE meta SET value = '{SCHEMA_VERSION}' WHERE key = 'schema_version';"
                " COMMIT;"
            )
        except sqlite3.DatabaseError:
            if self.db.conn.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def _back_up(self, to: Path) -> None:
        """Copy the file as it is, with what SQLite's log holds of it. Whole and synced, or not there."""
        partial = to.with_name(f".{to.name}.new")
        partial.unlink(missing_ok=True)
        try:
            copy = sqlite3.connect(partial)
            try:
                self.db.conn.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, which any program of that version opens
            finally:
                copy.close()
            sync(partial)
            partial.replace(to)
            sync(to.parent)
        except sqlite3.OperationalError as error:
            partial.unlink(missing_ok=True)
            raise OSError(f"cannot keep {to.name} before the upgrade: {error}; {self.path} is as it was") from None
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        self.db.close()

    # -- writing -------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Raises OSError, naming the file, if the disk is full or the database locked."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.DatabaseError):  # a disk that fails: rolled back when next opened
                if self.db.conn.in_transaction:
                    self.db.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.IntegrityError):
                raise OSError(f"cannot write {self.path}: {error}") from None
            if isinstance(error, sqlite3.IntegrityError):
                raise ValueError(
                    f"{self.path} is damaged: what is to be written is there already, or may not be: {error}"
                ) from error
            raise

    def insert(self, records: Records) -> None:
        """Insert rows by table, inside a transaction of the caller."""
        for table, rows in records.items():
            if rows:
                columns = list(rows[0])
                marks = ", ".join("?" * len(columns))
                self.db.conn.executemany(
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
                    [tuple(r[c] for c in columns) for r in rows],
                )

    def set_meta(self, values: Mapping[str, str]) -> None:
        self.db.conn.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    # -- reading -------------------------------------------------------------------------------------------------

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return list(self.db.query(sql, list(parameters)))

    def rows(self, table: str, generation: int) -> list[Row]:
        """The rows of one generation in the order they were written."""
        return self.query(f"SELECT * FROM {table} WHERE generation = ? ORDER BY rowid", [generation])

    def before(self, table: str, generation: int) -> int:
        """The rowid after which the rows of `generation` and later ones lie, found in a few steps.

        For tables without an index of generations whose rows were written in the order of generations.
        """
        last = f"SELECT rowid, generation FROM {table} WHERE rowid <= ? ORDER BY rowid DESC LIMIT 1"
        low, high = 0, self.query(f"SELECT COALESCE(MAX(rowid), 0) AS n FROM {table}")[0]["n"]
        while low < high:  # all rows up to `low` are of earlier generations, none after `high` is
            middle = (low + high + 1) // 2
            found = self.query(last, [middle])
            if found and found[0]["generation"] >= generation:
                high = found[0]["rowid"] - 1
            else:
                low = middle
        return int(low)

    def meta(self) -> dict[str, str]:
        return {r["key"]: r["value"] for r in self.query("SELECT key, value FROM meta")}

    def finished(self) -> set[tuple[int, str]]:
        return {(r["generation"], r["phase"]) for r in self.query("SELECT generation, phase FROM phases")}

    def compute(self) -> float:
        """Compute units so far, evaluation apart."""
        sql = "SELECT SUM(prompt_tokens + generated_tokens + 3 * trained_tokens) AS units FROM phases WHERE counted"
        return float(self.query(sql)[0]["units"] or 0)

    def digest(self) -> str:
        """SHA-256 over everything but telemetry, what was asked through `control`, keys, signatures and heads."""
        total = hashlib.sha256()
        tables = [r["name"] for r in self.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        for table in tables:
            if table in UNHASHED_TABLES or table.startswith("posts_fts"):
                continue
            columns = [c.name for c in self.db[table].columns if c.name not in UNHASHED_COLUMNS]
            total.update(json.dumps([table, columns]).encode())
            order = ", ".join(columns)
            for row in self.db.conn.execute(f"SELECT {order} FROM {table} ORDER BY {order}"):
                total.update(json.dumps(row, ensure_ascii=False).encode())
        return total.hexdigest()
