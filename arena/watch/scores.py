"""Incremental scores of agents and posts: ratings, learnability paid, uplift and offspring.

Ratings must be updated in order of generation, so they are read from the first generation on, while
`arena.watch.history` begins with the newest. Every score can be returned as of any generation read so far.

Left out: the estimators (`arena.report.stats.ratings`, `arena.report.metrics.paired_uplift`). Not guaranteed: scores
before the whole run has been read.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arena.report.metrics.paired_uplift import Offspring, Outcome, Pairs, Uplift, uplifts
from arena.report.stats.ratings import ROLES, Rating, Ratings
from arena.watch import queries
from arena.watch.models import DefinitionRef, PaidProblem, PostOffspring, PostRow

PIECE = 10_000
"""Maximum rows of evaluations read at once."""
NO_OFFSPRING = Offspring(0, 0, 0)


@dataclass(frozen=True)
class PostScore:
    """Uplift and offspring of a post, or of all posts of an author. `shadowed`: an earlier definition of the same name
    is in force."""

    uplift: Uplift | None
    offspring: Offspring
    shadowed: bool = False


class Scores:
    """The scores of a run. The caller must hold `lock`, except for `post_scores` and `most_useful`, which take it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ratings = Ratings()
        self.rated = 0  # the last generation whose rewards were rated
        self.earned: dict[int, dict[str, tuple[float, int]]] = {}  # by generation and author
        self.pairs, self.evaluation = Pairs(), 0  # and the rowid of the last evaluation read
        self.definitions: dict[str, DefinitionRef] = {}  # by name: the first one, which is in force
        self.offspring: dict[int, dict[int, Offspring]] = defaultdict(dict)  # by number of the post and generation
        self.author_offspring: dict[str, dict[int, Offspring]] = defaultdict(dict)  # by author and generation

    @property
    def version(self) -> object:
        return self.rated, self.evaluation, len(self.earned)

    # -- reading -------------------------------------------------------------------------------------------------

    def step(self, db: sqlite3.Connection, graded: int, end: float) -> bool:
        """Read rewards up to generation `graded` and new evaluations, until `end` on the monotonic clock.

        Returns whether more is left to read.
        """
        while self.rated < graded:
            self.rated += 1
            for role, rewards in queries.races(db, self.rated).items():
                self.ratings.race(self.rated, role, rewards)
            if time.monotonic() > end:
                return True
        while True:
            rows, self.evaluation, more = queries.evaluations_after(db, self.evaluation, PIECE)
            self.pairs.add(rows)
            if not more or time.monotonic() > end:
                return more

    def add_generation(self, generation: int, rows: Iterable[PaidProblem], offspring: Iterable[PostOffspring]) -> None:
        """Add the payments of one generation's problems and the offspring of posts. Call once per generation."""
        earned: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        for row in rows:
            paid, learnable = earned[row.author]
            earned[row.author] = (paid + max(row.paid, 0.0), learnable + row.learnable)
        self.earned[generation] = dict(earned)
        for o in offspring:
            self.offspring[o.seq][generation] = o.offspring
            of = self.author_offspring[o.author]
            of[generation] = _sum([of.get(generation, NO_OFFSPRING), o.offspring])

    def add_definition(self, definition: DefinitionRef) -> None:
        """Add a definition. Definitions must be added in the order of the ledger."""
        self.definitions.setdefault(definition.title, definition)

    # -- results -------------------------------------------------------------------------------------------------

    def rating(self, agent: str, generation: int) -> dict[str, Rating]:
        """An agent's rating after `generation`, by role."""
        found = {role: self.ratings.at(role, agent, generation) for role in ROLES}
        return {role: r for role, r in found.items() if r is not None}

    def earnings(self, generation: int) -> dict[str, tuple[float, int]]:
        """(learnability paid, number of learnable problems) by author, up to and including `generation`."""
        total: dict[str, tuple[float, int]] = {}
        for g, by in self.earned.items():
            if g <= generation:
                for author, (paid, learnable) in by.items():
                    before = total.get(author, (0.0, 0))
                    total[author] = (before[0] + paid, before[1] + learnable)
        return total

    def author_scores(self, generation: int) -> dict[str, PostScore]:
        """Uplift and offspring of all posts of each author, up to `generation`. The uplift pools the pairs of all
        definitions of the author that are in force."""
        counts: dict[str, Counter[Outcome]] = defaultdict(Counter)
        for name, definition in self.definitions.items():
            if definition.generation <= generation:
                counts[definition.author] += self.pairs.counts(name, definition.generation, generation)
        found = uplifts(counts)
        totals = {a: _sum([o for g, o in by.items() if g <= generation]) for a, by in self.author_offspring.items()}
        offspring = {a: o for a, o in totals.items() if o.set}
        return {a: PostScore(found.get(a), offspring.get(a, NO_OFFSPRING)) for a in {*found, *offspring}}

    def post_scores(self, rows: Sequence[PostRow], at: int | None = None) -> list[tuple[PostRow, PostScore]]:
        """Each post with its score, as of generation `at` (default: now)."""
        with self.lock:
            uplift = self.uplifts_by_post(at)
            found = []
            for p in rows:
                first = self.definitions.get(p.title) if p.kind == "definition" else None
                shadowed = first is not None and first.seq != p.seq
                found.append((p, PostScore(uplift.get(p.seq), self.offspring_of(p.seq, at), shadowed)))
            return found

    def offspring_of(self, seq: int, at: int | None = None) -> Offspring:
        return _sum([o for g, o in self.offspring.get(seq, {}).items() if at is None or g <= at])

    def uplifts_by_post(self, at: int | None = None) -> dict[int, Uplift]:
        """The uplift of every definition in force that has measured pairs, by number of the post."""
        found = uplifts({name: self.pairs.counts(name, d.generation, at) for name, d in self.definitions.items()})
        return {d.seq: found[name] for name, d in self.definitions.items() if name in found}

    def most_useful(self, most: int, at: int | None = None) -> list[int]:
        """Numbers of at most `most` posts: definitions by shrunken uplift, then posts by learnable offspring."""
        with self.lock:
            uplift = self.uplifts_by_post(at)
            first = sorted(uplift, key=lambda seq: (-uplift[seq].shrunk, seq))
            totals = {seq: self.offspring_of(seq, at) for seq in self.offspring if seq not in uplift}
            rest = [seq for seq, o in totals.items() if o.learnable]
            rest.sort(key=lambda seq: (-totals[seq].learnable, totals[seq].set, seq))
            return (first + rest)[:most]


def _sum(offspring: Sequence[Offspring]) -> Offspring:
    return Offspring(
        sum(o.set for o in offspring), sum(o.valid for o in offspring), sum(o.learnable for o in offspring)
    )
