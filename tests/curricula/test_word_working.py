"""The arithmetic in worked answers: equations that hold, that do not, and text that is none."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula.word_problems import WordProblems
from curricula.word_working import equations, follows, with_true_results, wrong_step

TRUE = [
    "things = 53 % 12 = 5",
    "3 * 12 = 36, and 36 - 7 = 29.",
    "She has 3 × 12 = 36 pencils.",
    "10 / 3 = 3.33",
    "10 / 3 = 3",
    "119 // 3 = 39",
    "(2 + 3) * 4 = 20",
    "$1,200 + $300 = $1,500",
    "2 + 3 = 5 + 1 = 6",
    "5 - 8 = -3",
    "0.1 + 0.2 = 0.3",
    "12 x 4 = 48",
    "24 * 14 = 24 * 10 + 24 * 4 = 240 + 96 = 336",
    "7 + 8 = 10 + 5 = 15",
]
FALSE = [
    "things = 441 // 3 = 134",
    "32 * 8 = 248",
    "37 // 19 = 18",
    "3 * 12 = 35 pencils",
    "10 / 4 = 2.4",
    "2 + 2 = 5",
    "24 * 14 = 24 * 10 + 24 * 5 = 360",
]
NEITHER = [
    "days = days + 3",
    "answer: 17",
    "x = 5",
    "5% of 40 = 2",
    "20% = 0.2",
    "half of 12 eggs = 6",
    "12 eggs * 2 = 24",
    "a = b = c",
    "1 / 0 = 7",
    "= = =",
    "2024-05-03 = Friday",
    "",
]


@pytest.mark.parametrize("text", TRUE)
def test_true_equations_hold(text: str):
    assert equations(text) and wrong_step(text) is None


@pytest.mark.parametrize("text", FALSE)
def test_false_equations_do_not(text: str):
    assert wrong_step(f"first line\n{text}") == 2


@pytest.mark.parametrize("text", NEITHER)
def test_other_text_is_not_judged(text: str):
    assert wrong_step(text) is None and equations(text) == []


def test_answer_follows_from_equations():
    text = "46 // 2 = 23\n23 % 3 = 2"
    assert follows(text, Fraction(23)) and follows(text, Fraction(2)) and not follows(text, Fraction(21))
    assert follows("no equations", Fraction(7))


@given(st.text(alphabet="0123456789+-*/%=().,$ x×÷\nab", max_size=80))
def test_any_text_has_equations(text: str):
    for e in equations(text):
        assert 1 <= e.line <= text.count("\n") + 1


def test_right_answer_by_a_wrong_step_is_not_correct():
    words = WordProblems()
    found = words.parse_proposal(
        "Nadia buys 3 packs of 12 pencils and gives away 7. How many pencils does she keep?\n---\n"
        "def answer():\n    return 3 * 12 - 7"
    )
    cases = {
        "3 * 12 = 36\n36 - 7 = 29\nanswer: 29": (True, True, "ok", None),
        "answer: 29": (True, True, "ok", None),
        "3 * 12 = 35\n35 - 6 = 29\nanswer: 29": (False, True, "wrong step", 1),
        "3 * 12 = 36\n36 - 6 = 30\nanswer: 29": (False, True, "answer does not follow", None),
        "3 * 12 = 36\n36 - 8 = 28\nanswer: 28": (False, False, "wrong", None),
        "3 * 12 = 36\n36 - 7 = 28\nanswer: 28": (False, False, "wrong step", 2),
    }
    for text, (correct, answer, reason, step) in cases.items():
        verdict = words.verify(found, text)  # type: ignore[arg-type]
        assert (verdict.correct, verdict.answer_correct, verdict.reason, verdict.step) == (
            correct,
            answer,
            reason,
            step,
        )


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4, 5])
def test_reference_solutions_hold(depth: int):
    words = WordProblems()
    for problem in words.heldout("dev", depth):
        assert wrong_step(words.solution(problem)) is None and words.verify(problem, words.solution(problem)).correct


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("12 * 3 = 37\n37 + 5 = 42\nanswer: 42", "12 * 3 = 36\n36 + 5 = 41\nanswer: 41"),
        ("2 + 2 = 4\r\nx = $4 + $5 = $10.\nanswer: 10", "2 + 2 = 4\r\nx = $4 + $5 = $9.\nanswer: 9"),
        ("8 - 3 = -$5\nanswer: 110 or -5.5", "8 - 3 = 5\nanswer: 110 or -5.5"),
        ("2 + 3 = 5 + 1 = 7", "2 + 3 = 5 + 1 = 6"),
        ("7 / 2 = 9.25 each", "7 / 2 = 3.5 each"),
        ("5 + 5 = 11\n11 - 11 = 1", "5 + 5 = 10\n10 - 10 = 0"),
        ("10 / 3 = 99", None),
        ("3 * 14 = 3 * 10 + 3 * 5 = 30 + 15 = 45\n45 + 1 = 46", "3 * 14 = 42\n42 + 1 = 43"),
        ("277 + 56 = 277 + 50 + 6 = 337 + 6 = 343\nanswer: 343", "277 + 56 = 277 + 50 + 6 = 333\nanswer: 333"),
    ],
)
def test_true_results(text: str, true: str | None):
    assert with_true_results(text) == true


@pytest.mark.parametrize("text", [*TRUE, *NEITHER])
def test_true_texts_stay(text: str):
    assert with_true_results(text) == text


@given(st.text(alphabet="0123456789+-*/=. \n$x,%", max_size=60))
def test_with_true_results_all_equations_hold(text: str):
    found = with_true_results(text)
    assert found is None or wrong_step(found) is None


def test_attempts_that_confirm_a_program():
    """The same steps with wrong results do, other steps do not, whatever value they reach. So do the first steps of a
    program that uses the question's numbers one by one."""
    domain = WordProblems()
    program = "def answer():\n    figs = 12\n    figs = figs * 3\n    figs = figs - 7\n    return figs"
    problem = domain.problem(f"Nils has 12 bags of 3 figs and eats 7. How many are left?\n---\n{program}")
    confirming = ["figs = 12 * 3 = 36\n36 - 7 = 29\nanswer: 29", "12 * 3 = 35\n35 - 7 = 27\nanswer: 27"]
    confirming += ["12 * 3 = 35\nanswer: 35", "12 * 3 = 36\nanswer: 29"]
    assert all(domain.confirms(problem, text) for text in confirming)
    others = [
        "12 + 3 = 15\n15 - 7 = 8\nanswer: 8",
        "12 + 3 = 15\nanswer: 15",
        "12 * 3 = 36\n36 + 7 = 43\nanswer: 43",
        "none",
        "",
    ]
    assert not any(domain.confirms(problem, text) for text in others)
    for body in ("figs = 12 * 3\n    return figs - 3", "figs = 3 * 12\n    return figs - 7"):
        other = domain.problem(f"Nils has 12 bags of 3 figs and eats 7. How many?\n---\ndef answer():\n    {body}")
        assert not domain.confirms(other, "12 * 3 = 36\nanswer: 36"), "a number left out, another order"
