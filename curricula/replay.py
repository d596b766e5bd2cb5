"""The bank of learnable problems: what setters vary and what sleep replays.

Grows and is never replaced (accumulating keeps diversity where replacing loses it; see docs/measurements.md). Draws
prefer hard and recent entries: weight (1 - p) * fade^age, after prioritised level replay (Jiang et al. 2021) with the
solve rate p for the value loss. Left out: similarity between entries.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Entry:
    """One solved problem: its text, the trace that was verified, and where both are recorded."""

    post: str
    domain: str
    author: str  # whose post it is
    text: str
    solution: str
    solve_rate: float
    generation: int


Readable = Callable[[Entry], bool]


def everything(entry: Entry) -> bool:
    """Whoever reads all there is."""
    return True


@dataclass(frozen=True)
class Urn:
    """Entries, and their weights added up."""

    entries: list[Entry]
    weights: list[float]

    def draw(self, rng: random.Random, n: int) -> list[Entry]:
        """n entries drawn with replacement; empty if there are none."""
        return rng.choices(self.entries, cum_weights=self.weights, k=n) if self.entries else []


class Bank:
    """Entries in the order they were added."""

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
        readable: Readable = everything,
        born: range | None = None,
        last: int | None = None,
    ) -> list[Entry]:
        """Up to n different entries, weighted without replacement (Efraimidis & Spirakis 2006); fewer if there are
        fewer. `last`: only of the last so many that fit the rest."""
        found = [
            e
            for e in self.entries
            if (domain is None or e.domain == domain) and (born is None or e.generation in born) and readable(e)
        ][-last if last else None :]
        keyed = [(math.log(1.0 - rng.random()) / self._weight(e, now, fade), i) for i, e in enumerate(found)]
        return [found[i] for _, i in sorted(keyed, reverse=True)[:n]]

    def parents(
        self, rng: random.Random, n: int, now: int, fade: float, domain: str, readable: Readable = everything
    ) -> list[Entry]:
        """n entries drawn with replacement; empty if there are none."""
        return self.urn(now, fade, domain, readable).draw(rng, n)

    def urn(self, now: int, fade: float, domain: str, readable: Readable = everything) -> Urn:
        """What parents are drawn from, made once for many draws: as long as nothing is added."""
        found = [e for e in self.entries if e.domain == domain and readable(e)]
        return Urn(found, list(accumulate(self._weight(e, now, fade) for e in found)))

    @staticmethod
    def _weight(entry: Entry, now: int, fade: float) -> float:
        return max(1e-6, (1.0 - entry.solve_rate) * fade ** (now - entry.generation))
