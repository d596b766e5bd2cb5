"""The problems of a domain as rows, and verdicts on replies. The exported files and the exported environment use both.

Train problems are drawn at random, equally many of each depth, without duplicates and held-out problems; the dev set is
the domain's own. The sealed test set is never written. The meanings of the names in a problem are included as notes,
since there is no library to look them up in.

Left out: problems that agents set (`ratchet export` writes those of a run).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from agents.prompt import Chat
from arena.rounds.roles import solver
from arena.rounds.roles.voice import Voice
from curricula.domain import Domain, Named, Problem, Verdict
from curricula.registry import make_domain

VOICE = Voice(chat=True)
SOLVER = "a solver"
DRAWS = 50
"""Consecutive duplicate or held-out draws after which a depth counts as exhausted."""

# Column types, in the notation of dataset cards.
ROW: dict[str, Any] = {
    "id": "string",
    "prompt": "string",
    "question": "string",
    "answer": "string",
    "domain": "string",
    "depth": "int64",
    "features": [{"name": "string", "value": "float64"}],
    "messages": [{"role": "string", "content": "string"}],
    "problem": "string",
    "solution": "string",
    "notes": ["string"],
}
# Description of each column, for the card; a test checks that it is complete.
FIELDS = {
    "id": "digest of the problem's text; unique",
    "prompt": "prompt of a solver in the domain's own notation, to be continued",
    "question": "the problem as a solver may see it",
    "answer": "the right answer, in the domain's own form",
    "domain": "name of the domain",
    "depth": "number of steps of the solution, or level",
    "features": "measures of difficulty by name",
    "messages": "the same as a chat: `system`, `user`, and as `assistant` the reference solution, to train on",
    "problem": "the full problem, as the verifier takes it; may contain text that a solver must not see",
    "solution": "a solution that the verifier accepts",
    "notes": "meanings of the problem's names, as shown in `prompt` and `messages`",
}


def problems(domain: Domain, split: str, n: int) -> Iterator[Problem]:
    """The first `n` problems of the split `train` or `dev`, or all if there are fewer. Deterministic.

    Raises ValueError for any other split: the test set is sealed.
    """
    if split not in ("train", "dev"):
        raise ValueError(f"unknown split {split!r}: expected train or dev (the test set is sealed)")
    streams = [_train(domain, d) if split == "train" else iter(domain.heldout("dev", d)) for d in domain.depths]
    seen, given = set[str](), 0
    while streams and given < n:
        for stream in list(streams):
            found = next((p for p in stream if p.text_key not in seen), None)
            if found is None:
                streams.remove(stream)
            elif given < n:
                seen.add(found.text_key)
                given += 1
                yield found


def _train(domain: Domain, depth: int) -> Iterator[Problem]:
    rng, seen, missed = random.Random(f"ratchet/export/{domain.name}/{depth}"), set[str](), 0
    while missed < DRAWS:
        problem = domain.random_problem(rng, depth)
        missed = missed + 1 if problem.text_key in seen or domain.is_heldout(problem) else 0
        if not missed:
            seen.add(problem.text_key)
            yield problem


def notes(domain: Domain, problem: Problem) -> tuple[str, ...]:
    """Definitions of the names that a problem uses."""
    if not isinstance(domain, Named):
        return ()
    return tuple(domain.true_definition(name) for name in problem.names)


def asked(domain: Domain, problem: Problem) -> Chat:
    """The chat prompt of a solver: system prompt and question."""
    chat = solver.ask(VOICE, domain, SOLVER, problem, notes(domain, problem))
    assert isinstance(chat, Chat)
    return chat


def row(domain: Domain, problem: Problem) -> dict[str, Any]:
    """The row of a problem: a value for every column of `ROW`."""
    chat, solution, shown = asked(domain, problem), domain.solution(problem), notes(domain, problem)
    turns = {"system": chat.system, "user": chat.user, "assistant": solver.say(VOICE, solution)}
    return {
        "id": problem.text_key,
        "prompt": domain.solve_prompt(problem, shown),
        "question": problem.shown,
        "answer": problem.answer,
        "domain": domain.name,
        "depth": problem.depth,
        "features": [{"name": k, "value": float(v)} for k, v in domain.features(problem).items()],
        "messages": [{"role": role, "content": text} for role, text in turns.items()],
        "problem": problem.text,
        "solution": solution,
        "notes": list(shown),
    }


class Judge:
    """A domain by name, as the exported environment uses it. Raises ValueError for an unknown name or option."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.domain = make_domain(name, **options)

    def tasks(self, split: str, n: int) -> Iterator[dict[str, Any]]:
        """The fields of a task: `id`, `prompt`, `system_prompt`, `problem`, `answer`, `depth`."""
        for p in problems(self.domain, split, n):
            chat = asked(self.domain, p)
            texts = {"id": p.text_key, "prompt": chat.user, "system_prompt": chat.system}
            yield {**texts, "problem": p.text, "answer": p.answer, "depth": p.depth}

    def verdict(self, problem: str, reply: str) -> Verdict:
        """Verdict on a model's reply, which may contain reasoning and tags. Never raises for any `reply`."""
        return self.domain.verify(self.domain.problem(problem), solver.read(VOICE, reply))
