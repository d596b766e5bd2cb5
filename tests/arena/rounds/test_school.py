"""The school: exercises in the form of a run's prompts, right by construction."""

import random
from typing import get_args

import pytest

from arena.config.culture import Exercise
from arena.rounds import school
from arena.rounds.roles import author, guesser, setter, solver
from arena.rounds.roles.voice import Voice
from curricula.domain import Problem
from curricula.hidden_words import HiddenWords
from curricula.list_programs import ListPrograms
from curricula.word_problems import WordProblems

DOMAIN = WordProblems()
VOICES = {
    "brief": Voice(chat=True, brief=True, requests=True),
    "full": Voice(chat=True),
    "structured": Voice(chat=True, structured=True, requests=True),
}


@pytest.fixture(params=VOICES)
def voice(request: pytest.FixtureRequest) -> Voice:
    return VOICES[request.param]


def drawn(voice: Voice, role: str, n: int = 30) -> list[school.Exercise]:
    rng = random.Random(role)
    return [school.draw(voice, DOMAIN, rng, {role: 1.0}, {0: 1.0, 1: 1.0, 2: 1.0}) for _ in range(n)]


@pytest.mark.parametrize("role", ["set", "vary"])
def test_set_exercises_are_valid_problems(voice: Voice, role: str):
    asked = 0
    for prompt, reply in drawn(voice, role):
        found = DOMAIN.parse_proposal(setter.read(voice, reply))
        assert isinstance(found, Problem) and not DOMAIN.is_heldout(found)
        _, wanted, request = str(prompt).rpartition("Wanted: ")
        assert DOMAIN.meets(found, request.removesuffix(".")) if wanted else True
        asked += bool(wanted)
    assert (asked > 15) == (role == "set" and voice.requests)


@pytest.mark.parametrize("role", ["solve", "grade", "notes"])
def test_solve_exercises_are_right(voice: Voice, role: str):
    """The reply verifies against a problem whose question stands in the prompt."""
    rng = random.Random(role)
    for depth in (0, 1, 2):
        state = rng.getstate()
        found = school.ROLES[role](voice, DOMAIN, rng, depth)
        assert found is not None
        rng.setstate(state)
        problem = DOMAIN.random_problem(rng, depth)
        assert problem.question in str(found[0]) and DOMAIN.verify(problem, solver.read(voice, found[1])).correct


def test_post_exercises_are_read_as_posts(voice: Voice):
    for _, reply in drawn(voice, "post"):
        (draft,) = author.read(reply)
        assert isinstance(draft, author.Draft) and draft.about == 1 and draft.kind == "lesson"
        assert draft.title and draft.when and 20 <= len(draft.body) <= 1500


def test_requests_cover_kinds_evenly():
    asked = [setter.request(VOICES["brief"], DOMAIN, f"g1r{i}", None) for i in range(600)]
    assert len({a.rpartition(" ")[2] for a in asked}) > 35
    for word in ("addition", "subtraction", "multiplication", "division", "remainder"):
        assert 80 < sum(word in a for a in asked) < 160
    assert asked == [setter.request(VOICES["brief"], DOMAIN, f"g1r{i}", None) for i in range(600)]
    assert setter.request(VOICES["brief"], DOMAIN, "g1r0", "a parent") == ""


def test_brief_prompts_are_short():
    problem = DOMAIN.random_problem(random.Random(0), 1)
    full, brief = (str(solver.ask(VOICES[v], DOMAIN, "ada", problem, ())) for v in ("full", "brief"))
    assert len(brief) < len(full) / 2 and problem.question in brief


def test_examples_are_turns_of_the_chat():
    prompt = solver.ask(Voice(chat=True, examples=2), DOMAIN, "ada", DOMAIN.heldout("dev", 1)[0], ())
    roles = [role for role, _ in prompt.turns]  # type: ignore[union-attr]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert all("<answer>" in text for role, text in prompt.turns if role == "assistant")  # type: ignore[union-attr]


@pytest.mark.parametrize("role", ["notes", "guess"])
def test_named_exercises_are_right(role: str):
    """The notes hold the needed definitions, and what is guessed is right."""
    domain, voice, rng = HiddenWords(world=5, levels=2), VOICES["brief"], random.Random(role)
    for _ in range(20):
        prompt, reply = school.draw(voice, domain, rng, {role: 1.0}, {1: 1.0, 2: 1.0})
        text = str(prompt)
        if role == "notes":
            shown = text[text.rindex("> ") + 2 :].partition("\n")[0]
            problem = domain.problem(shown)
            assert all(domain.true_definition(name) in text for name in problem.names)
            assert domain.verify(problem, solver.read(voice, reply)).correct
        else:
            name = text.partition("What does ")[2].partition(" ")[0]
            assert isinstance(domain.check_guess(name, guesser.read(voice, reply)), tuple)


def test_domain_without_exercises_is_named():
    with pytest.raises(ValueError, match="list_programs has no exercises for post"):
        school.draw(VOICES["brief"], ListPrograms(), random.Random(0), {"post": 1.0}, {1: 1.0})


def test_config_names_every_role() -> None:
    assert get_args(Exercise) == tuple(school.ROLES)
