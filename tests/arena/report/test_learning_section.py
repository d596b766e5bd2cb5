"""The report on learning: figures of the value function from known attempts, and a page of a run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arena.cli.app import app
from arena.loop import play
from arena.report.metrics.learning import (
    Judged,
    calibration,
    calibration_error,
    discrimination,
    forecast_rank,
    savings,
)
from tests.helpers.brief_runs import brief


def attempt(right: bool, *estimates: float, problem: str = "p", stopped: bool = False, tokens: int = 10) -> Judged:
    return Judged(1, problem, estimates, right, stopped, tokens)


def test_calibration_by_tenths() -> None:
    """Two bins, each off by a known distance; attempts that were ended do not count."""
    found = [attempt(i < 1, 0.15) for i in range(4)] + [attempt(i < 3, 0.95) for i in range(4)]
    found.append(attempt(False, 0.5, stopped=True))
    assert [(b.n, round(b.mean, 2), b.right) for b in calibration(found, 0)] == [(4, 0.15, 1), (4, 0.95, 3)]
    assert calibration_error(found, 0) == pytest.approx((0.10 + 0.20) / 2)
    assert calibration_error([], 0) is None


def test_calibration_of_a_perfect_forecaster() -> None:
    rng = random.Random(0)
    found = [attempt(rng.random() < p, p) for p in (rng.random() for _ in range(20_000))]
    error = calibration_error(found, 0)
    assert error is not None and error < 0.02


def test_discrimination_is_the_share_of_ordered_pairs() -> None:
    found = [attempt(True, 0.9), attempt(True, 0.4), attempt(False, 0.4), attempt(False, 0.1)]
    assert discrimination(found, 0) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert discrimination(found[:2], 0) is None


def test_forecast_of_problems() -> None:
    """Spearman: only the order counts, and equal rates share a rank."""
    rates = {"a": (0.8, [1, 1]), "b": (0.3, [1, 0]), "c": (0.2, [0, 0])}
    found = [attempt(bool(r), v, problem=p) for p, (v, results) in rates.items() for r in results]
    assert forecast_rank(found) == pytest.approx(1.0)
    assert forecast_rank([attempt(a.right, 1 - a.estimates[0], problem=a.problem) for a in found]) == pytest.approx(-1)
    assert forecast_rank(found[:4]) is None  # two problems


def test_savings_compare_ended_with_spared() -> None:
    ended = [attempt(False, 0.5, 0.05, stopped=True, tokens=6)] * 9
    spared = [attempt(i == 0, 0.5, 0.05, 0.2, tokens=16) for i in range(4)]
    others = [attempt(True, 0.5, 0.9, tokens=16)] * 7
    found = savings([*ended, *spared, *others], 0.1)
    assert found is not None and (found.ended, found.spared, found.spared_right) == (9, 4, 1)
    assert found.saved == pytest.approx(90) and found.share == pytest.approx(90 / (54 + 64 + 112 + 90))
    assert savings([*ended, *others], 0.1) is None


def test_page_of_a_run(tmp_path: Path) -> None:
    given = "sleep.value.examples=12", "sleep.value.stop_below=0.6", "sleep.value.spared=0.3", "sleep.review=4"
    with brief(tmp_path, "valued", *given, "rounds.per_agent=8", "generations=3") as arena:
        play(arena)
    result = CliRunner().invoke(app, ["analyze", str(tmp_path / "valued"), "--no-plots"])
    said = " ".join(result.output.split())
    assert result.exit_code == 0, result.output
    assert "expected calibration error" in said and "were ended because their estimate fell below 0.6" in said
    assert "failed attempts from the step that was called wrong" in said


def test_runs_without_estimates_say_so(undisturbed: Path) -> None:
    result = CliRunner().invoke(app, ["analyze", str(undisturbed), "--no-plots"])
    assert "There are no estimates of attempts: sleep.value.examples is 0" in " ".join(result.output.split())
