"""Series of an experiment: one small function each, by name in `SERIES`.

A series reads a run's database and returns (generation, value), without the generations for which it has no value.

Left out: means and intervals over seeds (`arena.experiments.results`), and drawing (`arena.experiments.story_figure`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from arena.report.metrics.culture_metrics import depth, discoveries_of, distinct_problems, knowledge, ratchet
from arena.report.metrics.finished_run import FinishedRun, Points
from arena.report.metrics.run_metrics import heldout_series

Series = Callable[[FinishedRun], Points]


def column(name: str) -> Series:
    """A column of table `knowledge`, mean over the agents of a generation as they begin to guess."""
    return lambda run: knowledge(run, name)


def discoveries(run: FinishedRun) -> Points:
    """Number of names guessed correctly up to the end of each generation."""
    found = discoveries_of(run)
    if found is None:
        return []
    new, total, points = Counter(d.generation for d in found), 0, []
    for g in range(1, run.last + 1):
        total += new[g]
        points.append((g, float(total)))
    return points


def entropy(table: str) -> Series:
    """Nats per sampled token of table `problems` or `attempts`, by generation: the mean negative log-probability under
    the policy that sampled, at temperature 1. An estimate of its entropy if it also sampled at temperature 1."""

    def series(run: FinishedRun) -> Points:
        rows = run.store.query(
            f"SELECT generation, -SUM(logprob) / SUM(tokens) AS nats FROM {table} WHERE logprob IS NOT NULL AND tokens"
            " GROUP BY generation ORDER BY generation"
        )
        return [(r["generation"], r["nats"]) for r in rows]

    return series


SERIES: dict[str, Series] = {
    "names_known": column("known"),
    "names_read": column("read"),
    "names_recalled": column("recalled"),
    "names_wrong": column("wrong"),
    "level": column("level"),
    "discoveries": discoveries,
    "ratchet": ratchet,
    "heldout_3_6": heldout_series,
    "distinct_problems": distinct_problems,
    "depth": depth,
    "entropy_setting": entropy("problems"),
    "entropy_solving": entropy("attempts"),
}
TITLES: dict[str, str] = {
    "names_known": "Names an agent knows",
    "names_read": "Names an agent knows by reading",
    "names_recalled": "Names an agent knows from memory",
    "names_wrong": "Names an agent is wrong about",
    "level": "Deepest level an agent knows",
    "discoveries": "Discoveries so far",
    "ratchet": "Ratchet: what the library gives a newborn",
    "heldout_3_6": "Held-out skill, depths 3 to 6",
    "distinct_problems": "Distinct problems (share)",
    "depth": "Mean depth of problems set",
    "entropy_setting": "Entropy of proposals, nats per token",
    "entropy_solving": "Entropy of attempts, nats per token",
}
"""Titles of the panels, by series."""


def all_series(run: FinishedRun) -> dict[str, Points]:
    return {name: series(run) for name, series in SERIES.items()}
