"""Means and paired differences over the seeds of an experiment, with 95 % Student t intervals, as plain data.

Left out: corrections for many arms and metrics. Not guaranteed: coverage with few seeds, or if values are far from
normal.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arena.report.stats.intervals import mean_interval, paired_difference

Estimate = dict[str, float | int | None]


def estimate(values: Sequence[float | None]) -> Estimate:
    """Mean with its interval over the seeds that have a value; None where there are too few values."""
    known = [v for v in values if v is not None]
    low, high = mean_interval(known)
    return {"mean": statistics.fmean(known) if known else None, "low": real(low), "high": real(high), "n": len(known)}


def paired(arm: Mapping[int, float | None], baseline: Mapping[int, float | None]) -> Estimate:
    """Mean of arm minus baseline over the seeds that have both."""
    pairs = [(a, b) for s, a in sorted(arm.items()) if a is not None and (b := baseline.get(s)) is not None]
    mean, low, high = paired_difference([a for a, _ in pairs], [b for _, b in pairs])
    return {"mean": real(mean), "low": real(low), "high": real(high), "n": len(pairs)}


def real(x: float) -> float | None:
    """The number, or None if it is not finite, which JSON cannot hold."""
    return x if math.isfinite(x) else None


def distinct(values: Iterable[Any]) -> list[Any]:
    """The values without repetitions, in the order of their first appearance."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
