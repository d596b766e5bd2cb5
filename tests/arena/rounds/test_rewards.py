"""Rewards: what each seat of a finished round is paid."""

import pytest

from arena.rounds.rewards import rewards
from arena.rounds.round import Round
from curricula.learnability import RULES
from curricula.list_programs import ListPrograms
from curricula.word_problems import WordProblems

DOMAIN = ListPrograms()
RIGHT = "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
WRONG = "rev 4 1 3 ; inc 5 2 3 answer 5 2 3"
UNSHOWN = "inc 5 2 4 answer 5 2 4"
JUNK = "the the the"


def played(attempts: list[str], grader: str | None = None, proposal: str = "rev inc | 3 1 4") -> Round:
    round_ = Round("r0", DOMAIN, "ada", ("bob", "eve"), len(attempts) // 2, "cy" if grader is not None else None)
    round_.take([proposal])
    if round_.problem is not None:
        round_.take(attempts)
    if round_.phase == "grade":
        round_.take([grader or ""])
    return round_


def test_rejected_proposal_costs_its_author():
    round_ = played([RIGHT, RIGHT], RIGHT, proposal="rev rev | 1 2")
    assert rewards(round_, RULES["variance"], -0.25) == [("setter", "ada", "setter", -0.25)]


@pytest.mark.parametrize(
    ("attempts", "variance", "inverse"),
    [
        ([JUNK, WRONG, UNSHOWN, JUNK], 0.0, 0.0),
        ([RIGHT, JUNK, JUNK, JUNK], 0.75, 0.75),
        ([RIGHT, JUNK, RIGHT, JUNK], 1.0, 0.5),
        ([RIGHT, RIGHT, RIGHT, JUNK], 0.75, 0.25),
        ([RIGHT, RIGHT, RIGHT, RIGHT], 0.0, 0.0),
    ],
)
def test_setter_reward_depends_on_solve_rate(attempts: list[str], variance: float, inverse: float):
    for rule, pay in (("variance", variance), ("inverse", inverse)):
        assert rewards(played(attempts), RULES[rule], -0.25)[0] == ("setter", "ada", "setter", pay)


def test_novelty_scales_setter_pay():
    assert rewards(played([RIGHT, JUNK, RIGHT, JUNK]), RULES["variance"], -0.25, 0.5)[0][-1] == 0.5


def test_other_kind_than_requested_pays_nothing():
    text = "Kofi has 12 apples and eats 5 apples. How many apples are left?\n---\ndef answer():\n    return 12 - 5"
    for request, pay in (("a subtraction, about apples", 1.0), ("a subtraction, about eggs", 0.0)):
        round_ = Round("r0", WordProblems(), "ada", ("bob", "eve"), 1, request=request)
        round_.take([text])
        round_.take(["answer: 7", "answer: 8"])
        assert rewards(round_, RULES["variance"], 0.0)[:2] == [
            ("setter", "ada", "setter", pay),
            ("solver_0", "bob", "solver", 1.0),
        ]


def test_solver_is_paid_per_verified_attempt():
    assert rewards(played([RIGHT, WRONG, UNSHOWN, JUNK]), RULES["variance"], -0.25)[1:] == [
        ("solver_0", "bob", "solver", 1.0),
        ("solver_0", "bob", "solver", 0.0),
        ("solver_1", "eve", "solver", 0.0),
        ("solver_1", "eve", "solver", 0.0),
    ]


@pytest.mark.parametrize(("first", "grader", "pay"), [(RIGHT, RIGHT, 1.0), (WRONG, RIGHT, 1.0), (RIGHT, WRONG, 0.0)])
def test_grader_is_paid_for_agreeing_with_execution(first: str, grader: str, pay: float):
    assert rewards(played([first, RIGHT], grader), RULES["variance"], -0.25)[-1] == ("grader", "cy", "grader", pay)


def test_a_grader_without_an_answer_has_no_pay():
    assert {role for _, _, role, _ in rewards(played([RIGHT, RIGHT], JUNK), RULES["variance"], -0.25)} == {
        "setter",
        "solver",
    }
