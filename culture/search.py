"""Finding posts by words, in a time that does not grow with the library.

BM25 over a word that half of a million posts hold ranks half a million posts. So the rarest words of a query are looked
up first, all of their posts, as long as those are no more than MATCHES; these are ranked by FTS5's BM25. Where that
leaves places, all words, most of them too common to say much, are looked for among the newest posts only: so many posts
that WINDOW occurrences are read at most, ranked by the summed weights of the words they hold (BM25's inverse document
frequency within these posts, each word counted once and length ignored).

What it costs: in a library where all words of a query together have no more than MATCHES occurrences nothing, the
ranking is BM25. In a larger one common words do not order posts that hold a rare one; and posts that hold common words
alone are found only while they are new, so that a part of the library that posted little of late (a rare kind, a few
authors of many) may give fewer posts than it holds. What is found depends on the posts and the view alone.
"""

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from culture.schema import COLUMNS

MATCHES = 3_000
"""Occurrences that are ranked by BM25, about a microsecond each."""
WINDOW = 8_000
"""Occurrences of common words that are read, newest posts first."""
PROBES = 16 * MATCHES
"""Occurrences that are counted to tell rare words from common ones."""

Bound = tuple[str, Sequence[object]]
"""An SQL test of a row `p` of posts, and its parameters."""


def find(conn: sqlite3.Connection, terms: Sequence[str], bound: Bound, newest: int, limit: int) -> list[tuple]:
    """Rows of COLUMNS of at most `limit` posts within `bound` that hold any of `terms`, the best first.

    On a tie the earlier is first. `newest` is a place of admission after which nothing lies within `bound`.
    """
    rare = _rare(conn, terms)
    found = _ranked(conn, rare, bound, limit) if rare else []
    if len(found) < limit and len(rare) < len(terms):
        found += _recent(conn, terms, bound, newest, limit - len(found), {row[0] for row in found})
    return [row[1:] for row in found]


def _rare(conn: sqlite3.Connection, terms: Sequence[str]) -> list[str]:
    """The rarest terms, as long as they have no more than MATCHES occurrences together."""
    most = min(MATCHES, PROBES // len(terms))
    counts = []
    for place, term in enumerate(terms):
        query = "SELECT COUNT(*) FROM (SELECT 1 FROM posts_fts WHERE posts_fts MATCH ? LIMIT ?)"
        counts.append((conn.execute(query, (_quoted(term), most + 1)).fetchone()[0], place, term))
    taken, total = [], 0
    for n, _, term in sorted(counts):
        total += n
        if n > most or total > MATCHES:
            break
        taken.append(term)
    return taken


def _ranked(conn: sqlite3.Connection, terms: Sequence[str], bound: Bound, limit: int) -> list[tuple]:
    query = (
        f"SELECT p.seq, {COLUMNS} FROM posts_fts CROSS JOIN posts p ON p.seq = posts_fts.rowid"
        f" WHERE posts_fts MATCH ? AND {bound[0]} ORDER BY bm25(posts_fts), p.seq LIMIT ?"
    )
    return conn.execute(query, [" OR ".join(map(_quoted, terms)), *bound[1], limit]).fetchall()


def _recent(
    conn: sqlite3.Connection, terms: Sequence[str], bound: Bound, newest: int, limit: int, but: set[int]
) -> list[tuple]:
    """The best of the newest posts, without those of the places `but`."""
    window = WINDOW // len(terms)
    scores: dict[int, float] = defaultdict(float)
    for term in terms:
        query = "SELECT rowid FROM posts_fts WHERE posts_fts MATCH ? AND rowid > ? AND rowid <= ?"
        places = conn.execute(query, (_quoted(term), newest - window, newest)).fetchall()
        weight = math.log(1 + (window - len(places) + 0.5) / (len(places) + 0.5))
        for (place,) in places:
            scores[place] += weight
    ordered = sorted(scores.keys() - but, key=lambda place: (-scores[place], place))
    found: list[tuple] = []
    start, step = 0, 4 * limit
    while start < len(ordered) and len(found) < limit:  # most are within the bound, or few are
        found += _at(conn, ordered[start : start + step], bound)
        start, step = start + step, 4 * step
    return found[:limit]


def _at(conn: sqlite3.Connection, places: Sequence[int], bound: Bound) -> list[tuple]:
    """Rows of those of `places` that lie within `bound`, in the order of `places`."""
    query = (
        f"SELECT p.seq, {COLUMNS} FROM json_each(?) j CROSS JOIN posts p ON p.seq = j.value"
        f" WHERE {bound[0]} ORDER BY j.key"
    )
    return conn.execute(query, [json.dumps(list(places)), *bound[1]]).fetchall()


def _quoted(term: str) -> str:
    return f'"{term}"'
