"""A run's figures, folded piece by piece: each generation once, each post once, never the whole run again.

`step` does a bounded piece of work and says whether more is waiting, so that a long run fills the screens while they
can be used already. `snapshot` is what the screens draw, for the latest generation or any earlier one.

Left out: anything about single rounds, agents or posts (`arena.watch.queries` asks for those when they are looked at).
Not guaranteed: alarms before everything has been read.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from arena.phases.order import LOOP
from arena.report.metrics.run_summary import warnings
from arena.report.stats.ratings import Rating
from arena.watch import queries
from arena.watch.models import Member, PostMark, Run, SetRow, Summary
from arena.watch.scores import Merit, Worth

BEST = 8
"""Problems kept of each author, best and worst paid."""
PIECE = 10_000
"""Rows of posts, grades or guesses folded at once."""
LATELY = 10
"""Generations over which graders are judged."""


@dataclass(frozen=True)
class Snapshot:
    """What the Arena screen shows: a run at one generation."""

    run: Run
    latest: int
    shown: int
    live: bool
    started: bool
    finished: bool
    last: tuple[int, str] | None
    coming: str
    usual: float | None
    summaries: tuple[Summary, ...]
    members: tuple[Member, ...]
    solved: dict[str, float]  # share of right attempts lately, by agent
    posts: dict[str, int]  # posts up to the shown generation, by author
    ratings: dict[str, dict[str, Rating]]  # by agent and role
    earned: dict[str, tuple[float, int]]  # learnability paid and learnable problems so far, by author
    worth: dict[str, Worth]  # what all posts of an author did for their readers
    alarms: tuple[str, ...]
    unread: int

    @property
    def at(self) -> Summary | None:
        return next((s for s in reversed(self.summaries) if s.generation == self.shown), None)


class History:
    """The folded run. One thread at a time may call `step` and `snapshot`."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.last_phase = 0  # rowid
        self.order: list[tuple[int, str]] = []
        self.phases: dict[int, set[str]] = defaultdict(set)
        self.stale: set[int] = set()
        self.summaries: dict[int, Summary] = {}
        self.attempts: dict[int, dict[str, tuple[int, int]]] = {}
        self.best: dict[str, list[SetRow]] = defaultdict(list)
        self.worst: dict[str, list[SetRow]] = defaultdict(list)
        self.settled: set[int] = set()
        self.merit = Merit()
        self.seq = 0
        self.posts: dict[str, Counter[int]] = defaultdict(Counter)  # author: posts by generation
        self.cited_by: dict[str, list[str]] = defaultdict(list)
        self.grades: dict[int, Counter[str]] = defaultdict(Counter)
        self.guesses: dict[int, Counter[str]] = defaultdict(Counter)
        self.rowids = {"grades": 0, "guesses": 0}

    @property
    def latest(self) -> int:
        return max(self.phases, default=0)

    @property
    def version(self) -> object:
        """Changes when anything was folded in."""
        return self.last_phase, len(self.stale), self.seq, self.merit.version

    @property
    def finished(self) -> bool:
        return any("final" in phases for phases in self.phases.values())

    def is_of_another_run(self, db: sqlite3.Connection) -> bool:
        """Whether the database was replaced by one that has not come as far."""
        return bool(self.last_phase) and queries.last_phase(db) < self.last_phase

    def step(self, db: sqlite3.Connection, budget: float = 0.05) -> bool:
        """Fold in what is new, for about `budget` seconds; True if more is waiting."""
        with self.merit.lock:
            return self._step(db, budget)

    def _step(self, db: sqlite3.Connection, budget: float) -> bool:
        end = time.monotonic() + budget
        for rowid, generation, phase in queries.phases_after(db, self.last_phase):
            self.last_phase = rowid
            self.order.append((generation, phase))
            self.phases[generation].add(phase)
            self.stale.add(generation)
        more = self._posts(db)
        more |= self._votes(db, "grades", "agrees")
        more |= self._votes(db, "guesses", "correct")
        while self.stale:
            generation = max(self.stale)
            self._generation(db, generation)
            self.stale.discard(generation)
            if time.monotonic() > end:
                break
        graded = max((g for g, phases in self.phases.items() if "grade" in phases), default=0)
        more |= self.merit.step(db, graded, end)
        return more or bool(self.stale)

    def _generation(self, db: sqlite3.Connection, g: int) -> None:
        phases = frozenset(self.phases[g])
        self.summaries[g] = queries.summary(db, g, phases, self.run.main)
        if "solve" in phases and g not in self.attempts:
            self.attempts[g] = queries.right_attempts(db, g)
        if "grade" in phases and g not in self.settled:
            self.settled.add(g)
            by_author: dict[str, list[SetRow]] = defaultdict(list)
            rows = queries.settled(db, g)
            self.merit.settle(g, rows, queries.bred(db, g))
            for row in rows:
                by_author[row.author].append(row)
            for author, own in by_author.items():
                best = sorted(self.best[author] + own, key=lambda r: (-r.paid, -r.generation))
                worst = sorted(self.worst[author] + own, key=lambda r: (r.paid, -r.generation))
                self.best[author], self.worst[author] = best[:BEST], worst[:BEST]

    def _posts(self, db: sqlite3.Connection) -> bool:
        sql = "SELECT seq, id, author, generation, cites, kind, title FROM posts WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = db.execute(sql, [self.seq, PIECE]).fetchall()
        for seq, id_, author, generation, cites, kind, title in rows:
            self.seq = seq
            if kind == "definition":
                self.merit.post(PostMark(seq, kind, title, author, generation))
            self.posts[author][generation] += 1
            for cited in queries.cited(cites):
                self.cited_by[cited].append(id_)
        return len(rows) == PIECE

    def _votes(self, db: sqlite3.Connection, table: str, column: str) -> bool:
        assert table in self.rowids and column in ("agrees", "correct"), (table, column)
        sql = f"SELECT rowid, generation, {column} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"
        rows = db.execute(sql, [self.rowids[table], PIECE]).fetchall()
        tally = self.grades if table == "grades" else self.guesses
        for rowid, generation, value in rows:
            self.rowids[table] = rowid
            tally[generation]["n"] += 1
            if value is not None:
                tally[generation]["votes"] += 1
                tally[generation]["right"] += value
        return len(rows) == PIECE

    # -- drawing -------------------------------------------------------------------------------------------------

    def snapshot(self, db: sqlite3.Connection, shown: int | None = None) -> Snapshot:
        """The run as it stood in generation `shown`, or now."""
        with self.merit.lock:
            return self._snapshot(db, shown)

    def _snapshot(self, db: sqlite3.Connection, shown: int | None) -> Snapshot:
        latest = self.latest
        live = shown is None or not 0 <= shown <= latest
        g = latest if live or shown is None else shown
        lately = range(g - queries.RECENT + 1, g + 1)
        tries: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for generation in lately:
            for agent, (n, right) in self.attempts.get(generation, {}).items():
                tries[agent][0] += n
                tries[agent][1] += right
        members = tuple(queries.population(db, g))
        coming = self.coming()
        return Snapshot(
            self.run,
            latest,
            g,
            live,
            bool(self.order),
            self.finished,
            self.order[-1] if self.order else None,
            coming,
            queries.usual_seconds(db, coming) if coming else None,
            tuple(self.summaries[i] for i in sorted(self.summaries) if i <= g),
            members,
            {a: right / n for a, (n, right) in tries.items() if n},
            {a: sum(n for at, n in c.items() if at <= g) for a, c in self.posts.items()},
            {m.name: self.merit.rating(m.name, g) for m in members},
            self.merit.earnings(g),
            self.merit.authors(g),
            tuple(self.alarms(g, queries.reviewed(db, g))) if not self.stale else (),
            len(self.stale),
        )

    def coming(self) -> str:
        """The phase at work or to come next; an empty string after the last."""
        if not self.order:
            return "birth"
        generation, phase = self.order[-1]
        if phase == "final":
            return ""
        if phase == "birth":
            return "baseline"
        if phase in LOOP and phase != LOOP[-1]:
            return LOOP[LOOP.index(phase) + 1]
        return LOOP[0] if generation < self.run.planned else "final"

    def alarms(self, up_to: int, review: dict[str, int]) -> list[str]:
        """Plain sentences about what looks wrong up to a generation, by the rules of the report."""
        rows = [
            {
                "index": s.generation,
                "complete": s.phases.issuperset(LOOP),
                "proposed": s.proposed,
                "valid": s.valid,
                "distinct_behaviours": s.distinct,
                "rejections": {"duplicate": s.duplicates},
                "solve_rate": s.solve_rate,
                "guesses": self.guesses[g]["n"],
                "right_guesses": self.guesses[g]["right"],
            }
            for g, s in sorted(self.summaries.items())
            if 1 <= g <= up_to
        ]
        lately = [self.grades[g] for g in range(up_to - LATELY + 1, up_to + 1)]
        votes, right = sum(c["votes"] for c in lately), sum(c["right"] for c in lately)
        held = sum(n for c in self.posts.values() for g, n in c.items() if g <= up_to)
        return warnings(
            {
                "finished": True,  # that a run goes on is no alarm
                "planned_generations": self.run.planned,
                "generations": rows,
                "library": {"posts": held},
                "review": review,
                "grading": {"graded": sum(c["n"] for c in lately), "agreement": right / votes if votes else None},
            }
        )
