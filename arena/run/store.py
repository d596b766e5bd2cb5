"""The run store: everything that a run records, in one SQLite file with one writer.

The records of a phase are written in one transaction together with the phase's own row, so that a killed run holds
whole phases only. What a run stores is determined by its config and by people's decisions, except for wall-clock times
(table `telemetry`) and keys (columns `public_key`, `signature`), which `digest` leaves out. Other processes write to
the table `control` only: it holds people's commands before they become records, and `digest` leaves it out too.

The tables are those of schema version 4 and of the steps since (`arena.run.schema_steps`). A file that lacks a step is
updated when its run is resumed; reading it is an error that says so, as is a file of a later version.

A commit survives the death of its process at any moment. Not guaranteed: that the last commits survive a power cut.
They are synced when SQLite copies its write-ahead log into the file; until then, whole commits at the end can be lost.
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

from agents.stored_file import find_substitute
from arena.run.integrity import (
    DamagedError,
    check_foreign_objects,
    check_numbers,
    check_schema,
    diagnose,
    out_of_reach,
)
from arena.run.schema_steps import SCHEMA_VERSION, STEPS, apply_steps, migrate, version_error
from culture.library import Library

Row = dict[str, Any]
PATIENCE = 30.0
"""Seconds to wait for another program's lock on the file."""
Records = Mapping[str, Sequence[Row]]

# Tables of schema version 4, which steps add to; the library has its own (culture.schema). `taken` and `decided` are
# generations; `outcomes.doubt` is why a valid problem does not count (NULL: it counts); in `knowledge`, `wrong` counts
# wrong definitions and `memory` is JSON; `ratchet.follows` is whether the answer is what the definitions shown give.
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE phases (generation INTEGER, phase TEXT, prompt_tokens INTEGER, generated_tokens INTEGER,
    trained_tokens INTEGER, counted INTEGER, requests INTEGER, PRIMARY KEY (generation, phase));
CREATE TABLE agents (name TEXT PRIMARY KEY, number INTEGER, born INTEGER, parents TEXT, inherited TEXT,
    public_key TEXT, place INTEGER);
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
    setter_reward REAL, doubt TEXT);
CREATE INDEX outcomes_generation ON outcomes (generation);
CREATE TABLE rewards (generation INTEGER, agent TEXT, role TEXT, reward REAL, n INTEGER, PRIMARY KEY
    (generation, agent, role));
CREATE TABLE guesses (id TEXT PRIMARY KEY, generation INTEGER, agent TEXT, name TEXT, prompt TEXT, text TEXT,
    correct INTEGER, reason TEXT);
CREATE TABLE refusals (post TEXT PRIMARY KEY, generation INTEGER, author TEXT, title TEXT, reason TEXT,
    note TEXT);
CREATE TABLE sleeps (generation INTEGER, agent TEXT, examples INTEGER, tokens INTEGER, steps INTEGER, loss REAL,
    PRIMARY KEY (generation, agent));
CREATE TABLE checkpoints (generation INTEGER, name TEXT, path TEXT, sha256 TEXT, PRIMARY KEY (generation,
    name));
CREATE TABLE evaluations (id TEXT PRIMARY KEY, generation INTEGER, domain TEXT, split TEXT, depth INTEGER, agent
    TEXT, problem TEXT, reading INTEGER, mode TEXT, k INTEGER, correct INTEGER, answer_correct INTEGER);
CREATE INDEX evaluations_generation ON evaluations (generation);
CREATE TABLE telemetry (generation INTEGER, phase TEXT, seconds REAL, finished TEXT);
CREATE TABLE control (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT, value TEXT, note TEXT,
    made TEXT, taken INTEGER);
CREATE INDEX control_commands ON control (seq) WHERE kind IN ('pause', 'resume', 'stop');
CREATE INDEX control_open ON control (kind, seq) WHERE taken IS NULL;
CREATE INDEX control_taken ON control (kind, taken);
CREATE TABLE waiting (id TEXT PRIMARY KEY, generation INTEGER, kind TEXT, author TEXT, title TEXT, body TEXT, cites
    TEXT, about TEXT, public_key TEXT, signature TEXT, decided INTEGER, applies TEXT NOT NULL DEFAULT '',
    supersedes TEXT NOT NULL DEFAULT '');
CREATE INDEX waiting_open ON waiting (generation) WHERE decided IS NULL;
CREATE INDEX waiting_names ON waiting (title) WHERE kind = 'definition' AND decided IS NULL;
CREATE TABLE receipts (id TEXT PRIMARY KEY, seq INTEGER UNIQUE, generation INTEGER, kind TEXT, subject TEXT, decision
    TEXT, note TEXT, body TEXT, public_key TEXT, signature TEXT);
CREATE INDEX receipts_subject ON receipts (subject);
CREATE INDEX receipts_generation ON receipts (generation);
CREATE TABLE labels (attempt TEXT PRIMARY KEY, generation INTEGER, grader TEXT, says_right INTEGER, grader_agrees
    INTEGER, execution_correct INTEGER);
CREATE INDEX labels_generation ON labels (generation);
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
# Tables of islands (docs/islands.md), created only where needed. `marks`: the last rowid of each table before a
# generation, and the arrivals of that generation. `migrations`: posts and agents sent and received, and why some were
# refused. `lost_islands`: islands that were lost, and from which generation on. `island_heads`: signed heads of the
# islands' logs.
MARKS = """CREATE TABLE IF NOT EXISTS marks (generation INTEGER, name TEXT, last INTEGER, arrivals TEXT,
    PRIMARY KEY (generation, name))"""
MIGRATIONS = """CREATE TABLE IF NOT EXISTS migrations (generation INTEGER, island INTEGER, direction TEXT, kind TEXT,
    subject TEXT, origin INTEGER, taken INTEGER, reason TEXT, solve_rate REAL, newborn TEXT,
    PRIMARY KEY (generation, island, direction, kind, subject))"""
LOST_ISLANDS = "CREATE TABLE IF NOT EXISTS lost_islands (island INTEGER PRIMARY KEY, generation INTEGER, reason TEXT)"
ISLAND_HEADS = """CREATE TABLE IF NOT EXISTS island_heads (generation INTEGER, island INTEGER, size INTEGER, root TEXT,
    public_key TEXT, signature TEXT, PRIMARY KEY (generation, island))"""
# Tables of mixed populations (docs/servers.md#mixed-populations), created only there. `places`: the model of each place
# and its roles, separated by spaces. `model_tokens`: what each model has of a row of table `phases`.
PLACES = """CREATE TABLE IF NOT EXISTS places (place INTEGER PRIMARY KEY, model TEXT, engine TEXT, base TEXT,
    digest TEXT, roles TEXT)"""
MODEL_TOKENS = """CREATE TABLE IF NOT EXISTS model_tokens (generation INTEGER, phase TEXT, model TEXT, requests INTEGER,
    prompt_tokens INTEGER, generated_tokens INTEGER, PRIMARY KEY (generation, phase, model))"""
UNHASHED_TABLES = (
    "telemetry",
    "control",
    "leaves",
    "heads",
    "sqlite_sequence",
    "marks",
    "island_heads",
    STEPS.migrations_table,
)
UNHASHED_IF_EMPTY = ("corrections",)  # added by a step: runs of before keep their digest
UNHASHED_COLUMNS = ("public_key", "signature", "logprobs", "estimates", "stopped")
# the last three are columns of a step, which runs of before lack; they follow from `logprob` and the texts


def uri_of(path: Path) -> str:
    """The URI under which SQLite opens a file. In a read-only folder, a database that was closed cleanly is opened as
    immutable, because SQLite could not create its own files beside it."""
    closed = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    return path.resolve().as_uri() + ("?immutable=1" if closed else "")


def check_database(path: Path) -> None:
    """Raise ValueError, naming the file, if there is none, or a folder or an empty file in its place.

    The file is not opened: closing it would drop the locks of other connections of this process (SQLite, "How To
    Corrupt An SQLite Database File", section 2.2)."""
    if not path.is_file():
        raise ValueError(f"{path} is a folder, not a run database" if path.is_dir() else f"no run database at {path}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is {find_substitute(b'')}")


def unreadable(path: Path, error: sqlite3.Error) -> Exception:
    """An error that says why a file cannot be opened: out of reach, locked by another program, another kind of file
    (a Git LFS pointer, a web page), or damaged."""
    if reason := out_of_reach(path, error):
        return reason
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB:  # so no connection holds locks on it
        with suppress(OSError), open(path, "rb") as file:
            if found := find_substitute(file.read(200)):
                return ValueError(f"{path} is {found}")
    return DamagedError(f"{path} is not a readable run database: {error}")


def create_tables(db: Database) -> None:
    """Create all tables of the current version in an empty database."""
    db.conn.executescript("BEGIN;" + SCHEMA + "COMMIT;")
    Library.create_tables(db)
    apply_steps(db)


@cache
def reference_database() -> sqlite3.Connection:
    """An empty run.db in memory, with which the tables of others are compared."""
    db = Database(sqlite3.connect(":memory:", check_same_thread=False))
    create_tables(db)
    return db.conn


def is_mixed(db: sqlite3.Connection) -> bool:
    """Whether a run has tables of a mixed population."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'places'").fetchone() is not None


def agent_models(db: sqlite3.Connection) -> dict[str, str]:
    """The model of each agent by name, in a mixed population; otherwise empty."""
    if not is_mixed(db):
        return {}
    return dict(db.execute("SELECT a.name, p.model FROM agents a JOIN places p ON p.place = a.place ORDER BY a.number"))


class Store:
    """The database of one run, for one writing process and any number of readers.

    `create` makes the tables in a new file. `upgrade` applies pending schema steps, and is only for the process that
    holds the run's lock. Raises ValueError for a file that is not a run's, is damaged or has another schema version,
    and OSError for one that cannot be opened.
    """

    def __init__(self, path: Path, create: bool = False, upgrade: bool = False) -> None:
        self.path = path
        if not create:
            check_database(path)
        connection = sqlite3.connect(uri_of(path), uri=True, isolation_level=None, timeout=PATIENCE)
        try:
            self.db = Database(connection)
            error = None
            if create:  # must precede the first write; lets arena.run.retention give free pages back
                self.db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            else:  # before anything of an unknown file is run or written
                check_foreign_objects(connection, reference_database())
                error = version_error(self.db, path, upgrade)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=NORMAL")
            if create:
                create_tables(self.db)
                self.set_meta({"schema_version": SCHEMA_VERSION})
            elif error is None:
                if upgrade:
                    migrate(self.db, path)
                check_schema(connection, reference_database())
                check_numbers(connection)
        except sqlite3.DatabaseError as failure:
            connection.close()
            raise unreadable(path, failure) from None
        except ValueError as failure:
            connection.close()
            raise DamagedError(f"{path} is not a readable run database: {failure}") from None
        except BaseException:
            connection.close()
            raise
        if error is not None:
            connection.close()
            raise ValueError(error)

    def close(self) -> None:
        self.db.close()

    # -- writing -------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction, rolled back on any error. Raises OSError, naming the file, if the disk is full or the database
        locked, and DamagedError if a statement failed and a check of the stored rows finds damage."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.DatabaseError):  # on a disk error, SQLite rolls back when the file is opened next
                if self.db.conn.in_transaction:
                    self.db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                if reason := out_of_reach(self.path, error, "write"):
                    raise reason from None
                if found := diagnose(self.path):
                    raise DamagedError(f"{self.path} cannot be written: {found}") from error
            raise

    def insert(self, records: Records) -> None:
        """Insert rows by table. Must be called inside a transaction."""
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
        """The rows of one generation, in the order they were written."""
        return self.query(f"SELECT * FROM {table} WHERE generation = ? ORDER BY rowid", [generation])

    def before(self, table: str, generation: int) -> int:
        """The rowid after which the rows of `generation` and later ones are, found by binary search.

        For tables whose rows were written in the order of generations and that have no index of them.
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

    def agent_models(self) -> dict[str, str]:
        """The model of each agent by name, in a mixed population; otherwise empty."""
        return agent_models(self.db.conn)

    @property
    def mixed(self) -> bool:
        """Whether the run has tables of a mixed population."""
        return is_mixed(self.db.conn)

    def compute(self) -> float:
        """Compute units so far, without evaluation: prompt and generated tokens, and trained tokens three times."""
        sql = "SELECT SUM(prompt_tokens + generated_tokens + 3 * trained_tokens) AS units FROM phases WHERE counted"
        return float(self.query(sql)[0]["units"] or 0)

    def digest(self) -> str:
        """SHA-256, 64 hex digits, over all tables and columns except UNHASHED_TABLES, UNHASHED_COLUMNS and
        UNHASHED_IF_EMPTY."""
        total = hashlib.sha256()
        tables = [r["name"] for r in self.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        for table in tables:
            if table in UNHASHED_TABLES or table.startswith("posts_fts"):
                continue
            if table in UNHASHED_IF_EMPTY and not self.query(f"SELECT 1 FROM {table} LIMIT 1"):
                continue
            columns = [c.name for c in self.db[table].columns if c.name not in UNHASHED_COLUMNS]
            total.update(json.dumps([table, columns]).encode())
            order = ", ".join(columns)
            for row in self.db.conn.execute(f"SELECT {order} FROM {table} ORDER BY {order}"):
                total.update(json.dumps(row, ensure_ascii=False).encode())
        return total.hexdigest()
