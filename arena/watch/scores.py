"""What agents and posts proved worth, folded piece by piece: ratings, learnability earned, uplift and offspring.

Ratings need their races in order, so they go forwards from the first generation, while `arena.watch.history` begins
with the newest. Everything can be asked as of any generation that has been folded.

Left out: how any of it is computed (`arena.report.stats.ratings`, `arena.report.metrics.paired_uplift`). Not
guaranteed: figures before everything has been read.
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
from arena.watch.models import Bred, PostMark, PostRow, SetRow

PIECE = 10_000
"""Evaluations looked at in one go."""
NO_OFFSPRING = Offspring(0, 0, 0)


@dataclass(frozen=True)
class Worth:
    """What is known of one post's use. `rival`: a definition of the same name that came first, so is in force."""

    uplift: Uplift | None
    offspring: Offspring
    rival: bool = False


class Merit:
    """Whoever folds or asks holds `lock`; `uses` and `most_useful` take it themselves."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ratings = Ratings()
        self.rated = 0  # the last generation whose races were folded
        self.earned: dict[int, dict[str, tuple[float, int]]] = {}
        self.pairs, self.evaluation = Pairs(), 0  # the last row that was looked at
        self.definitions: dict[str, PostMark] = {}  # the first of each name, which is in force
        self.bred: dict[int, Offspring] = {}  # by number of the post
        self.families: dict[str, dict[int, Offspring]] = defaultdict(dict)  # author: by generation

    @property
    def version(self) -> object:
        return self.rated, self.evaluation, len(self.earned)

    # -- folding -------------------------------------------------------------------------------------------------

    def step(self, db: sqlite3.Connection, graded: int, end: float) -> bool:
        """Fold races up to generation `graded` and new evaluations, until `end` on the monotonic clock."""
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

    def settle(self, generation: int, rows: Iterable[SetRow], bred: Iterable[Bred]) -> None:
        """What one generation's problems earned, and whose posts they were varied from; once a generation."""
        earned: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        for row in rows:
            paid, learnable = earned[row.author]
            earned[row.author] = (paid + max(row.paid, 0.0), learnable + row.learnable)
        self.earned[generation] = dict(earned)
        for b in bred:
            self.bred[b.seq] = _sum(self.bred.get(b.seq, NO_OFFSPRING), b.offspring)
            of = self.families[b.author]
            of[generation] = _sum(of.get(generation, NO_OFFSPRING), b.offspring)

    def post(self, mark: PostMark) -> None:
        """A definition, in the order of the ledger."""
        self.definitions.setdefault(mark.title, mark)

    # -- asking --------------------------------------------------------------------------------------------------

    def rating(self, agent: str, generation: int) -> dict[str, Rating]:
        """By role, as it stood after `generation`."""
        found = {role: self.ratings.at(role, agent, generation) for role in ROLES}
        return {role: r for role, r in found.items() if r is not None}

    def earnings(self, generation: int) -> dict[str, tuple[float, int]]:
        """(learnability paid, learnable problems) by author, up to a generation."""
        total: dict[str, tuple[float, int]] = {}
        for g, by in self.earned.items():
            if g <= generation:
                for author, (paid, learnable) in by.items():
                    before = total.get(author, (0.0, 0))
                    total[author] = (before[0] + paid, before[1] + learnable)
        return total

    def authors(self, generation: int) -> dict[str, Worth]:
        """What each author's posts did for their readers, up to a generation: the pairs of all its definitions."""
        counts: dict[str, Counter[Outcome]] = defaultdict(Counter)
        for title, mark in self.definitions.items():
            if mark.generation <= generation:
                counts[mark.author] += self.pairs.counts(title, mark.generation, generation)
        lifted = uplifts(counts)
        until = {a: _total([o for g, o in by.items() if g <= generation]) for a, by in self.families.items()}
        bred = {a: o for a, o in until.items() if o.set}
        return {a: Worth(lifted.get(a), bred.get(a, NO_OFFSPRING)) for a in {*lifted, *bred}}

    def uses(self, rows: Sequence[PostRow]) -> list[tuple[PostRow, Worth]]:
        """Each post with its use so far."""
        with self.lock:
            lifted = self.lifted()
            found = []
            for p in rows:
                own = self.definitions.get(p.title) if p.kind == "definition" else None
                rival = own is not None and own.seq != p.seq
                found.append((p, Worth(lifted.get(p.seq), self.bred.get(p.seq, NO_OFFSPRING), rival)))
            return found

    def lifted(self) -> dict[int, Uplift]:
        """The uplift of every definition in force of which pairs were asked, by number of the post."""
        names = {m.seq: t for t, m in self.definitions.items()}
        counts = {m.seq: self.pairs.counts(t, m.generation) for t, m in self.definitions.items()}
        found = uplifts({names[seq]: c for seq, c in counts.items()})
        return {seq: found[t] for seq, t in names.items() if t in found}

    def most_useful(self, most: int) -> list[int]:
        """Numbers of posts: definitions by their uplift, drawn towards the mean; then by learnable offspring."""
        with self.lock:
            lifted = self.lifted()
            first = sorted(lifted, key=lambda seq: (-lifted[seq].shrunk, seq))
            rest = [seq for seq, o in self.bred.items() if o.learnable and seq not in lifted]
            rest.sort(key=lambda seq: (-self.bred[seq].learnable, self.bred[seq].set, seq))
            return (first + rest)[:most]


def _sum(a: Offspring, b: Offspring) -> Offspring:
    return Offspring(a.set + b.set, a.valid + b.valid, a.learnable + b.learnable)


def _total(all_: Sequence[Offspring]) -> Offspring:
    return Offspring(sum(o.set for o in all_), sum(o.valid for o in all_), sum(o.learnable for o in all_))
