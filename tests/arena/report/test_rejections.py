"""Reasons of rejection: in the lines of a run, in the report, and as a reason to stop."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from arena.loop import play
from arena.report.metrics.rejections import example, examples, reasons, rejections
from arena.report.metrics.run_summary import analyze
from arena.report.sections.curriculum import section
from arena.report.source import Source
from arena.rounds.round import Round
from arena.run.budget import invalid_generations
from arena.run.state import Arena
from arena.watch.live import Progress
from curricula.domain import Rejection
from tests.helpers.brief_runs import brief, digest

REASONS = (("malformed", "expected a program"), ("malformed", "expected a program"), ("syntax", "line 1"))


def spoil(monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    """No proposal up to generation `last` is valid."""
    judge = Round.judge

    def stricter(self: Round, text: str, seen: Any) -> Any:
        if int(self.id[1:5]) > last:
            return judge(self, text, seen)
        return Rejection(*REASONS[int(self.id[-1]) % len(REASONS)])

    monkeypatch.setattr(Round, "judge", stricter)


def watched(arena: Arena) -> tuple[str, str, bool]:
    """What plain lines and the live screen of this run show, and whether it ended."""
    out, screen = io.StringIO(), io.StringIO()
    progress = Progress(arena.config, Console(file=out, width=200), arena.store, plain=True)
    ended = play(arena, progress)
    Console(file=screen, width=200).print(progress)
    return out.getvalue(), screen.getvalue(), ended


def test_invalid_generations_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two generations without a valid proposal stop the run under that limit; the reasons and three examples are shown.
    Under a higher limit it continues, to the same records as a run that never stopped."""
    spoil(monkeypatch, 2)
    with brief(tmp_path, "whole", "generations=3", "rounds.guesses=0", "limits.invalid_generations=null") as arena:
        assert watched(arena)[2]
    with brief(tmp_path, "barren", "generations=3", "rounds.guesses=0", "limits.invalid_generations=2") as arena:
        plain, screen, ended = watched(arena)
        assert not ended and max(g for g, _ in arena.store.finished()) == 2
        assert "no proposal of the last 2 generations was valid" in arena.budget.stopped
        assert arena.budget.raised_limits() == "limits.invalid_generations=4"
        told = reasons(rejections(arena.store)[2])
        shown = examples(arena.store, 2)
        refused = sum(rejections(arena.store)[2].values())
    assert len(shown) == 3 and all("\n" not in line and len(line) < 200 for line in shown)
    assert f"generation 2: none of {refused} proposals is valid, rejected: {told}; examples:" in plain
    for line in shown:
        assert f"  {line}\n" in plain and line[:60] in screen
    assert f"rejected: {told}" in screen
    with Arena.open(tmp_path / "barren", ["limits.invalid_generations=4"]) as arena:
        assert play(arena)
    assert digest(tmp_path / "barren") == digest(tmp_path / "whole")


def test_a_valid_proposal_resets_the_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, 1)
    with brief(tmp_path, "begins", "generations=2", "rounds.guesses=0", "limits.invalid_generations=2") as arena:
        assert watched(arena)[2] and invalid_generations(arena.store) == 0


def test_report_has_reasons_by_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, 1)
    with brief(tmp_path, "told", "generations=2", "rounds.guesses=0") as arena:
        assert play(arena)
        found = rejections(arena.store)
        tables = section(Source(tmp_path, arena.store, arena.config, analyze(arena.store, arena.config))).tables
    by_generation, whole = tables[-1], tables[-2]
    assert by_generation.rows[0][0] == "1" and by_generation.rows[0][1] == by_generation.rows[0][2]
    assert by_generation.rows[0][3] == reasons(found[1], 3)
    assert {row[0] for row in whole.rows} == {reason for by in found.values() for reason in by}
    assert all("\n" not in cell for row in whole.rows for cell in row)


def test_example_is_one_short_line() -> None:
    shown = example("no such program,\n  and   more of it " + "word " * 40, "syntax", "line 1:\nno")
    assert shown.startswith("no such program, and more of it word") and shown.endswith("… <- syntax: line 1: no")
    assert len(shown) < 100
    assert example("rev | 1", "duplicate", "rev | 1") == "rev | 1 <- duplicate"
    assert example(None, "syntax", None) == "(not kept) <- syntax" and example(" ", "x", "") == "(empty) <- x"


def test_reasons_are_ranked_and_shortened() -> None:
    assert reasons({"a": 1, "b": 3, "c": 2, "d": 1}) == "b 3, c 2 and 2 for other reasons"
    assert reasons({"a": 1}) == "a 1" and reasons({}) == ""
