"""Which parts of an attempt are right: by execution, for every domain that judges steps."""

from __future__ import annotations

import random

import pytest

from curricula.domain import Credited, Domain, Problem
from curricula.registry import make_domain

FUNCTION = "deduction\ndef f(a):\n    b = a + 1\n    return b * 2\ninput: 3"
PYTHON = "3 + 1 = 4\nb = 4\n4 * 2 = 8\nanswer: 8"
STORY = (
    "Ann has 7 pens. She buys 5 boxes of 4 pens. How many pens has she now?\n---\n"
    "def answer():\n    bought = 5 * 4\n    return 7 + bought"
)


def judged(domain: Domain, problem: Problem, text: str) -> list[tuple[bool | None, str]]:
    assert isinstance(domain, Credited)
    spans = domain.credit(problem, text)
    assert [s.start for s in spans] == [0, *(s.stop for s in spans[:-1])][: len(spans)]  # no gap, no overlap
    assert sum(s.right is False for s in spans) <= 1
    return [(s.right, text[s.start : s.stop].strip()) for s in spans]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2 4", [True, True, True]),
        ("rev 4 1 3 ; inc 5 2 5 answer 5 2 5", [True, False, None]),
        ("rev 3 1 4 ; inc 5 2 4 answer 5 2 4", [False, None, None]),  # right by luck
        ("rev 4 1 3 answer 4 1 3", [True, False]),  # stops early
        ("rev 4 1 3 ; inc 5 2 4 ; inc 6 3 5 answer 6 3 5", [True, True, False, None]),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2", [True, True, False]),
        ("rev 4 1 3 ; inc 5", [True, False]),  # ran out of tokens
        ("", [False]),
        ("hm", [False]),
    ],
)
def test_list_programs(text: str, expected: list[bool | None]) -> None:
    domain = make_domain("list_programs")
    assert [right for right, _ in judged(domain, domain.problem("rev inc | 3 1 4"), text)] == expected


def test_recalled_definitions_are_a_step() -> None:
    domain = make_domain("hidden_words")
    problem = domain.random_problem(random.Random(1), 2)
    text = domain.solution(problem)
    found = judged(domain, problem, text)
    assert all(right for right, _ in found) and " means " in f" {found[0][1]}" and len(found) == problem.depth + 2
    wrong = text.replace(f"{problem.names[0]} ", f"{problem.names[0]} rev ", 1)
    assert [right for right, _ in judged(domain, problem, wrong)] == [False, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bought = 5 * 4 = 20\n7 + 20 = 27\nanswer: 27", [True, True, True]),
        ("bought = 5 * 4 = 24\n7 + 24 = 31\nanswer: 31", [False, None, None]),
        ("bought = 5 * 4 = 20\n7 + 20 = 28\nanswer: 28", [True, False, None]),
        ("5 + 4 = 9\n7 + 9 = 16\nanswer: 16", [None, None, False]),  # true, and not what the program does
        ("She buys 5 boxes.\n5 * 4 = 20\n7 + 20 = 27\nanswer: 27", [None, True, True, True]),
        ("no idea", [None]),
    ],
)
def test_word_problems(text: str, expected: list[bool | None]) -> None:
    domain = make_domain("word_problems")
    assert [right for right, _ in judged(domain, domain.problem(STORY), text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PYTHON, [True] * 4),
        (PYTHON.replace("4 * 2 = 8", "4 * 2 = 9").replace("answer: 8", "answer: 9"), [True, True, False, None]),
        (f"Let me see.\n{PYTHON}", [None, True, True, True, True]),
        ("answer: 9", [False]),
    ],
)
def test_python_programs(text: str, expected: list[bool | None]) -> None:
    domain = make_domain("python_programs")
    assert [right for right, _ in judged(domain, domain.problem(FUNCTION), text)] == expected


def test_other_python_tasks_have_no_steps() -> None:
    domain = make_domain("python_programs")
    problem = domain.problem(FUNCTION.replace("deduction", "abduction"))
    assert judged(domain, problem, "answer: 3") == []


@pytest.mark.parametrize("name", ["list_programs", "hidden_words", "word_problems", "python_programs"])
def test_reference_solutions_have_no_mistake(name: str) -> None:
    domain, rng = make_domain(name), random.Random(name)
    for _ in range(40 if name != "python_programs" else 6):
        problem = domain.random_problem(rng)
        found = judged(domain, problem, domain.solution(problem))
        assert not any(right is False for right, _ in found)
        assert name == "python_programs" or found[-1][0]


@pytest.mark.parametrize("name", ["list_programs", "hidden_words", "word_problems"])
def test_any_text_is_judged(name: str) -> None:
    """Random pieces of solutions of other problems, in any order, never fail."""
    domain, rng = make_domain(name), random.Random(name)
    for _ in range(200):
        problem = domain.random_problem(rng)
        pieces = domain.solution(problem).split(" ") + domain.solution(domain.random_problem(rng)).split(" ")
        judged(domain, problem, " ".join(rng.sample(pieces, rng.randrange(len(pieces)))))


def test_a_step_too_many_is_wrong_from_its_separator() -> None:
    domain = make_domain("list_programs")
    assert isinstance(domain, Credited)
    text = "rev 4 1 3 ; inc 5 2 4 ; inc 6 3 5 ; inc 7 4 6 answer 7 4 6"
    spans = [(text[s.start : s.stop], s.right) for s in domain.credit(domain.problem("rev inc | 3 1 4"), text)]
    assert spans == [
        ("rev 4 1 3 ; ", True),
        ("inc 5 2 4", True),
        (" ; inc 6 3 5", False),
        (" ; inc 7 4 6", None),
        (" answer 7 4 6", None),
    ]
