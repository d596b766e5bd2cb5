"""Curves of an arm: mean over its runs, with the range from the lowest to the highest, by generation and by compute.

By generation, a point is over the runs that have reached it, and gives their number. By compute, each run's curve is
interpolated linearly between its generations and evaluated at the same places for all; it ends where the arm's shortest
run ends.

Left out: intervals, which two or three seeds would make as wide as the plot; the scores have them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from arena.report.metrics import generation
from arena.report.metrics.heldout import MIDDLE_DEPTHS, middle_mean
from arena.report.source import Source

Row = dict[str, Any]
Curve = list[tuple[float, float]]
STEPS = 80
"""Places at which curves over compute are read."""
OF_GENERATIONS: dict[str, str] = {
    "learnable": "learnable",
    "difficulty": "mean_difficulty",
    "solve_rate": "solve_rate",
}
"""Curves by name, from a generation's figures in the analysis."""


def heldout_depths(runs: Sequence[Source]) -> list[int]:
    """The depths a curve of held-out skill is the mean of: 3 to 6 where all runs measured them, else all in common."""
    each = [{h["depth"] for h in run.analysis["heldout"]} for run in runs]
    shared = set.intersection(*each) if each else set()
    return list(MIDDLE_DEPTHS) if shared.issuperset(MIDDLE_DEPTHS) else sorted(shared)


def generation_curves(runs: Sequence[Source], depths: Sequence[int]) -> dict[str, list[Row]]:
    """By name: points with generation (x), mean, low, high and the number of runs."""
    found = {"heldout": _points([dict(heldout_curve(run, depths)) for run in runs])}
    for name, key in OF_GENERATIONS.items():
        found[name] = _points([dict(_played(run, key)) for run in runs])
    return found


def compute_curve(runs: Sequence[Source], depths: Sequence[int]) -> list[Row]:
    """Held-out skill over compute units (without evaluation), at the same places for all runs of the arm."""
    curves = []
    for run in runs:
        units = {0: 0.0} | generation.compute(run.store)
        curve = [(units[int(g)], rate) for g, rate in heldout_curve(run, depths) if int(g) in units]
        if len(curve) > 1:
            curves.append(curve)
    if not curves:
        return []
    start, end = max(c[0][0] for c in curves), min(c[-1][0] for c in curves)
    if end <= start:
        return []
    places = [start + (end - start) * i / STEPS for i in range(STEPS + 1)]
    return _points([{x: _at(curve, x) for x in places} for curve in curves])


def heldout_curve(run: Source, depths: Sequence[int]) -> Curve:
    """(generation, mean held-out rate over `depths`) of the generations that were measured at all of them."""
    rates: dict[int, dict[int, float]] = {}
    for h in run.analysis["heldout"]:
        rates.setdefault(h["generation"], {})[h["depth"]] = h["pass_at_1"]
    means = {g: middle_mean(by_depth, depths) for g, by_depth in sorted(rates.items())}
    return [(g, mean) for g, mean in means.items() if mean is not None]


def _played(run: Source, key: str) -> Iterable[tuple[float, float]]:
    return ((g["index"], g[key]) for g in run.analysis["generations"] if g["complete"] and g[key] is not None)


def _points(curves: Sequence[dict[float, float]]) -> list[Row]:
    places = sorted({x for curve in curves for x in curve})
    found = []
    for x in places:
        values = [curve[x] for curve in curves if x in curve]
        found.append(
            {"x": x, "mean": statistics.fmean(values), "low": min(values), "high": max(values), "runs": len(values)}
        )
    return found


def _at(curve: Curve, x: float) -> float:
    """The curve at x, straight between its points; x lies between its ends."""
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 <= x <= x1:
            return y0 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return curve[-1][1]
