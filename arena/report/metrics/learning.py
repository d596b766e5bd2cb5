"""What was made of attempts: the value function against outcomes, attempts that it ended, and corrections.

Estimates were made before the outcome was known, by a value function fitted to earlier generations, so all figures are
predictions. Of attempts that an estimate ended the outcome is unknown; those that were spared at random
(`sleep.value.spared`) show what would have come of them.

Not guaranteed: that tokens saved are those of the same run without an end of attempts, which would have trained
otherwise.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arena.report.metrics.generation import Database

BINS = 10


@dataclass(frozen=True)
class Judged:
    """An attempt with estimates, the first of them before its first token."""

    generation: int
    problem: str
    estimates: tuple[float, ...]
    right: bool
    stopped: bool
    tokens: int


def judged(db: Database) -> list[Judged]:
    """All attempts with estimates whose texts are kept."""
    sql = (
        "SELECT generation, round, estimates, correct, stopped, tokens FROM attempts WHERE estimates IS NOT NULL"
        " ORDER BY rowid"
    )
    return [
        Judged(
            r["generation"],
            r["round"],
            tuple(json.loads(r["estimates"])),
            bool(r["correct"]),
            bool(r["stopped"]),
            r["tokens"],
        )
        for r in db.query(sql)
    ]


@dataclass(frozen=True)
class Bin:
    """Attempts with an estimate between two tenths."""

    n: int
    mean: float
    right: int


def calibration(attempts: Sequence[Judged], at: int) -> list[Bin]:
    """First (at = 0) or last (at = -1) estimates of attempts that ran to their end, in ten bins; empty bins are left
    out."""
    found: dict[int, list[tuple[float, bool]]] = {}
    for a in attempts:
        if not a.stopped:
            found.setdefault(min(int(a.estimates[at] * BINS), BINS - 1), []).append((a.estimates[at], a.right))
    return [
        Bin(len(pairs), statistics.fmean(p for p, _ in pairs), sum(right for _, right in pairs))
        for _, pairs in sorted(found.items())
    ]


def calibration_error(attempts: Sequence[Judged], at: int) -> float | None:
    """Expected calibration error (Guo et al. 2017): the mean distance of estimate and share right, over bins."""
    bins = calibration(attempts, at)
    total = sum(b.n for b in bins)
    return sum(abs(b.mean * b.n - b.right) for b in bins) / total if total else None


def discrimination(attempts: Sequence[Judged], at: int) -> float | None:
    """The chance that of a right and a wrong attempt the right one has the higher estimate (area under the ROC curve);
    None without both."""
    ended = [a for a in attempts if not a.stopped]
    right = np.array([a.right for a in ended], dtype=bool)
    if right.all() or not right.any():
        return None
    ranks = _ranks([a.estimates[at] for a in ended])
    n = int(right.sum())
    return float((ranks[right].sum() - n * (n + 1) / 2) / (n * (len(right) - n)))


def forecast_rank(attempts: Sequence[Judged]) -> float | None:
    """Spearman's rank correlation of a problem's mean estimate before its attempts and its solve rate; None where
    either does not vary. Problems with an attempt that was ended are left out."""
    by_problem: dict[str, list[Judged]] = {}
    for a in attempts:
        by_problem.setdefault(a.problem, []).append(a)
    whole = [own for own in by_problem.values() if not any(a.stopped for a in own)]
    forecast = _ranks([statistics.fmean(a.estimates[0] for a in own) for own in whole])
    rate = _ranks([statistics.fmean(a.right for a in own) for own in whole])
    if len(whole) < 3 or not np.ptp(forecast) or not np.ptp(rate):
        return None
    return float(np.corrcoef(forecast, rate)[0, 1])


@dataclass(frozen=True)
class Savings:
    """Attempts that an estimate ended, and those with as low an estimate that were spared, with their mean tokens."""

    ended: int
    attempts: int
    spared: int
    spared_right: int
    tokens: int
    saved: float

    @property
    def share(self) -> float:
        """Tokens saved, as a share of those that all attempts would have had."""
        return self.saved / (self.tokens + self.saved) if self.tokens + self.saved else 0.0


def savings(attempts: Sequence[Judged], limit: float) -> Savings | None:
    """What ending attempts below an estimate of `limit` saved: per ended attempt, the tokens of a spared one less its
    own. None if none was ended or none spared."""
    ended = [a for a in attempts if a.stopped]
    spared = [a for a in attempts if not a.stopped and any(v < limit for v in a.estimates[1:])]
    if not ended or not spared:
        return None
    each = statistics.fmean(a.tokens for a in spared) - statistics.fmean(a.tokens for a in ended)
    right, tokens = sum(a.right for a in spared), sum(a.tokens for a in attempts)
    return Savings(len(ended), len(attempts), len(spared), right, tokens, each * len(ended))


def corrections(db: Database) -> tuple[int, int]:
    """Failed attempts that were rewritten, and those of them that are right then."""
    (row,) = db.query("SELECT COUNT(*) AS n, TOTAL(correct) AS right FROM corrections")
    return row["n"], int(row["right"])


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks from 1; equal values share their mean rank."""
    x = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse] if len(x) else x
