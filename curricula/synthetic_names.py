"""Synthetic bodies for practice, recombined from known definitions.

The bodies of a world follow a grammar in which each primitive has few possible successors (`hidden_world.World`). Known
bodies reveal some of these transitions. New bodies drawn from them serve to practise guessing. Only the definitions
that are passed in are used. Left out: any estimate of transitions beyond their counts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

from curricula.list_programs import MAX_DEPTH, NAMES

KNOWN_SHARE = 0.5
"""Probability that a step follows a known transition; the other steps are uniform, to keep unknown ones possible."""


def transitions(bodies: Iterable[tuple[str, ...]]) -> dict[str, list[str]]:
    """The successors of each primitive in `bodies`, with repetitions."""
    found: dict[str, list[str]] = {}
    for body in bodies:
        for here, after in itertools.pairwise(body):
            found.setdefault(here, []).append(after)
    return found


def synthetic_body(known: dict[str, list[str]], longest: int, rng: random.Random) -> tuple[str, ...]:
    """Draw a body of 2 to `longest` primitives, preferring the transitions in `known` (see `transitions`)."""
    body = [rng.choice(NAMES)]
    size = rng.randint(2, max(2, min(longest, MAX_DEPTH)))
    while len(body) < size:
        following = known.get(body[-1])
        body.append(rng.choice(following) if following and rng.random() < KNOWN_SHARE else rng.choice(NAMES))
    return tuple(body)
