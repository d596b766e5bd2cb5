"""Corrections: what failed attempts teach."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from arena.phases.sleep import corrections
from arena.rounds.roles import solver
from arena.rounds.roles.voice import Voice
from arena.rounds.round import Round
from curricula.domain import Domain
from curricula.list_programs import ListPrograms
from curricula.word_problems import WordProblems

WORDS = WordProblems()
PROBLEM = WORDS.random_problem(random.Random(1), 1)
TEXTS = [
    WORDS.solution(PROBLEM),  # right
    "12 * 3 = 36\n36 - 7 = 28\nanswer: 28",  # the second step is false
    "12 * 3 = 36\n36 - 7 = 27\nanswer: 27",  # the same place once more
    "2 + 2 = 5\nanswer: 5",
    "36 - 7 = 29\nanswer: 29",  # true, and no solution
    "answer: 3",
    "no answer",
    "7 * 8 = 54\nanswer: 54",  # another agent's
]


def found(domain: Domain = WORDS, texts: list[str] = TEXTS, voice: Voice | None = None, most: int = 9) -> list[Any]:
    voice = voice or Voice(chat=True, brief=True)
    problem = PROBLEM if domain is WORDS else domain.random_problem(random.Random(1), 2)
    one = Round("r", domain, "c", ("a", "b"), attempts_each=7, voice=voice, notes={"solver_0": ("a note",)})
    one.problem = problem
    texts = texts + ["answer: 1"] * (14 - len(texts))
    one.set_attempts(texts, [one.verify(text) for text in texts])
    state = SimpleNamespace(
        config=SimpleNamespace(sleep=SimpleNamespace(corrections=most, correction_weight=2.0)),
        generation=SimpleNamespace(rounds=[one], index=3),
        rng=lambda *at: random.Random(str(at)),
    )
    return corrections(state, SimpleNamespace(voice=voice), "a")  # type: ignore[arg-type]


def test_first_false_steps_of_own_failed_attempts() -> None:
    examples = found()
    assert {(e.prefix, e.completion) for e in examples} == {("12 * 3 = 36\n36 - 7 = ", "29"), ("2 + 2 = ", "4")}
    asked = solver.ask(Voice(chat=True, brief=True), WORDS, "a", PROBLEM, ["a note"])
    assert all((e.agent, e.prompt, e.weight, e.ends) == ("a", asked, 2.0, False) for e in examples)


def test_reply_with_a_mark_begins_with_it() -> None:
    marked = [f"<answer>\n{text}\n</answer>" for text in TEXTS]
    assert "<answer>\n2 + 2 = " in {e.prefix for e in found(texts=marked, voice=Voice(chat=True))}


@pytest.mark.parametrize("voice", [Voice(chat=True, structured=True), None])
def test_none_in_json_or_if_none_are_wanted(voice: Voice | None) -> None:
    assert not found(voice=voice, most=9 if voice else 0)


def test_number_is_bounded_and_other_domains_have_none() -> None:
    assert len(found(most=1)) == 1
    assert not found(ListPrograms(), ["rev 1"])
