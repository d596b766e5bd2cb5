"""Alarms: one source for the report, the live display and the screens, with the generations they were on."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from arena.config.schema import load_config
from arena.loop import play
from arena.phases.order import LOOP
from arena.report.metrics import alarms
from arena.report.metrics.diversity import variety
from arena.report.metrics.run_summary import alarm_lines, analyze
from arena.report.page import render
from arena.report.source import Source
from arena.report.terminal import print_report
from arena.run.store import Store
from arena.watch.history import History
from arena.watch.live import Progress
from arena.watch.queries import open_run, read_only
from curricula.word_problems import WordProblems
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
    told = {key for g in (1, 2, 3) for key in (a.key for a in alarms.at(alarms.figures(store, config.main_domain)[:g]))}
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


# -- collapse of the wording ---------------------------------------------------------------------------------------

RISE = (0.0, 0.04, 0.1, 0.14, 0.18, 0.25, 0.37, 0.46, 0.6, 0.71)
"""Share of one template in ten generations of 24 problems, as measured in the self-play of a small language model."""


def word_problems(shares: Sequence[float], tmp_path: Path) -> Store:
    """A finished run whose problems are drawn by the school, but for a rising share of one template."""
    domain, rng, store = WordProblems(), random.Random(0), Store(tmp_path / "run.db", create=True)
    rows = []
    for g, share in enumerate(shares, 1):
        for i in range(24):
            text = domain.random_problem(rng, rng.choice((1, 2))).text
            if i < round(24 * share):
                n, m = rng.randrange(100, 999), rng.randrange(10, 99)
                text = f"A bakery has {n} dollars. A gift of {m} dollars is added. How many dollars are now?"
            row = {"round": f"g{g}/{i:02d}", "generation": g, "domain": "word_problems", "author": "ada", "text": text}
            rows.append(row | {"valid": 1, "reason": "ok", "depth": 1, "behaviour_key": f"{g}/{i}"})
    with store.transaction():
        phases = [{"generation": g, "phase": name} for g in range(1, len(shares) + 1) for name in LOOP]
        store.insert({"phases": phases, "problems": rows})
    return store


def test_collapse_of_wording_is_an_alarm(tmp_path: Path) -> None:
    """The alarm is on by generation 8, where 46 % of the problems are one template, and stays on."""
    played = alarms.figures(word_problems(RISE, tmp_path), "word_problems")
    (found,) = [s for s in alarms.spans(played) if s.key == "templates"]
    assert found.on and found.first <= 8 and found.generations == found.last - found.first + 1
    few = tmp_path / "few"
    few.mkdir()
    before = variety(word_problems((0.0, 0.7), few), "word_problems")
    assert before[2].share > before[1].share + 0.5
    assert before[2].first_words < before[1].first_words and before[2].trigrams < before[1].trigrams


def test_no_alarm_without_collapse(tmp_path: Path) -> None:
    """Problems as the school draws them, and a self-play run on list programs, are not reported."""
    played = alarms.figures(word_problems([0.0] * 10, tmp_path), "word_problems")
    assert not [s for s in alarms.spans(played) if s.key == "templates"]
    assert all(f.compared == 24 for f in played)
    with brief(tmp_path, "lists", "generations=4", "rounds.per_agent=8", "sleep.enabled=false") as arena:
        play(arena)
        lists = alarms.figures(arena.store, arena.config.main_domain)
    assert not [s for s in alarms.spans(lists) if s.key == "templates"] and lists[-1].compared >= 10
