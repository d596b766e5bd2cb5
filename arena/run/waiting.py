"""Posts that wait for a reviewer's approval (`review: gate`): how many, and the command to decide on them.

Left out: which of them to decide first (`arena.watch.review_queue`), and what a decision does (`arena.phases.review`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from arena.config.shipped import typed_command
from arena.text import count

_DECISION = (
    "SELECT subject FROM control WHERE kind = 'decision' AND subject IS NOT NULL AND value IN ('accept', 'reject')"
)


class Database(Protocol):
    """Anything that answers SQL with rows: the run's store, or a screen's read-only connection."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Waiting:
    """`posts`: those outside the library; `decided`: those of them whose decision the run has not carried out yet."""

    posts: int = 0
    decided: int = 0

    @property
    def left(self) -> int:
        """Posts without a decision."""
        return self.posts - self.decided

    def line(self, folder: Path) -> str:
        """One sentence with the command to decide; an empty string if no post waits."""
        if not self.posts:
            return ""
        them = count(self.posts, "post waits", "posts wait")
        if not self.left:
            return f"{them} for the next generation, which carries out the decisions on all of them."
        done = f", {self.decided:,} of them decided" if self.decided else ""
        return f"{them} for approval (review: gate){done}. To list them and decide: {typed_command('review', folder)}"


def waiting(db: Database, up_to: int | None = None) -> Waiting:
    """The posts that wait now, or that waited when generation `up_to` had ended."""
    if up_to is not None:
        sql = "SELECT COUNT(*) AS n FROM waiting WHERE generation <= ? AND (decided IS NULL OR decided > ?)"
        return Waiting(db.query(sql, [up_to, up_to])[0]["n"])
    sql = (
        f"SELECT COUNT(*) AS posts, COUNT(CASE WHEN id IN ({_DECISION}) THEN 1 END) AS decided"
        " FROM waiting WHERE decided IS NULL"
    )
    return Waiting(**db.query(sql)[0])


def undecided(db: Database) -> list[dict[str, Any]]:
    """Ids of the waiting posts without a decision, oldest first."""
    return db.query(
        f"SELECT id FROM waiting WHERE decided IS NULL AND id NOT IN ({_DECISION}) ORDER BY generation, rowid"
    )
