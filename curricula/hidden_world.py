"""Worlds of hidden words: names with their bodies, and the texts of recalls and guesses.

Used by the domain in `curricula.hidden_words`. Left out: checking a text against a world.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from curricula import list_programs as lp

LEVELS = 8
PER_LEVEL = 8
WORDS = tuple(f"w{i}" for i in range(LEVELS * PER_LEVEL))
SUCCESSORS = 3
MEANS = "means "
OTHER_WORLDS = 1_000_003  # seeds of other worlds are the own seed + 1, 2, ... times this


class World:
    """One assignment of bodies to names, drawn from `seed`. `bodies[name]` is a tuple of primitives.

    `parent[name]` is the name whose body it extends by one primitive; None at level 1.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"ratchet/hidden_words/world/{seed}")
        self.seed = seed
        self.successors = {p: rng.sample([q for q in lp.NAMES if q != p], SUCCESSORS) for p in lp.NAMES}
        self.bodies: dict[str, tuple[str, ...]] = {}
        self.parent: dict[str, str | None] = {}
        used = {lp.IDENTITY} | {lp.behaviour_key((p,)) for p in lp.NAMES}
        for i, name in enumerate(WORDS):
            level = i // PER_LEVEL + 1
            below = [w for w in WORDS[: i - i % PER_LEVEL] if level_of(w) == level - 1]
            while name not in self.bodies:
                parent = rng.choice(below) if below else None
                body = self.bodies[parent] if parent else (rng.choice(lp.NAMES),)
                body = (*body, rng.choice(self.successors[body[-1]]))
                key = lp.behaviour_key(body)
                if key not in used:  # no primitive and no other name has the same behaviour
                    used.add(key)
                    self.bodies[name], self.parent[name] = body, parent

    def others(self) -> Iterator[World]:
        """The other worlds whose seeds are derived from this one's, without end."""
        return (world_of(self.seed + number * OTHER_WORLDS) for number in itertools.count(1))


@cache
def world_of(seed: int) -> World:
    """A shared world, for reading only."""
    return World(seed)


def level_of(name: str) -> int:
    """The level of a name, from 1."""
    return int(name[1:]) // PER_LEVEL + 1


def draw_use(rng: random.Random, names: Sequence[str]) -> str:
    """Draw the text of a problem that uses one of `names` and 0 to 2 primitives."""
    words = [rng.choice(list(names))]
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        words.insert(rng.randint(0, len(words)), rng.choice(lp.NAMES))
    return f"{' '.join(words)} | {lp.show(lp.random_list(rng))}"


def spelled_out(definitions: Mapping[str, Sequence[str]], words: Sequence[str], xs: lp.List) -> str:
    """Write a solution: recalled definitions, the expanded program, the steps and the answer.

    Args:
        definitions: bodies in primitives of the names to recall.
        words: the program.
        xs: the input list.
    """
    program = [p for w in words for p in definitions.get(w, (w,))]
    recalled = "".join(f"{name} {' '.join(body)} ; " for name, body in definitions.items())
    return f"{recalled}{MEANS}{' '.join(program)} ; {lp.solution(program, xs)}"


def split_recall(text: str) -> tuple[list[tuple[str, str]], str | None, str]:
    """Split a solution into recalled (name, body) pairs, the stated expansion of the program (None if there is none),
    and the trace. Total."""
    recalled = []
    while True:
        head, semicolon, rest = text.partition(" ; ")
        name, _, body = head.partition(" ")
        if not semicolon or name not in WORDS:
            break
        recalled.append((name, body))
        text = rest
    if text.startswith(MEANS):
        meant, _, text = text.removeprefix(MEANS).partition(" ; ")
        return recalled, meant, text
    return recalled, None, text


def guess_prompt(parent: Sequence[str], examples: Sequence[tuple[str, str]]) -> str:
    """The prompt for a guess: the hint (primitives, may be empty) and (input, output) examples."""
    shown = " , ".join(f"{a} -> {b}" for a, b in examples)
    return f"guess {' '.join([*parent, '|'])} {shown} body"
