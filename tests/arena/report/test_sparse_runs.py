"""Runs in which little happened: every section, figure, comparison, export and screen of them can be made."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from arena.config.schema import load_config
from arena.export.export import MANIFEST, export_run, parts_of
from arena.export.progress import Bars
from arena.loop import play
from arena.report.comparison.compare import compare
from arena.report.comparison.sections import sections as compared
from arena.report.comparison.write import write_comparison
from arena.report.metrics.run_summary import analyze
from arena.report.sections import SECTIONS
from arena.report.source import Source
from arena.report.terminal import print_report, print_sections
from arena.report.write import page_of, write_report
from arena.run.integrity import diagnose
from arena.run.state import Arena
from arena.run.store import Store
from arena.watch.live import summary
from tests.helpers.brief_runs import BRIEF
from tests.helpers.screens import press, use

QUIET = (*BRIEF, "rounds.per_agent=1", "rounds.guesses=0", "rounds.attempts=1", "sleep.enabled=false")
GARBAGE = "temperature=4.0"
RUNS: dict[str, tuple[str, ...]] = {
    "one_generation": ("generations=1",),
    "no_right_answer": (*QUIET, "rounds.setter=uniform", f"rounds.{GARBAGE}", "rounds.max_tokens=8", "generations=3"),
    "no_valid_problem": (*QUIET, "rounds.set_" + GARBAGE, "rounds.max_tokens=8"),
    "nothing_posted": (*QUIET, "library.kinds=[]", "rounds.setter=uniform"),
    "death_each_generation": ("turnover.policy=age", "turnover.life=1", "generations=3", "sleep.batch=2"),
    "deaths_of_the_worst": ("turnover.every=1", "turnover.window=1", "turnover.inherit=nothing"),
    "no_measurement": ("measure.per_depth=0", "measure.final_per_depth=1", "rounds.grade=0"),
    "no_sleep": ("sleep.enabled=false", "generations=2"),
    "no_library": ("library.reading=false", "library.kinds=[]", "sleep.enabled=false"),
    "one_domain": (*QUIET, "domains={list_programs: {share: 1.0}}", "library.limit=0"),
    "burned_library": ("library.burn=2", "generations=2", "library.withhold=0.9"),
    "ratchet_and_collapse": (*QUIET, "measure.ratchet.every=1", "measure.ratchet.share=99", "measure.collapse=1"),
    "names_only": (*QUIET, "domains={hidden_words: {share: 1.0, levels: 1}}", "rounds.guesses=1"),
}
STOPS = {
    "killed_at_birth": (0, "birth"),
    "killed_at_baseline": (0, "baseline"),
    **{f"killed_at_{phase}": (1, phase) for phase in ("propose", "grade", "post", "measure", "final")},
}
SCREENS = ("1", "2", "enter", "escape", "3", "enter", "escape", "4", "enter", "escape", "5", "left", "left", "1")


def played(folder: Path, name: str) -> Path:
    given = RUNS.get(name, (*BRIEF, "generations=1"))
    config = load_config("configs/tiny.yaml", [f"run.folder={folder}", f"run.name={name}", *BRIEF, *given])

    def stop(event: str, data: dict[str, Any]) -> None:
        if event == "phase" and STOPS.get(name) == (data["generation"], data["phase"]):
            raise KeyboardInterrupt

    with Arena.create(config) as arena:
        try:
            play(arena, stop)
        except KeyboardInterrupt:
            assert name in STOPS
    return folder / name


def source_of(folder: Path) -> Source:
    store, config = Store(folder / "run.db"), load_config(folder / "config.yaml")
    return Source(folder, store, config, analyze(store, config))


@pytest.fixture(scope="module", params=[*RUNS, *STOPS])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played(tmp_path_factory.mktemp("sparse"), request.param)


def test_report_of_a_sparse_run(run: Path) -> None:
    """Sections say something or why not, print without a value that is none, and draw on the page."""
    source = source_of(run)
    sections = [build(source) for build in SECTIONS]
    for section in sections:
        assert section.findings or section.missing, section.key
    told = io.StringIO()
    for width in (80, 200):
        print_report(Console(file=told, width=width), source, sections)
    summary(source.analysis, run, Console(file=told, width=80))
    assert not re.search(r"\b(nan|inf|[=:(] ?None)\b", told.getvalue())
    assert "</html>" in page_of(source, sections)
    assert diagnose(run / "run.db") is None


@pytest.mark.slow
def test_files_of_a_sparse_report(run: Path, tmp_path: Path) -> None:
    """All pictures and tables are written."""
    source = replace(source_of(run), out=tmp_path)
    page, *files = write_report(source)
    assert page.stat().st_size > 100_000 and all(file.stat().st_size for file in files)


@pytest.mark.slow
def test_comparison_with_a_sparse_run(run: Path, undisturbed: Path, tmp_path: Path) -> None:
    comparison = compare([source_of(run), source_of(undisturbed)])
    made = compared(comparison)
    print_sections(Console(file=io.StringIO(), width=80), made)
    assert write_comparison(comparison, made, tmp_path)[0].exists()


def test_export_of_a_sparse_run(run: Path, tmp_path: Path) -> None:
    store, config = Store(run / "run.db"), load_config(run / "config.yaml")
    with Bars() as bars:
        export_run(store, config, run, tmp_path / "out", parts_of(""), "latest", bars)
    assert (tmp_path / "out" / MANIFEST).is_file()


@pytest.mark.slow
def test_screens_of_a_sparse_run(run: Path) -> None:
    async def look(app: Any, pilot: Any) -> None:
        for key in SCREENS:
            text = await press(app, pilot, key)
            assert "cannot read this part" not in text and "internal error" not in text

    use(run, look)
