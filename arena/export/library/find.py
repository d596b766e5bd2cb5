"""Find posts: by words, and by what a person types for one of them.

Left out: ranking by usefulness; what is found by words comes in the order of BM25, which weighs words by the whole
library, also where it is looked at as it once stood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from arena.config.schema import nearest
from arena.report.metrics.post_status import EVER, IN_FORCE, standings
from arena.run.store import Row, Store
from culture.library import Library
from culture.posts import check_kind

MOST_NAMED = 8
"""Posts that a message about a prefix of several ids names."""
SHORT = 10
"""Hex digits of an id that lists show."""
_HEX = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True)
class Found:
    """One post of a list, as of the generation that was asked for."""

    post: Row
    standing: str
    uses: int  # times it was read at work, not asleep
    cited: int  # posts that cite it


def search(store: Store, words: str, kind: str | None, generation: int | None, limit: int) -> list[Found]:
    """Posts that hold any of the words, best first; without words the newest first. ValueError for an unknown kind."""
    until = EVER if generation is None else generation
    if kind is not None:
        check_kind(kind)
    if words.strip():
        ids = [p.id for p in Library(store.db).as_of(until).search(words, kind, limit)]
    else:
        sql = "SELECT id FROM posts WHERE generation <= ? AND kind = COALESCE(?, kind) ORDER BY seq DESC LIMIT ?"
        ids = [r["id"] for r in store.query(sql, [until, kind, limit])]
    wanted, gone = json.dumps(ids), standings(store, until)
    inside = "IN (SELECT value FROM json_each(?))"
    posts = {r["id"]: r for r in store.query(f"SELECT * FROM posts WHERE id {inside}", [wanted])}
    sql = f"SELECT post, COUNT(*) FROM reads WHERE post {inside} AND phase != 'sleep' AND generation <= ? GROUP BY post"
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
    """The id of the post that someone means by a definition's name, an id, the beginning of one, or a title.

    Of several definitions of one name the first in force is meant. Raises ValueError if nothing is, and naming the
    posts if an id begins several ways.
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
            length = _telling(found, len(start))
            told = ", ".join(f"{p['id'][:length]} ({one_line(p)})" for p in found[:MOST_NAMED])
            more = f" and {len(found) - MOST_NAMED:,} more" if len(found) > MOST_NAMED else ""
            raise ValueError(f"{len(found):,} posts have an id that begins with {word}: {told}{more}")
    titled = _ids(store, "title = ?", word)
    if titled:
        return _in_force(store, titled)
    names = [r["title"] for r in store.query("SELECT DISTINCT title FROM posts WHERE kind = 'definition' ORDER BY 1")]
    hint = nearest(word, names) or (f"; its definitions are {_some(names)}" if names else "; it holds no definitions")
    raise ValueError(f"no post {word!r} in this library: neither a name, nor a title, nor how an id begins{hint}")


def one_line(post: Row) -> str:
    """`definition w3 by ivo, generation 1`, on one line whatever its title is."""
    title = " ".join(str(post["title"]).split())
    title = title if len(title) <= 40 else title[:39] + "…"
    return f"{post['kind'].replace('_', ' ')} {title} by {post['author']}, generation {post['generation']}"


def _ids(store: Store, where: str, value: str) -> list[str]:
    return [r["id"] for r in store.query(f"SELECT id FROM posts WHERE {where} ORDER BY seq", [value])]


def _in_force(store: Store, ids: Sequence[str]) -> str:
    gone = standings(store) if len(ids) > 1 else {}
    return next((i for i in ids if i not in gone), ids[0])


def _telling(found: Sequence[Row], least: int) -> int:
    """How many digits tell these ids apart, and some more to be typed safely."""
    length = least + 1
    while length < 64 and len({p["id"][:length] for p in found}) < len(found):
        length += 1
    return max(length, SHORT)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" ..." if len(names) > MOST_NAMED else "")
