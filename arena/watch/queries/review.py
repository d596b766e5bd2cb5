"""What a reviewer looks at: one attempt with all that was said of it, or one post with where it comes from."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from arena.watch.models import RoundDetail
from arena.watch.queries.base import dicts
from arena.watch.queries.rounds import round_detail
from arena.watch.review_queue import ATTEMPT, WAITING, Item
from culture.posts import SignedPost


@dataclass(frozen=True)
class Case:
    """An item in full. `asked` is the place of the attempt in its round; `post` the columns of a post."""

    item: Item
    round: RoundDetail | None = None
    asked: int | None = None
    post: dict[str, Any] | None = None
    signature: str = ""


def case(db: sqlite3.Connection, item: Item) -> Case:
    """Everything about an item; of one that is gone, the item alone."""
    detail = round_detail(db, item.round) if item.round else None
    if item.what == ATTEMPT:
        ids = [r[0] for r in db.execute("SELECT id FROM attempts WHERE round = ? ORDER BY rowid", [item.round])]
        return Case(item, detail, ids.index(item.subject) if item.subject in ids else None)
    table = "waiting" if item.what == WAITING else "posts"
    found = dicts(db, f"SELECT * FROM {table} WHERE id = ?", [item.subject])
    if not found:
        return Case(item, detail)
    try:
        signed = SignedPost.from_row(found[0])
        good = signed.post.id == item.subject and signed.verify()
        signature = "valid" if good else f"NOT valid for the key of {found[0]['author']}"
    except (ValueError, TypeError) as error:
        signature = f"the post is damaged: {error}"
    return Case(item, detail, None, found[0], signature)
