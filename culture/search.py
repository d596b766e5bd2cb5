"""Full-text search whose cost does not grow with the library.

BM25 over a word that occurs in half of a million posts ranks half a million posts. Therefore the rarest words of a
query are looked up first, in all posts, as long as they have at most MATCHES occurrences; these posts are ranked by
FTS5's BM25. If places are left, all words are searched among the newest posts only, reading at most WINDOW occurrences;
those posts are ranked by the summed weights of their words (BM25's inverse document frequency within these posts,
counting each word once and ignoring length).

Accuracy: if all words of a query have at most MATCHES occurrences, the ranking is exactly BM25. In a larger library,
common words do not affect the order of posts that contain a rare one; and posts that contain only common words are
found only while they are new, so that a part of the library with few recent posts (a rare kind, a few authors of many)
may return fewer posts than it contains. The result depends only on the posts and the view.
"""

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from culture.schema import COLUMNS

MATCHES = 3_000
"""Maximum occurrences ranked by BM25, about a microsecond each."""
WINDOW = 8_000
"""Maximum occurrences of common words that are read, newest posts first."""
PROBES = 16 * MATCHES
"""Maximum occurrences counted to tell rare words from common ones."""

Bound = tuple[str, Sequence[object]]
"""An SQL test of a row `p` of posts, and its parameters."""


def find(conn: sqlite3.Connection, terms: Sequence[str], bound: Bound, newest: int, limit: int) -> list[tuple]:
    """Rows of COLUMNS of at most `limit` posts within `bound` that contain any of `terms`, the best match first.

    Ties are in order of admission. `newest`: a position in the ledger after which no post is within `bound`.
    """
    rare = _rare(conn, terms)
    found = _ranked(conn, rare, bound, limit) if rare else []
    if len(found) < limit and len(rare) < len(terms):
        found += _recent(conn, terms, bound, newest, limit - len(found), {row[0] for row in found})
    return [row[1:] for row in found]


def _rare(conn: sqlite3.Connection, terms: Sequence[str]) -> list[str]:
    """The rarest terms that together have at most MATCHES occurrences."""
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
    """The best matches among the newest posts, without the positions in `but`."""
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
    """Rows of the positions in `places` that are within `bound`, in the order of `places`."""
    query = (
        f"SELECT p.seq, {COLUMNS} FROM json_each(?) j CROSS JOIN posts p ON p.seq = j.value"
        f" WHERE {bound[0]} ORDER BY j.key"
    )
    return conn.execute(query, [json.dumps(list(places)), *bound[1]]).fetchall()


def _quoted(term: str) -> str:
    return f'"{term}"'
