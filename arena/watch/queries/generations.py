"""Queries for one generation: summary, population, rewards, evaluations, and durations of phases."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict

from arena.report.metrics.diversity import variety
from arena.report.metrics.generation import Outcomes, Proposals, outcomes, proposals
from arena.report.metrics.generation import labels as label_counts
from arena.report.metrics.heldout import rates
from arena.report.metrics.paired_uplift import EVALUATIONS
from arena.report.metrics.ratchet import readings
from arena.run.store import agent_models
from arena.watch.models import GenerationSummary, Member
from arena.watch.queries.base import Rows, dicts
from culture.measures import hill_numbers

RECENT = 5
"""Generations over which the population table averages."""


def last_phase(db: sqlite3.Connection) -> int:
    """The rowid of the phase that finished last; 0 before the first."""
    found: int | None = db.execute("SELECT MAX(rowid) FROM phases").fetchone()[0]
    return found or 0


def phases_after(db: sqlite3.Connection, rowid: int) -> list[tuple[int, int, str]]:
    """(rowid, generation, phase) of the phases that finished after the one with this rowid, oldest first."""
    return db.execute(
        "SELECT rowid, generation, phase FROM phases WHERE rowid > ? ORDER BY rowid", [rowid]
    ).fetchall()  # fmt: skip


def typical_seconds(db: sqlite3.Connection, phase: str) -> float | None:
    """Mean duration of the last five runs of a phase, in seconds; None if it has not run."""
    recent = "SELECT seconds FROM telemetry WHERE phase = ? AND finished IS NOT NULL ORDER BY rowid DESC LIMIT 5"
    found: float | None = db.execute(f"SELECT AVG(seconds) FROM ({recent})", [phase]).fetchone()[0]
    return found


def summary(db: sqlite3.Connection, generation: int, phases: frozenset[str], main: str) -> GenerationSummary:
    """The figures of one generation.

    Args:
        db: a connection of `read_only`.
        generation: the generation.
        phases: its finished phases.
        main: the domain whose held-out pass rates are read.
    """
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
    return GenerationSummary(
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
        variety(rows, main, generation).get(generation) if set_ else None,
        rates(rows, main, generation),
        ratchet(db, generation) if "measure" in phases else None,
    )


def ratchet(db: sqlite3.Connection, generation: int) -> tuple[int, int, int, int] | None:
    """The ratchet measurement of a generation, for the newborn on problems that need a definition; None without one.

    Returns:
        (problems, solved with its own library, solved only with its own library, solved only with the first library).
    """
    found = [r.paired("first") for r in readings(Rows(db), generation)]
    return found[0] if found and found[0][0] else None


def population(db: sqlite3.Connection, generation: int) -> list[Member]:
    """The agents of a generation, in order of birth, with mean rewards by role over the last RECENT generations."""
    agents = dicts(
        db,
        "SELECT a.name, a.born, a.parents, r.generation AS retired FROM agents a LEFT JOIN retirements r"
        " ON r.name = a.name WHERE (a.born < ? OR a.born = 0) AND (r.generation IS NULL OR r.generation >= ?)"
        " ORDER BY a.number",
        [generation, generation],
    )
    models, rewards = agent_models(db), dict[str, dict[str, float]]()
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
            models.get(a["name"], ""),
        )
        for a in agents
    ]


def correct_attempts(db: sqlite3.Connection, generation: int) -> dict[str, tuple[int, int]]:
    """(attempts, correct attempts) of a generation by agent. Correct: the whole trace was verified."""
    sql = "SELECT agent, COUNT(*), SUM(correct) FROM attempts WHERE generation = ? GROUP BY agent"
    return {agent: (n, correct) for agent, n, correct in db.execute(sql, [generation])}


def races(db: sqlite3.Connection, generation: int) -> dict[str, dict[str, float]]:
    """Mean rewards of one generation, by role and agent: what ratings are updated from."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    sql = "SELECT role, agent, reward FROM rewards WHERE generation = ?"
    for role, agent, reward in db.execute(sql, [generation]):
        found[role][agent] = reward
    return found


Evaluation = tuple[int, str, int, str, str, int, int]


def evaluations_after(db: sqlite3.Connection, rowid: int, piece: int) -> tuple[list[Evaluation], int, bool]:
    """The paired evaluations, with and without reading, among the next `piece` rows.

    Returns:
        (evaluations, rowid of the last row read, whether more rows are left).
    """
    top = db.execute("SELECT MAX(rowid) FROM evaluations").fetchone()[0] or 0
    until = min(rowid + piece, top)
    rows = db.execute(f"{EVALUATIONS} AND rowid > ? AND rowid <= ? ORDER BY rowid", [rowid, until])
    return [row[1:] for row in rows], max(rowid, until), until < top


def labels(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """Review labels of each generation, and those that contradict execution."""
    return label_counts(Rows(db))
