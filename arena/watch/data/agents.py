"""One agent's life."""

from __future__ import annotations

import json
import sqlite3

from arena.watch.data.base import dicts
from arena.watch.data.posts import post_rows
from arena.watch.records import Life

NEWEST = 500
"""Posts of an agent whose readers are counted."""


def agent_names(db: sqlite3.Connection) -> list[str]:
    """Everyone who ever lived, in order of birth."""
    return [row[0] for row in db.execute("SELECT name FROM agents ORDER BY number")]


def life(db: sqlite3.Connection, name: str) -> Life | None:
    """One agent's life so far, or None if there is no such agent."""
    agents = dicts(db, "SELECT name, born, parents, inherited FROM agents ORDER BY number")
    mine = next((a for a in agents if a["name"] == name), None)
    if mine is None:
        return None
    retired = db.execute("SELECT generation FROM retirements WHERE name = ?", [name]).fetchone()
    rewards: dict[str, dict[int, tuple[float, int]]] = {}
    sql = "SELECT generation, role, reward, n FROM rewards WHERE agent = ? ORDER BY generation"
    for generation, role, reward, n in db.execute(sql, [name]):
        rewards.setdefault(role, {})[generation] = (reward, n)
    most = db.execute(
        "SELECT post, COUNT(*) AS n FROM reads WHERE agent = ? GROUP BY post ORDER BY n DESC, post LIMIT 8", [name]
    ).fetchall()
    rows = post_rows(db, [p for p, _ in most])
    readers = db.execute(
        "SELECT r.agent, COUNT(*) AS n FROM (SELECT id FROM posts WHERE author = ? ORDER BY seq DESC LIMIT ?) p"
        " CROSS JOIN reads r ON r.post = p.id GROUP BY r.agent ORDER BY n DESC, r.agent",
        [name, NEWEST],
    ).fetchall()
    return Life(
        name,
        mine["born"],
        retired[0] if retired else None,
        tuple(json.loads(mine["parents"])),
        tuple(a["name"] for a in agents if name in json.loads(a["parents"])),
        mine["inherited"],
        rewards,
        db.execute("SELECT COUNT(*) FROM posts WHERE author = ?", [name]).fetchone()[0],
        tuple((rows[p], n) for p, n in most if p in rows),
        tuple(readers),
    )
