"""The library: posts that hold some words, and one post with its surroundings."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from sqlite_utils import Database

from arena.report.metrics.paired_uplift import ASKED
from arena.watch.models import Ancestor, Gone, PostRow, PostView
from arena.watch.queries.base import dicts
from culture.kinds import kind_of
from culture.library import Library
from culture.posts import SignedPost
from culture.removals import standing

MOST_ANCESTORS = 100
"""Posts that a lineage shows at most."""
MOST_POSTS = 200
"""Posts a list of the library shows at most."""
_PAGE = 2000
_COLUMNS = "id, seq, generation, kind, author, title, body"
_POST = f"SELECT {_COLUMNS} FROM posts"


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
    found = dicts(db, "SELECT * FROM posts WHERE id = ?", [id_])
    if not found:
        return None
    p = found[0]
    row = PostRow(*(p[c] for c in ("id", "seq", "generation", "kind", "author", "title", "body")))
    cites = cited(p["cites"])
    known = post_rows(db, cites)
    readers = db.execute(
        f"SELECT r.agent, r.phase, COUNT(*), SUM(r.phase != 'sleep' AND NOT ({ASKED})) FROM reads r WHERE r.post = ?"
        " GROUP BY r.agent, r.phase",
        [id_],
    ).fetchall()
    agents: dict[str, int] = {}
    by_phase: dict[str, int] = {}
    for agent, phase, n, _ in readers:
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
        sum(drawn for *_, drawn in readers),
        tuple(lineage(db, id_)),
        p["applies"],
        gone(db, id_),
        tuple(relations(db, p)),
    )


def gone(db: sqlite3.Connection, id_: str) -> Gone | None:
    """How a post left the index; None while it is in force."""
    found = standing(db, id_)
    if found is None:
        return None
    receipt = db.execute("SELECT seq FROM receipts WHERE id = ?", [found.cause]).fetchone()
    by = post_rows(db, [found.cause]).get(found.cause)
    return Gone(found.state, found.generation, found.reason, by, receipt[0] if receipt else None)


def relations(db: sqlite3.Connection, post: dict[str, Any]) -> Iterator[tuple[str, PostRow]]:
    """Posts that a post supersedes or is about, and those that supersede, review or retract it; MOST_POSTS at most."""
    known = post_rows(db, [post["supersedes"], post["about"]])
    if post["supersedes"] in known:
        yield "supersedes", known[post["supersedes"]]
    if post["about"] in known:
        yield kind_of(post["kind"]).relation, known[post["about"]]
    left = gone(db, post["id"])
    if left is not None and left.by is not None:
        yield f"{left.state} by", left.by
    sql = f"{_POST} WHERE kind = 'review' AND about = ? ORDER BY seq DESC LIMIT ?"
    for row in db.execute(sql, [post["id"], MOST_POSTS]):
        yield "reviewed by", PostRow(*row)


def cited(cites: str) -> list[str]:
    """The ids in a post's stored cites; none where they are damaged."""
    try:
        found = json.loads(cites)
    except ValueError:
        return []
    return [c for c in found if isinstance(c, str)] if isinstance(found, list) else []


def lineage(db: sqlite3.Connection, id_: str) -> Iterator[Ancestor]:
    """What a post descends from, cite by cite up to the roots, depth first; at most MOST_ANCESTORS."""
    sql = f"SELECT cites, {_COLUMNS} FROM posts WHERE id = ?"
    waiting, seen, told = [(0, id_)], set[str](), 0
    while waiting and told < MOST_ANCESTORS:
        steps, at = waiting.pop()
        found = db.execute(sql, [at]).fetchone()
        if found is None:
            continue
        if steps:
            told += 1
            yield Ancestor(steps, PostRow(*found[1:]), at in seen)
        if at not in seen:
            seen.add(at)
            waiting += [(steps + 1, c) for c in reversed(cited(found[0]))]


def numbered(db: sqlite3.Connection, numbers: Sequence[int]) -> list[PostRow]:
    """The posts with these numbers, in this order."""
    sql = f"{_POST} WHERE seq IN (SELECT value FROM json_each(?))"
    rows = {row[1]: PostRow(*row) for row in db.execute(sql, [json.dumps(list(numbers))])}
    return [rows[n] for n in numbers if n in rows]


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
