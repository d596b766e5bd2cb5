"""Results of the ratchet meter: rates by library, R(g) and its slope, own library against controls, channels.

Problems that need a definition (needs 1) measure the library, those that need none (needs 0) the weights alone. All
differences are paired: the same problem with two libraries, or of two readers.

Answers that follow a wrong definition, and the results of schools (`arena.phases.measure.newborn_school`), are counted
here too.

Left out: several runs at once. Not guaranteed: that intervals hold for other runs; they are over problems. Where a
level has more problems than names, problems of one name depend on one definition, and intervals are somewhat too
narrow.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from arena.report.metrics.generation import Database
from arena.report.stats.intervals import wilson_interval
from arena.run.store import Row, Store
from culture.transmission import Channels, Estimate, channels, ratchet, slope

CONTROLS = ("none", "first", "filler", "shuffled", "authors", "stale", "wrong")
"""Libraries with which the newborn's own is compared."""
SCHOOLED = "schooled"
"""The reader that was trained at a school."""
NONE = "school_none"
SCHOOLS = {
    NONE: "seed examples",
    "school_early": "early posts",
    "school_late": "late posts",
    "school_any": "any posts",
    "school_hard_early": "early, hard first",
    "school_hard_late": "late, hard first",
    "school_hard_any": "any, hard first",
}
"""Training data of a newborn at each school."""
LATE_AND_EARLY = (("school_late", "school_early"), ("school_hard_late", "school_hard_early"))
GROUPS = {"3-6": range(3, 7), "3-8": range(3, 9)}
"""Groups of depths."""
Results = dict[str, int]
"""Whether each problem was solved, by its text."""


@dataclass(frozen=True)
class Reading:
    """One reading: results by (mind, library, needs)."""

    generation: int
    results: dict[tuple[str, str, int], Results]
    shown: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    """By library, for each problem of which a newborn was shown all definitions that it needs: whether its answer
    followed them, and whether it was right. With a wrong library, problems are left out for which the wrong definitions
    make the right answer."""

    def of(self, mind: str, library: str, needs: int = 1) -> Results:
        return self.results.get((mind, library, needs), {})

    def rate(self, mind: str, library: str, needs: int = 1) -> Estimate:
        """Share solved with its Wilson interval."""
        found = self.of(mind, library, needs)
        right, n = sum(found.values()), len(found)
        return Estimate(right / n if n else math.nan, *wilson_interval(right, n), n)

    def above(self, library: str, mind: str = "newborn", needs: int = 1) -> Estimate:
        """Share solved by the newborn with its own library minus that with another, paired; with `first` it is R(g)."""
        own, other = self.of(mind, "own", needs), self.of(mind, library, needs)
        both = [p for p in own if p in other]
        return ratchet([own[p] for p in both], [other[p] for p in both])

    def paired(self, library: str) -> tuple[int, int, int, int]:
        """Problems that a newborn met with both libraries: how many, solved with its own, with its own alone, with the
        other alone."""
        own, other = self.of("newborn", "own"), self.of("newborn", library)
        both = [(own[p], other[p]) for p in own if p in other]
        return len(both), sum(a for a, _ in both), sum(a > b for a, b in both), sum(a < b for a, b in both)

    def learned(self, needs: int) -> Estimate:
        """Share solved by the living agents minus that of the newborn, without anything to read, paired."""
        living, newborn = self.of("living", "none", needs), self.of("newborn", "none", needs)
        both = [p for p in living if p in newborn]
        return ratchet([living[p] for p in both], [newborn[p] for p in both])

    def followed(self, library: str = "wrong") -> tuple[Estimate, Estimate]:
        """Of the problems in `shown`, the shares that followed the definitions and that were right, with Wilson
        intervals."""
        pairs = self.shown.get(library, ())
        n = len(pairs)
        counts = [sum(pair[i] for pair in pairs) for i in (0, 1)]
        one, other = (Estimate(c / n if n else math.nan, *wilson_interval(c, n), n) for c in counts)
        return one, other

    def channels(self) -> Channels:
        cells = [self.of(mind, library) for mind in ("newborn", "living") for library in ("none", "own")]
        both = [p for p in cells[0] if all(p in c for c in cells)]
        a, b, c, d = ([cell[p] for p in both] for cell in cells)
        return channels(a, b, c, d)


def readings(db: Database, generation: int | None = None) -> list[Reading]:
    """All readings, or those of one generation, oldest first, without the schools."""
    found: dict[int, dict[tuple[str, str, int], Results]] = defaultdict(lambda: defaultdict(dict))
    shown: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    where, values = ("", []) if generation is None else (" AND generation = ?", [generation])
    sql = (
        "SELECT id, generation, mind, library, needs, domain, depth, problem, correct, answer_correct, follows"
        f" FROM ratchet WHERE mind != ?{where} ORDER BY rowid"
    )
    for r in db.query(sql, [SCHOOLED, *values]):
        found[r["generation"]][r["mind"], r["library"], r["needs"]][problem_of(r)] = r["correct"]
        if r["mind"] == "newborn" and r["follows"] is not None:
            shown[r["generation"]][r["library"]].append((r["follows"], r["answer_correct"]))
    return [Reading(g, dict(results), dict(shown[g])) for g, results in sorted(found.items())]


def problem_of(row: Row) -> str:
    """A key that pairs rows: the problem and, where several islands asked it, the island, which ends a row's id."""
    island = row["id"].rpartition("/")[2].partition("i")[2]
    return f"{row['domain']}/{row['depth']}/{row['problem']}/{island}"


# -- schools -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Schools:
    """Problems solved by schooled newborns, by school and depth group; none of them needs a definition."""

    generation: int
    results: dict[tuple[str, str], Results]

    def names(self) -> list[str]:
        return [s for s in SCHOOLS if any(school == s for school, _ in self.results)]

    def rate(self, school: str, group: str) -> Estimate:
        found = self.results.get((school, group), {})
        right, n = sum(found.values()), len(found)
        return Estimate(right / n if n else math.nan, *wilson_interval(right, n), n)

    def above(self, school: str, other: str, group: str) -> Estimate:
        """Share solved by one school's newborn minus that of another's, paired by problem."""
        one, two = self.results.get((school, group), {}), self.results.get((other, group), {})
        both = [p for p in one if p in two]
        return ratchet([one[p] for p in both], [two[p] for p in both])


def schools(store: Store) -> Schools | None:
    """The last schools of a run; None without one."""
    sql = (
        "SELECT id, generation, library, domain, depth, problem, correct FROM ratchet WHERE mind = ? AND generation ="
        " (SELECT MAX(generation) FROM ratchet WHERE mind = ?) ORDER BY rowid"
    )
    rows = store.query(sql, [SCHOOLED, SCHOOLED])
    found: dict[tuple[str, str], Results] = defaultdict(dict)
    for r in rows:
        for group, depths in GROUPS.items():
            if r["depth"] in depths:
                found[r["library"], group][problem_of(r)] = r["correct"]
    return Schools(rows[0]["generation"], dict(found)) if found else None


def school_rows(found: Schools) -> list[Row]:
    """One row per school and depth group: its pass rate, and its gain over the seed examples alone."""
    rows = []
    for school in found.names():
        for group in GROUPS:
            e, up = found.rate(school, group), found.above(school, NONE, group)
            rows.append({"school": school, "depths": group, "solved": estimate(e), "above_none": estimate(up)})
    return rows


def late_rows(found: Schools) -> list[Row]:
    """Late posts minus early ones, drawn at random and hard problems first, by depth group."""
    return [
        {"late": late, "early": early, "depths": group, "above": estimate(found.above(late, early, group))}
        for late, early in LATE_AND_EARLY
        if {late, early} <= set(found.names())
        for group in GROUPS
    ]


# -- all of it ---------------------------------------------------------------------------------------------------


def rise(found: Sequence[Reading]) -> Estimate:
    """Slope of R(g) per generation: least squares, with a bootstrap interval over problems."""
    gains, shared = [], set[str]()
    for at, reading in enumerate(found):
        own, first = reading.of("newborn", "own"), reading.of("newborn", "first")
        gains.append({p: own[p] - first[p] for p in own if p in first})
        shared = set(gains[0]) if not at else shared & set(gains[-1])
    order = sorted(shared)
    return slope([r.generation for r in found], [[gain[p] for p in order] for gain in gains])


def summary(store: Store) -> Row | None:
    """All results as plain data; None without a reading and without a school."""
    found, taught = readings(store), schools(store)
    if not found and not taught:
        return None
    rows = []
    for reading in found:
        parts = reading.channels()
        rates = {
            f"{mind}_{library}": estimate(reading.rate(mind, library))
            for mind, libraries in (("newborn", ("own", *CONTROLS)), ("living", ("none", "own")))
            for library in libraries
        }
        plain = {f"{mind}_without_names": estimate(reading.rate(mind, "none", 0)) for mind in ("newborn", "living")}
        rows.append(
            {
                "generation": reading.generation,
                "rates": rates | plain,
                "ratchet": estimate(reading.above("first")),
                "above": {c: estimate(reading.above(c)) for c in CONTROLS},
                "channels": {k: estimate(getattr(parts, k)) for k in ("text", "weights", "synergy")},
                "wrong": dict(zip(("follows", "right"), map(estimate, reading.followed()), strict=True)),
            }
        )
    school = {"rows": school_rows(taught), "late": late_rows(taught)} if taught else None
    return {"readings": rows, "slope": estimate(rise(found)), "schools": school}


def estimate(e: Estimate) -> Row:
    return {"value": e.value, "low": e.low, "high": e.high, "n": e.n}
