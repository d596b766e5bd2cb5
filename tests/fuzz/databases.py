"""An untrusted run folder, read by every command: run.db with damaged bytes, changed tables or changed rows."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from typer.testing import CliRunner

from arena.cli.app import app
from arena.config.schema import load_config
from arena.report.metrics.run_summary import analyze
from arena.report.page import render
from arena.report.sections import SECTIONS
from arena.report.source import Source
from arena.run.integrity import FAILURES, diagnose, explained
from arena.run.store import Store
from arena.watch.history import History
from arena.watch.queries import open_run, post, posts, read_only, round_detail, rounds
from arena.watch.review_queue import ReviewQueue
from tests.fuzz.base import JSON, SCALARS, Place, Target, answers, damaged

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("digest", "RUN"),
    ("analyze", "RUN", "--no-plots", "--json"),
    ("analyze", "RUN", "--no-plots"),
    ("export", "RUN", "--to", "OUT"),
    ("library", "RUN", "verify"),
    ("library", "RUN", "search"),
    ("library", "RUN", "search", "rev", "w1"),
    ("library", "RUN", "show", "w1"),
    ("library", "RUN", "tree", "w1"),
    ("library", "RUN", "export"),
    ("library", "RUN", "proof", "w1"),
    ("control", "RUN", "stop"),
    ("resume", "RUN", "--quiet"),
)
SLOW: tuple[tuple[str, ...], ...] = (
    ("eval", "RUN", "SET", "--limit", "1", "--k", "1", "--library"),
    ("play", "RUN", "--rounds", "1"),
)
PAGE = 99
"""Command number for which the page of the report is built too, which takes seconds."""
STRANGE = [
    "CREATE VIEW v AS SELECT 1",
    "DROP TABLE rewards; CREATE VIEW rewards AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"
    " SELECT n generation FROM r",
    "CREATE TRIGGER t AFTER INSERT ON control BEGIN DELETE FROM posts; END",
    "DROP TRIGGER posts_no_delete; DELETE FROM posts",
    "DROP TRIGGER posts_index; CREATE TRIGGER posts_index AFTER INSERT ON posts BEGIN DELETE FROM rounds; END",
    "DROP TABLE agents",
    "ALTER TABLE rounds RENAME COLUMN domain TO realm",
    "DROP TABLE rewards; CREATE TABLE rewards (generation, agent, role, reward AS (1), n)",
    "DROP TABLE collapse; CREATE TABLE collapse (generation, agent, perplexity, tail_mass, distinct_2, depth, entropy)",
    "DROP TABLE posts_fts; CREATE VIRTUAL TABLE posts_fts USING fts5 (x)",
    'CREATE TABLE "a b\'c" (x); CREATE TABLE t (generation INTEGER)',
    "DELETE FROM meta",
    "UPDATE meta SET value = '3'",
    "UPDATE meta SET value = '99' WHERE key = 'schema_version'",
    "UPDATE meta SET value = x'ff'",
    "UPDATE agents SET parents = json_array(name)",
    "UPDATE agents SET parents = '[\"nobody\"]'",
    "UPDATE phases SET generation = generation + 1000000000",
    "UPDATE phases SET generation = -5 WHERE generation = 1",
    "UPDATE evaluations SET generation = 4611686018427387904",
    "DROP TRIGGER posts_no_update; UPDATE posts SET cites = json_array(id)",
    "DROP TRIGGER posts_no_update; UPDATE posts SET generation = 9000000000000",
    "UPDATE rounds SET domain = 'nowhere'",
    "UPDATE problems SET domain = '../../x'",
    "UPDATE rounds SET solvers = '[]'",
    "UPDATE problems SET text = '\x1b[2J'",
    "DELETE FROM rounds",
    "DELETE FROM problems",
    "DELETE FROM agents",
    "DELETE FROM phases",
    "DELETE FROM outcomes",
    "DELETE FROM checkpoints",
    "UPDATE checkpoints SET path = '../../../etc'",
    "UPDATE checkpoints SET path = '/etc/passwd', name = '../../x' WHERE rowid = 1",
    "UPDATE checkpoints SET sha256 = NULL, path = NULL",
    "INSERT INTO phases SELECT 1000, phase, 1, 1, 1, 1, 1 FROM phases LIMIT 1",
    "PRAGMA user_version = 7",
    "VACUUM; PRAGMA journal_mode = DELETE",
]


@cache
def tables(run: Path) -> dict[str, list[str]]:
    """The tables that are not empty, with their columns."""
    with closing(sqlite3.connect(run / "run.db")) as db:
        names = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        found = {}
        for name in names:
            if name.startswith(("posts_fts", "sqlite_")) or not db.execute(f"SELECT 1 FROM {name}").fetchone():
                continue
            found[name] = [r[1] for r in db.execute(f"PRAGMA table_info({name})")]
    return found


def fresh(place: Place) -> Path:
    """Copy the run, to be damaged."""
    folder = place.scratch / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place.run, folder, ignore=shutil.ignore_patterns("report", "export", "eval", "play", "run.db*"))
    with (
        closing(sqlite3.connect(place.run / "run.db")) as source,
        closing(sqlite3.connect(folder / "run.db")) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    return folder


def command(place: Place, folder: Path, words: tuple[str, ...]) -> None:
    """Run a command in this process. It must succeed, give a one-line error, or fail where a check of the records finds
    no damage, and not write outside its folders."""
    out = place.scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    sets = place.scratch / "a.jsonl"
    sets.write_text('{"question": "rev", "answer": "1"}\n')
    before = outside(place)
    given = [{"RUN": str(folder), "OUT": str(out), "SET": str(sets)}.get(w, w) for w in words]
    with told(folder):
        done = CliRunner().invoke(app, given, input="x\n" * 20)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
    assert outside(place) == before, f"{words} touched {outside(place) ^ before}"


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Check that reading a changed run succeeds, raises a one-line error, or fails where no check finds the change."""
    try:
        with answers(), explained([folder]):
            yield
    except FAILURES:
        assert diagnose(folder / "run.db") is None


def outside(place: Place) -> set[str]:
    """Names of the files next to the folders that a command may write to."""
    return {p for p in os.listdir(place.scratch) if p not in ("run", "out")} | set(os.listdir(place.scratch.parent))


def screens(folder: Path) -> None:
    """Read everything that the screens of `watch` read."""
    with answers():
        run = open_run(folder)
        with read_only(run.database) as db:
            try:
                history = History(run)
                while history.step(db):
                    pass
                history.snapshot(db)
                history.snapshot(db, 1)
                for row in rounds(db, 1)[:4]:
                    round_detail(db, row.round)
                for row in posts(db)[:4]:
                    post(db, row.id)
                ReviewQueue(run).items(db, 1.0)
            except sqlite3.Error as error:  # the screens report it and try again
                raise OSError(str(error)) from None


def pages(folder: Path) -> None:
    """Build the page of the report, without figures."""
    with told(folder):
        store, config = Store(folder / "run.db"), load_config(folder / "config.yaml")
        source = Source(folder, store, config, analyze(store, config))
        render("x", "x", [], [build(source) for build in SECTIONS], "x")


def broken_bytes(place: Place, value: tuple[int, Any, bytes | None]) -> None:
    which, (edits, end), whole = value
    folder = fresh(place)
    path = folder / "run.db"
    path.write_bytes(damaged(path.read_bytes(), edits, end) if whole is None else whole)
    command(place, folder, COMMANDS[which % len(COMMANDS)])
    screens_or_words(folder)


def screens_or_words(folder: Path) -> None:
    with told(folder):
        screens(folder)


def strange(place: Place, value: tuple[int, str]) -> None:
    which, script = value
    folder = fresh(place)
    with closing(sqlite3.connect(folder / "run.db", isolation_level=None)) as db:
        db.executescript(script)
    command(place, folder, COMMANDS[which % len(COMMANDS)])
    screens_or_words(folder)


def rows(commands: tuple[tuple[str, ...], ...]) -> Callable[[Place, Any], None]:
    def attack(place: Place, value: tuple[int, int, int, Any, bool]) -> None:
        which, table, column, new, everywhere = value
        folder = fresh(place)
        held = tables(place.run)
        name = sorted(held)[table % len(held)]
        field = held[name][column % len(held[name])]
        with closing(sqlite3.connect(folder / "run.db", isolation_level=None)) as db:
            _update(db, name, field, new, everywhere)
        command(place, folder, commands[which % len(commands)])
        if commands is COMMANDS:
            screens_or_words(folder)
        if which == PAGE:
            pages(folder)

    return attack


def _update(db: sqlite3.Connection, table: str, field: str, new: Any, everywhere: bool) -> None:
    """Set a field in the last row or in all rows, with its triggers disabled."""
    if isinstance(new, list | dict):
        new = json.dumps(new)
    if isinstance(new, int) and not -(2**63) <= new < 2**63:
        new = str(new)
    if isinstance(new, str):
        new = new.encode("utf-8", "replace").decode()
    where = "" if everywhere else f" WHERE rowid = (SELECT MAX(rowid) FROM {table})"
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? AND name LIKE '%no_update'"
    guards = dict(db.execute(sql, [table]).fetchall())
    for name in guards:
        db.execute(f"DROP TRIGGER {name}")
    try:
        db.execute(f"UPDATE {table} SET {field} = ?{where}", [new])
    except sqlite3.Error:
        pass  # the key exists already
    finally:
        for sql in guards.values():
            db.execute(sql)


VALUES = (
    SCALARS
    | JSON
    | st.binary(max_size=6)
    | st.sampled_from(['["ada"]', "[1]", '{"a": 1}', "[[", "{}", "[]", "null", "1"])
)
ROWS = st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), VALUES, st.booleans())
EDITS = st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), min_size=1, max_size=40)
WHOLE = (
    st.none()
    | st.none()
    | st.sampled_from([b"", b"SQLite format 3\0", b"SQLite format 3\0" + b"\0" * 5000, b"x" * 9999])
    | st.binary(max_size=99)
)
BROKEN = st.tuples(EDITS, st.none() | st.integers(0, 1000))
TARGETS = [
    Target("run.db bytes", st.tuples(st.integers(0, 99), BROKEN, WHOLE), broken_bytes, 8, True),
    Target("run.db tables", st.tuples(st.integers(0, 99), st.sampled_from(STRANGE)), strange, 8, True),
    Target("run.db rows", ROWS, rows(COMMANDS), 10, True),
    Target("run.db rows, models", ROWS, rows(SLOW), 2, True),
]
