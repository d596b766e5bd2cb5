"""Incremental aggregation of a run for the screens: each generation and each post is read once.

`History.step` does a bounded amount of work and returns whether more is left, so that the screens of a long run can be
used while it is being read. `History.snapshot` returns what the screens draw, for the latest generation or an earlier
one.

Left out: single rounds, agents and posts (`arena.watch.queries` reads those on demand). Not guaranteed: alarms before
the whole run has been read.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from arena.phases.order import LOOP
from arena.report.metrics import alarms
from arena.report.stats.ratings import Rating
from arena.run.waiting import Waiting
from arena.watch import queries
from arena.watch.models import DefinitionRef, GenerationSummary, Member, PaidProblem, Run
from arena.watch.scores import PostScore, Scores

BEST = 8
"""Best-paid and worst-paid problems kept for each author."""
PIECE = 10_000
"""Maximum rows of posts, grades or guesses read in one step."""


@dataclass(frozen=True)
class Snapshot:
    """A run as of one generation: everything that the Arena screen shows."""

    run: Run
    latest: int
    shown: int
    live: bool
    started: bool
    finished: bool
    last: tuple[int, str] | None
    next_phase: str
    typical_seconds: float | None  # recent mean duration of the next phase
    summaries: tuple[GenerationSummary, ...]
    members: tuple[Member, ...]
    solved: dict[str, float]  # share of correct attempts in the last RECENT generations, by agent
    posts: dict[str, int]  # posts up to the shown generation, by author
    ratings: dict[str, dict[str, Rating]]  # by agent and role
    earned: dict[str, tuple[float, int]]  # learnability paid and learnable problems so far, by author
    post_scores: dict[str, PostScore]  # uplift and offspring of all posts of an author, by author
    alarms: tuple[str, ...]
    unread: int  # generations that have not been read yet
    waiting: Waiting  # posts that wait for approval

    @property
    def at(self) -> GenerationSummary | None:
        """The summary of the shown generation."""
        return next((s for s in reversed(self.summaries) if s.generation == self.shown), None)


class History:
    """The aggregated figures of a run. `step` and `snapshot` must not be called by two threads at once."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.last_phase = 0  # rowid
        self.order: list[tuple[int, str]] = []
        self.phases: dict[int, set[str]] = defaultdict(set)
        self.stale: set[int] = set()
        self.summaries: dict[int, GenerationSummary] = {}
        self.attempts: dict[int, dict[str, tuple[int, int]]] = {}
        self.best: dict[str, list[PaidProblem]] = defaultdict(list)
        self.worst: dict[str, list[PaidProblem]] = defaultdict(list)
        self.graded: set[int] = set()
        self.scores = Scores()
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
        """Changes whenever new rows were read."""
        return self.last_phase, len(self.stale), self.seq, self.scores.version

    @property
    def finished(self) -> bool:
        return any("final" in phases for phases in self.phases.values())

    def is_of_another_run(self, db: sqlite3.Connection) -> bool:
        """Whether the database was replaced by one with fewer finished phases."""
        return bool(self.last_phase) and queries.last_phase(db) < self.last_phase

    def step(self, db: sqlite3.Connection, budget: float = 0.05) -> bool:
        """Read new rows for about `budget` seconds. Returns whether more are left."""
        with self.scores.lock:
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
        more |= self.scores.step(db, graded, end)
        return more or bool(self.stale)

    def _generation(self, db: sqlite3.Connection, g: int) -> None:
        phases = frozenset(self.phases[g])
        self.summaries[g] = queries.summary(db, g, phases, self.run.main)
        if "solve" in phases and g not in self.attempts:
            self.attempts[g] = queries.correct_attempts(db, g)
        if "grade" in phases and g not in self.graded:
            self.graded.add(g)
            by_author: dict[str, list[PaidProblem]] = defaultdict(list)
            rows = queries.paid_problems(db, g)
            self.scores.add_generation(g, rows, queries.offspring(db, g))
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
                self.scores.add_definition(DefinitionRef(seq, title, author, generation))
            self.posts[author][generation] += 1
            for cited in queries.parse_cites(cites):
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

    # -- snapshots -----------------------------------------------------------------------------------------------

    def snapshot(self, db: sqlite3.Connection, shown: int | None = None) -> Snapshot:
        """The run as of generation `shown`; as of the latest if None or out of range."""
        with self.scores.lock:
            return self._snapshot(db, shown)

    def _snapshot(self, db: sqlite3.Connection, shown: int | None) -> Snapshot:
        latest = self.latest
        live = shown is None or not 0 <= shown <= latest
        g = latest if live or shown is None else shown
        recent = range(g - queries.RECENT + 1, g + 1)
        attempts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for generation in recent:
            for agent, (n, correct) in self.attempts.get(generation, {}).items():
                attempts[agent][0] += n
                attempts[agent][1] += correct
        members, waits = tuple(queries.population(db, g)), queries.posts_waiting(db, None if live else g)
        next_phase = self.next_phase()
        return Snapshot(
            self.run,
            latest,
            g,
            live,
            bool(self.order),
            self.finished,
            self.order[-1] if self.order else None,
            next_phase,
            queries.typical_seconds(db, next_phase) if next_phase else None,
            tuple(self.summaries[i] for i in sorted(self.summaries) if i <= g),
            members,
            {a: correct / n for a, (n, correct) in attempts.items() if n},
            {a: sum(n for at, n in c.items() if at <= g) for a, c in self.posts.items()},
            {m.name: self.scores.rating(m.name, g) for m in members},
            self.scores.earnings(g),
            self.scores.author_scores(g),
            tuple(a.text for a in alarms.at(self.figures(db, g), waits.line(self.run.folder)))
            if not self.stale
            else (),
            len(self.stale),
            waits,
        )

    def next_phase(self) -> str:
        """The phase that runs now or next; an empty string after the last one."""
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

    def figures(self, db: sqlite3.Connection, up_to: int) -> list[alarms.Figures]:
        """What alarms need, of the complete generations up to `up_to`."""
        labels, none = queries.labels(db), (0, 0)
        return [
            alarms.Figures(
                g,
                *(s.proposed or 0, s.valid or 0, s.distinct or 0, s.duplicates, s.solve_rate, s.learnable or 0),
                *(self.guesses[g]["n"], self.guesses[g]["right"]),
                *(self.grades[g]["n"], self.grades[g]["votes"], self.grades[g]["right"]),
                sum(c[g] for c in self.posts.values()),
                *labels.get(g, none),
                *alarms.compared(s.varied),
            )
            for g, s in sorted(self.summaries.items())
            if 1 <= g <= up_to and s.phases.issuperset(LOOP)
        ]
