"""How a post leaves the index, and what a post has to be that takes another one out of it.

Nothing leaves the log: a removal is a row beside it, which says since when, why, and by what. Three kinds of removal
come with a post: its author supersedes it, its author retracts it, a book compiles it. Two are the arena's own: a
reviewer rejected it, or it was forgotten.

Left out: taking a removal back (an author posts the text again, as another post of a later generation). Not guaranteed:
that a book says what its sources said, or that a later text is better than the one it supersedes; whether it may do so
is for the check of `Library.add` to say. Anybody's book takes anybody's posts out of the index: a check that lets
books in has to bear that in mind.
"""

import re
import sqlite3
from dataclasses import dataclass

from culture.posts import Post

BY_POST = ("superseded", "retracted", "compiled")
"""States that another post causes."""
STATES = (*BY_POST, "rejected", "forgotten")
"""What a removal says of a post."""
REVIEW_VERDICTS = ("helps", "fails", "wrong")
"""How the body of a review begins; ` because ` and a reason may follow."""

_REVIEW = re.compile(rf"({'|'.join(REVIEW_VERDICTS)})( because \S.*)?", re.DOTALL)


@dataclass(frozen=True)
class Removal:
    """Since which generation a post is out of the index.

    `cause` is the id of the post that did it; of a rejected one that of whatever recorded the decision, which stands
    outside the library; empty of a forgotten one.
    """

    post: str
    generation: int
    state: str
    cause: str
    reason: str


def verdict(review: Post) -> str:
    """The word of REVIEW_VERDICTS that a review begins with; ValueError for any other post."""
    found = _REVIEW.fullmatch(review.body)
    if review.kind != "review" or not found:
        raise ValueError(f"not a review that begins with {', '.join(REVIEW_VERDICTS)}: {review.body[:40]!r}")
    return found[1]


def removals_by(post: Post) -> list[Removal]:
    """What leaves the index as `post` is admitted, as far as it has not left before."""
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
