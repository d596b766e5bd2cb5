"""One generation in figures: what was set and solved, who lived, how long phases take."""

from __future__ import annotations

import json
import sqlite3

from arena.watch.data.base import dicts
from arena.watch.records import Member, Summary

RECENT = 5
"""Generations that "lately" means in the population table."""


def phases_after(db: sqlite3.Connection, rowid: int) -> list[tuple[int, int, str]]:
    """(rowid, generation, phase) of the phases that finished after the one with this rowid, oldest first."""
    return db.execute(
        "SELECT rowid, generation, phase FROM phases WHERE rowid > ? ORDER BY rowid", [rowid]
    ).fetchall()  # fmt: skip


def usual_seconds(db: sqlite3.Connection, phase: str) -> float | None:
    """How long a phase took lately; None if it was never played."""
    sql = "SELECT AVG(seconds) FROM (SELECT seconds FROM telemetry WHERE phase = ? ORDER BY rowid DESC LIMIT 5)"
    found: float | None = db.execute(sql, [phase]).fetchone()[0]
    return found


def summary(db: sqlite3.Connection, generation: int, phases: frozenset[str], main: str) -> Summary:
    """One generation's figures from its own rows; `main` is the domain whose held-out rates are wanted."""
    proposed, valid, depth, distinct, duplicates = db.execute(
        "SELECT COUNT(*), SUM(valid), AVG(CASE WHEN valid THEN depth END),"
        " COUNT(DISTINCT CASE WHEN valid THEN behaviour_key END), SUM(reason = 'duplicate')"
        " FROM problems WHERE generation = ?",
        [generation],
    ).fetchone()
    learnable, solve_rate = db.execute(
        "SELECT SUM(learnable), AVG(solve_rate) FROM outcomes WHERE generation = ?", [generation]
    ).fetchone()
    rates = db.execute(
        "SELECT depth, AVG(correct) FROM evaluations WHERE generation = ? AND domain = ? AND mode IN ('greedy', 'full')"
        " AND (reading IS NULL OR reading = 1) AND NOT (generation = 0 AND id LIKE '%/after/%')"
        " GROUP BY depth, mode ORDER BY depth, mode DESC",
        [generation, main],
    ).fetchall()
    set_, settled = "propose" in phases, "grade" in phases
    return Summary(
        generation,
        phases,
        proposed if set_ else None,
        valid or 0 if set_ else None,
        learnable or 0 if settled else None,
        depth,
        solve_rate,
        distinct if set_ else None,
        duplicates or 0,
        dict(rates),  # "greedy" comes first, so "full" stays
    )


def population(db: sqlite3.Connection, generation: int) -> list[Member]:
    """Who plays in a generation, in order of birth, with the mean reward by role over the last RECENT ones."""
    agents = dicts(
        db,
        "SELECT a.name, a.born, a.parents, r.generation AS retired FROM agents a LEFT JOIN retirements r"
        " ON r.name = a.name WHERE (a.born < ? OR a.born = 0) AND (r.generation IS NULL OR r.generation >= ?)"
        " ORDER BY a.number",
        [generation, generation],
    )
    rewards: dict[str, dict[str, float]] = {}
    sql = (
        "SELECT agent, role, SUM(reward * n) / SUM(n) FROM rewards WHERE generation > ? AND generation <= ?"
        " GROUP BY agent, role"
    )
    for agent, role, reward in db.execute(sql, [generation - RECENT, generation]):
        rewards.setdefault(agent, {})[role] = reward
    return [
        Member(
            a["name"],
            generation - a["born"],
            tuple(json.loads(a["parents"])),
            rewards.get(a["name"], {}),
            a["retired"] == generation,
        )
        for a in agents
    ]


def right_attempts(db: sqlite3.Connection, generation: int) -> dict[str, tuple[int, int]]:
    """(attempts, right ones) of a generation by agent; right means by a fully verified trace."""
    sql = "SELECT agent, COUNT(*), SUM(correct) FROM attempts WHERE generation = ? GROUP BY agent"
    return {agent: (n, correct) for agent, n, correct in db.execute(sql, [generation])}
