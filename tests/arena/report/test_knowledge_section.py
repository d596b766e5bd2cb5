"""What the report says agents know of names."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena.config.schema import Config
from arena.loop import play
from arena.report.metrics.run_summary import analyze
from arena.report.sections import culture
from arena.report.sections.culture import knowledge
from arena.report.source import Source
from arena.run.store import Store
from tests.helpers.culture_runs import begin


def source(store: Store, config: Config) -> Source:
    return Source(store.path.parent, store, config, analyze(store, config))


def row(g: int, agent: str, **values: int) -> dict[str, object]:
    known = {"read": 0, "recalled": 0, "known": 0, "wrong": 0, "level": 0} | values
    return {"generation": g, "agent": agent, **known, "memory": "{}"}


def guess(g: int, number: int, name: str, correct: int) -> dict[str, object]:
    where = {"id": f"g{g}q{number}", "generation": g, "agent": "ada", "name": name}
    return {**where, "prompt": "", "text": "", "correct": correct, "reason": "ok" if correct else "wrong"}


def test_knowledge_is_a_mean_discovery_counts_once(tmp_path: Path) -> None:
    """Knowledge is a mean over agents, and a name is discovered once."""
    store = Store(tmp_path / "run.db", create=True)
    assert knowledge.by_generation(store) == []
    store.insert(
        {
            "knowledge": [row(1, "ada"), row(1, "bob", known=1), row(2, "cy", read=3, recalled=1, known=3, wrong=1)],
            "guesses": [guess(1, 1, "w1", 1), guess(1, 2, "w2", 0), guess(2, 1, "w1", 1), guess(2, 2, "w2", 1)],
        }
    )
    first, second = knowledge.by_generation(store)
    assert (first["known"], first["discoveries"], first["guesses"]) == (0.5, 1, 2)
    assert (second["known"], second["wrong"], second["discoveries"], second["guesses"]) == (3.0, 1.0, 2, 4)
    said = knowledge.finding([first, second])
    assert "an agent knows 3.0 names (3.0 by reading, 1.0 more from memory) and is wrong about 1.0" in said
    assert "4 guesses have made 2 discoveries" in said and "In generation" not in said
    burned = knowledge.finding([second, {**first, "generation": 3}])
    assert burned.endswith("In generation 2 it knew 3.0.")


@pytest.mark.slow
def test_report_without_worked_examples(tmp_path: Path) -> None:
    """Nobody solves what nobody sets: what a culture of names alone leaves."""
    given = ["generations=3", "library.kinds=[definition]", "rounds.guesser=search", "library.burn=3"]
    with begin(tmp_path, "names", *given) as arena:
        play(arena)
        section = culture.section(source(arena.store, arena.config))
    figures = {f.key for f in section.figures}
    assert "knowledge" in figures and "lineages" not in figures
    assert any("more from memory" in f for f in section.findings)
