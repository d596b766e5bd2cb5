"""Queries for the Review screen: one attempt with its grades, or one post with its round."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from arena.watch.models import RoundDetail
from arena.watch.queries.base import dicts
from arena.watch.queries.posts import check_signature
from arena.watch.queries.rounds import round_detail
from arena.watch.review_queue import ATTEMPT, WAITING, Item


@dataclass(frozen=True)
class ItemDetail:
    """A review item in full. `attempt`: index of the attempt in its round; `post`: the columns of the post."""

    item: Item
    round: RoundDetail | None = None
    attempt: int | None = None
    post: dict[str, Any] | None = None
    signature: str = ""


def item_detail(db: sqlite3.Connection, item: Item) -> ItemDetail:
    """Everything about an item; the item alone if its attempt or post no longer exists."""
    detail = round_detail(db, item.round) if item.round else None
    if item.what == ATTEMPT:
        ids = [r[0] for r in db.execute("SELECT id FROM attempts WHERE round = ? ORDER BY rowid", [item.round])]
        return ItemDetail(item, detail, ids.index(item.subject) if item.subject in ids else None)
    table = "waiting" if item.what == WAITING else "posts"
    found = dicts(db, f"SELECT * FROM {table} WHERE id = ?", [item.subject])
    if not found:
        return ItemDetail(item, detail)
    return ItemDetail(item, detail, None, found[0], check_signature(found[0]))
