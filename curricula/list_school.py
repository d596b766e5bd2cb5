"""Vocabulary and supervised training data of the seed model for list programs.

Every example is (prompt, completion). Deep problems are rare on purpose: solve and read data are mostly of depths 1 and
2, with a small share of depths 3 to 6, to leave room for improvement by self-play. Set and vary data go up to depth
10, because a setter can only propose programs that it can write. Libraries contain distractors, so that the model
learns to select. No held-out problem (dev or test) occurs.

With `naming`, a share of the examples teaches to find the place in a long program: solutions of depths 3 to 12, of
which the operations' names, separators and the end are learned, but not the lists. Without it, a model follows programs
only up to the depth of its solve data, whatever it can compute.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from curricula import hidden_world as hw
from curricula import list_programs as lp
from curricula.domain import Problem
from curricula.hidden_practice import draw_examples

DIGITS = frozenset(map(str, range(10)))
WORDS = (
    *map(str, range(10)), *lp.NAMES, "|", ";", ",", "=", "->",
    "solve", "think", "answer", "propose", "lib", "guess", "body", "unknown", "means",
    "nothing", "when", "fails", "lesson", "book", "review", "question", "same", "because", "retract",
    *hw.WORDS,
)  # fmt: skip

TAIL = 0.06
READ_TAIL = 0.1
TAIL_DEPTHS = ((3, 4, 5, 6), (60, 25, 10, 5))
SET_DEPTHS = (tuple(range(1, 11)), (18, 20, 18, 14, 10, 7, 5, 4, 2, 2))
NAMING_DEPTHS = (3, lp.MAX_DEPTH)
MIX = {"solve": 0.32, "read": 0.34, "set": 0.07, "vary": 0.12, "guess": 0.15}


@dataclass(frozen=True)
class SeedExample:
    task: str
    prompt: str
    completion: str
    unlearned: frozenset[str] = frozenset()
    """Words of the completion that are not trained on."""


class SeedData:
    """Draws seed examples. Deterministic for a given generator state.

    naming: share of examples of the task "name", the operations of long programs in order.
    """

    def __init__(self, naming: float = 0.0) -> None:
        self.domain, self.naming = lp.ListPrograms(), naming
        self._draw = {t: getattr(self, f"_{t}") for t in (*MIX, "name")}

    def draw(self, rng: random.Random, task: str | None = None) -> SeedExample:
        if task is None and self.naming and rng.random() < self.naming:
            task = "name"
        task = task or rng.choices(list(MIX), list(MIX.values()))[0]
        prompt, completion = self._draw[task](rng)
        return SeedExample(task, prompt, completion, DIGITS if task == "name" else frozenset())

    def solve_problem(self, rng: random.Random) -> Problem:
        """Draw a problem from the distribution of the solve data."""
        return self.domain.random_problem(rng, self._depth(rng))

    def _depth(self, rng: random.Random) -> int:
        if rng.random() < TAIL:
            return rng.choices(*TAIL_DEPTHS)[0]
        return 1 if rng.random() < 0.4 else 2

    def _solve(self, rng: random.Random) -> tuple[str, str]:
        problem = self.solve_problem(rng)
        return self.domain.solve_prompt(problem, ()), self.domain.solution(problem)

    def _name(self, rng: random.Random) -> tuple[str, str]:
        problem = self.domain.random_problem(rng, rng.randint(*NAMING_DEPTHS))
        return self.domain.solve_prompt(problem, ()), self.domain.solution(problem)

    def _read(self, rng: random.Random) -> tuple[str, str]:
        """A name replaces part of the program; the library has its definition and 0 to 2 distractors."""
        tail = rng.random() < READ_TAIL
        problem = self.domain.random_problem(rng, rng.choices(*TAIL_DEPTHS)[0] if tail else rng.choice((1, 2, 2)))
        words, xs = lp.split_problem(problem.text)  # type: ignore[misc]
        size = rng.randint(min(2, len(words)), len(words))
        at = rng.randint(0, len(words) - size)
        names = rng.sample(hw.WORDS, 3)
        shown = [f"{names[0]} = {' '.join(words[at : at + size])}"]
        text = f"{' '.join([*words[:at], names[0], *words[at + size :]])} | {lp.show(xs)}"
        for name in names[1 : 1 + rng.choice((0, 1, 1, 2))]:
            # mostly of the same length as the target, so that length does not identify it
            length = size if rng.random() < 0.6 else rng.choice((1, 2, 2, 3, 4))
            shown.append(f"{name} = {' '.join(lp.random_program(rng, length))}")
        if rng.random() < 0.06:
            shown = shown[1:]
            return lp.solve_prompt(text, shown), f"unknown {names[0]}"
        rng.shuffle(shown)
        asked = text.partition("|")[0].split()
        return lp.solve_prompt(text, shown), hw.spelled_out({names[0]: words[at : at + size]}, asked, xs)

    def _proposal(self, rng: random.Random, words: list[str]) -> str | None:
        text = f"{' '.join(words)} | {lp.show(lp.random_list(rng))}"
        return text if isinstance(self.domain.parse_proposal(text), Problem) else None

    def _set(self, rng: random.Random) -> tuple[str, str]:
        while True:
            text = self._proposal(rng, lp.random_program(rng, rng.choices(*SET_DEPTHS)[0]))
            if text:
                return self.domain.propose_prompt(None), text

    def _vary(self, rng: random.Random) -> tuple[str, str]:
        """Insert, replace or drop one primitive of a parent; a quarter of the parents use a name."""
        while True:
            words = lp.random_program(rng, min(9, rng.choices(*SET_DEPTHS)[0]))
            named = rng.random() < 0.25
            if named:
                words = words[: rng.choice((1, 1, 2, 3))]
                words[rng.randrange(len(words))] = rng.choice(hw.WORDS)
            child = list(words)
            edit = rng.random()
            free = [i for i, w in enumerate(child) if w in lp.PRIMITIVES]
            if edit < 0.6 or len(free) < 2:
                child.insert(rng.randint(0, len(child)), rng.choice(lp.NAMES))
            elif edit < 0.9:
                child[rng.choice(free)] = rng.choice(lp.NAMES)
            else:
                del child[rng.choice(free)]
            if child == words:
                continue
            prompt = self.domain.propose_prompt(" ".join(words))
            if named:
                return prompt, f"{' '.join(child)} | {lp.show(lp.random_list(rng))}"
            text = self._proposal(rng, child)
            if text:
                return prompt, text

    def _guess(self, rng: random.Random) -> tuple[str, str]:
        """Guess a body from two input-output pairs; with a parent, the body extends it by one primitive."""
        depth = rng.choices((2, 3, 4, 5), (55, 25, 12, 8))[0]
        body = lp.random_program(rng, depth)
        parent = body[:-1] if depth > 2 else []
        return hw.guess_prompt(parent, draw_examples(body, rng)), " ".join(body)
