"""The picture of scaling: what a generation costs an agent, as the population grows.

Drawn from the stored record alone, without a display (Agg).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw_scaling(case: dict[str, Any], path: Path) -> None:
    """Processor seconds an agent against agents: the median, and a band from the least to the greatest."""
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
