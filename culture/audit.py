"""Integrity check of a library: ids, signatures, cites, and a cause for every removal.

Left out: the search index (it can be rebuilt from the posts), whether posts are true, and the receipts of rejections,
which are stored outside the library (`arena.phases.review` checks them; here a rejection only has to name one). Not
guaranteed: that history was not rewritten together with all signatures, or posts deleted from the end.
"""

import sqlite3
from collections.abc import Sequence

from culture.posts import Post, SignedPost
from culture.removals import BY_POST, STATES, removals_by
from culture.schema import COLUMNS, to_post


def audit(conn: sqlite3.Connection) -> list[str]:
    """One line per problem, in the order of posts and then of removals; an empty list if there is none."""
    problems: list[str] = []
    seen: set[str] = set()
    keys: dict[str, str] = {}
    gone = {row[0]: row for row in conn.execute("SELECT post, generation, state, cause FROM removals")}
    accounted: set[str] = set()
    query = f"SELECT p.seq, p.id, p.public_key, p.signature, {COLUMNS} FROM posts p ORDER BY p.seq"
    expected = 1
    for seq, id, key, signature, *columns in conn.execute(query):
        where = f"post {seq} ({id[:12]})"
        if seq != expected:
            problems.append(f"{where}: expected post {expected} here; something is missing")
        expected = seq + 1
        try:
            post = to_post(columns)
        except ValueError as error:  # a row that someone damaged is what this is for
            problems.append(f"{where}: damaged: {error}")
            continue
        finally:
            seen.add(id)
        if post.id != id:
            problems.append(f"{where}: bad id: the text hashes to {post.id[:12]}")
        if not SignedPost(post, key, signature).verify():
            problems.append(f"{where}: bad signature of {post.author}")
        if keys.setdefault(post.author, key) != key:
            problems.append(f"{where}: {post.author} signs with another key than before")
        problems += [f"{where}: dangling cite {c[:12]}" for c in post.cites if c not in seen or c == id]
        problems += [f"{where}: {line}" for line in _effects(id, post, gone, accounted)]
    return problems + _removals(gone, seen, accounted)


def _effects(id: str, post: Post, gone: dict[str, Sequence], accounted: set[str]) -> list[str]:
    """Problems with the removals that a post should have caused; those found are added to `accounted`."""
    missing = []
    for should in removals_by(post):
        row = gone.get(should.post)
        if row is not None and tuple(row[1:]) == (should.generation, should.state, id):
            accounted.add(should.post)
        elif row is None or should.state != "compiled":  # a book's source may have left before
            missing.append(f"no removal says that {should.post[:12]} was {should.state} by it")
    return missing


def _removals(gone: dict[str, Sequence], seen: set[str], accounted: set[str]) -> list[str]:
    problems = []
    for id, generation, state, cause in sorted(gone.values(), key=lambda row: (str(row[1]), row[0])):
        where = f"removal of {id[:12]} in generation {generation}"
        if id not in seen:
            problems.append(f"{where}: there is no such post")
        if state not in STATES:
            problems.append(f"{where}: {state!r} is no state")
        elif state == "rejected" and not cause:
            problems.append(f"{where}: rejected, and nothing is named that recorded it")
        elif state in BY_POST and id not in accounted:
            problems.append(f"{where}: {state} without a post that caused it ({cause[:12] or 'none is named'})")
    return problems
