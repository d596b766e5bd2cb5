"""Queries for the Agent screen: one agent and its family tree."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from arena.run.store import agent_models
from arena.watch.models import AgentDetail, Relative
from arena.watch.queries.base import dicts
from arena.watch.queries.posts import post_rows

NEWEST = 500
"""Newest posts of an agent whose readers are counted."""


def agent_names(db: sqlite3.Connection) -> list[str]:
    """All agents of the run, retired ones included, in order of birth."""
    return [row[0] for row in db.execute("SELECT name FROM agents ORDER BY number")]


def agent_detail(db: sqlite3.Connection, name: str) -> AgentDetail | None:
    """One agent over the run so far, or None if there is no such agent."""
    agents = dicts(db, "SELECT name, number, born, parents, inherited FROM agents ORDER BY number")
    mine = next((a for a in agents if a["name"] == name), None)
    if mine is None:
        return None
    retired = dict(db.execute("SELECT name, generation FROM retirements").fetchall())
    rewards: dict[str, dict[int, tuple[float, int]]] = {}
    sql = (  # one lookup per generation: the index of rewards begins with it
        "WITH RECURSIVE lived(g) AS (SELECT ? UNION ALL SELECT g + 1 FROM lived WHERE g < ?)"
        " SELECT w.generation, w.role, w.reward, w.n FROM lived CROSS JOIN rewards w"
        " ON w.generation = lived.g AND w.agent = ? ORDER BY w.generation"
    )
    last = retired.get(name, db.execute("SELECT MAX(generation) FROM phases").fetchone()[0] or 0)
    for generation, role, reward, n in db.execute(sql, [mine["born"], last, name]):
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
    return AgentDetail(
        name,
        mine["born"],
        retired.get(name),
        tuple(json.loads(mine["parents"])),
        tuple(a["name"] for a in agents if name in json.loads(a["parents"])),
        mine["inherited"],
        rewards,
        db.execute("SELECT COUNT(*) FROM posts WHERE author = ?", [name]).fetchone()[0],
        tuple((rows[p], n) for p, n in most if p in rows),
        tuple(readers),
        tuple(family(agents, retired, name)),
        agent_models(db).get(name, ""),
    )


def family(agents: Sequence[dict[str, Any]], retired: dict[str, int], name: str) -> list[Relative]:
    """An agent's ancestors, the oldest first, itself, and its descendants, each after its parent. Each agent occurs
    once; `retired` is the generation of retirement by name."""
    by_name = {a["name"]: a for a in agents}
    parents = {a["name"]: [p for p in json.loads(a["parents"]) if p in by_name] for a in agents}
    steps, waiting = {name: 0}, [name]
    while waiting:
        at = waiting.pop()
        for parent in parents[at]:
            if parent not in steps:
                steps[parent] = steps[at] - 1
                waiting.append(parent)
    oldest = min(steps.values())
    found = sorted(steps, key=lambda n: (steps[n], by_name[n]["number"]))
    below, seen = [(child, 1) for child in _children(parents, name)], set(steps)
    while below:
        at, depth = below.pop(0)
        if at not in seen:
            seen.add(at)
            steps[at] = depth
            found.append(at)
            below = [(child, depth + 1) for child in _children(parents, at)] + below
    return [Relative(steps[n] - oldest, n, by_name[n]["born"], retired.get(n)) for n in found]


def _children(parents: dict[str, list[str]], name: str) -> list[str]:
    return [n for n, of in parents.items() if name in of]
