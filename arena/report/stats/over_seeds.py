"""TODO."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arena.report.stats.intervals import mean_interval, paired_difference

Estimate = dict[str, float | int | None]


def estimate(values: Sequence[float | None]) -> Estimate:
    """Mean with its interval over the seeds that have a value; None for what too few values give."""
    known = [v for v in values if v is not None]
    low, high = mean_interval(known)
    return {"mean": statistics.fmean(known) if known else None, "low": real(low), "high": real(high), "n": len(known)}


def paired(arm: Mapping[int, float | None], baseline: Mapping[int, float | None]) -> Estimate:
    """Mean of arm minus baseline over the seeds that have both."""
    pairs = [(a, b) for s, a in sorted(arm.items()) if a is not None and (b := baseline.get(s)) is not None]
    mean, low, high = paired_difference([a for a, _ in pairs], [b for _, b in pairs])
    return {"mean": real(mean), "low": real(low), "high": real(high), "n": len(pairs)}


def real(x: float) -> float | None:
    """None for what JSON cannot say."""
    return x if math.isfinite(x) else None


def distinct(values: Iterable[Any]) -> list[Any]:
    """Values that differ, in the order they came."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
