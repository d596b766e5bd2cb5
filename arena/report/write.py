"""Write a run's report: the page, and each figure as PNG and SVG with its data as CSV and Parquet.

    report/index.html             everything, in one self-contained page
    report/figures/<key>.png .svg
    report/data/<key>.csv .parquet
    report/heldout.png, setting.png   two of these again, under names that do not change

The folder is `report` in the run's folder, or the user's. Writing again replaces the report; stale files in figures/
and data/ are then removed. Nothing else in the folder is touched. A report that fails half way leaves the older page.

Not guaranteed: a consistent page while the run is being played; its sections are read one after the other.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agents.atomic import write_atomically
from arena.config.shipped import typed_command
from arena.report.figures.figure import Figure, Section
from arena.report.figures.matplotlib_backend import save
from arena.report.figures.plotly_backend import interactive
from arena.report.figures.rows import write_rows
from arena.report.metrics.run_summary import alarm_lines
from arena.report.page import as_json, render
from arena.report.sections import SECTIONS, tournament
from arena.report.sections.curriculum import setting_figure
from arena.report.sections.heldout import heldout_figure
from arena.report.source import Builder, Source
from arena.run.faults import Faults

PICTURES = {"heldout": heldout_figure, "setting": setting_figure}
"""Drawn for every run, even if they are still empty; the README shows them."""


def build_sections(source: Source, replay: bool = True) -> list[Section]:
    """All sections of the report, in the order of the page. Shows progress on a terminal's standard error.

    `replay` False leaves out the tournament, which loads the run's base model and plays problems again.
    """
    builders = [build for build in SECTIONS if replay or build is not tournament.section]
    with progress() as bar:
        task, sections = bar.add_task("reading the run", total=len(builders)), []
        for build in builders:
            sections.append(built(build, source))
            bar.advance(task)
    return sections


def built(build: Builder, source: Source) -> Section:
    """The section; if it fails by a fault of the program that `source` collects, a section that says so."""
    name = build.__module__.rpartition(".")[2]
    title = getattr(sys.modules[build.__module__], "TITLE", name.replace("_", " ").capitalize())
    return source.faults.part(
        f"the section {name}", lambda: build(source), lambda why: Section(name.replace("_", "-"), title, missing=(why,))
    )


def drawable(sections: Sequence[Section], faults: Faults) -> list[Section]:
    """The sections without figures that fail to draw on the page, each replaced by a sentence that says so."""
    found = []
    for section in sections:
        kept, failed = list[Figure](), list[str]()
        for figure in section.figures:
            drawn = faults.part(f"the figure {figure.key}", partial(_on_page, figure), lambda why: [why])
            failed += drawn
            kept += [] if drawn else [figure]
        found.append(replace(section, figures=tuple(kept), missing=(*section.missing, *failed)))
    return found


def _on_page(figure: Figure) -> list[str]:
    """Draw a figure for the page, to see whether that fails."""
    as_json(interactive(figure))
    return []


def save_figure(figure: Figure, figures: Path, data: Path, faults: Faults) -> list[Path]:
    """Write a figure as PNG and SVG into `figures` and its rows into `data`; return the paths."""
    return faults.part(
        f"the files of the figure {figure.key}",
        lambda: [*save(figure, figures), *write_rows(figure.rows, data, figure.key)],
        lambda _: [],
    )


def write_report(source: Source, sections: Sequence[Section] | None = None) -> list[Path]:
    """Write everything into `source.report`; return the paths, the page first.

    `sections` are those of `build_sections` (default: build them). Shows progress on a terminal's standard error.
    """
    if sections is None:
        sections = build_sections(source)
    sections = drawable(sections, source.faults)
    folder = source.report
    figures, data = folder / "figures", folder / "data"
    for place in (figures, data):
        place.mkdir(parents=True, exist_ok=True)
    with progress() as bar:
        drawn = [f for s in sections for f in s.figures]
        check_keys([f.key for f in drawn])
        task = bar.add_task("drawing figures", total=len(drawn) + 1)
        written: list[Path] = []
        for figure in drawn:
            written += save_figure(figure, figures, data, source.faults)
            bar.advance(task)
        pictures = write_pictures(source.analysis, folder, written, source.faults)
        page = folder / "index.html"
        write_atomically(page, page_of(source, sections))
        bar.advance(task)
    for place in (figures, data):
        for path in place.iterdir():
            if path not in written and path.is_file():
                path.unlink()
    return [page, *pictures, *written]


def page_of(source: Source, sections: Sequence[Section]) -> str:
    a = source.analysis
    played = sum(g["complete"] for g in a["generations"])
    state = "finished" if a["finished"] else f"not finished, {played} of {a['planned_generations']} generations"
    lead = f"Self-play and culture in a population of language-model agents: seed {a['seed']}, {state}."
    command = typed_command("analyze", source.folder, *(["--out", source.out] if source.out else []))
    return render(f"Run {a['run']}", lead, alarm_lines(a), sections, command)


def write_pictures(
    analysis: dict[str, Any], folder: Path, written: Sequence[Path] = (), faults: Faults | None = None
) -> list[Path]:
    """The pictures of fixed names, copied from `written` where they were drawn for the page."""
    paths = []
    for key, make in PICTURES.items():
        drawn = folder / "figures" / f"{key}.png"
        if drawn in written:
            paths.append(Path(shutil.copyfile(drawn, folder / drawn.name)))
        else:
            draw = partial(lambda make: save(make(analysis), folder, ("png",)), make)
            paths += (faults or Faults()).part(f"the picture {key}.png", draw, lambda _: [])
    return paths


def check_keys(keys: list[str]) -> None:
    """Keys are file names and ids of the page: plain, and each once."""
    bad = [k for k in keys if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", k)]
    twice = sorted({k for k in keys if keys.count(k) > 1})
    assert not bad and not twice, f"keys of figures must be plain and differ: {bad or twice}"


def progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
