"""Ratings: who wins races rises, uncertainty falls, and order of names or pieces does not matter."""

from __future__ import annotations

import pytest

from arena.report.stats.ratings import Ratings


def test_the_better_agent_rises_and_uncertainty_falls() -> None:
    r = Ratings()
    for g in range(1, 11):
        r.race(g, "solver", {"ada": 0.9, "bob": 0.5, "eve": 0.1})
    a, b, e = (r.at("solver", n) for n in ("ada", "bob", "eve"))
    assert a and b and e and a.mu > b.mu > e.mu and a.low > e.high
    first = r.at("solver", "ada", 1)
    assert first and first.sigma > a.sigma and first.mu < a.mu
    assert r.at("setter", "ada") is None and r.at("solver", "ada", 0) is None


def test_ties_and_the_order_of_names_change_nothing() -> None:
    one, two = Ratings(), Ratings()
    one.race(1, "setter", {"ada": 0.5, "bob": 0.5})
    two.race(1, "setter", {"bob": 0.5, "ada": 0.5})
    assert one.history == two.history
    assert one.at("setter", "ada").mu == pytest.approx(one.at("setter", "bob").mu)  # type: ignore[union-attr]


def test_a_race_of_one_tells_nothing() -> None:
    r = Ratings()
    r.race(1, "grader", {"ada": 1.0})
    r.race(2, "grader", {})
    assert not r.history
