"""Search posts by words, and resolve a name, title or id prefix to one post.

Search results begin with exact definitions and phrases; within each part they are ordered by BM25. Word weights are
those of the whole library, also in a search as of an earlier generation. Left out: ranking by usefulness.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from arena.config.schema import nearest
from arena.report.metrics.generation import AT_WORK
from arena.report.metrics.post_status import EVER, IN_FORCE, standings
from arena.run.store import Row, Store
from culture.library import Library
from culture.posts import check_kind

MOST_NAMED = 8
"""Maximum number of posts that an error message lists."""
SHORT = 10
"""Number of hex digits of an id in lists."""
_HEX = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True)
class Found:
    """One search result, with its standing and counts as of the requested generation."""

    post: Row
    standing: str
    uses: int  # reads at work
    cited: int  # number of posts that cite it


def search(store: Store, words: str, kind: str | None, generation: int | None, limit: int) -> list[Found]:
    """Posts that contain any of `words`, best match first; without words, the newest first.

    Args:
        store: the run's database.
        words: search words; empty: all posts.
        kind: kind of the posts; None: all kinds.
        generation: search the library as of the end of this generation; None: the newest.
        limit: maximum number of posts.

    Raises:
        ValueError: for an unknown kind.
    """
    until = EVER if generation is None else generation
    if kind is not None:
        check_kind(kind)
    if words.strip():
        ids = [p.id for p in Library(store.db).as_of(until).lookup(words, kind, limit)]
    else:
        sql = "SELECT id FROM posts WHERE generation <= ? AND kind = COALESCE(?, kind) ORDER BY seq DESC LIMIT ?"
        ids = [r["id"] for r in store.query(sql, [until, kind, limit])]
    wanted, gone = json.dumps(ids), standings(store, until)
    inside = "IN (SELECT value FROM json_each(?))"
    posts = {r["id"]: r for r in store.query(f"SELECT * FROM posts WHERE id {inside}", [wanted])}
    sql = f"SELECT post, COUNT(*) FROM reads WHERE post {inside} AND {AT_WORK} AND generation <= ? GROUP BY post"
    uses = dict(store.db.conn.execute(sql, [wanted, until]).fetchall())
    sql = (
        "SELECT j.value, COUNT(*) FROM posts p, json_each(p.cites) j WHERE p.cites != '[]' AND json_valid(p.cites)"
        f" AND p.generation <= ? AND j.value {inside} GROUP BY j.value"
    )
    cited = dict(store.db.conn.execute(sql, [until, wanted]).fetchall())
    return [
        Found(posts[i], gone[i].state if i in gone else IN_FORCE, uses.get(i, 0), cited.get(i, 0))
        for i in ids
        if i in posts
    ]


def resolve(store: Store, word: str) -> str:
    """The id of the post with the given definition name, id, id prefix or title; a definition's name takes precedence.

    Of several posts with the same name or title, the first in force is returned. Raises ValueError if there is no such
    post, or if several ids begin with the prefix (the message lists them).
    """
    word = word.strip()
    named = _ids(store, "kind = 'definition' AND title = ?", word)
    if named:
        return _in_force(store, named)
    start = word.lower()
    if _HEX.fullmatch(start):
        sql = "SELECT id, kind, title, author, generation FROM posts WHERE id >= ? AND id < ? ORDER BY id"
        found = store.query(sql, [start, start + "g"])
        if len(found) == 1:
            return str(found[0]["id"])
        if found:
            length = _unique_length(found, len(start))
            listed = ", ".join(f"{p['id'][:length]} ({one_line(p)})" for p in found[:MOST_NAMED])
            more = f" and {len(found) - MOST_NAMED:,} more" if len(found) > MOST_NAMED else ""
            raise ValueError(f"{len(found):,} posts have an id that begins with {word}: {listed}{more}")
    titled = _ids(store, "title = ?", word)
    if titled:
        return _in_force(store, titled)
    names = [r["title"] for r in store.query("SELECT DISTINCT title FROM posts WHERE kind = 'definition' ORDER BY 1")]
    hint = nearest(word, names) or (f"; its definitions are {_some(names)}" if names else "; it holds no definitions")
    raise ValueError(f"no post {word!r} in this library: not a name, a title or the beginning of an id{hint}")


def one_line(post: Row) -> str:
    """Kind, title, author and generation on one line, such as `definition w3 by ivo, generation 1`."""
    title = " ".join(str(post["title"]).split())
    title = title if len(title) <= 40 else title[:39] + "…"
    return f"{post['kind'].replace('_', ' ')} {title} by {post['author']}, generation {post['generation']}"


def _ids(store: Store, where: str, value: str) -> list[str]:
    return [r["id"] for r in store.query(f"SELECT id FROM posts WHERE {where} ORDER BY seq", [value])]


def _in_force(store: Store, ids: Sequence[str]) -> str:
    gone = standings(store) if len(ids) > 1 else {}
    return next((i for i in ids if i not in gone), ids[0])


def _unique_length(found: Sequence[Row], least: int) -> int:
    """Number of digits, at least `SHORT`, that distinguish these ids."""
    length = least + 1
    while length < 64 and len({p["id"][:length] for p in found}) < len(found):
        length += 1
    return max(length, SHORT)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" ..." if len(names) > MOST_NAMED else "")
