"""Whose posts a reader sees, and from when: what a view of the library is narrowed to.

Left out: who may read whom (that is the arena's to decide; it names authors here), and what a post is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class Scope:
    """A part of the library; every field that is None leaves everything in.

    `authors` are those whose posts are in it. `generations` are inclusive spans (first, last): a post of any of them is
    in it. With `now`, a post is out that had left the index (table `removals`) by that generation, itself included; it
    says nothing of later posts (`Library.as_of` does). Raises ValueError for a span that ends before it begins.
    """

    authors: frozenset[str] | None = None
    generations: tuple[Span, ...] | None = None
    now: int | None = None

    def __post_init__(self) -> None:
        for first, last in self.generations or ():
            if first > last:
                raise ValueError(f"a span of generations must not end before it begins: {first} to {last}")

    def narrowed(self, other: Scope) -> Scope:
        """What lies in both; of two values of `now` the later one, by which more had left."""
        authors, generations, now = self.authors, self.generations, self.now
        if other.authors is not None:
            authors = other.authors if authors is None else authors & other.authors
        if other.generations is not None:
            generations = other.generations if generations is None else _shared(generations, other.generations)
        if other.now is not None:
            now = other.now if now is None else max(now, other.now)
        return Scope(authors, generations, now)


EVERYTHING = Scope()
"""The whole library, what left the index included."""


def _shared(one: tuple[Span, ...], two: tuple[Span, ...]) -> tuple[Span, ...]:
    pairs = [(max(a, c), min(b, d)) for a, b in one for c, d in two]
    return tuple(sorted({(first, last) for first, last in pairs if first <= last}))
