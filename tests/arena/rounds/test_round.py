"""The round: phases in order, who is asked for what, and that its texts are all there is to it."""

import random

import pytest

from arena.rounds.round import Round
from curricula.domain import Domain
from curricula.hidden_words import HiddenWords
from curricula.list_programs import ListPrograms

DOMAIN = ListPrograms()
PROPOSAL = "rev inc | 3 1 4"
RIGHT = "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
WRONG = "rev 4 1 3 ; inc 5 2 3 answer 5 2 3"
UNSHOWN = "inc 5 2 4 answer 5 2 4"  # the right answer, a step left out
JUNK = "the the the"


def make(attempts: int = 2, grader: str | None = "cy", domain: Domain = DOMAIN, **rest: object) -> Round:
    return Round("r0", domain, "ada", ("bob", "eve"), attempts, grader, **rest)  # type: ignore[arg-type]


def test_round_phases_and_asks():
    round_ = make(parent="sort | 2 1", notes={"solver_1": ("w7 = rev",)})
    (ask,) = round_.asks()
    assert (ask.seat, ask.agent, ask.phase, ask.prompt) == ("setter", "ada", "propose", "propose sort ->")
    round_.take([PROPOSAL])
    asks = round_.asks()
    assert [(a.seat, a.agent, a.number) for a in asks] == [
        ("solver_0", "bob", 0),
        ("solver_0", "bob", 1),
        ("solver_1", "eve", 0),
        ("solver_1", "eve", 1),
    ]
    assert {a.phase for a in asks} == {"solve"}
    assert [a.prompt.startswith("lib ") for a in asks] == [False, False, True, True]  # each reads its own notes
    round_.take([RIGHT, WRONG, UNSHOWN, JUNK])
    assert [(a.agent, a.index, a.text) for a in round_.attempts] == [
        ("bob", 0, RIGHT),
        ("bob", 1, WRONG),
        ("eve", 2, UNSHOWN),
        ("eve", 3, JUNK),
    ]
    assert [v.correct for v in round_.verdicts] == [True, False, False, False]
    assert round_.solve_rate == 0.25
    (ask,) = round_.asks()
    assert (ask.seat, ask.agent, ask.phase) == ("grader", "cy", "grade")
    assert RIGHT not in ask.prompt  # the grader is blind to what it grades
    round_.take([RIGHT])
    assert (round_.phase, round_.asks()) == ("done", [])


def test_round_without_grader_ends_after_attempts():
    round_ = make(attempts=1, grader=None)
    round_.take([PROPOSAL])
    round_.take([RIGHT, RIGHT])
    assert (round_.phase, round_.grade, round_.solve_rate) == ("done", None, 1.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "malformed"), (JUNK, "malformed"), ("abc | 1 2", "unknown name"), ("rev rev | 1 2", "no-op")],
)
def test_a_rejected_proposal_ends_the_round(text: str, reason: str):
    round_ = make()
    round_.take([text])
    assert (round_.phase, round_.proposal, round_.problem) == ("done", text, None)
    assert round_.rejection is not None and round_.rejection.reason == reason
    assert round_.asks() == [] and round_.solve_rate is None


def test_duplicate_problem_in_any_spacing():
    seen = {DOMAIN.problem(PROPOSAL).text_key}
    round_ = make(seen=seen.__contains__)
    round_.take(["rev  inc |3 1 4"])
    assert round_.phase == "done" and round_.problem is None
    assert round_.rejection is not None and round_.rejection.reason == "duplicate"
    other = make(seen=seen.__contains__)
    other.take(["rev inc | 3 1 5"])
    assert other.phase == "solve"


def test_a_heldout_proposal_ends_the_round():
    round_ = make()
    round_.take([DOMAIN.heldout("test", 4)[0].text])
    assert round_.rejection is not None and round_.rejection.reason == "held-out"


@pytest.mark.parametrize("solvers", [("ada", "bob"), ("bob", "ada"), ("bob", "bob"), ()])
def test_solvers_and_author_must_differ(solvers: tuple[str, ...]):
    with pytest.raises(ValueError, match="r0: author, solvers and grader must be different agents"):
        Round("r0", DOMAIN, "ada", solvers)


@pytest.mark.parametrize("grader", ["ada", "bob"])
def test_the_grader_is_a_third_agent(grader: str):
    with pytest.raises(ValueError, match="author, solvers and grader must be different agents"):
        Round("r0", DOMAIN, "ada", ("bob",), grader=grader)


def test_take_needs_exactly_the_asked_texts():
    round_ = make()
    with pytest.raises(ValueError, match="asked for 1 texts in phase propose, got 2"):
        round_.take([PROPOSAL, PROPOSAL])
    round_.take([PROPOSAL])
    with pytest.raises(ValueError, match="asked for 4 texts in phase solve, got 3"):
        round_.take([RIGHT] * 3)
    assert round_.phase == "solve" and not round_.attempts
    round_.take([RIGHT] * 4)
    round_.take([RIGHT])
    with pytest.raises(ValueError, match="asked for 0 texts in phase done, got 1"):
        round_.take([RIGHT])


@pytest.mark.parametrize(
    ("first", "grader", "says_correct", "agrees"),
    [
        (RIGHT, RIGHT, True, True),
        (WRONG, RIGHT, False, True),
        (RIGHT, WRONG, False, False),
        (WRONG, WRONG, True, False),
        (JUNK, RIGHT, False, True),  # an attempt without an answer is not right
        (UNSHOWN, UNSHOWN, True, True),  # graders compare answers, not traces
        (RIGHT, JUNK, None, None),  # no answer, no vote
        (RIGHT, "", None, None),
    ],
)
def test_grade_compares_with_the_first_attempt(first: str, grader: str, says_correct: bool | None, agrees: bool | None):
    round_ = make(attempts=1)
    round_.take([PROPOSAL])
    round_.take([first, RIGHT])
    round_.take([grader])
    assert round_.grade is not None
    assert (round_.grade.attempt, round_.grade.grader) == (0, "cy")
    assert (round_.grade.says_correct, round_.grade.agrees) == (says_correct, agrees)


@pytest.mark.parametrize("domain", [DOMAIN, HiddenWords()], ids=lambda d: d.name)
def test_replaying_texts_restores_a_round(domain: Domain):
    rng = random.Random(0)
    for _ in range(20):
        problem = domain.random_problem(rng)
        choices = [domain.solution(problem), "rev 1 answer 1", JUNK]
        proposal = rng.choice([problem.text, problem.text, problem.text, JUNK])
        batches = [[proposal], [rng.choice(choices) for _ in range(4)], [rng.choice(choices)]]
        played = make(domain=domain, parent=problem.text)
        taken: list[list[str]] = []
        for texts in batches:
            if played.asks():
                played.take(texts)
                taken.append(texts)
            replayed = make(domain=domain, parent=problem.text)
            for stored in taken:
                replayed.take(stored)
            assert replayed == played
            assert replayed.asks() == played.asks()
        assert played.phase == "done"
