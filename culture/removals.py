"""Removals: how a post leaves the index, and which posts may remove others.

Posts are never deleted: a removal is a row with its generation, cause and reason. Three kinds are caused by a post: its
author supersedes it, its author retracts it, or a book compiles it. Two are caused by the arena: a reviewer rejects it,
or it is forgotten.

Left out: undoing a removal (the author can post the text again in a later generation). Not guaranteed: that a book
preserves the content of its sources, or that a later text is better than the one it supersedes; the check passed to
`Library.add` must decide that. A book by any author removes posts of any author from the index, so a check that admits
books must take this into account.
"""

import re
import sqlite3
from dataclasses import dataclass

from culture.posts import Post

BY_POST = ("superseded", "retracted", "compiled")
"""States caused by another post."""
STATES = (*BY_POST, "rejected", "forgotten")
"""The states of a removed post."""
REVIEW_VERDICTS = ("helps", "fails", "wrong")
"""First words of a review's body; ` because ` and a reason may follow."""

_REVIEW = re.compile(rf"({'|'.join(REVIEW_VERDICTS)})( because \S.*)?", re.DOTALL)


@dataclass(frozen=True)
class Removal:
    """The removal of a post from the index, effective from `generation`.

    `cause`: id of the post that removed it; for a rejected post, id of the receipt, which is stored outside the
    library; empty for a forgotten one.
    """

    post: str
    generation: int
    state: str
    cause: str
    reason: str


def verdict(review: Post) -> str:
    """The member of REVIEW_VERDICTS with which a review begins. Raises ValueError for any other post."""
    found = _REVIEW.fullmatch(review.body)
    if review.kind != "review" or not found:
        raise ValueError(f"not a review that begins with {', '.join(REVIEW_VERDICTS)}: {review.body[:40]!r}")
    return found[1]


def removals_by(post: Post) -> list[Removal]:
    """The removals that `post` causes when it is admitted, including those of posts that were removed before."""
    found = []
    if post.supersedes:
        found.append(Removal(post.supersedes, post.generation, "superseded", post.id, post.title))
    if post.kind == "retraction":
        found.append(Removal(post.about, post.generation, "retracted", post.id, post.body))
    if post.kind == "book":
        found += [Removal(id, post.generation, "compiled", post.id, post.title) for id in dict.fromkeys(post.cites)]
    return found


def standing(conn: sqlite3.Connection, id: str) -> Removal | None:
    """The removal of the post with this id, or None."""
    columns = "SELECT post, generation, state, cause, reason FROM removals WHERE post = ?"
    row = conn.execute(columns, (id,)).fetchone()
    return Removal(*row) if row else None


def refusal(conn: sqlite3.Connection, post: Post) -> str | None:
    """Why a post may not supersede, retract, compile or review what it names, or None."""
    reason = None
    if post.supersedes:
        reason = _may_supersede(conn, post)
    if reason is None and post.kind == "retraction":
        reason = _may_retract(conn, post)
    if reason is None and post.kind == "book":
        reason = _may_compile(conn, post)
    if reason is None and post.kind == "review":
        reason = _may_review(conn, post)
    return reason


def _may_supersede(conn: sqlite3.Connection, post: Post) -> str | None:
    found = _facts(conn, post.supersedes)
    if found is None:
        return f"supersedes a post that is not in the library: {post.supersedes}"
    author, kind, title, about, generation = found
    if author != post.author:
        return f"supersedes a post by {author}: only its author can"
    if kind != post.kind or kind == "retraction":
        return f"supersedes a {_spaced(kind)}: a {_spaced(post.kind)} cannot"
    if kind == "definition" and title != post.title:
        return f"supersedes the definition of another name: {title}"
    if kind == "review" and about != post.about:
        return f"supersedes a review of another post: {about}"
    return _in_force(conn, post, post.supersedes, generation, "supersedes")


def _may_retract(conn: sqlite3.Connection, post: Post) -> str | None:
    found = _facts(conn, post.about)
    if found is None:
        return f"retracts a post that is not in the library: {post.about[:80]!r}"
    author, kind, _, _, generation = found
    if author != post.author:
        return f"retracts a post by {author}: only its author can"
    if kind == "retraction":
        return "retracts a retraction: what was retracted can be posted again"
    return _in_force(conn, post, post.about, generation, "retracts")


def _may_compile(conn: sqlite3.Connection, post: Post) -> str | None:
    if not post.cites:
        return "a book cites the posts that it compiles"
    for id in post.cites:
        gone = standing(conn, id)
        if gone and gone.state in ("superseded", "retracted", "rejected"):
            return f"compiles a post that was {gone.state} in generation {gone.generation}: {id}"
    return None


def _may_review(conn: sqlite3.Connection, post: Post) -> str | None:
    found = _facts(conn, post.about)
    if found is None:
        return f"reviews a post that is not in the library: {post.about[:80]!r}"
    if found[0] == post.author:
        return "reviews a post of its own author"
    if not _REVIEW.fullmatch(post.body):
        return f"a review begins with {', '.join(REVIEW_VERDICTS)}, then perhaps 'because' and a reason"
    earlier = (
        "SELECT id FROM posts WHERE kind = 'review' AND about = ? AND author = ? AND id != ?"
        " AND NOT EXISTS (SELECT 1 FROM removals r WHERE r.post = posts.id)"
    )
    if conn.execute(earlier, (post.about, post.author, post.supersedes)).fetchone():
        return f"{post.author} has reviewed this post: a second review supersedes the first"
    return None


def _in_force(conn: sqlite3.Connection, post: Post, id: str, generation: int, does: str) -> str | None:
    if generation > post.generation:
        return f"{does} a post of a later generation, {generation}"
    gone = standing(conn, id)
    return f"{does} a post that was {gone.state} in generation {gone.generation}: {id}" if gone else None


def _facts(conn: sqlite3.Connection, id: str) -> tuple[str, str, str, str, int] | None:
    query = "SELECT author, kind, title, about, generation FROM posts WHERE id = ?"
    found: tuple[str, str, str, str, int] | None = conn.execute(query, (id,)).fetchone()
    return found


def _spaced(kind: str) -> str:
    return kind.replace("_", " ")
