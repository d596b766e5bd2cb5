"""Comparison of answers as values; texts without exactly one value are never correct."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula.answers import same_answer, same_value
from curricula.final_answer import final_answers
from curricula.plain_numbers import numbers_in, read_number

SAME = [
    ("5", "5"), ("answer: 5 apples", "5"), ("$5.00", "5"), ("12%", "12"), ("12%", "0.12"), ("3/4", "0.75"),
    (r"So it is \boxed{\frac{3}{4}}.", "0.75"), ("1 1/2", "1.5"), ("3,000", "3000"), ("x = 5", "5"), ("−5", "-5"),
    ("five", "5"), ("three dozen", "36"), ("2 million", "2000000"), ("5 km/h", "5"), ("1e3", "1000"),
    ("3.2 × 10^4", "32000"), ("0.333333", "1/3"), ("The answer is 5.", "5"), ("**Answer:** 5", "5"), ("#### 72", "72"),
    ("1, 2 and 3", "[1, 2, 3]"), ("2,1", "{1, 2}"), ("on Tuesday.", "Tuesday"), ("12:30", "12:30"), ("(b)", "B"),
    (r"$\sqrt{12}$", r"2\sqrt{3}"), ("3.464102", r"2\sqrt{3}"), ("(x-1)(x+1)", "x^2-1"),
    (r"[0,\infty)", r"[0, \infty)"),
    (r"\boxed{1/2} ... \boxed{0.5}", "0.5"),
]  # fmt: skip
OTHER = [
    ("-5", "5"), ("0.33", "1/3"), ("0.0000001", "0"), ("0", "0.0000001"), ("100000.4", "100000"), ("1e99", "1"),
    ("3,2,1", "[1, 2, 3]"), ("1, 2", "[1, 2, 3]"), ("Tuesday or Monday", "Tuesday"), ("B", "C"),
    (r"(0,\infty)", r"[0, \infty)"), ("5", "x+1"), ("500 cents", "5"),
    ("answer: 1/2\nanswer: 0.5", "3/4"),
]  # fmt: skip
NOT_A_VALUE = [
    "", " ", "5 or 6", "x=x", "5=5", "x<6", "x", "all numbers", "1) or (True", "5) or (True", r"\boxed{5}\boxed{6}",
    "answer: 5\nanswer: 6", "٥", "５", "nan", "inf", "-inf", "(-oo,oo)", r"(-\infty, \infty)", "{5}", "[5]", "(5)",
    r"\{5, 6\}", r"\mathbb{R}", "2+3", "5-", "--5", "5%%", "5/0", r"\frac{5}{0}", "5 x", "5,0", "5_0", "0x5", "5!",
    "not 5", "5 or more", "about 5", "She has 5 apples and 6 pears", "5 hours 30 minutes", "5 6", "True", "None",
]  # fmt: skip
HOSTILE = [
    "9^{9^{9^9}}", "9**9**9**9", "1e99999999999",
    "$9^{9^{9^{9}}}$", "((((9^99)^99)^99)^99)", "(9!)!", "9!!!!", "9" * 100_000,
    "x" * 100_000,    "(" * 90, "(" * 100_000, r"\sqrt{" * 30, r"\boxed{" * 20_000, r"\frac{1}{" * 12 + "1" + "}" * 12,
    "10^{999999999}", r"\sum_{n=1}^{10^{10}} n", r"\int_0^1 x^x dx", "(x+y+z)^{99}", "(" + "x+" * 20 + "1)^9",
    "answer: " * 10_000, "answer:\n" * 2_000, "1," * 5_000, "one " * 5_000, "million " * 2_000, "\x00", "\ud800",
    "- " * 5_000,
]  # fmt: skip


@pytest.mark.parametrize(("said", "reference"), SAME)
def test_same_value_in_other_notation(said: str, reference: str):
    assert same_answer(said, reference) is True


@pytest.mark.parametrize(("said", "reference"), OTHER)
def test_different_values(said: str, reference: str):
    assert same_answer(said, reference) is False


@pytest.mark.parametrize("said", NOT_A_VALUE)
def test_not_a_number_gives_none(said: str):
    """A text that is not exactly one number has no value, if the reference is a number."""
    assert same_answer(said, "5") is None


@pytest.mark.parametrize("reference", ["5", "[1, 2]", "x^2+1", r"2\sqrt{3}", "Tuesday"])
def test_hostile_answers(reference: str):
    """Hostile answers neither hang nor raise nor count as correct."""
    for said in HOSTILE:
        assert same_answer(said, reference) is not True


def test_comparison_in_other_threads():
    found = list[bool | None]()
    threads = [threading.Thread(target=lambda: found.append(same_answer(r"\sqrt{12}", r"2\sqrt{3}"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


def test_empty_reference_raises():
    with pytest.raises(ValueError, match="empty"):
        same_answer("5", " ")


@given(st.text(max_size=60) | st.text("0123456789+-*/^(){}[]\\frac sqrt,.%x=<>$", max_size=40))
@settings(max_examples=150, deadline=None)
def test_comparison_is_total(said: str):
    for reference in ("5", "[1, 2]", "x+1", "Tuesday"):
        assert same_answer(said, reference) in (True, False, None)


@given(st.fractions(-(10**9), 10**9, max_denominator=1000))
@settings(max_examples=50, deadline=None)
def test_fraction_notations_are_equal(value):
    assert same_value(str(value), str(value)) is True
    assert same_value(rf"\frac{{{value.numerator}}}{{{value.denominator}}}", str(value)) in (True, None)


def test_final_answer_precedence():
    """Boxes take precedence over marked lines, and these over a short whole text."""
    assert final_answers(r"answer: 3 but \boxed{\frac{1}{2}} and \boxed{7") == [r"\frac{1}{2}"]
    assert final_answers("We get 4.\nSo the final answer is: **4**.") == ["4"]
    assert final_answers("4 " * 200) == []


def test_numbers_in_prose():
    found = {
        int(n) if n.denominator == 1 else float(n)
        for n in numbers_in("Twenty-five men, 3,000 cows, 2.5 kg; two dozen.")
    }
    assert found == {20, 5, 25, 3000, 2.5, 2, 12, 24}
    assert read_number("two hundred and five") is not None
