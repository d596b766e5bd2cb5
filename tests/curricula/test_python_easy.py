"""Level 0 of python_programs: one small step, with held-out sets of its own, and nothing changed without it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest

from curricula import python_heldout
from curricula.domain import SPLITS, Problem, Rejection
from curricula.python_easy import calculations
from curricula.python_programs import PythonPrograms
from curricula.python_school import pool
from curricula.python_tasks import KINDS, Task, parse_task
from curricula.registry import make_domain

PLAIN, EASY = PythonPrograms(), PythonPrograms(lowest=0)
HELDOUT_SHA256 = "a92e6024825830542705660c755e5c0c0022e35f9eecfbe2c0943c5f91bf1790"


def task(body: str, *given: str, kind: str = "deduction", head: str = "f(a)") -> Task:
    found = parse_task("\n".join([kind, f"def {head}:", f"    {body}", *(f"input: {text}" for text in given)]))
    assert isinstance(found, Task), found
    return found


@pytest.mark.parametrize(
    ("body", "given", "head", "computed"),
    [
        ("return a + 7", "15", "f(a)", "7 15 = 22"),
        ("return 15 + a", "7", "f(a)", "7 15 = 22"),
        ("return 3 - a", "20", "f(a)", "3 20 = -17"),
        ("return a * b", "4, 5", "f(a, b)", "4 5 = 20"),
        ("return b - b * 1", "4", "f(b)", ""),
        ("return a + 21", "1", "f(a)", ""),
        ("return a + 1", "21", "f(a)", ""),
        ("return a + 1", "-1", "f(a)", ""),
        ("return a + -1", "1", "f(a)", ""),
        ("return a + 1.0", "1", "f(a)", ""),
        ("return a + True", "1", "f(a)", ""),
        ("return a // 2", "4", "f(a)", ""),
        ("return a + 1 + 1", "4", "f(a)", ""),
        ("return abs(a - 1)", "4", "f(a)", ""),
        ("return a + 'b'", "'c'", "f(a)", ""),
        ("b = a + 1\n    return b", "4", "f(a)", ""),
        ("return a + 1", "4, 30", "f(a, b)", ""),
    ],
)
def test_level_0_is_one_small_step(body: str, given: str, head: str, computed: str) -> None:
    asked = task(body, given, head=head)
    assert calculations(asked) == ({computed} if computed else set())
    assert PLAIN.problem(asked.text).depth == 1
    assert EASY.problem(asked.text).depth == (0 if computed else 1)


def test_heldout_sets_of_level_0_are_frozen() -> None:
    problems = [p for split in SPLITS for p in EASY.heldout(split, 0)]
    shown = "\n\n".join(f"{p.text}\n{p.question}\n{p.answer}\n{p.behaviour_key}" for p in problems)
    assert hashlib.sha256(shown.encode()).hexdigest() == HELDOUT_SHA256
    assert len({p.heldout_key for p in problems}) == len(problems) == 2 * python_heldout.PER_DEPTH
    for split in SPLITS:
        assert [sum(p.text.startswith(k) for p in EASY.heldout(split, 0)) for k in KINDS] == [16] * 3
    for problem in problems:
        assert EASY.problem(problem.text) == problem and problem.depth == 0 and EASY.is_heldout(problem)
        assert EASY.verify(problem, EASY.solution(problem)).correct


def test_heldout_draws_of_level_0_are_reproduced() -> None:
    kept = [dict(e) for e in python_heldout._entries() if e["depth"] == 0]
    assert python_heldout.as_lines(python_heldout.draw(0)) == python_heldout.as_lines(kept)


def test_splits_share_no_calculation() -> None:
    dev, test = ([calculations(task_of(p)) for p in EASY.heldout(split, 0)] for split in SPLITS)
    every = [c for found in (*dev, *test) for c in found]
    assert len(set(every)) == len(every) == len(python_heldout.heldout_calculations())


def task_of(problem: Problem) -> Task:
    found = parse_task(problem.text)
    assert isinstance(found, Task)
    return found


def test_heldout_calculations_are_rejected() -> None:
    """With other names, in other kinds, with either number as the input, and among the inputs of an induction."""
    for problem in [p for p in EASY.heldout("test", 0) if not p.text.startswith("induction")][::4]:
        *_, left, sign, right, _, given = problem.text.split()
        renamed = f"return {left} {sign} k" if left.isdigit() else f"return k {sign} {right}"
        swapped, other = (f"return k {sign} {given}", left) if left.isdigit() else (f"return {given} {sign} k", right)
        for asked in (
            task(renamed, given, head="f(k)", kind="deduction"),
            task(renamed, given, head="f(k)", kind="abduction"),
            task(renamed, "0", "1", "2", given, head="f(k)", kind="induction"),
            task(swapped, other, head="f(k)"),
        ):
            found = EASY.parse_proposal(asked.text)
            assert isinstance(found, Rejection) and found.reason == "held-out", (asked.text, found)


def test_random_problems_have_the_level_asked_for() -> None:
    rng = random.Random(5)
    drawn = [EASY.random_problem(rng, depth) for depth in (0, 1, 2) for _ in range(12)]
    assert [p.depth for p in drawn] == [d for d in (0, 1, 2) for _ in range(12)]
    assert not any(EASY.is_heldout(p) for p in drawn) and {p.text.split("\n")[0] for p in drawn[:12]} == set(KINDS)
    assert 0 in {EASY.random_problem(rng).depth for _ in range(20)}


def test_held_out_functions_keep_their_level() -> None:
    asked = task("return a * a", "4")
    assert EASY.is_heldout(EASY.problem(asked.text)) and EASY.problem(asked.text) == PLAIN.problem(asked.text)
    assert isinstance(EASY.parse_proposal(asked.text), Rejection) and calculations(asked) == {"4 4 = 16"}


def test_without_the_option_nothing_changes() -> None:
    """Levels, held-out sets, refused proposals and drawn problems are those from before level 0."""
    assert PLAIN.depths == (1, 2, 3, 4, 5, 6) and EASY.depths == (0, *PLAIN.depths)
    with pytest.raises(ValueError, match="depth must be 1 to 6, got 0"):
        PLAIN.heldout("dev", 0)
    for depth in PLAIN.depths:
        assert list(EASY.heldout("dev", depth)) == list(PLAIN.heldout("dev", depth))
        assert all(EASY.problem(p.text) == p for p in PLAIN.heldout("test", depth)[:4])
    for problem in EASY.heldout("dev", 0)[:6]:
        found = PLAIN.parse_proposal(problem.text)
        assert isinstance(found, Problem) and found == replace(problem, depth=1, heldout_key=task_of(problem).code.key)
    drawn = "\n\n".join(PLAIN.random_problem(random.Random(f"draw/{i}")).text for i in range(8))
    assert hashlib.sha256(drawn.encode()).hexdigest()[:16] == "27f0a7686df1c674"


@pytest.mark.slow
def test_school_unchanged_and_without_heldout() -> None:
    """It draws inputs of at most 12, those of the held-out problems are larger."""
    assert all(min(args) > 12 for split in SPLITS for p in EASY.heldout(split, 0) for args in task_of(p).inputs)
    examples = pool(200, 1)
    said = "\n\n".join(f"{e.prompt}{e.completion}" for e in examples)
    assert hashlib.sha256(said.encode()).hexdigest()[:16] == "65c3ae1444931ee6"


def test_option_in_a_config() -> None:
    assert make_domain("python_programs", lowest=0, kinds=["deduction"]).depths[0] == 0
