"""Queries for the library: lists and searches of posts, and one post with its links, readers and lineage."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from sqlite_utils import Database

from arena.report.metrics.generation import READ_AS
from arena.run.waiting import Waiting, undecided, waiting
from arena.watch.models import Ancestor, PostDetail, PostRemoval, PostRow
from arena.watch.queries.base import Rows, dicts
from culture.kinds import kind_of
from culture.library import Library
from culture.posts import SignedPost
from culture.removals import standing

MOST_ANCESTORS = 100
"""Maximum posts in a lineage."""
MOST_POSTS = 200
"""Maximum posts in a list."""
_PAGE = 2000
_COLUMNS = "id, seq, generation, kind, author, title, body"
_POST = f"SELECT {_COLUMNS} FROM posts"


def post_rows(db: sqlite3.Connection, ids: Sequence[str | None]) -> dict[str, PostRow]:
    """The posts with these ids, by id; unknown ids are left out."""
    wanted = json.dumps([i for i in ids if i])
    found = db.execute(f"{_POST} WHERE id IN (SELECT value FROM json_each(?))", [wanted])
    return {row[0]: PostRow(*row) for row in found}


def posts(db: sqlite3.Connection, words: str = "", kind: str | None = None, limit: int = MOST_POSTS) -> list[PostRow]:
    """At most `limit` posts: those that contain any of `words`, best match first; without words the newest first."""
    if words.strip():
        found = [p.id for p in Library(Database(db)).lookup(words, kind, limit)]
        rows = post_rows(db, found)
        return [rows[i] for i in found if i in rows]
    if kind is not None:
        few = f"SELECT COUNT(*) FROM (SELECT 1 FROM posts WHERE kind = ? LIMIT {_PAGE + 1})"
        if db.execute(few, [kind]).fetchone()[0] <= _PAGE:
            sql = f"{_POST} WHERE kind = ? ORDER BY seq DESC LIMIT ?"
            return [PostRow(*row) for row in db.execute(sql, [kind, limit])]
    rows_: list[PostRow] = []
    top = db.execute("SELECT MAX(seq) FROM posts").fetchone()[0] or 0
    while top > 0 and len(rows_) < limit:  # in pages, so that SQLite does not sort all posts of a common kind
        sql = f"{_POST} WHERE seq > ? AND seq <= ? AND kind = COALESCE(?, kind) ORDER BY seq DESC LIMIT ?"
        rows_ += [PostRow(*row) for row in db.execute(sql, [top - _PAGE, top, kind, limit - len(rows_)])]
        top -= _PAGE
    return rows_


def post(db: sqlite3.Connection, id_: str) -> PostDetail | None:
    """One post with its signature checked, or None if there is no such post."""
    found = dicts(db, "SELECT * FROM posts WHERE id = ?", [id_])
    if not found:
        return None
    p = found[0]
    row = PostRow(*(p[c] for c in ("id", "seq", "generation", "kind", "author", "title", "body")))
    cites = parse_cites(p["cites"])
    known = post_rows(db, cites)
    readers = db.execute(f"SELECT agent, {READ_AS}, COUNT(*) FROM reads WHERE post = ? GROUP BY 1, 2", [id_]).fetchall()
    agents: dict[str, int] = {}
    places = dict.fromkeys(("at work", "asleep", "as a distractor"), 0)
    for agent, place, n in readers:
        places[place] += n
        if place != "as a distractor":
            agents[agent] = agents.get(agent, 0) + n
    return PostDetail(
        row,
        p["about"],
        check_signature(p),
        tuple(known[c] for c in cites if c in known),
        tuple(c for c in cites if c not in known),
        tuple(sorted(agents.items(), key=lambda item: (-item[1], item[0]))),
        places,
        tuple(lineage(db, id_)),
        p["applies"],
        removal(db, id_),
        tuple(relations(db, p)),
    )


def removal(db: sqlite3.Connection, id_: str) -> PostRemoval | None:
    """How a post left the index, or None while it is in force."""
    found = standing(db, id_)
    if found is None:
        return None
    receipt = db.execute("SELECT seq FROM receipts WHERE id = ?", [found.cause]).fetchone()
    by = post_rows(db, [found.cause]).get(found.cause)
    return PostRemoval(found.state, found.generation, found.reason, by, receipt[0] if receipt else None)


def relations(db: sqlite3.Connection, post: dict[str, Any]) -> Iterator[tuple[str, PostRow]]:
    """(relation, post) for the posts that a post supersedes or is about, the post that removed it, and at most
    MOST_POSTS reviews of it."""
    known = post_rows(db, [post["supersedes"], post["about"]])
    if post["supersedes"] in known:
        yield "supersedes", known[post["supersedes"]]
    if post["about"] in known:
        yield kind_of(post["kind"]).relation, known[post["about"]]
    removed = removal(db, post["id"])
    if removed is not None and removed.by is not None:
        yield f"{removed.state} by", removed.by
    sql = f"{_POST} WHERE kind = 'review' AND about = ? ORDER BY seq DESC LIMIT ?"
    for row in db.execute(sql, [post["id"], MOST_POSTS]):
        yield "reviewed by", PostRow(*row)


def parse_cites(cites: str) -> list[str]:
    """The ids in a post's stored `cites` column; an empty list if it is damaged."""
    try:
        found = json.loads(cites)
    except ValueError:
        return []
    return [c for c in found if isinstance(c, str)] if isinstance(found, list) else []


def lineage(db: sqlite3.Connection, id_: str) -> Iterator[Ancestor]:
    """The posts that a post cites, directly or through others, depth first; at most MOST_ANCESTORS."""
    sql = f"SELECT cites, {_COLUMNS} FROM posts WHERE id = ?"
    waiting, seen, found_count = [(0, id_)], set[str](), 0
    while waiting and found_count < MOST_ANCESTORS:
        steps, at = waiting.pop()
        found = db.execute(sql, [at]).fetchone()
        if found is None:
            continue
        if steps:
            found_count += 1
            yield Ancestor(steps, PostRow(*found[1:]), at in seen)
        if at not in seen:
            seen.add(at)
            waiting += [(steps + 1, c) for c in reversed(parse_cites(found[0]))]


def posts_by_number(db: sqlite3.Connection, numbers: Sequence[int]) -> list[PostRow]:
    """The posts with these sequence numbers, in the order of `numbers`."""
    sql = f"{_POST} WHERE seq IN (SELECT value FROM json_each(?))"
    rows = {row[1]: PostRow(*row) for row in db.execute(sql, [json.dumps(list(numbers))])}
    return [rows[n] for n in numbers if n in rows]


def posts_waiting(db: sqlite3.Connection, up_to: int | None = None) -> Waiting:
    """The posts that wait for approval, now or when generation `up_to` had ended."""
    return waiting(Rows(db), up_to)


def undecided_posts(db: sqlite3.Connection) -> list[str]:
    """Ids of the waiting posts without a decision, oldest first."""
    return [row["id"] for row in undecided(Rows(db))]


def check_signature(row: dict[str, Any]) -> str:
    """`valid`, or a sentence that says what is wrong with a post stored as `row` (of `posts` or `waiting`)."""
    try:
        signed = SignedPost.from_row(row)
    except (ValueError, TypeError) as error:
        return f"the post is damaged: {error}"
    if signed.post.id != row["id"]:
        return f"NOT valid: the text hashes to {signed.post.id[:12]}"
    return "valid" if signed.verify() else f"NOT valid for the key of {signed.post.author}"
