"""Values: total parsing, round trips, and comparison that respects types."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula import values
from curricula.values import Failure, parse_value, same_value, shape, show_value, unfit

ATOMS = st.none() | st.booleans() | st.integers(-(2**199), 2**199) | st.floats() | st.text(max_size=8)
KEYS = st.booleans() | st.integers(-99, 99) | st.text(max_size=5)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.sets(KEYS, max_size=4)
    ),
    max_leaves=12,
)
PIECES = [
    "1",
    "-",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "'",
    '"',
    "\\",
    "True",
    "None",
    "set()",
    "float('nan')",
    "e9",
]


@given(VALUES)
@settings(max_examples=80, deadline=None)
def test_round_trip(value: object):
    if unfit(value) is None:
        again = parse_value(show_value(value))
        assert same_value(again, value)
        assert show_value(again) == show_value(value)


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@settings(max_examples=200, deadline=None)
def test_parse_value_is_total(text: str):
    found = parse_value(text)
    assert isinstance(found, Failure) or unfit(found) is None


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "x", "1) or (True", "1 if True else 2", "f()", "[].append", "().__class__", "1+2", "1+2j", "...",
        "b'a'", "f'a'", "lambda: 1", "__import__('os')", "set([1])", "float('1')", "float(x='nan')", "[*[1]]", "{**{}}",
        "-True", "--1", "{1, True}", "{1: 2, 1: 3}", "{[]: 1}", "３", "²", "Ｔrue", "١", "[" * 500, "-" * 900 + "1",
        "9" * 100, "9" * 5000, "1\n2", "1; 2", "a = 1", "'\ud800", "\x00", "'" + "a" * 2000 + "'",
        "[" + "1," * 400 + "]", "[[[[[[[[[[1]]]]]]]]]]", "10**10", "not 1", "1 2",
    ],
)  # fmt: skip
def test_refused_texts(text: str):
    assert isinstance(parse_value(text), Failure)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (True, 1), (False, 0), (1, 1.0), ([1], (1,)), ([], ()), ({}, set()), ({1: 2}, {1: 2.0}), ({1}, {True}),
        ("1", 1), (None, False), ([True], [1]), ({True: 1}, {1: 1}), ([1, 2], [1]), (math.inf, -math.inf), (0.1, 0.2),
        (math.nan, 0.0), (0.0, 1e-11), ({1.0}, {2.0}), ({1.0, 1.0 + 1e-12}, {1.0, 2.0}), ({0.3: 1}, {0.1 + 0.2: 2}),
        ({(0.3, 1)}, {(0.1 + 0.2, True)}), ({-0.0}, {0}), ({0.1}, set()), ({0.3: 1}, {0.3: 1, 0.1 + 0.2: 1}),
    ],
)  # fmt: skip
def test_different_values(left: object, right: object):
    assert not same_value(left, right)
    assert not same_value(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (0.1 + 0.2, 0.3), (math.nan, math.nan), ({1: 2, 3: 4}, {3: 4, 1: 2}), ({3, 1}, {1, 3}), (0.0, -0.0),
        ([{"a": (1, math.nan)}], [{"a": (1, math.nan)}]), (math.inf, math.inf),
        (0.0, 5.551115123125783e-17), ({0.1 + 0.2}, {0.3}), ({0.1 + 0.2: 1}, {0.3: 1}), ({-0.0}, {0.0}),
        ({-0.0: 1}, {0.0: 1}), ({(0.1 + 0.2, "a")}, {(0.3, "a")}), ([{0.1 + 0.2 - 0.3}], [{0.0}]),
        ({0.3: 1, 0.1 + 0.2: 2}, {0.3: 2, 0.1 + 0.2: 1}),
        ({1.0, 1.0 + 9e-10, 1.0 + 18e-10}, {1.0 + 9e-10, 1.0 + 18e-10, 1.0 + 27e-10}),
        ({math.nan, float("nan")}, {math.nan, float("nan")}),
    ],
)  # fmt: skip
def test_equal_values(left: object, right: object):
    """Values are equal if they differ only in the order of sets and dicts or in the last digits of floats."""
    assert same_value(left, right)
    assert same_value(right, left)


@given(VALUES, VALUES)
@settings(max_examples=80, deadline=None)
def test_comparison_is_symmetric(left: object, right: object):
    if unfit(left) is None and unfit(right) is None:
        assert same_value(left, right) == same_value(right, left)


@given(st.sets(st.floats(-2, 2).map(lambda x: round(x, 1) + 1e-13), max_size=8), st.randoms())
@settings(max_examples=80, deadline=None)
def test_rounding_errors_in_containers(found: set[float], rng):
    """A set, the keys of a dict and members in tuples differ from the original by rounding errors alone."""
    moved = [x + rng.choice((-1, 1)) * 1e-13 for x in found]
    if len(set(moved)) == len(found):
        assert same_value(set(moved), found)
        assert same_value(dict.fromkeys(moved, 1), dict.fromkeys(found, 1))
        assert same_value({(x,) for x in moved}, {(x,) for x in found})


def test_comparison_of_close_sets_is_fast():
    left = {1.0 + i * 1e-10 for i in range(290)}
    assert same_value(left, {x + 5e-11 for x in left})


class Agreeable:
    def __eq__(self, other: object) -> bool:
        raise AssertionError("comparing must not ask")

    def __hash__(self) -> int:
        return 0


class Pretender(int):
    def __eq__(self, other: object) -> bool:
        raise AssertionError("comparing must not ask")

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    "value", [Agreeable(), [Agreeable()], {"a": Agreeable()}, Pretender(1), [Pretender(1)], b"", 1j]
)
def test_foreign_objects_are_refused(value: object):
    """Objects of other types are refused by type, without calling their methods."""
    assert unfit(value) is not None
    assert not same_value(value, 1)


def test_huge_values_are_refused():
    endless: list[object] = []
    endless.append(endless)
    doubled: object = [1]
    for _ in range(60):
        doubled = [doubled, doubled]
    for value in (endless, doubled, 1 << 300, "a" * (values.MAX_TEXT + 1), list(range(10_000)), "\x00" * 900):
        assert unfit(value) is not None


def test_shapes():
    assert shape([(1, "a"), ()]) == "list[tuple[int, str]]"
    assert shape({"a": []}) == "dict[str, list[int]]"
    assert shape(True) == "bool" and shape(None) == "None" and shape(set()) == "set[int]"
