"""A domain of your own: list programs with a limit on their length. Play a run of it:

    PYTHONPATH=. ratchet run tiny 'domains={"examples.own_domain:ShortPrograms": {share: 1.0, longest: 2}}'

The shipped model can play this domain, because its texts are those of list_programs. docs/add_a_domain.md builds a
domain from nothing.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from curricula.domain import Problem, Rejection
from curricula.list_programs import ListPrograms


class ShortPrograms(ListPrograms):
    """List programs of at most `longest` primitives. `longest` is an option in the config."""

    name = "short_programs"
    depths = (1, 2, 3)

    def __init__(self, longest: int = 3) -> None:
        if longest not in self.depths:
            raise ValueError(f"longest must be one of {self.depths}, got {longest}")
        self.longest = longest
        super().__init__()

    def parse_proposal(self, text: str) -> Problem | Rejection:
        found = super().parse_proposal(text)
        if isinstance(found, Problem) and found.depth > self.longest:
            return Rejection("too long", f"{found.depth} primitives, at most {self.longest}")
        return found

    def heldout(self, split: str, depth: int) -> Sequence[Problem]:
        return [replace(problem, domain=self.name) for problem in super().heldout(split, depth)]

    def random_problem(self, rng: random.Random, depth: int | None = None) -> Problem:
        return super().random_problem(rng, min(depth or rng.randint(1, self.longest), self.longest))
