"""Guessers without a language model: baselines that draw at random or search.

`program_guess` extends the hint by one random primitive and ignores the examples. `search_guess` uses only the
examples: it picks a body that fits them, among all bodies that extend a known body by one primitive. Both take the
definitions in `known` as given, true or false. Left out: a prior over which primitive follows which, which is what a
model can learn about a world.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from curricula import list_programs as lp
from curricula.definitions import body_words, name_order
from curricula.domain import Guess
from curricula.hidden_world import level_of
from curricula.post_forms import Bodies


def program_guess(guess: Guess, hint: Sequence[str] | None, known: Bodies, rng: random.Random) -> str:
    """Guess the hint followed by one random primitive.

    Args:
        guess: the name and its parents.
        hint: primitives to extend; None: the body of the guess's parent in `known`. If it is empty, or there is no
            parent, the guess is random, with the length of a body at the name's level (two primitives at level 1).
        known: definitions.
        rng: source of the draws.
    """
    if hint is None:
        hint = body_words(known[guess.parents[0]]) if guess.parents else ()
    missing = 1 if hint else level_of(guess.name) + 1
    return " ".join([*hint, *(rng.choice(lp.NAMES) for _ in range(missing))])


def search_guess(guess: Guess, known: Bodies, rng: random.Random) -> str:
    """Guess a random candidate that fits the examples; any candidate if none fits.

    Candidates extend each known body of the level below by one primitive (level 1: all pairs of primitives). If no
    name of the level below is known, guess like `program_guess` without a hint.
    """
    found = candidates(guess.name, known)
    if not found:
        return program_guess(guess, (), known, rng)
    shown = [(tuple(map(int, xs.split())), tuple(map(int, ys.split()))) for xs, ys in guess.examples]
    fitting = [body for body in found if all(lp.last(body, xs) == ys for xs, ys in shown)]
    return " ".join(rng.choice(fitting or found))


def candidates(name: str, known: Bodies) -> list[tuple[str, ...]]:
    """All distinct bodies that `search_guess` considers, in an order independent of the order of `known`."""
    if level_of(name) == 1:
        return list(itertools.product(lp.NAMES, repeat=2))
    below = [w for w in sorted(known, key=name_order) if level_of(w) == level_of(name) - 1]
    return list(dict.fromkeys((*body_words(known[w]), p) for w in below for p in lp.NAMES))
