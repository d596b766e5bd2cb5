"""Entropy of the setters' policy, and whether reward rose at its expense.

The mean negative log-probability per token of proposals, under the policy that sampled them, estimates the entropy of
its next-token distribution if sampling is at temperature 1 without truncation. Cui et al. 2025 ("The Entropy Mechanism
of Reinforcement Learning for Reasoning Language Models") find R = -a e^H + b with a > 0: reward is bought with entropy,
and b - a is the maximum. The fit is reported only if the data distinguish `a` from 0.

Left out: entropy of solvers, who sample at another temperature. Not guaranteed: that a fit over generations is the law
they found; here the curriculum moves with the policy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arena.run.store import Row, Store

FEWEST = 12
"""Fewest generations for a fit."""
DRAWS = 2000


@dataclass(frozen=True)
class Fit:
    """R = -a e^H + b over generations; the interval of `a` is a moving-block bootstrap's.

    `low_without` is its lower end without the generation whose entropy is furthest from the mean.
    """

    a: float
    b: float
    low: float
    high: float
    low_without: float
    block: int

    @property
    def identifiable(self) -> bool:
        """`a` is above 0, and that does not depend on one generation."""
        return min(self.low, self.low_without) > 0


def entropy(store: Store) -> list[Row]:
    """By generation: nats per token of proposals, and the mean reward of their authors."""
    sql = (
        "SELECT p.generation, -SUM(p.logprob) / SUM(p.tokens) AS entropy, COUNT(*) AS proposals,"
        " AVG(o.setter_reward) AS reward FROM problems p LEFT JOIN outcomes o ON o.round = p.round"
        " WHERE p.logprob IS NOT NULL AND p.tokens > 0 GROUP BY p.generation ORDER BY p.generation"
    )
    return [r for r in store.query(sql) if r["entropy"] is not None and math.isfinite(r["entropy"])]


def fit(rows: Sequence[Row], seed: int = 0) -> Fit | None:
    """The fit, or None if there are too few generations or the entropy does not vary. Neighbouring generations are
    correlated, so blocks of them are resampled (Kuensch 1989), about the square root of their number long."""
    data = np.array([(math.exp(r["entropy"]), r["reward"]) for r in rows if r["reward"] is not None])
    if len(data) < FEWEST or np.ptp(data[:, 0]) < 1e-9:
        return None
    block = max(2, round(math.sqrt(len(data))))
    furthest = int(np.argmax(np.abs(data[:, 0] - data[:, 0].mean())))
    low, high = _interval(data, block, seed)
    low_without, _ = _interval(np.delete(data, furthest, axis=0), block, seed)
    slope = float(_slope(data[None, :, 0], data[None, :, 1])[0])
    return Fit(-slope, float(data[:, 1].mean() - slope * data[:, 0].mean()), low, high, low_without, block)


def _interval(data: np.ndarray, block: int, seed: int) -> tuple[float, float]:
    """95 % interval of a = -slope."""
    n, rng = len(data), np.random.default_rng(seed)
    starts = rng.integers(n - block + 1, size=(DRAWS, -(-n // block)))
    drawn = (starts[:, :, None] + np.arange(block)).reshape(DRAWS, -1)[:, :n]
    low, high = np.nanquantile(-_slope(data[drawn, 0], data[drawn, 1]), [0.025, 0.975])
    return float(low), float(high)


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares slopes, (draws,) from (draws, n); nan where x does not vary."""
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    spread = (dx * dx).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-12, (dx * dy).sum(axis=1) / spread, np.nan)
