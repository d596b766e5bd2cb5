"""Guessers that are programs: what there is to be found by drawing and by searching, without a language model.

`program_guess` has the language model's task without its eyes: it extends the hint by one random primitive and never
looks at the examples. `search_guess` looks at nothing else: of all bodies that are one primitive longer than a body
it knows, one that fits the examples. Both know what `known` says, right or wrong. Left out: a prior over which
primitive follows which, which is what a model can learn of a world.
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
    """The hint and one random primitive; `hint` None stands for the body of the guess's parent in `known`.

    Without a hint, as many random primitives as a body of the name's level has: two on level 1.
    """
    if hint is None:
        hint = body_words(known[guess.parents[0]]) if guess.parents else ()
    missing = 1 if hint else level_of(guess.name) + 1
    return " ".join([*hint, *(rng.choice(lp.NAMES) for _ in range(missing))])


def search_guess(guess: Guess, known: Bodies, rng: random.Random) -> str:
    """One at random of the candidates that do on the guess's examples what they show; of all, if none does.

    Candidates extend each known body of the level below by one primitive (level 1: all pairs of primitives). Where
    nothing of the level below is known, as `program_guess` without a hint.
    """
    found = candidates(guess.name, known)
    if not found:
        return program_guess(guess, (), known, rng)
    shown = [(tuple(map(int, xs.split())), tuple(map(int, ys.split()))) for xs, ys in guess.examples]
    fitting = [body for body in found if all(lp.last(body, xs) == ys for xs, ys in shown)]
    return " ".join(rng.choice(fitting or found))


def candidates(name: str, known: Bodies) -> list[tuple[str, ...]]:
    """Every body that `search_guess` considers, each once, in an order that does not depend on that of `known`."""
    if level_of(name) == 1:
        return list(itertools.product(lp.NAMES, repeat=2))
    below = [w for w in sorted(known, key=name_order) if level_of(w) == level_of(name) - 1]
    return list(dict.fromkeys((*body_words(known[w]), p) for w in below for p in lp.NAMES))
