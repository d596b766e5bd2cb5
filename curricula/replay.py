"""The bank of learnable problems, from which setters get parents and sleep gets replayed examples.

Entries are only added, never replaced, because replacing loses diversity (see docs/measurements.md). Draws prefer hard
and recent entries: the weight is (1 - p) * fade^age, as in prioritised level replay (Jiang et al. 2021) with the solve
rate p in place of the value loss. Left out: similarity between entries.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Entry:
    """A solved problem: its text, the verified solution, and the post that records both."""

    post: str
    domain: str
    author: str  # author of the post
    text: str
    solution: str
    solve_rate: float
    generation: int


Readable = Callable[[Entry], bool]


def all_readable(entry: Entry) -> bool:
    """Readability of an agent that may read every entry."""
    return True


@dataclass(frozen=True)
class ParentPool:
    """Entries with their cumulative weights."""

    entries: list[Entry]
    weights: list[float]

    def draw(self, rng: random.Random, n: int) -> list[Entry]:
        """Draw n entries with replacement; empty if the pool is."""
        return rng.choices(self.entries, cum_weights=self.weights, k=n) if self.entries else []


class Bank:
    """Entries in order of addition."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, entries: Sequence[Entry]) -> None:
        self.entries += entries

    def sample(
        self,
        rng: random.Random,
        n: int,
        now: int,
        fade: float = 1.0,
        domain: str | None = None,
        readable: Readable = all_readable,
        born: range | None = None,
        last: int | None = None,
    ) -> list[Entry]:
        """Draw up to n different entries, weighted, without replacement (Efraimidis & Spirakis 2006).

        Args:
            rng: source of the draws.
            n: number of entries; fewer are returned if fewer qualify.
            now: current generation, from which ages are counted.
            fade: factor on the weight per generation of age.
            domain: only entries of this domain (default: all).
            readable: only entries for which this is true.
            born: only entries of these generations (default: all).
            last: only the last `last` entries that satisfy the other conditions (default: all).
        """
        found = [
            e
            for e in self.entries
            if (domain is None or e.domain == domain) and (born is None or e.generation in born) and readable(e)
        ][-last if last else None :]
        keyed = [(math.log(1.0 - rng.random()) / self._weight(e, now, fade), i) for i, e in enumerate(found)]
        return [found[i] for _, i in sorted(keyed, reverse=True)[:n]]

    def parents(
        self, rng: random.Random, n: int, now: int, fade: float, domain: str, readable: Readable = all_readable
    ) -> list[Entry]:
        """Draw n entries with replacement; empty if none qualify."""
        return self.parent_pool(now, fade, domain, readable).draw(rng, n)

    def parent_pool(self, now: int, fade: float, domain: str, readable: Readable = all_readable) -> ParentPool:
        """The entries that parents are drawn from. Valid until an entry is added; reuse it for many draws."""
        found = [e for e in self.entries if e.domain == domain and readable(e)]
        return ParentPool(found, list(accumulate(self._weight(e, now, fade) for e in found)))

    @staticmethod
    def _weight(entry: Entry, now: int, fade: float) -> float:
        return max(1e-6, (1.0 - entry.solve_rate) * fade ** (now - entry.generation))
