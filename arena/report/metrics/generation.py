"""Figures of a generation: problems set and solved, posts, reads, guesses, grades, time and compute.

Each function returns {generation: figure}, for one generation or, with `generation` None, for all of them. A
generation without rows is absent. The live view, the sinks, the screens, the report and experiments all call these
functions, so they show the same numbers.

Left out: held-out skill (`heldout`) and the ratchet (`ratchet`). Not guaranteed: that a generation which is still being
played keeps its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from arena.run.store import Row, Store

AT_WORK = "phase NOT IN ('sleep', 'beside')"
"""SQL on table `reads`: "read at work". The post was put into the context of a setter or solver because it was asked
for. Distractors (phase `beside`) are counted apart, as shown; reading during sleep is counted as read asleep."""


READ_AS = f"CASE WHEN {AT_WORK} THEN 'at work' WHEN phase = 'sleep' THEN 'asleep' ELSE 'as a distractor' END"
"""SQL on table `reads`: how a post was read or shown, in words."""


class Database(Protocol):
    """Anything that answers SQL with rows: the run's store, or a screen's read-only connection."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]: ...


@dataclass(frozen=True)
class Proposals:
    """Problems of one generation. `depth`: mean over the valid ones. `behaviours`: distinct ones among the valid, where
    problems of two domains always differ."""

    proposed: int = 0
    valid: int = 0
    depth: float | None = None
    behaviours: int = 0
    duplicates: int = 0


@dataclass(frozen=True)
class Outcomes:
    """Problems that are sometimes but not always solved, and the mean solve rate of all that were tried."""

    learnable: int = 0
    solve_rate: float | None = None


@dataclass(frozen=True)
class Guesses:
    """Guesses at the meaning of a name, and the correct ones."""

    made: int = 0
    right: int = 0


@dataclass(frozen=True)
class Tokens:
    """Tokens of all phases but the evaluation after the last generation."""

    prompt: int = 0
    generated: int = 0
    trained: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.generated + self.trained


def proposals(db: Database, generation: int | None = None) -> dict[int, Proposals]:
    where, values = _where(generation)
    sql = (
        "SELECT generation, COUNT(*) AS proposed, SUM(valid) AS valid, AVG(CASE WHEN valid THEN depth END) AS depth,"
        " COUNT(DISTINCT CASE WHEN valid THEN domain || '/' || behaviour_key END) AS behaviours,"
        f" SUM(reason = 'duplicate') AS duplicates FROM problems WHERE {where} GROUP BY generation"
    )
    return {
        r["generation"]: Proposals(r["proposed"], r["valid"], r["depth"], r["behaviours"], r["duplicates"] or 0)
        for r in db.query(sql, values)
    }


def all_rejected(db: Database, generation: int) -> list[tuple[str, int]]:
    """Domains in which no proposal of a generation was valid, and how many there were."""
    sql = "SELECT domain, COUNT(*) AS n FROM problems WHERE generation = ? GROUP BY domain HAVING NOT SUM(valid)"
    return [(r["domain"], r["n"]) for r in db.query(sql, [generation])]


def outcomes(db: Database, generation: int | None = None) -> dict[int, Outcomes]:
    where, values = _where(generation)
    sql = (
        "SELECT generation, SUM(learnable) AS learnable, AVG(solve_rate) AS solve_rate FROM outcomes"
        f" WHERE {where} GROUP BY generation"
    )
    return {r["generation"]: Outcomes(r["learnable"], r["solve_rate"]) for r in db.query(sql, values)}


def posts(db: Database, generation: int | None = None) -> dict[int, int]:
    """Posts that were admitted to the library, by the generation in which they were written."""
    where, values = _where(generation)
    return _counts(db, f"SELECT generation, COUNT(*) AS n FROM posts WHERE {where} GROUP BY generation", values)


def reads(store: Store, generation: int | None = None) -> dict[int, int]:
    """Posts read at work (AT_WORK). Distractors and reading during sleep are not counted."""
    where, values = _where_late(store, "reads", generation)
    sql = f"SELECT generation, COUNT(*) AS n FROM reads WHERE {AT_WORK} AND {where} GROUP BY generation"
    return _counts(store, sql, values)


def guesses(store: Store, generation: int | None = None) -> dict[int, Guesses]:
    where, values = _where_late(store, "guesses", generation)
    sql = f"SELECT generation, COUNT(*) AS n, SUM(correct) AS right FROM guesses WHERE {where} GROUP BY generation"
    return {r["generation"]: Guesses(r["n"], r["right"]) for r in store.query(sql, values)}


@dataclass(frozen=True)
class Discovery:
    """The first correct guess of a name in a run; `guesses` is how many guesses the run had made by then."""

    name: str
    generation: int
    guesses: int


def discoveries(db: Database) -> list[Discovery]:
    """All discoveries of a run in their order."""
    found: dict[str, Discovery] = {}
    rows = db.query("SELECT generation, name, correct FROM guesses ORDER BY generation, rowid")
    for at, r in enumerate(rows, 1):
        if r["correct"] and r["name"] not in found:
            found[r["name"]] = Discovery(r["name"], r["generation"], at)
    return list(found.values())


def knowledge(db: Database) -> list[Row]:
    """Means over the agents of a generation, as they begin to guess, of the columns of table `knowledge`."""
    return db.query(
        "SELECT generation, AVG(known) AS known, AVG(read) AS read, AVG(recalled) AS recalled, AVG(wrong) AS wrong,"
        " AVG(level) AS level FROM knowledge GROUP BY generation ORDER BY generation"
    )


def agreement(store: Store, generation: int | None = None) -> dict[int, float | None]:
    """Share of the graders' votes that agree with execution; None if no grader had a vote."""
    where, values = _where_late(store, "grades", generation)
    sql = f"SELECT generation, AVG(agrees) AS share FROM grades WHERE {where} GROUP BY generation"
    return {r["generation"]: r["share"] for r in store.query(sql, values)}


def votes(store: Store, generation: int | None = None) -> dict[int, tuple[int, int, int]]:
    """Graded attempts, the graders' votes, and those that agree with execution."""
    where, values = _where_late(store, "grades", generation)
    sql = (
        "SELECT generation, COUNT(*) AS graded, COUNT(agrees) AS votes, COALESCE(SUM(agrees), 0) AS agreeing"
        f" FROM grades WHERE {where} GROUP BY generation"
    )
    return {r["generation"]: (r["graded"], r["votes"], r["agreeing"]) for r in store.query(sql, values)}


def labels(db: Database, generation: int | None = None) -> dict[int, tuple[int, int]]:
    """A reviewer's labels, and those that contradict execution."""
    where, values = _where(generation)
    sql = (
        "SELECT generation, COUNT(*) AS n, COALESCE(SUM(says_right != execution_correct), 0) AS against FROM labels"
        f" WHERE {where} GROUP BY generation"
    )
    return {r["generation"]: (r["n"], r["against"]) for r in db.query(sql, values)}


def seconds(db: Database, generation: int | None = None) -> dict[int, float]:
    """Wall clock of all phases but the evaluation after the last generation, summed over interruptions."""
    where, values = _where(generation)
    sql = (
        f"SELECT generation, TOTAL(seconds) AS n FROM telemetry WHERE phase != 'final' AND {where} GROUP BY generation"
    )
    return {r["generation"]: r["n"] for r in db.query(sql, values)}


def tokens(db: Database, generation: int | None = None, counted: bool | None = None) -> dict[int, Tokens]:
    """`counted` True: only what counts as compute; False: only evaluation; None: both."""
    where, values = _where(generation)
    if counted is not None:
        where += " AND counted" if counted else " AND NOT counted"
    sql = (
        "SELECT generation, SUM(prompt_tokens) AS prompt, SUM(generated_tokens) AS generated,"
        f" SUM(trained_tokens) AS trained FROM phases WHERE phase != 'final' AND {where} GROUP BY generation"
    )
    return {
        r["generation"]: Tokens(r["prompt"] or 0, r["generated"] or 0, r["trained"] or 0) for r in db.query(sql, values)
    }


def compute(db: Database) -> dict[int, float]:
    """Compute units used up to the end of each generation, evaluation apart."""
    rows = db.query(
        "SELECT generation, TOTAL(counted * (prompt_tokens + generated_tokens + 3 * trained_tokens)) AS units"
        " FROM phases GROUP BY generation ORDER BY generation"
    )
    return dict(zip((r["generation"] for r in rows), accumulate(r["units"] for r in rows), strict=True))


def _where(generation: int | None) -> tuple[str, list[Any]]:
    return ("1", []) if generation is None else ("generation = ?", [generation])


def _where_late(store: Store, table: str, generation: int | None) -> tuple[str, list[Any]]:
    """The same for a table without an index of generations: rows before the generation are skipped."""
    if generation is None:
        return "1", []
    return "rowid > ? AND generation = ?", [store.before(table, generation), generation]


def _counts(db: Database, sql: str, values: Sequence[Any]) -> dict[int, int]:
    return {r["generation"]: r["n"] for r in db.query(sql, values)}
