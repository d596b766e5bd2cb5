"""Reference solutions in sleep: of which problems, and for whom."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

from arena.phases.sleep import references, rounds_with_reference
from arena.rounds.roles import solver
from arena.rounds.roles.voice import Voice
from arena.rounds.round import Round
from curricula.domain import Domain
from curricula.hidden_words import HiddenWords
from curricula.list_programs import ListPrograms
from curricula.word_problems import WordProblems

WORDS = WordProblems()
PROBLEM = (
    "Nils has 12 bags of 3 figs and eats 7. How many are left?\n---\n"
    "def answer():\n    figs = 12\n    figs = figs * 3\n    figs = figs - 7\n    return figs"
)
SLIP = "figs = 12 * 3 = 35\nfigs = 35 - 7 = 29\nanswer: 29"
VOICE = Voice(chat=True, brief=True)


def a_round(name: str, right: int, domain: Domain = WORDS, confirmed: bool = True, doubt: str = "") -> Round:
    """A round with four attempts by b and c, of which the first `right` are right; if `confirmed`, one of the others
    has the right steps and a wrong result."""
    made = Round(name, domain, "a", ("b", "c"), attempts_each=2, voice=VOICE, doubt=doubt)
    made.problem = domain.problem(PROBLEM) if domain is WORDS else domain.random_problem(random.Random(name), 2)
    wrong = ["answer: none", SLIP] if domain is WORDS and confirmed else ["answer: none"]
    texts = [domain.solution(made.problem)] * right + (wrong * 4)[: 4 - right]
    made.set_attempts(texts, [made.verify(text) for text in texts])
    return made


def found(rounds: list[Round], agent: str, most: int = 9, network: str = "self") -> list[Any]:
    library = SimpleNamespace(network=network)
    state = SimpleNamespace(
        config=SimpleNamespace(
            sleep=SimpleNamespace(references=most), library=library, population=SimpleNamespace(agents=4)
        ),
        places={"a": 0, "b": 1, "c": 2, "d": 3},
        generation=SimpleNamespace(rounds=rounds, index=3),
        rng=lambda *at: random.Random(str(at)),
    )
    shown = rounds_with_reference(state)  # type: ignore[arg-type]
    return references(state, SimpleNamespace(voice=VOICE), agent, shown)  # type: ignore[arg-type]


def test_problems_that_not_every_attempt_solved() -> None:
    """Solved by nobody, by some; not by all, not rejected; for those who took part or read the author."""
    rounds = [a_round("none", 0), a_round("some", 3), a_round("all", 4)]
    rounds.append(Round("rejected", WORDS, "a", ("b", "c"), voice=VOICE))
    problem = WORDS.problem(PROBLEM)
    for agent in "abc":
        example = solver.ask(VOICE, WORDS, agent, problem, ()), WORDS.solution(problem)
        assert [(e.prompt, e.completion) for e in found(rounds, agent)] == [example] * 2
    assert not found(rounds, "d"), "an agent that took no part"
    assert len(found(rounds, "d", network="all")) == 2, "an agent that reads the author"


def test_program_may_compute_something_else() -> None:
    """No attempt has the program's steps, or the answers speak against it."""
    assert not found([a_round("unconfirmed", 0, confirmed=False), a_round("doubted", 0, doubt="disputed")], "b")
    assert found([a_round("right", 1, confirmed=False)], "b"), "a right attempt confirms as well"


def test_number_is_bounded() -> None:
    rounds = [a_round(str(i), 1) for i in range(6)]
    assert (len(found(rounds, "b", 4)), len(found(rounds, "b", 0))) == (4, 0)


def test_domains_with_hidden_names_have_none() -> None:
    """Their solutions would tell what names mean, which agents have to find out."""
    assert len(found([a_round("lists", 0, ListPrograms())], "b")) == 1
    assert not found([a_round("names", 0, HiddenWords())], "b")
