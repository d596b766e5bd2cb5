"""The school: random exercises in the form of a run's prompts, one function for each role.

It teaches a model the form of its roles before self-play (`ratchet make-seed --from`), and gives setters exercises
against collapse during it (`sleep.seed_examples` with `prompts.style: chat`). Everything is drawn from the domains
(`random_problem`, `mutate`, `solution`), never from their held-out sets, and solutions are right by construction.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from agents.prompt import Prompt
from arena.rounds.roles import author, grader, guesser, setter, solver
from arena.rounds.roles.voice import Voice
from curricula.domain import Domain, Named, Problem, Requestable, Taught

Exercise = tuple[Prompt, str]
"""A prompt and the reply to learn."""
TRIES = 20
MOST_NOTES = 2
REQUESTED = 0.75
"""Share of the exercises in setting that ask for a kind, where the run does."""
PUPIL = "an agent"


def solve(voice: Voice, domain: Domain, rng: random.Random, depth: int) -> Exercise | None:
    """Solve a problem."""
    problem = domain.random_problem(rng, depth)
    return solver.ask(voice, domain, PUPIL, problem, ()), solver.say(voice, domain.solution(problem))


def grade(voice: Voice, domain: Domain, rng: random.Random, depth: int) -> Exercise | None:
    """Solve a problem as its grader."""
    problem = domain.random_problem(rng, depth)
    return grader.ask(voice, domain, PUPIL, problem, ()), solver.say(voice, domain.solution(problem))


def notes(voice: Voice, domain: Domain, rng: random.Random, depth: int) -> Exercise | None:
    """Solve a problem with notes: the definitions that it needs among others, or solutions of other problems."""
    problem = domain.random_problem(rng, depth)
    shown = []
    if isinstance(domain, Named):
        others = [name for name in domain.words if name not in problem.names]
        shown = [domain.true_definition(n) for n in (*problem.names, *rng.sample(others, rng.randint(0, MOST_NOTES)))]
        rng.shuffle(shown)
        return solver.ask(voice, domain, PUPIL, problem, shown), solver.say(voice, domain.solution(problem))
    for _ in range(rng.randint(1, MOST_NOTES)):
        other = domain.random_problem(rng, depth)
        shown.append(f"worked example: {other.shown}\n{domain.solution(other)}")
    return solver.ask(voice, domain, PUPIL, problem, shown), solver.say(voice, domain.solution(problem))


def set_(voice: Voice, domain: Domain, rng: random.Random, depth: int) -> Exercise | None:
    """Set a problem; if the run asks for kinds, mostly one of a requested kind."""
    problem = domain.random_problem(rng, depth)
    request = ""
    if voice.requests and isinstance(domain, Requestable) and rng.random() < REQUESTED:
        found = domain.request_for(problem, rng)
        if found is None:
            return None
        request = found
    return setter.ask(voice, domain, PUPIL, None, request), setter.say(voice, problem.text)


def vary(voice: Voice, domain: Domain, rng: random.Random, depth: int) -> Exercise | None:
    """Vary a problem."""
    parent = domain.random_problem(rng, depth)
    child = domain.parse_proposal(domain.mutate(parent.text, rng))
    if not isinstance(child, Problem) or child.text_key == parent.text_key:
        return None
    return setter.ask(voice, domain, PUPIL, parent.text), setter.say(voice, child.text)


def post(voice: Voice, domain: Domain, rng: random.Random, depth: int) -> Exercise | None:
    """Write a post on a problem that was solved."""
    assert isinstance(domain, Taught)
    problem = domain.random_problem(rng, depth)
    episode = author.Episode(problem.shown, domain.solution(problem), "right")
    prompt = author.ask(voice, PUPIL, [episode], [], 1)
    return prompt, author.say(voice, 1, *domain.sample_post(problem, rng))


def guess(voice: Voice, domain: Domain, rng: random.Random, depth: int) -> Exercise | None:
    """Guess what a hidden name means, from examples."""
    assert isinstance(domain, Named)
    name = rng.choice([n for n in domain.words if domain.level(n) == depth] or list(domain.words))
    asked = domain.guess(name, domain.words, rng)
    body = domain.true_definition(name).partition("=")[2].strip()
    return guesser.ask(voice, PUPIL, asked), guesser.say(voice, body)


ROLES: dict[str, Callable[[Voice, Domain, random.Random, int], Exercise | None]] = {
    "solve": solve, "set": set_, "vary": vary, "grade": grade, "notes": notes, "post": post, "guess": guess,
}  # fmt: skip


NAMED = frozenset({"notes", "guess", "vary"})
"""Roles of domains with hidden names, whose problems take a name to build on and definitions to solve."""


def roles_of(domain: Domain) -> frozenset[str]:
    """The roles for which a domain may have exercises."""
    if isinstance(domain, Named):
        return NAMED
    return frozenset(ROLES) - {"guess"} - (frozenset() if isinstance(domain, Taught) else {"post"})


def draw(
    voice: Voice, domain: Domain, rng: random.Random, shares: Mapping[str, float], depths: Mapping[int, float]
) -> Exercise:
    """One exercise.

    Args:
        voice: how prompts are worded; personas are left out.
        domain: the domain.
        rng: source of the draws.
        shares: weights of roles, by name in `ROLES`.
        depths: weights of depths.

    Raises:
        ValueError: the domain has no exercise for the roles.
    """
    plain = replace(voice, personas=())
    has = {role: share for role, share in shares.items() if role in roles_of(domain)}
    for _ in range(TRIES if has else 0):
        role = rng.choices(list(has), list(has.values()))[0]
        depth = rng.choices(list(depths), list(depths.values()))[0]
        found = ROLES[role](plain, domain, rng, depth)
        if found is not None:
            return found
    raise ValueError(f"the domain {domain.name} has no exercises for {', '.join(shares)}")
