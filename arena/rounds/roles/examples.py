"""Solved examples as earlier turns of a chat (`prompts.examples`), for models that must be shown how to reply.

They are drawn at random from the domain, from its easiest depths, never from held-out problems; they are the same in
all prompts, so that engines compute them once."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache
from typing import Any

from agents.prompt import Chat
from arena.rounds.roles.voice import Voice
from curricula import default_prose
from curricula.domain import Domain, Problem

EASY = 2
"""Number of depths, from the easiest, that examples are drawn from."""


def solved(voice: Voice, domain: Domain, prompt: Chat) -> Chat:
    """The prompt of a solver with `voice.examples` solved problems before it."""
    if not voice.examples:
        return prompt
    drawn: Any = domain  # domains are objects, and hashable as such
    turns = [
        (default_prose.asking(domain, p), voice.mark("answer", domain.solution(p)))
        for p in _problems(drawn, voice.examples)
    ]
    return replace(prompt, examples=tuple(turns))


def proposed(voice: Voice, domain: Domain, prompt: Chat) -> Chat:
    """The prompt of a setter with `voice.examples` problems before it."""
    if not voice.examples:
        return prompt
    drawn: Any = domain
    asked = default_prose.setting(domain, None)
    turns = [(asked, voice.mark("problem", p.text)) for p in _problems(drawn, voice.examples)]
    return replace(prompt, examples=tuple(turns))


@lru_cache(maxsize=64)
def _problems(domain: Any, n: int) -> tuple[Problem, ...]:
    rng, easy = random.Random(f"ratchet/examples/{domain.name}"), domain.depths[:EASY]
    return tuple(domain.random_problem(rng, easy[i % len(easy)]) for i in range(n))
