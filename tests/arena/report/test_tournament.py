"""The tournament: a whole matrix, the same every time, kept and used again, and a sentence where there can be none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import arena.report.metrics.tournament as tournament_module
from arena.config.schema import Config, load_config
from arena.report.metrics.run_summary import analyze
from arena.report.metrics.tournament import CACHE, NotPlayed, Plan, Question, TournamentResult, slept_on, tournament
from arena.report.sections.tournament import change, cycles, losses, section
from arena.report.source import Source
from arena.run.agents import Player, spread
from arena.run.store import Store

FEW = 6


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, in another place."""
    shutil.copytree(undisturbed, tmp_path / "moved")
    return tmp_path / "moved"


def opened(folder: Path) -> tuple[Store, Config]:
    return Store(folder / "run.db"), load_config(folder / "config.yaml")


def played(folder: Path) -> TournamentResult:
    store, config = opened(folder)
    try:
        return tournament(folder, store, config, FEW)
    finally:
        store.close()


def told(folder: Path) -> Any:
    store, config = opened(folder)
    try:
        return section(Source(folder, store, config, analyze(store, config)))
    finally:
        store.close()


def no_engine(*_: object) -> None:
    raise AssertionError("an engine was asked")


def test_every_generation_tries_every_problem(run: Path) -> None:
    result = played(run)
    assert list(result.correct) == [0, 2, 3]  # the base model, and the last two, whose adapters are kept
    assert result.plan.columns == (0, 2)  # what they set, which is a generation later; the last set nothing any more
    assert {len(row) for row in result.correct.values()} == {len(result.plan.questions)}
    assert {c for row in result.correct.values() for c in row} <= {0, 1}
    assert all(0 < len(result.cell(g, c)) <= FEW for g in result.correct for c in result.plan.columns)
    assert result.prompt_tokens > 0 and result.generated_tokens > 0
    rounds = {q.round[:5]: q.generation for q in result.plan.questions}
    assert rounds == {"g0001": 0, "g0003": 2}


def test_agents_take_turns_base_plays_alone(run: Path) -> None:
    """All agents of a generation take turns; the base model plays alone."""
    plan = played(run).plan
    assert set(plan.turn(0)) == {None}
    for g in (2, 3):
        turns = [p.agent for p in plan.turn(g) if p]
        assert set(turns) == {p.agent for p in plan.teams[g]} and len(turns) == len(plan.questions)


def test_it_is_the_same_when_played_again(run: Path) -> None:
    first = played(run)
    kept = (run / CACHE).read_text()
    (run / CACHE).unlink()
    assert played(run) == first and (run / CACHE).read_text() == kept


def test_tournament_results_are_cached(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that was played is read again without an engine."""
    first = played(run)
    monkeypatch.setattr(tournament_module, "play", no_engine)
    assert played(run) == first
    with pytest.raises(AssertionError):  # another sample is another tournament
        store, config = opened(run)
        tournament(run, store, config, FEW - 1)


@pytest.mark.parametrize("damage", ["", "{}", '{"key": 1}', "[1]", "\x00"])
def test_a_damaged_result_is_played_again(run: Path, damage: str) -> None:
    first = played(run)
    whole = (run / CACHE).read_text()
    (run / CACHE).write_text(damage)
    assert played(run) == first and (run / CACHE).read_text() == whole


def test_malformed_cached_result_is_replayed(run: Path) -> None:
    """A cached result of the wrong form is played again."""
    first = played(run)
    whole = (run / CACHE).read_text()
    (run / CACHE).write_text(whole.replace('"0": "', '"0": "7'))
    assert played(run) == first


def test_a_damaged_adapter_is_left_out_and_said(run: Path) -> None:
    path = next((run / "adapters" / "g0002").glob("*/adapter_model.safetensors"))
    path.write_bytes(path.read_bytes()[:-9])
    found = told(run)
    assert found.figures and f"g0002/{path.parent.name}" in found.missing[0]


def test_a_damaged_adapter_config_is_a_sentence(run: Path) -> None:
    path = next((run / "adapters" / "g0003").glob("*/adapter_config.json"))
    path.write_text("{")
    found = told(run)
    assert not found.figures and "cannot be played here" in found.missing[0] and str(path.parent) in found.missing[0]


def test_without_adapters_there_is_a_sentence(run: Path) -> None:
    shutil.rmtree(run / "adapters")
    found = told(run)
    assert not found.figures and "No adapters" in found.missing[0]


@pytest.mark.parametrize(
    "override, words", [("sleep.enabled=false", "Nothing was trained"), ("engine.kind=vllm", "this run used vllm")]
)
def test_where_there_can_be_none_there_is_a_sentence(run: Path, override: str, words: str) -> None:
    store, _ = opened(run)
    config = load_config(run / "config.yaml", [override])
    with pytest.raises(NotPlayed, match=words):
        tournament(run, store, config)
    store.close()


def test_another_base_model_is_not_played_with(run: Path) -> None:
    store, config = opened(run)
    with store.transaction():
        store.set_meta({"base model": "another"})
    with pytest.raises(NotPlayed, match="another"):
        tournament(run, store, config)
    store.close()


def test_the_database_is_left_as_it_was(run: Path) -> None:
    store, _ = opened(run)
    before = store.digest()
    store.close()
    played(run)
    store, _ = opened(run)
    assert store.digest() == before
    store.close()


def test_the_section_shows_a_matrix_with_intervals(run: Path) -> None:
    found = told(run)
    assert not found.missing and len(found.findings) >= 3
    matrix, lines = found.figures
    assert matrix.rows and lines.rows
    for row in matrix.rows:
        assert row["n"] > 0 and row["low"] <= row["solve_rate"] <= row["high"]
    heat = matrix.panels[0].content
    assert len(heat.values) == len(heat.y) == 3 and len(heat.x) == 2
    (run / CACHE).unlink()
    assert told(run) == found


def made(table: dict[int, str], columns: str) -> TournamentResult:
    """A result by hand: `columns` names the generation of each question by a digit."""
    questions = tuple(Question(int(c), f"r{i}", "inc | 1", ()) for i, c in enumerate(columns))
    teams = {g: (Player(g, "ada", "", ""),) if g else () for g in table}
    return TournamentResult(Plan(teams, questions, ()), {g: tuple(map(int, row)) for g, row in table.items()}, 1, 1)


def test_what_is_lost_again_is_called_so() -> None:
    n = 40
    columns = "1" * n + "2" * n
    grown = made({0: "0" * n + "0" * n, 1: "1" * n + "0" * n, 2: "1" * n + "1" * n}, columns)
    assert "No later generation solves fewer" in losses(grown)
    lost = made({0: "0" * n + "0" * n, 1: "1" * n + "0" * n, 2: "0" * n + "1" * n}, columns)
    assert "clearly less in 1 " in losses(lost) and "That is forgetting or cycling" in losses(lost)
    noisy = made({0: "0" * n + "0" * n, 1: "1" * n + "0" * n, 2: "0" + "1" * (n - 1) + "1" * n}, columns)
    assert "no sign of forgetting" in losses(noisy)
    assert change(lost, 1, 2, range(n)).difference == -1.0
    assert not cycles(grown)  # two generations cannot form a circle


def test_cycles_are_found() -> None:
    """A cycle in which each team beats the next is found."""
    n = 30
    # each solves the problems of the one it beats, and not those of the one that beats it
    beats = {1: 2, 2: 3, 3: 1}
    table = {g: "".join(str(int(beats[g] == c or g == c)) * n for c in (1, 2, 3)) for g in (1, 2, 3)}
    assert "1 of 1 triple form a circle" in cycles(made(table, "1" * n + "2" * n + "3" * n))[0]
    rising = {g: "".join(str(int(g >= c)) * n for c in (1, 2, 3)) for g in (1, 2, 3)}
    text = cycles(made(rising, "1" * n + "2" * n + "3" * n))[0]
    assert "3 of 3 pairs are decided, 3 of them for the later" in text and "none of 1 triple" in text


def test_training_data_is_inherited_with_weights(run: Path) -> None:
    """Problems that a parent trained on count for a child that inherits its weights."""
    store, config = opened(run)
    result = tournament(run, store, config, 100)
    slept = slept_on(store, result.plan)
    assert not any(slept[0])
    agents = {r["name"]: r for r in store.query("SELECT * FROM agents")}
    born = [p for p in result.plan.teams[3] if agents[p.agent]["born"] == 2]
    assert born and agents[born[0].agent]["inherited"] == "weights"
    own = store.query("SELECT DISTINCT p.about FROM reads r JOIN posts p ON p.id = r.post WHERE r.phase = 'sleep'")
    about = {r["about"].partition("/")[2] for r in own}
    for g, row in slept.items():
        assert all(q.round in about for q, had in zip(result.plan.questions, row, strict=True) if had), g
    assert any(slept[3])
    store.close()


def test_spread_keeps_the_ends() -> None:
    assert spread([0, 10, 20], 12) == [0, 10, 20]
    assert spread(list(range(100)), 4) == [0, 33, 66, 99]
