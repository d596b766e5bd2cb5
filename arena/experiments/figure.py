"""The figure of an experiment: the first metric of each arm, and held-out skill over compute.

Draws results.json and nothing else. Left out: all other metrics. Not guaranteed: that bands of arms can be
compared by eye; differences paired by seed are narrower than the bands suggest, and the table has them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from arena.report.stats.intervals import mean_interval

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")  # Okabe and Ito
GRID = 60


def draw_experiment(results: Mapping[str, Any], path: Path) -> None:
    """The first metric by arm (seeds, mean and 95 % interval), and held-out skill against compute. If no skill was
    measured on the way, the first three metrics."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    metrics: list[str] = results["file"]["metrics"]
    if any(c["curve"] for c in results["cells"]):
        left, right = figure.subplots(1, 2, width_ratios=[2, 3])
        draw_arms(left, results, metrics[0])
        draw_curves(right, results)
    else:
        for axes, metric in zip(figure.subplots(1, 3), metrics[:3], strict=False):
            draw_arms(axes, results, metric)
    for axes in figure.axes:
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_visible(axes.has_data())
    name = f"{results['experiment']}{' (final)' * results['final']}: {results['question']}"
    figure.suptitle(f"{textwrap.fill(name, 110)}\n{results['split']} set, {results['date'][:10]}", fontsize=11)
    figure.savefig(path, dpi=130, format="png")


def draw_arms(axes: Axes, results: Mapping[str, Any], metric: str) -> None:
    """One metric: the seeds of each arm, their mean and its interval."""
    arms: list[str] = list(results["arms"])
    for i, arm in enumerate(arms):
        values = [c["metrics"][metric] for c in results["cells"] if c["arm"] == arm]
        draw_estimate(axes, i, values, results["arms"][arm][metric], COLOURS[i % len(COLOURS)])
    axes.set_xticks(range(len(arms)), arms, rotation=20 if len(arms) > 3 else 0)
    axes.set_xlim(-0.6, len(arms) - 0.4)
    axes.set_ylabel(metric)
    axes.set_title("seeds, mean and 95 % interval", fontsize=10)


def draw_curves(axes: Axes, results: Mapping[str, Any]) -> None:
    for i, arm in enumerate(results["arms"]):
        curves = [c["curve"] for c in results["cells"] if c["arm"] == arm and c["curve"]]
        draw_curve(axes, curves, arm, COLOURS[i % len(COLOURS)])
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.set_xlabel("compute units (without evaluation)")
    axes.set_ylabel("held-out pass@1, depths 3 to 6")
    axes.set_title("mean over seeds and 95 % band", fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def draw_estimate(axes: Axes, x: int, values: Sequence[float | None], estimate: Mapping[str, Any], colour: str) -> None:
    """One arm: its seeds left of its mean and interval."""
    known = [v for v in values if v is not None]
    axes.plot([x - 0.15] * len(known), known, "o", color=colour, alpha=0.45, markersize=5, markeredgewidth=0)
    mean, low, high = estimate["mean"], estimate["low"], estimate["high"]
    if mean is not None:
        axes.plot([x + 0.1], [mean], "D", color=colour, markersize=6)
    if low is not None:
        axes.plot([x + 0.1] * 2, [low, high], "-", color=colour, linewidth=2)


def draw_curve(axes: Axes, curves: Sequence[Sequence[Sequence[float]]], arm: str, colour: str) -> None:
    """One arm: the mean over seeds, where all its seeds have been, on a common grid of compute."""
    if not curves:
        return
    start, end = max(c[0][0] for c in curves), min(c[-1][0] for c in curves)
    if start > end:
        return
    at_X = np.linspace(start, end, GRID)
    lines_SX = np.array([np.interp(at_X, [p[0] for p in c], [p[1] for p in c]) for c in curves])
    axes.plot(at_X, lines_SX.mean(axis=0), color=colour, label=arm, linewidth=1.8)
    if len(curves) > 1:
        low, high = np.array([mean_interval(list(column)) for column in lines_SX.T]).T
        axes.fill_between(at_X, low, high, color=colour, alpha=0.15, linewidth=0)
