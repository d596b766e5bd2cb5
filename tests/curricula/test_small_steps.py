"""Arithmetic in small steps: every step is equal to the next, and small enough."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula.small_steps import added_product, places, small_steps

SIGNS: dict[str, ast.operator] = {
    "+": ast.Add(), "-": ast.Sub(), "*": ast.Mult(), "//": ast.FloorDiv(), "%": ast.Mod(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "steps"),
    [
        ("24 * 14", "20 * 10 + 20 * 4 + 4 * 10 + 4 * 4 = 200 + 80 + 40 + 16 = 280 + 56"),
        ("305 * 3", "300 * 3 + 5 * 3 = 900 + 15"),
        ("123 * 45", "123 * 40 + 123 * 5 = 4920 + 615"),
        ("30 * 7", ""),
        ("8 * 9", ""),
        ("0 * 12", ""),
        ("277 + 56", "277 + 50 + 6 = 327 + 6"),
        ("277 + 50", ""),
        ("120 + 34", ""),
        ("58 + 7", ""),
        ("277 - 98", "277 - 90 - 8 = 187 - 8"),
        ("277 - 56", ""),
        ("190 - 193", ""),
        ("465 // 3", "300 // 3 + 150 // 3 + 15 // 3 = 100 + 50 + 5 = 150 + 5"),
        ("91 // 2", "80 // 2 + 11 // 2 = 40 + 5"),
        ("28 // 3", ""),
        ("90 // 0", ""),
        ("53 % 12", "53 - 48"),
        ("5 % 12", ""),
        ("5 % 0", ""),
    ],
)
def test_steps(said: str, steps: str):
    a, sign, b = said.split()
    assert " = ".join(small_steps(SIGNS[sign], int(a), int(b))) == steps


@given(st.sampled_from(sorted(SIGNS)), st.integers(-50, 2000), st.integers(-50, 400))
def test_steps_are_equal(sign: str, a: int, b: int):
    steps = small_steps(SIGNS[sign], a, b)
    assert len({eval(step) for step in [f"{a} {sign} {b}", *steps]} if steps else {0}) == 1
    assert not steps or len(steps[-1].split()) == 3, "the last step is one operation"


@given(st.sampled_from("+-"), st.integers(-5, 900), st.integers(-5, 99), st.integers(-5, 99))
def test_steps_of_a_product_are_equal(sign: str, a: int, b: int, c: int):
    steps = added_product(a, sign, b, c)
    assert len({eval(step) for step in [f"{a} {sign} {b} * {c}", *steps]} if steps else {0}) == 1


@given(st.integers(0, 10**6))
def test_places(n: int):
    assert sum(places(n)) == n and all(str(part).strip("0") in "123456789" for part in places(n))
