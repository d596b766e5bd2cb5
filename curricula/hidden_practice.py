"""Supervised examples that train definitions of hidden words into the weights of an agent.

Used by `curricula.hidden_words.HiddenWords.practice`. Left out: which problems are held out, which the domain decides.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Collection, Mapping, Sequence

from curricula import list_programs as lp
from curricula.hidden_world import guess_prompt
from curricula.synthetic_names import synthetic_body, transitions

Body = tuple[str, ...]
Exercise = tuple[str, str]
"""Prompt and completion."""


def exercises(
    bodies: Mapping[str, Body],
    names: Collection[str],
    use: Callable[[str], Exercise | None],
    rng: random.Random,
    n: int,
    *,
    guess: float,
    dreams: float,
    unknown: float,
) -> list[Exercise]:
    """Make `n` exercises in random order; fewer if `use` fails too often, none if all bodies are empty.

    Args:
        bodies: defined bodies in primitives, by name.
        names: all names of the world.
        use: makes an exercise with a problem that uses a name; None if it found none.
        rng: source of the draws.
        n: number of exercises.
        guess: share of guesses at a defined body.
        dreams: share of guesses at synthetic bodies, up to one primitive longer than the longest defined one.
        unknown: problems with an undefined name per problem with a defined name.
    """
    others = [w for w in names if w not in bodies]
    usable = [w for w in bodies if bodies[w]]
    if not usable:
        return []
    guesses, synthetic = round(n * guess), round(n * dreams)
    uses = n - guesses - synthetic
    unknowns = round(uses * unknown / (1 + unknown)) if others else 0
    made = [_guess(bodies[w], bodies.values(), rng) for w in _in_turn(usable, guesses, rng)]
    known, longest = transitions(bodies.values()), 1 + max(map(len, bodies.values()))
    made += [_guess(synthetic_body(known, longest, rng), bodies.values(), rng) for _ in range(synthetic)]
    for chosen, count in ((usable, uses - unknowns), (others, unknowns)):
        turns = _in_turn(chosen, 4 * count, rng)  # a name is skipped if all its draws are held out
        made += itertools.islice((e for w in turns if (e := use(w))), count)
    rng.shuffle(made)
    return made


def draw_examples(body: Sequence[str], rng: random.Random) -> list[Exercise]:
    """Two random (input, output) pairs of a body, as shown to a guesser."""
    examples = []
    for _ in range(2):
        xs = tuple(rng.randrange(10) for _ in range(rng.randint(3, 4)))
        examples.append((lp.show(xs), lp.show(lp.last(body, xs))))
    return examples


def _guess(body: Body, known: Collection[Body], rng: random.Random) -> Exercise:
    """A guess at `body`. The hint is its beginning, if that is known or the body has more than two primitives."""
    hint = body[:-1] if len(body) > 2 or body[:-1] in known else ()
    return guess_prompt(hint, draw_examples(body, rng)), " ".join(body)


def _in_turn(names: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """`count` names in random order, whose frequencies differ by at most one."""
    turns: list[str] = []
    while names and len(turns) < count:
        turns += rng.sample(names, len(names))
    return turns[:count]
