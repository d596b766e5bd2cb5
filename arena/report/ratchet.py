"""What the ratchet meter's readings say: rates by library, R(g) and its slope, own library against controls, channels.

Problems that need a definition (needs 1) tell of the library, those that need none (needs 0) of weights alone. All
differences are paired: one problem under two libraries, or of two minds.

Left out: several runs at once. Not guaranteed: that intervals speak of other runs; they speak of other problems. Where
a level has more problems than names, those of one name hang on one definition, and intervals are somewhat too narrow.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from arena.report.statistics import wilson_interval
from arena.store import Row, Store
from culture.transmission import Channels, Estimate, channels, ratchet, slope

CONTROLS = ("none", "first", "filler", "shuffled", "authors", "stale")
"""Libraries that the newborn's own is held against."""
Results = dict[str, int]
"""Whether each problem was solved, by its text."""


@dataclass(frozen=True)
class Reading:
    """One reading: results by (mind, library, needs)."""

    generation: int
    results: dict[tuple[str, str, int], Results]

    def of(self, mind: str, library: str, needs: int = 1) -> Results:
        return self.results.get((mind, library, needs), {})

    def rate(self, mind: str, library: str, needs: int = 1) -> Estimate:
        """Share solved with its Wilson interval."""
        found = self.of(mind, library, needs)
        right, n = sum(found.values()), len(found)
        return Estimate(right / n if n else math.nan, *wilson_interval(right, n), n)

    def above(self, library: str, mind: str = "newborn", needs: int = 1) -> Estimate:
        """What the newborn solves more with its own library than with another; with `first` it is R(g)."""
        own, other = self.of(mind, "own", needs), self.of(mind, library, needs)
        both = [p for p in own if p in other]
        return ratchet([own[p] for p in both], [other[p] for p in both])

    def learned(self, needs: int) -> Estimate:
        """What the living solve more than the newborn, without anything to read."""
        living, newborn = self.of("living", "none", needs), self.of("newborn", "none", needs)
        both = [p for p in living if p in newborn]
        return ratchet([living[p] for p in both], [newborn[p] for p in both])

    def channels(self) -> Channels:
        cells = [self.of(mind, library) for mind in ("newborn", "living") for library in ("none", "own")]
        both = [p for p in cells[0] if all(p in c for c in cells)]
        a, b, c, d = ([cell[p] for p in both] for cell in cells)
        return channels(a, b, c, d)


def readings(store: Store) -> list[Reading]:
    """All readings, oldest first."""
    found: dict[int, dict[tuple[str, str, int], Results]] = defaultdict(lambda: defaultdict(dict))
    sql = "SELECT generation, mind, library, needs, domain, depth, problem, correct FROM ratchet ORDER BY rowid"
    for r in store.query(sql):
        problem = f"{r['domain']}/{r['depth']}/{r['problem']}"
        found[r["generation"]][r["mind"], r["library"], r["needs"]][problem] = r["correct"]
    return [Reading(g, dict(results)) for g, results in sorted(found.items())]


def rise(found: Sequence[Reading]) -> Estimate:
    """How much R(g) rises a generation: least squares, its interval a bootstrap over problems."""
    gains, shared = [], set[str]()
    for at, reading in enumerate(found):
        own, first = reading.of("newborn", "own"), reading.of("newborn", "first")
        gains.append({p: own[p] - first[p] for p in own if p in first})
        shared = set(gains[0]) if not at else shared & set(gains[-1])
    order = sorted(shared)
    return slope([r.generation for r in found], [[gain[p] for p in order] for gain in gains])


def summary(store: Store) -> Row | None:
    """All of it as plain data; None without a reading."""
    found = readings(store)
    if not found:
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
            }
        )
    return {"readings": rows, "slope": estimate(rise(found))}


def estimate(e: Estimate) -> Row:
    return {"value": e.value, "low": e.low, "high": e.high, "n": e.n}
