"""Numbers in sentences: one form, and nothing made up where nothing was measured."""

import math

from arena.report.stats.intervals import rate
from arena.text import between, clear, count, listed, number, one_line, span


def test_numbers_and_intervals():
    assert between(0.654, 0.5, 0.8) == "0.65 [0.50, 0.80]"
    assert between(0.1, -0.001, 0.2, sign=True) == "+0.10 [+0.00, +0.20]"
    assert between(0.5, math.nan, math.nan) == "0.50" and number(None) == number(math.nan) == "-"
    assert number(-1.5) == "-1.50" and between(-0.5, -0.6, -0.4) == "-0.50 [-0.60, -0.40]"
    assert rate(5, 10) == "0.50 [0.24, 0.76]" and rate(0, 0) == "-"


def test_counts_and_lists():
    assert (
        count(1, "post") == "1 post"
        and count(1234, "post") == "1,234 posts"
        and count(2, "body", "bodies")[2:] == "bodies"
    )
    assert listed([]) == "" and listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c"


def test_clear_intervals():
    assert [clear(0.1, 0.2), clear(-0.2, -0.1), clear(-0.1, 0.1), clear(0.0, 1.0), clear(math.nan, math.nan)] == [
        1,
        -1,
        0,
        0,
        0,
    ]


def test_span_names_gaps() -> None:
    assert [span(d) for d in ([3, 4, 5, 6], [3], [0, 1, 2, 5], [])] == ["3-6", "3", "0-2, 5", ""]


def test_long_texts_are_cut_to_a_line() -> None:
    assert one_line("A\nquestion?\n---\ndef answer():\n    return 3", 20) == "A question? --- def…"
    assert one_line("rev | 3 1\t4") == "rev | 3 1 4" and one_line("") == ""
