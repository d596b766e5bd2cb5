"""Scopes: restrict a view of the library by author, generation and removal.

Left out: which agents may read which authors (the arena decides), and usefulness.
"""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class Scope:
    """A part of the library; a field that is None restricts nothing.

    `authors`: include only their posts. `generations`: inclusive spans (first, last); include posts of any of them.
    `now`: exclude posts that were removed from the index (table `removals`) up to and including that generation; later
    posts are not excluded (see `Library.as_of`).

    Raises:
        ValueError: for a span that ends before it begins.
    """

    authors: frozenset[str] | None = None
    generations: tuple[Span, ...] | None = None
    now: int | None = None

    def __post_init__(self) -> None:
        for first, last in self.generations or ():
            if first > last:
                raise ValueError(f"a span of generations must not end before it begins: {first} to {last}")

    def narrowed(self, other: Scope) -> Scope:
        """The intersection of two scopes; of two values of `now`, the later one, which excludes more."""
        authors, generations, now = self.authors, self.generations, self.now
        if other.authors is not None:
            authors = other.authors if authors is None else authors & other.authors
        if other.generations is not None:
            generations = other.generations if generations is None else _shared(generations, other.generations)
        if other.now is not None:
            now = other.now if now is None else max(now, other.now)
        return Scope(authors, generations, now)


EVERYTHING = Scope()
"""The whole library, including removed posts."""


def _shared(one: tuple[Span, ...], two: tuple[Span, ...]) -> tuple[Span, ...]:
    pairs = [(max(a, c), min(b, d)) for a, b in one for c, d in two]
    return tuple(sorted({(first, last) for first, last in pairs if first <= last}))
