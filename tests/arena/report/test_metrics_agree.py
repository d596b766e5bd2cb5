"""The live view, sinks, screens, the report and experiments give the same figures of a run."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from arena.config.schema import make_config, read_yaml
from arena.experiments.cell import cell_record
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.run.state import Arena
from arena.watch import queries, render
from arena.watch.live import Line, Progress
from arena.watch.queries.base import open_run, read_only
from arena.watch.sinks.listener import both
from arena.watch.sinks.scalars import scalars

DOMAINS = {
    "names first": {"hidden_words": {"share": 0.5, "levels": 6}, "list_programs": {"share": 0.5}},
    "lists first": {"list_programs": {"share": 0.5}, "hidden_words": {"share": 0.5, "levels": 6}},
}
GENERATIONS = 2


@dataclass(frozen=True)
class Shown:
    """What each reader of a finished run shows. Lines of the live view and scalars are by generation, "0" and "end"."""

    main: str
    live: dict[str, Line]
    sinks: dict[tuple[str, int], float]
    screens: dict[int, Any]
    report: dict[str, Any]
    experiment: dict[str, Any]

    def generations(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.report["generations"]
        return found

    def heldout(self, generation: int, mode: str) -> dict[int, dict[str, Any]]:
        """The report's rows by depth."""
        rows = self.report["heldout"]
        return {r["depth"]: r for r in rows if (r["generation"], r["mode"]) == (generation, mode)}


@pytest.fixture(scope="module", params=DOMAINS)
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder: Path = tmp_path_factory.mktemp("agree")
    data = read_yaml("configs/tiny.yaml", "config") | {"domains": DOMAINS[request.param]}
    overrides = ["measure.per_depth=2", "rounds.guesser=search", f"generations={GENERATIONS}"]
    config = make_config(data, [f"run.folder={folder}", *overrides])
    told: dict[tuple[str, int], float] = {}
    lines = Console(file=io.StringIO(), width=200)
    with Arena.create(config) as arena, Progress(config, lines, arena.store, quiet=True) as progress:

        def sink(event: str, done: dict[str, Any]) -> None:
            if event == "done":
                told.update({(name, done["generation"]): v for name, v in scalars(arena.store, done).items()})

        play(arena, both(progress, sink))
        report = analyze(arena.store, config)
        experiment = cell_record(arena.store, config, config.main_domain)
    run = open_run(folder / "tiny")
    with read_only(run.database) as db:
        phases = frozenset(render.LOOP)
        screens = {g: queries.summary(db, g, phases, run.main) for g in range(GENERATIONS + 1)}
    return Shown(next(iter(data["domains"])), {x.label: x for x in progress.played}, told, screens, report, experiment)


def test_the_first_domain_is_the_main_one(shown: Shown) -> None:
    assert shown.report["domain"] == shown.main


def test_generations_agree(shown: Shown) -> None:
    for g in shown.generations():
        live, screen, i = shown.live[str(g["index"])], shown.screens[g["index"]], g["index"]
        assert g["proposed"] == live.proposed == screen.proposed == shown.sinks["setting/proposed", i]
        assert g["valid"] == live.valid == screen.valid == shown.sinks["setting/valid", i]
        assert g["learnable"] == live.learnable == screen.learnable == shown.sinks["setting/learnable", i]
        assert g["mean_difficulty"] == live.difficulty == screen.depth == shown.sinks["setting/depth", i]
        assert g["solve_rate"] == live.solve_rate == screen.solve_rate == shown.sinks["solving/solve_rate", i]
        assert g["distinct_behaviours"] == screen.distinct
        assert g["posts"] == live.posts
        assert g["reads"] == live.reads == shown.sinks["reading/reads", i]
        assert g["guesses"] == live.guesses == shown.sinks.get(("guessing/made", i), 0)
        assert g["right_guesses"] == live.right_guesses == shown.sinks.get(("guessing/right", i), 0)
        assert g["grader_agreement"] == live.agreement == shown.sinks.get(("grading/agreement", i))
        assert g["seconds"] == pytest.approx(live.seconds) and g["seconds"] == shown.sinks["speed/seconds", i]
        assert live.tokens / live.seconds == pytest.approx(shown.sinks["speed/tokens_per_second", i])
    assert any(g["right_guesses"] for g in shown.generations())  # or the figures above would say nothing


def test_experiments_agree_on_generations(shown: Shown) -> None:
    metrics, series = shown.experiment["metrics"], shown.experiment["series"]
    found = shown.generations()
    assert metrics["learnable_per_generation"] == sum(g["learnable"] for g in found) / GENERATIONS
    assert metrics["valid_per_generation"] == sum(g["valid"] for g in found) / GENERATIONS
    assert series["depth"] == [(g["index"], g["mean_difficulty"]) for g in found]
    assert series["distinct_problems"] == [(g["index"], g["distinct_behaviours"] / g["valid"]) for g in found]
    assert metrics["guesses_per_discovery"] == sum(g["guesses"] for g in found) / metrics["discoveries"]
    assert metrics["compute"] == shown.report["compute"]["counted"] == shown.sinks["compute/units", GENERATIONS]


@pytest.mark.parametrize(
    ("line", "generation", "mode", "name"),
    [
        ("0", 0, "full", "heldout"),
        ("1", 1, "greedy", "heldout"),
        ("end", GENERATIONS, "full", "heldout_full"),
    ],
)
def test_heldout_rates_agree(shown: Shown, line: str, generation: int, mode: str, name: str) -> None:
    rows = shown.heldout(generation, mode)
    assert set(rows) >= {1, 2, 3, 4, 5, 6}
    live = shown.live[line].heldout
    for depth, row in rows.items():
        sink = shown.sinks[f"{name}/{shown.main}/depth_{depth}", generation]
        assert row["pass_at_1"] == live[depth] == sink == shown.screens[generation].heldout[depth]


def test_experiments_agree_on_heldout_rates(shown: Shown) -> None:
    metrics, means = shown.experiment["metrics"], shown.report["heldout_3_6"]
    assert metrics["before_3_6"] == pytest.approx(means["before"]["mean"])
    assert metrics["heldout_3_6"] == pytest.approx(means["after"]["mean"])
    assert metrics["gain_3_6"] == pytest.approx(means["gain"]["mean"])
    after = shown.heldout(GENERATIONS, "full")
    assert metrics["heldout_3_6"] == pytest.approx(sum(after[d]["pass_at_1"] for d in (3, 4, 5, 6)) / 4)
    assert metrics["heldout_3_6"] == pytest.approx(shown.sinks[f"heldout_full/{shown.main}/mean_3_6", GENERATIONS])
    for g, share in shown.experiment["series"]["heldout_3_6"]:
        assert share == pytest.approx(shown.sinks[f"heldout/{shown.main}/mean_3_6", g])
    if shown.main == "list_programs":  # problems with names are not sampled
        assert metrics["pass_at_k_3_6"] == pytest.approx(sum(after[d]["pass_at_k"] for d in (3, 4, 5, 6)) / 4)


def test_experiments_agree_on_names(shown: Shown) -> None:
    metrics, final = shown.experiment["metrics"], shown.report["names"]["final"]
    for part, prefix in (("all", "names"), ("known", "names_known")):
        assert metrics[f"{prefix}_with_reading"] == final[part]["with_reading"]
        assert metrics[f"{prefix}_without_reading"] == final[part]["without_reading"]
        assert metrics[f"{prefix}_difference"] == final[part]["difference"]
    assert final["known"]["n"]
