"""Status of posts: in force, or removed from the index, with the generation, the cause and the reason.

Table `removals` holds what the arena removed and why. Posts that are not in it can still be out of force: superseded by
a later post of their author, or retracted by their author.

Left out: which library a post is in (`library.network`) and burns, which are temporary; this is the index of all.
"""

from __future__ import annotations

from dataclasses import dataclass

from arena.run.store import Store

IN_FORCE = "in force"
_OF_POSTS = (
    ("superseded", "SELECT o.id, p.generation, p.id FROM posts p JOIN posts o ON o.id = p.supersedes"
                   " AND o.author = p.author WHERE p.supersedes != '' AND p.generation <= ? ORDER BY p.seq"),
    ("retracted", "SELECT o.id, p.generation, p.id FROM posts p JOIN posts o ON o.id = p.about AND o.author = p.author"
                  " WHERE p.kind = 'retraction' AND p.generation <= ? ORDER BY p.seq"),
)  # fmt: skip
EVER = 2**62


@dataclass(frozen=True)
class Standing:
    """Status of a post that is not in force: its state, the generation, the cause (an id, or empty) and the reason."""

    state: str
    generation: int
    cause: str = ""
    reason: str = ""


def removals(store: Store, until: int = EVER) -> dict[str, Standing]:
    """Rows of table `removals` up to a generation, by post."""
    sql = "SELECT post, generation, state, cause, reason FROM removals WHERE generation <= ?"
    return {row[0]: Standing(row[2], row[1], row[3], row[4]) for row in store.db.conn.execute(sql, [until])}


def standings(store: Store, until: int = EVER) -> dict[str, Standing]:
    """The posts that were not in force after generation `until`, by id; all others were."""
    found = removals(store, until)
    for state, sql in _OF_POSTS:
        for post, generation, by in store.db.conn.execute(sql, [until]):
            found.setdefault(post, Standing(state, generation, by))
    return found
