"""What the screens read from a run: plain SQL on a connection that cannot write, given back as frozen dataclasses.

Every function takes a connection of `reading` and touches the rows of one generation, one round, one agent or one
post, through an index; whole-run figures are folded generation by generation in `arena.watch.history`. No transaction
outlives a call, so the process that plays the run is never kept waiting.

Left out: writing, and anything that needs a model or a domain. Not guaranteed: that two calls see the same moment of
a run that goes on.
"""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from arena.config import load_config, nearest
from arena.store import SCHEMA_VERSION
from arena.watch.records import (
    Grading,
    Life,
    Member,
    PostRow,
    PostView,
    RoundDetail,
    RoundRow,
    Run,
    SetRow,
    Summary,
    Try,
)
from culture.library import Library
from culture.posts import SignedPost

RECENT = 5
"""Generations that "lately" means in the population table."""
MOST_POSTS = 200
"""Posts a list of the library shows at most."""
NEWEST = 500
"""Posts of an agent whose readers are counted."""
FILTERS = ("all", "valid", "learnable")
_PAGE = 2000


class Busy(Exception):
    """The database is locked or about to change shape; asking again later is all there is to do."""


# -- opening ------------------------------------------------------------------------------------------------------


def open_run(folder: Path) -> Run:
    """The run in `folder`. ValueError, naming it, if there is none, it is damaged or of another version."""
    if not folder.is_dir():
        raise ValueError(f"no run folder at {folder}{nearest(folder.name, _siblings(folder))}")
    database = folder / "run.db"
    if not database.is_file():
        raise ValueError(f"no run database at {database}")
    config = load_config(folder / "config.yaml")
    run = Run(folder, config.run.name, next(iter(config.domains)), config.generations, config.rounds.solvers)
    try:
        with reading(database) as db:
            found = db.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
            version = found[0] if found else None
            db.execute("SELECT MAX(rowid) FROM phases").fetchone()
    except Busy:
        return run  # it is written this moment; the screens try again
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{database} is not a readable run database: {error}") from None
    if version != str(SCHEMA_VERSION):
        raise ValueError(f"{database} has schema version {version}, this program reads version {SCHEMA_VERSION}")
    return run


def _siblings(folder: Path) -> list[str]:
    return [p.name for p in folder.parent.glob("*") if p.is_dir()]


@contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, closed after use. Raises Busy if the database is locked."""
    uri = database.resolve().as_uri() + "?mode=ro"
    db = None
    try:
        db = sqlite3.connect(uri, uri=True, timeout=0.2, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA query_only = 1")
        yield db
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Busy(str(error)) from None
        raise
    finally:
        if db is not None:
            db.close()


def safe(text: str) -> str:
    """Text that others wrote, with everything that could steer a terminal or reorder a line made visible."""
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(c if c == "\n" or unicodedata.category(c) not in bad else "\N{REPLACEMENT CHARACTER}" for c in text)


def _dicts(db: sqlite3.Connection, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    cursor = db.execute(sql, parameters)
    names = [c[0] for c in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


# -- generations ---------------------------------------------------------------------------------------------------


def phases_after(db: sqlite3.Connection, rowid: int) -> list[tuple[int, int, str]]:
    """(rowid, generation, phase) of the phases that finished after the one with this rowid, oldest first."""
    return db.execute(
        "SELECT rowid, generation, phase FROM phases WHERE rowid > ? ORDER BY rowid", [rowid]
    ).fetchall()  # fmt: skip


def usual_seconds(db: sqlite3.Connection, phase: str) -> float | None:
    """How long a phase took lately; None if it was never played."""
    sql = "SELECT AVG(seconds) FROM (SELECT seconds FROM telemetry WHERE phase = ? ORDER BY rowid DESC LIMIT 5)"
    found: float | None = db.execute(sql, [phase]).fetchone()[0]
    return found


def summary(db: sqlite3.Connection, generation: int, phases: frozenset[str], main: str) -> Summary:
    """One generation's figures from its own rows; `main` is the domain whose held-out rates are wanted."""
    proposed, valid, depth, distinct, duplicates = db.execute(
        "SELECT COUNT(*), SUM(valid), AVG(CASE WHEN valid THEN depth END),"
        " COUNT(DISTINCT CASE WHEN valid THEN behaviour_key END), SUM(reason = 'duplicate')"
        " FROM problems WHERE generation = ?",
        [generation],
    ).fetchone()
    learnable, solve_rate = db.execute(
        "SELECT SUM(learnable), AVG(solve_rate) FROM outcomes WHERE generation = ?", [generation]
    ).fetchone()
    rates = db.execute(
        "SELECT depth, AVG(correct) FROM evaluations WHERE generation = ? AND domain = ? AND mode IN ('greedy', 'full')"
        " AND (reading IS NULL OR reading = 1) AND NOT (generation = 0 AND id LIKE '%/after/%')"
        " GROUP BY depth, mode ORDER BY depth, mode DESC",
        [generation, main],
    ).fetchall()
    set_, settled = "propose" in phases, "grade" in phases
    return Summary(
        generation,
        phases,
        proposed if set_ else None,
        valid or 0 if set_ else None,
        learnable or 0 if settled else None,
        depth,
        solve_rate,
        distinct if set_ else None,
        duplicates or 0,
        dict(rates),  # "greedy" comes first, so "full" stays
    )


def population(db: sqlite3.Connection, generation: int) -> list[Member]:
    """Who plays in a generation, in order of birth, with the mean reward by role over the last RECENT ones."""
    agents = _dicts(
        db,
        "SELECT a.name, a.born, a.parents, r.generation AS retired FROM agents a LEFT JOIN retirements r"
        " ON r.name = a.name WHERE (a.born < ? OR a.born = 0) AND (r.generation IS NULL OR r.generation >= ?)"
        " ORDER BY a.number",
        [generation, generation],
    )
    rewards: dict[str, dict[str, float]] = {}
    sql = (
        "SELECT agent, role, SUM(reward * n) / SUM(n) FROM rewards WHERE generation > ? AND generation <= ?"
        " GROUP BY agent, role"
    )
    for agent, role, reward in db.execute(sql, [generation - RECENT, generation]):
        rewards.setdefault(agent, {})[role] = reward
    return [
        Member(
            a["name"],
            generation - a["born"],
            tuple(json.loads(a["parents"])),
            rewards.get(a["name"], {}),
            a["retired"] == generation,
        )
        for a in agents
    ]


def right_attempts(db: sqlite3.Connection, generation: int) -> dict[str, tuple[int, int]]:
    """(attempts, right ones) of a generation by agent; right means by a fully verified trace."""
    sql = "SELECT agent, COUNT(*), SUM(correct) FROM attempts WHERE generation = ? GROUP BY agent"
    return {agent: (n, correct) for agent, n, correct in db.execute(sql, [generation])}


# -- rounds --------------------------------------------------------------------------------------------------------

_ROUND = (
    "SELECT p.round, COALESCE(r.number, 0) AS number, p.domain, p.author, COALESCE(p.text, p.proposal) AS text,"
    " p.valid, p.reason, p.depth, o.solve_rate, COALESCE(o.learnable, 0) AS learnable, o.setter_reward AS paid,"
    # a grade's id begins with its round's
    " EXISTS (SELECT 1 FROM grades g WHERE g.id >= p.round || '/' AND g.id < p.round || '0' AND g.agrees = 0)"
    " AS disagreement, p.generation, p.proposal, p.detail, r.setter, r.solvers, r.parent, r.parent_post"
    " FROM problems p LEFT JOIN outcomes o ON o.round = p.round LEFT JOIN rounds r ON r.id = p.round"
)


def rounds(db: sqlite3.Connection, generation: int, shown: str = "all") -> list[RoundRow]:
    """The problems of one generation in the order they were set: all, the valid or the learnable ones."""
    if shown not in FILTERS:
        raise ValueError(f"a filter of rounds is one of {', '.join(FILTERS)}: {shown!r}")
    test = {"all": "", "valid": " AND p.valid", "learnable": " AND o.learnable"}[shown]
    return [_round(r) for r in _dicts(db, f"{_ROUND} WHERE p.generation = ?{test} ORDER BY p.rowid", [generation])]


def _round(r: dict[str, Any]) -> RoundRow:
    return RoundRow(
        r["round"],
        r["number"],
        r["domain"],
        r["author"],
        r["text"],
        bool(r["valid"]),
        r["reason"],
        r["depth"],
        r["solve_rate"],
        bool(r["learnable"]),
        r["paid"],
        bool(r["disagreement"]),
    )


def round_detail(db: sqlite3.Connection, round_: str) -> RoundDetail | None:
    """Everything about one round, or None if it has no proposal yet."""
    found = _dicts(db, f"{_ROUND} WHERE p.round = ?", [round_])
    if not found:
        return None
    grades = {
        g["attempt"]: Grading(g["grader"], g["text"], g["answer"], _maybe(g["says_correct"]), _maybe(g["agrees"]))
        for g in _dicts(db, "SELECT * FROM grades WHERE id >= ? AND id < ?", [f"{round_}/", f"{round_}0"])
    }
    attempts = [
        Try(
            a["agent"],
            a["seat"],
            a["text"],
            bool(a["correct"]),
            bool(a["answer_correct"]),
            a["reason"],
            a["step"],
            a["answer"],
            tuple(json.loads(a["notes"])),
            grades.get(a["id"]),
        )
        for a in _dicts(db, "SELECT * FROM attempts WHERE round = ? ORDER BY rowid", [round_])
    ]
    r = found[0]
    return RoundDetail(
        _round(r),
        r["generation"],
        r["proposal"],
        r["detail"],
        r["setter"] or "",
        tuple(json.loads(r["solvers"] or "[]")),
        r["parent"],
        post_rows(db, [r["parent_post"]]).get(r["parent_post"]),
        tuple(attempts),
    )


def _maybe(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def settled(db: sqlite3.Connection, generation: int) -> list[SetRow]:
    """The problems of one generation that were paid for."""
    sql = (
        "SELECT o.setter_reward, p.generation, p.round, p.author, COALESCE(p.text, p.proposal), p.reason, o.solve_rate"
        " FROM problems p JOIN outcomes o ON o.round = p.round WHERE p.generation = ? ORDER BY p.rowid"
    )
    return [SetRow(*row) for row in db.execute(sql, [generation])]


# -- agents --------------------------------------------------------------------------------------------------------


def agent_names(db: sqlite3.Connection) -> list[str]:
    """Everyone who ever lived, in order of birth."""
    return [row[0] for row in db.execute("SELECT name FROM agents ORDER BY number")]


def life(db: sqlite3.Connection, name: str) -> Life | None:
    """One agent's life so far, or None if there is no such agent."""
    agents = _dicts(db, "SELECT name, born, parents, inherited FROM agents ORDER BY number")
    mine = next((a for a in agents if a["name"] == name), None)
    if mine is None:
        return None
    retired = db.execute("SELECT generation FROM retirements WHERE name = ?", [name]).fetchone()
    rewards: dict[str, dict[int, tuple[float, int]]] = {}
    sql = "SELECT generation, role, reward, n FROM rewards WHERE agent = ? ORDER BY generation"
    for generation, role, reward, n in db.execute(sql, [name]):
        rewards.setdefault(role, {})[generation] = (reward, n)
    most = db.execute(
        "SELECT post, COUNT(*) AS n FROM reads WHERE agent = ? GROUP BY post ORDER BY n DESC, post LIMIT 8", [name]
    ).fetchall()
    rows = post_rows(db, [p for p, _ in most])
    readers = db.execute(
        "SELECT r.agent, COUNT(*) AS n FROM (SELECT id FROM posts WHERE author = ? ORDER BY seq DESC LIMIT ?) p"
        " CROSS JOIN reads r ON r.post = p.id GROUP BY r.agent ORDER BY n DESC, r.agent",
        [name, NEWEST],
    ).fetchall()
    return Life(
        name,
        mine["born"],
        retired[0] if retired else None,
        tuple(json.loads(mine["parents"])),
        tuple(a["name"] for a in agents if name in json.loads(a["parents"])),
        mine["inherited"],
        rewards,
        db.execute("SELECT COUNT(*) FROM posts WHERE author = ?", [name]).fetchone()[0],
        tuple((rows[p], n) for p, n in most if p in rows),
        tuple(readers),
    )


# -- library -------------------------------------------------------------------------------------------------------

_POST = "SELECT id, seq, generation, kind, author, title, body FROM posts"


def post_rows(db: sqlite3.Connection, ids: Sequence[str | None]) -> dict[str, PostRow]:
    """The posts with these ids, by id; what is not there is absent."""
    wanted = json.dumps([i for i in ids if i])
    found = db.execute(f"{_POST} WHERE id IN (SELECT value FROM json_each(?))", [wanted])
    return {row[0]: PostRow(*row) for row in found}


def posts(db: sqlite3.Connection, words: str = "", kind: str | None = None, limit: int = MOST_POSTS) -> list[PostRow]:
    """Posts that hold any of `words`, best first; without words the newest first. At most `limit`."""
    if words.strip():
        found = [p.id for p in Library(Database(db)).search(words, kind, limit)]
        rows = post_rows(db, found)
        return [rows[i] for i in found if i in rows]
    if kind is not None:
        few = f"SELECT COUNT(*) FROM (SELECT 1 FROM posts WHERE kind = ? LIMIT {_PAGE + 1})"
        if db.execute(few, [kind]).fetchone()[0] <= _PAGE:
            sql = f"{_POST} WHERE kind = ? ORDER BY seq DESC LIMIT ?"
            return [PostRow(*row) for row in db.execute(sql, [kind, limit])]
    rows_: list[PostRow] = []
    top = db.execute("SELECT MAX(seq) FROM posts").fetchone()[0] or 0
    while top > 0 and len(rows_) < limit:  # by pages, so that a common kind is not sorted whole
        sql = f"{_POST} WHERE seq > ? AND seq <= ? AND kind = COALESCE(?, kind) ORDER BY seq DESC LIMIT ?"
        rows_ += [PostRow(*row) for row in db.execute(sql, [top - _PAGE, top, kind, limit - len(rows_)])]
        top -= _PAGE
    return rows_


def post(db: sqlite3.Connection, id_: str) -> PostView | None:
    """One post, its signature checked, or None."""
    found = _dicts(db, "SELECT * FROM posts WHERE id = ?", [id_])
    if not found:
        return None
    p = found[0]
    row = PostRow(*(p[c] for c in ("id", "seq", "generation", "kind", "author", "title", "body")))
    try:
        cites = [str(c) for c in json.loads(p["cites"])]
    except (ValueError, TypeError):
        cites = []
    known = post_rows(db, cites)
    readers = db.execute(
        "SELECT agent, phase, COUNT(*) FROM reads WHERE post = ? GROUP BY agent, phase", [id_]
    ).fetchall()
    agents: dict[str, int] = {}
    by_phase: dict[str, int] = {}
    for agent, phase, n in readers:
        agents[agent] = agents.get(agent, 0) + n
        by_phase[phase] = by_phase.get(phase, 0) + n
    return PostView(
        row,
        p["about"],
        _signature(db, id_),
        tuple(known[c] for c in cites if c in known),
        tuple(c for c in cites if c not in known),
        tuple(sorted(agents.items(), key=lambda item: (-item[1], item[0]))),
        by_phase,
    )


def _signature(db: sqlite3.Connection, id_: str) -> str:
    try:
        signed: SignedPost | None = Library(Database(db)).signed(id_)
    except ValueError as error:
        return f"the post is damaged: {error}"
    if signed is None:
        return "the post is gone"
    if signed.post.id != id_:
        return f"NOT valid: the text hashes to {signed.post.id[:12]}"
    return "valid" if signed.verify() else f"NOT valid for the key of {signed.post.author}"
