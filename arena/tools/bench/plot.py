"""Figures of the benchmark: the cost of a generation by population size, and by length of the run.

Drawn from the stored record, without a display (Agg).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw_scaling(case: dict[str, Any], path: Path) -> None:
    """Processor seconds an agent against the number of agents: the median, and a band from least to greatest."""
    rows = case["scaling"]
    agents = [row["agents"] for row in rows]
    cost = {key: [row["cpu_seconds_per_agent"][key] for row in rows] for key in ("median", "low", "high")}
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.fill_between(agents, cost["low"], cost["high"], color="#0072B2", alpha=0.2, linewidth=0)
    axes.plot(agents, cost["median"], color="#0072B2", marker="o")
    axes.set_xscale("log", base=2)
    axes.set_xticks(agents, [str(n) for n in agents])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("agents")
    axes.set_ylabel("processor seconds an agent and generation")
    axes.set_title(case["title"], loc="left", fontsize=10)
    axes.grid(alpha=0.3)
    figure.savefig(path)


def draw_long(lines: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    """Resources of a run after each generation (`arena.tools.bench.long`): seconds, memory, disk, counts."""
    x = [line["generation"] for line in lines]
    panels = (
        ("seconds a generation", (("", "seconds", 1.0),)),
        ("MiB of memory", (("", "rss", 2**20),)),
        ("MiB on disk", (("run.db", "database", 2**20), ("adapters", "adapters", 2**20))),
        ("count", (("open files", "files", 1), ("threads", "threads", 1), ("child processes", "children", 1))),
    )
    figure = Figure(figsize=(10, 6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (label, series) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for (name, key, unit), colour in zip(series, ("#0072B2", "#D55E00", "#009E73"), strict=False):
            axes.plot(x[1:], [line[key] / unit for line in lines[1:]], color=colour, linewidth=1, label=name or None)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("generation")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if len(series) > 1:
            axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path)
