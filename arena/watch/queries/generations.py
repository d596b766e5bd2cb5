"""One generation in figures: what was set and solved, who lived, how long phases take."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict

from arena.report.metrics.generation import Outcomes, Proposals, outcomes, proposals
from arena.report.metrics.grader_calibration import REVIEWED
from arena.report.metrics.heldout import rates
from arena.report.metrics.paired_uplift import EVALUATIONS
from arena.report.metrics.ratchet import readings
from arena.watch.models import Member, Summary
from arena.watch.queries.base import Rows, dicts
from culture.measures import hill_numbers

RECENT = 5
"""Generations that "lately" means in the population table."""


def last_phase(db: sqlite3.Connection) -> int:
    """The rowid of the phase that finished last; 0 before the first."""
    found: int | None = db.execute("SELECT MAX(rowid) FROM phases").fetchone()[0]
    return found or 0


def phases_after(db: sqlite3.Connection, rowid: int) -> list[tuple[int, int, str]]:
    """(rowid, generation, phase) of the phases that finished after the one with this rowid, oldest first."""
    return db.execute(
        "SELECT rowid, generation, phase FROM phases WHERE rowid > ? ORDER BY rowid", [rowid]
    ).fetchall()  # fmt: skip


def usual_seconds(db: sqlite3.Connection, phase: str) -> float | None:
    """How long a phase took lately; None if it was never played."""
    lately = "SELECT seconds FROM telemetry WHERE phase = ? AND finished IS NOT NULL ORDER BY rowid DESC LIMIT 5"
    found: float | None = db.execute(f"SELECT AVG(seconds) FROM ({lately})", [phase]).fetchone()[0]
    return found


def summary(db: sqlite3.Connection, generation: int, phases: frozenset[str], main: str) -> Summary:
    """One generation's figures from its own rows; `main` is the domain whose held-out rates are wanted."""
    rows = Rows(db)
    p = proposals(rows, generation).get(generation, Proposals())
    o = outcomes(rows, generation).get(generation, Outcomes())
    solved = db.execute(
        "SELECT SUM(p.depth * o.solve_rate) / SUM(o.solve_rate) FROM outcomes o JOIN problems p ON p.round = o.round"
        " WHERE o.generation = ?",
        [generation],
    ).fetchone()[0]
    kinds = db.execute(
        "SELECT COUNT(*) FROM problems WHERE generation = ? AND valid GROUP BY domain, behaviour_key", [generation]
    ).fetchall()
    set_, settled = "propose" in phases, "grade" in phases
    return Summary(
        generation,
        phases,
        p.proposed if set_ else None,
        p.valid if set_ else None,
        o.learnable if settled else None,
        p.depth,
        solved,
        o.solve_rate,
        p.behaviours if set_ else None,
        hill_numbers(n for (n,) in kinds)[1] if set_ else None,
        p.duplicates,
        rates(rows, main, generation),
        ratchet(db, generation) if "measure" in phases else None,
    )


def ratchet(db: sqlite3.Connection, generation: int) -> tuple[int, int, int, int] | None:
    """(problems that need a definition, solved by the newborn with its own library, with it alone, with the first
    library alone) of a generation's reading; None without one."""
    found = [r.paired("first") for r in readings(Rows(db), generation)]
    return found[0] if found and found[0][0] else None


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


def races(db: sqlite3.Connection, generation: int) -> dict[str, dict[str, float]]:
    """Mean rewards of one generation, by role and agent."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    sql = "SELECT role, agent, reward FROM rewards WHERE generation = ?"
    for role, agent, reward in db.execute(sql, [generation]):
        found[role][agent] = reward
    return found


Evaluation = tuple[int, str, int, str, str, int, int]


def evaluations_after(db: sqlite3.Connection, rowid: int, piece: int) -> tuple[list[Evaluation], int, bool]:
    """Of the next `piece` evaluations those that were asked with and without reading, the last row looked at, and
    whether more are waiting."""
    top = db.execute("SELECT MAX(rowid) FROM evaluations").fetchone()[0] or 0
    until = min(rowid + piece, top)
    rows = db.execute(f"{EVALUATIONS} AND rowid > ? AND rowid <= ? ORDER BY rowid", [rowid, until])
    return [row[1:] for row in rows], max(rowid, until), until < top


def reviewed(db: sqlite3.Connection, up_to: int) -> dict[str, int]:
    """Labels up to a generation, and those that say another thing than execution."""
    return {name: int(value) for name, value in dicts(db, REVIEWED, [up_to])[0].items()}
