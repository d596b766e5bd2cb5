"""Dreams: words that nobody has met, made of what is known of the ones that were.

A world's bodies follow a grammar: what comes after a primitive is one of a few (`hidden_world.World`). Who knows some
bodies knows some of these successions, and can put them together to new bodies, on which guessing is practised: the
recombination of what was read by day. Only the definitions that are given are used. Left out: how likely a succession
is beyond how often it was met."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

from curricula.list_programs import MAX_DEPTH, NAMES

LAWFUL = 0.5
"""Share of the steps that follow a known succession; the others are free, so that the unknown stays thinkable."""


def successions(bodies: Iterable[tuple[str, ...]]) -> dict[str, list[str]]:
    """What was met after each primitive, as often as it was met."""
    found: dict[str, list[str]] = {}
    for body in bodies:
        for here, after in itertools.pairwise(body):
            found.setdefault(here, []).append(after)
    return found


def dream(met: dict[str, list[str]], longest: int, rng: random.Random) -> tuple[str, ...]:
    """A body of 2 to `longest` primitives that walks along known successions where it can."""
    body = [rng.choice(NAMES)]
    size = rng.randint(2, max(2, min(longest, MAX_DEPTH)))
    while len(body) < size:
        known = met.get(body[-1])
        body.append(rng.choice(known) if known and rng.random() < LAWFUL else rng.choice(NAMES))
    return tuple(body)
