"""Measures of transmission on data whose truth is known."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.report.metrics import paired_uplift
from culture.transmission import (
    channels,
    paired_interval,
    price,
    ratchet,
    slope,
)

traits = st.floats(-1e6, 1e6)


@st.composite
def genealogies(draw: Any) -> tuple[dict[int, float], list[tuple[list[int], float]]]:
    parents = dict(enumerate(draw(st.lists(traits, min_size=1, max_size=12))))
    whose = st.lists(st.sampled_from(sorted(parents)), min_size=1, max_size=3)  # the same one twice is a parent twice
    return parents, draw(st.lists(st.tuples(whose, traits), min_size=1, max_size=20))


@given(genealogies())
def test_price_parts_sum_to_the_change(
    family: tuple[dict[int, float], list[tuple[list[int], float]]],
) -> None:
    """The two parts of the Price equation sum to the change."""
    parents, offspring = family
    found = price(parents, offspring)
    before = math.fsum(parents.values()) / len(parents)
    after = math.fsum(z for _, z in offspring) / len(offspring)
    scale = 1 + max(abs(z) for z in [*parents.values(), *(z for _, z in offspring)])
    assert found.change == pytest.approx(after - before, abs=1e-9 * scale)
    assert found.selection + found.transmission == pytest.approx(found.change, abs=1e-9 * scale)


@given(genealogies())
def test_selection_is_the_covariance(
    family: tuple[dict[int, float], list[tuple[list[int], float]]],
) -> None:
    """Selection is the covariance of trait and number of offspring."""
    parents, offspring = family
    n = len(parents)
    w = {k: sum(whose.count(k) / len(whose) for whose, _ in offspring) for k in parents}
    mw, mz = sum(w.values()) / n, sum(parents.values()) / n
    covariance = sum((w[k] - mw) * (parents[k] - mz) for k in parents) / n
    assert price(parents, offspring).selection == pytest.approx(covariance / mw, abs=1e-6)


def test_selection_and_transmission_differ() -> None:
    """Pure selection and pure transmission are distinguished."""
    parents = {"low": 1.0, "high": 3.0}
    selected = price(parents, [(["high"], 3.0), (["high"], 3.0)])
    assert (selected.selection, selected.transmission, selected.change) == (1.0, 0.0, 1.0)
    changed = price(parents, [(["low"], 2.0), (["high"], 4.0)])
    assert (changed.selection, changed.transmission, changed.change) == (0.0, 1.0, 1.0)
    assert price(parents, [(["low", "high"], 2.0)]).change == 0.0


def test_a_genealogy_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'bob' has offspring but is not among the parents"):
        price({"ada": 1.0}, [(["bob"], 1.0)])
    with pytest.raises(ValueError, match="has no parent"):
        price({"ada": 1.0}, [([], 1.0)])
    with pytest.raises(ValueError, match="must be finite"):
        price({"ada": math.nan}, [(["ada"], 1.0)])
    assert math.isnan(price({"ada": 1.0}, []).change) and math.isnan(price({}, []).selection)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_ratchet_is_a_difference_of_means(pairs: list[tuple[int, int]]) -> None:
    """The ratchet is a difference of means and lies in its interval."""
    later, first = [a for a, _ in pairs], [b for _, b in pairs]
    found = ratchet(later, first)
    assert found.value == pytest.approx((sum(later) - sum(first)) / len(pairs)) and found.n == len(pairs)
    assert -1 <= found.low < found.high <= 1
    back = ratchet(first, later)
    assert [back.low, back.high] == pytest.approx([-found.high, -found.low])


def test_ratchet_refuses_bad_input() -> None:
    """A ratchet without problems is undefined; values other than 0 and 1 are refused."""
    assert math.isnan(ratchet([], []).value)
    with pytest.raises(ValueError, match=r"0\.5"):
        ratchet([0.5], [0])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="one length: 1 and 0"):
        ratchet([1], [])


def test_paired_interval_covers() -> None:
    """The paired interval is the one that uplifts use, and it covers."""
    assert paired_uplift.paired_interval is paired_interval
    rng, covered = random.Random(1), 0
    for _ in range(400):
        pairs = [(rng.random() < 0.7, rng.random() < 0.4) for _ in range(40)]
        low, high = paired_interval(sum(a > b for a, b in pairs), sum(a < b for a, b in pairs), 40)
        covered += low <= 0.3 <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_channels_are_the_contrasts_of_the_four_cells() -> None:
    a, b, c, d = [0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 1]
    found = channels(a, b, c, d)
    assert (found.text.value, found.weights.value, found.synergy.value) == (0.5, 0.25, 0.25)
    assert found.text.low < 0.5 < found.text.high and found.text.n == 4
    assert channels(a, b, c, d) == found


def test_channels_are_paired_by_problem() -> None:
    """Channels are paired by problem; equal values have no interval."""
    rng = random.Random(2)
    a = [rng.random() for _ in range(200)]
    b = [x + 0.5 + rng.gauss(0, 0.01) for x in a]
    c, d = [x + 0.25 for x in a], [x + 0.25 for x in b]
    found = channels(a, b, c, d)
    assert found.text.high - found.text.low < 0.01  # the spread of a takes no part
    assert found.text.low < 0.5 < found.text.high
    assert found.weights.value == pytest.approx(0.25) and math.isnan(found.weights.low)
    assert abs(found.synergy.value) < 1e-12 and math.isnan(found.synergy.high)
    assert math.isnan(channels([], [], [], []).text.value)
    one = channels([0], [1], [0], [1])
    assert one.text.value == 1 and math.isnan(one.text.low)


def test_a_slope_over_problems_is_that_of_their_mean() -> None:
    generations = [2.0, 4.0, 6.0, 8.0]
    values = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    found = slope(generations, values)
    assert found.value == pytest.approx(1 / 6) and found.n == 3 and found.low <= found.value <= found.high
    flat = slope(generations, [[0.0, 1.0, 0.0]] * 4)
    assert abs(flat.value) < 1e-12
    assert math.isnan(slope([1.0], [[1.0, 0.0]]).value) and math.isnan(slope([], []).value)
    with pytest.raises(ValueError, match="as many lists of one length"):
        slope([1.0, 2.0], [[1.0], [1.0, 2.0]])
