"""Write a comparison: the page, its figures with their data, and the comparison as JSON.

    index.html                    everything, in one self-contained page
    comparison.json               the same numbers for machines
    figures/<key>.png .svg, data/<key>.csv .parquet

Writing again replaces the files one by one, the page last. Nothing else in the folder is touched.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.atomic import write_atomically
from arena.config.shipped import typed_command
from arena.report.figures.figure import Section
from arena.report.page import render
from arena.report.write import check_keys, drawable, save_figure
from arena.run.faults import Faults


def write_comparison(
    comparison: dict[str, Any], sections: Sequence[Section], folder: Path, faults: Faults | None = None
) -> list[Path]:
    """Write everything into `folder`; return the paths, the page first. Raises ValueError if it is a run's folder.

    `faults` collects figures that fail to draw (default: the error is raised).
    """
    faults = faults or Faults()
    if (folder / "run.db").exists():
        raise ValueError(f"{folder} is a run: give --out another folder")
    for place in (folder / "figures", folder / "data"):
        place.mkdir(parents=True, exist_ok=True)
    sections = drawable(sections, faults)
    drawn = [f for s in sections for f in s.figures]
    check_keys([f.key for f in drawn])
    written = []
    for figure in drawn:
        written += save_figure(figure, folder / "figures", folder / "data", faults)
    data, page = folder / "comparison.json", folder / "index.html"
    write_atomically(data, json.dumps(comparison, indent=1, allow_nan=False) + "\n")
    arms = [arm["name"] for arm in comparison["arms"]]
    runs = comparison["runs"]
    lead = f"{len(runs)} runs, grouped by the differences of their configs, seeds pooled."
    title = ", ".join(arms) if len(arms) <= 3 else f"{len(arms)} arms"
    command = typed_command("analyze", *(run["folder"] for run in runs), "--out", folder)
    write_atomically(page, render(f"Comparison: {title}", lead, None, sections, command))
    return [page, data, *written]
