"""Alarms: one source for the report, the live display and the screens, with the generations they were on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from arena.config.schema import load_config
from arena.loop import play
from arena.report.metrics import alarms
from arena.report.metrics.run_summary import alarm_lines, analyze
from arena.report.page import render
from arena.report.source import Source
from arena.report.terminal import print_report
from arena.run.store import Store
from arena.watch.history import History
from arena.watch.live import Progress
from arena.watch.queries import open_run, read_only
from tests.helpers.brief_runs import brief

GOOD = alarms.Figures(1, 20, 20, 20, 0, 0.5, 5, 0, 0, 0, 0, 0, 5, 0, 0)


def generations(*changes: dict[str, Any]) -> list[alarms.Figures]:
    from dataclasses import replace

    return [replace(GOOD, generation=g, **change) for g, change in enumerate(changes, 1)]


def test_alarm_that_is_over_is_listed() -> None:
    found = alarms.spans(generations({}, {"valid": 0}, {"valid": 0}, {}))
    assert [(s.key, s.first, s.last, s.generations, s.on) for s in found] == [("none valid", 2, 3, 2, False)]
    assert str(found[0]).endswith("(generations 2 to 3, then no more)")
    found = alarms.spans(generations({}, {}, {"solve_rate": 0.01}))
    assert [(s.key, s.first, s.last, s.on) for s in found] == [("hard", 3, 3, True)]
    assert str(found[0]).endswith("(since generation 3)")
    found = alarms.spans(generations({"solve_rate": 1.0}, {}, {"solve_rate": 1.0}, {}))
    assert [str(s)[-50:] for s in found] == [" (generations 1 to 3, then no more; in 2 generations)"[-50:]]
    assert alarms.spans([]) == [] and alarms.spans(generations({}, {})) == []


def test_report_live_and_screens_agree(tmp_path: Path) -> None:
    """The alarms of each generation are the same on the screens, in the live display and in the report."""
    live: dict[int, list[str]] = {}
    out = io.StringIO()
    with brief(tmp_path, "alarmed", "generations=3", "rounds.guesses=2", "sleep.enabled=false") as arena:
        progress = Progress(arena.config, Console(file=out, width=200), arena.store, plain=True)

        def listen(event: str, data: dict[str, Any]) -> None:
            progress(event, data)
            if event == "done" and data["phase"] == "measure":
                live[data["generation"]] = [a.text for a in progress.alarms]

        play(arena, listen)
    run, store = open_run(tmp_path / "alarmed"), Store(tmp_path / "alarmed" / "run.db")
    history = History(run)
    with read_only(run.database) as db:
        while history.step(db, 9.0):
            pass
        screens = {g: list(history.snapshot(db, g).alarms) for g in (1, 2, 3)}
    assert live == screens and any(live.values()), live
    config = load_config(tmp_path / "alarmed" / "config.yaml")
    analysis = analyze(store, config)
    told = {key for g in (1, 2, 3) for key in (a.key for a in alarms.at(alarms.figures(store)[:g]))}
    assert {a["key"] for a in analysis["alarms"]} == told
    assert analysis["warnings"] == screens[3]
    lines = alarm_lines(analysis)
    assert len(lines) == len(told)
    page = render("x", "x", lines, [], "x")
    console = Console(file=io.StringIO(), width=300)
    print_report(console, Source(tmp_path, store, config, analysis), [])
    for line in lines:
        assert line in page and f"! {line}" in console.file.getvalue()  # type: ignore[attr-defined]
    for text in live[1]:
        assert f"! {text}" in out.getvalue()
