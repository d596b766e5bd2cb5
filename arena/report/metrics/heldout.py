"""Held-out skill by depth, before and after a run, and names with and without reading.

Of a generation that was measured twice, with the small set (mode "greedy") and with the full set (mode "full"), the
full one counts. A rate by depth has a Wilson interval, as if its trials were independent; agents that try the same
problem of the small set make it somewhat too narrow. In a mean over depths each depth counts once, and its interval
combines the depths' intervals (`mean_of_strata`).

The headline of a run is the mean over the depths at which it can show a change: `telling`. Depths 3 to 6, at which the
shipped seed model was measured, keep their own mean.

Left out: pass@k of k other than the number of samples taken. Not guaranteed: that a gain would show with other seeds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arena.report.metrics.generation import Database
from arena.report.stats.intervals import (
    bootstrap_interval,
    gain_interval,
    mean_of_strata,
    share_interval,
    widest,
    wilson_interval,
)
from arena.run.store import Row, Store
from curricula.hidden_world import WORDS

MIDDLE_DEPTHS = (3, 4, 5, 6)
NOT_TWICE = "NOT (generation = 0 AND id LIKE '%/after/%')"
"""A run of no generations measures the same agents twice; only one of the two measurements counts."""
WITH_READING, WITHOUT_READING = "(reading IS NULL OR reading = 1)", "reading = 0"
COUNTS = f"{WITH_READING} AND {NOT_TWICE}"
"""Evaluations that count as held-out skill: those in which an agent could read all that it may read."""


@dataclass(frozen=True)
class Solved:
    """Held-out problems of one generation and depth: asked, solved by any of `k` attempts each, and right attempts."""

    n: int
    solved: int
    k: int = 1
    right: int = 0

    @property
    def rate(self) -> float:
        """pass@k."""
        return self.solved / self.n

    @property
    def mean(self) -> float:
        """Share of right attempts: pass@1, estimated from all k attempts (Chen et al. 2021)."""
        return self.right / (self.n * self.k)


def solved(
    db: Database, domain: str, mode: str, generation: int | None = None, reading: bool = True
) -> dict[int, dict[int, Solved]]:
    """Held-out problems solved, by generation and depth.

    Mode `greedy` is one greedy attempt at the small set of each generation, `full` one at the full set before the first
    and after the last generation, `pass` k samples a problem of the full set. `reading` False: of problems that are
    asked with and without the library, those without.
    """
    where, values = ("", []) if generation is None else (" AND generation = ?", [generation])
    sql = (
        "SELECT generation, depth, COUNT(*) AS n, SUM(correct > 0) AS solved, MIN(k) AS k, SUM(correct) AS right"
        " FROM evaluations"
        f" WHERE domain = ? AND mode = ? AND {WITH_READING if reading else WITHOUT_READING} AND {NOT_TWICE}{where}"
        " GROUP BY generation, depth ORDER BY generation, depth"
    )
    found: dict[int, dict[int, Solved]] = {}
    for r in db.query(sql, [domain, mode, *values]):
        found.setdefault(r["generation"], {})[r["depth"]] = Solved(r["n"], r["solved"], r["k"], r["right"])
    return found


def rates(db: Database, domain: str, generation: int) -> dict[int, float]:
    """Pass rates of one generation by depth, one greedy attempt a problem; of two measurements the full one."""
    greedy, full = (solved(db, domain, mode, generation).get(generation, {}) for mode in ("greedy", "full"))
    return {depth: found.rate for depth, found in sorted((greedy | full).items())}


def middle_mean(by_depth: Mapping[int, float], depths: Sequence[int] = MIDDLE_DEPTHS) -> float | None:
    """Mean of the pass rates at depths 3 to 6, each depth counting once; None if one of them was not measured."""
    return statistics.fmean(by_depth[d] for d in depths) if depths and all(d in by_depth for d in depths) else None


def heldout(store: Store, domain: str) -> list[Row]:
    """Pass rates of one domain by generation and depth; `pass_at_k` is over k samples where taken, else k = 1.

    `low` and `high` bound `pass_at_1`, `k_low` and `k_high` `pass_at_k`.
    """
    found: dict[tuple[int, int], Row] = {}
    for mode in ("greedy", "full"):  # the full measurement replaces the small one
        for g, by_depth in solved(store, domain, mode).items():
            for depth, x in by_depth.items():
                low, high = wilson_interval(x.solved, x.n)
                one = {"pass_at_1": x.rate, "low": low, "high": high}
                many = {"pass_at_k": x.rate, "k_low": low, "k_high": high, "k": 1}
                found[g, depth] = {"generation": g, "depth": depth, "mode": mode, **one, **many, "n": x.n}
    for g, by_depth in solved(store, domain, "pass").items():
        for depth, x in by_depth.items():
            if (g, depth) in found:
                low, high = wilson_interval(x.solved, x.n)
                found[g, depth] |= {"pass_at_k": x.rate, "k": x.k, "k_low": low, "k_high": high}
    return [found[key] for key in sorted(found)]


def telling(before: Mapping[int, float], after: Mapping[int, float]) -> list[int]:
    """The depths of the headline: those not solved never both times, and not always both times, in order. Both map
    depths to pass rates; `after` is empty as long as it was not measured. All measured depths if none is left.

    A depth at 0 or at 1 both times says nothing about a change, and how many such depths are measured is the config's
    choice. The rule looks at both measurements alike, so it favours neither a gain nor a loss.
    """
    depths = sorted({*before, *after})
    ends = {d: {side[d] for side in (before, after) if d in side} for d in depths}
    return [d for d in depths if ends[d] not in ({0.0}, {1.0})] or depths


def heldout_before_after(store: Store, domain: str, depths: Sequence[int] | None = None) -> Row:
    """Mean pass rate over `depths` (default: those of the headline, `telling`) before the first and after the last
    generation, and the gain, paired by problem. Each depth counts once. What was not measured is None; `depths` that
    were not all measured are left out.

    Of the full evaluation, which asks each problem once. The gain is over problems that were asked both times.
    """
    sql = (
        "SELECT generation, depth, problem, AVG(correct) AS correct FROM evaluations WHERE domain = ? AND mode = 'full'"
        f" AND {COUNTS} GROUP BY generation, depth, problem ORDER BY generation, depth, problem"
    )
    found: dict[int, dict[int, dict[str, float]]] = {}
    for r in store.query(sql, [domain]):
        found.setdefault(r["generation"], {}).setdefault(r["depth"], {})[r["problem"]] = r["correct"]
    last = max(found, default=0)
    before, after = found.get(0, {}), found.get(last, {}) if last else {}
    rates = [{d: statistics.fmean(by.values()) for d, by in side.items()} for side in (before, after)]
    if depths is None:
        depths = telling(*rates)
    elif not {*before, *after}.issuperset(depths):
        depths = []
    both = {
        d: [after[d][p] - x for p, x in before[d].items() if p in after[d]]
        for d in depths
        if d in before and d in after
    }
    return {
        "depths": list(depths),
        "generation": last if after else None,
        "before": _mean_over([list(before[d].values()) for d in depths if d in before], share_interval),
        "after": _mean_over([list(after[d].values()) for d in depths if d in after], share_interval),
        "gain": _mean_over([differences for differences in both.values() if differences], gain_interval),
    }


def names(store: Store) -> Row:
    """Problems with hidden names, solved with and without what the library holds on them.

    `known` keeps the problems whose names were all defined by the time they were asked, by anyone. Each attempt with
    reading is paired with the same agent's attempt at the same problem without. `overall` pools all generations from 1
    on; `final` is the full evaluation after the last generation, its interval bootstrapped over names, since all
    problems of a name depend on one definition, and not narrower than that of independent pairs.
    """
    defined = definitions(store)
    pairs = _name_pairs(store, defined)
    by_generation, pooled, final = [], list[Row](), None
    for g in sorted({g for g, _ in pairs}):
        full = (g, "full") in pairs
        found = pairs[g, "full" if full else "greedy"]
        by_generation.append({"generation": g, **_both(found)})
        if g:
            pooled += found
            final = {"generation": g, **_both(found, interval=True)} if full else final
    return {"generations": by_generation, "overall": _both(pooled), "final": final, "defined": len(defined)}


def names_at(store: Store, generation: int, mode: str) -> Row:
    """The same of one measurement: `all` and `known`, each with rates and their difference, None without a problem."""
    pairs = _name_pairs(store, definitions(store), generation)
    return _both(pairs.get((generation, mode), []))


def definitions(store: Store) -> dict[str, int]:
    """Names with a definition in the library, and the generation in which it was admitted."""
    # a post that waited for a reviewer is known from the generation of the decision
    sql = (
        "SELECT p.title, MIN(COALESCE(w.decided, p.generation)) AS generation FROM posts p LEFT JOIN waiting w"
        " ON w.id = p.id WHERE p.kind = 'definition' GROUP BY p.title"
    )
    return {r["title"]: r["generation"] for r in store.query(sql)}


def _name_pairs(
    store: Store, defined: dict[str, int], generation: int | None = None
) -> dict[tuple[int, str], list[Row]]:
    """Attempts with and without reading, paired, by generation and mode."""
    where, values = ("", []) if generation is None else (" AND generation = ?", [generation])
    sql = (
        "SELECT generation, mode, depth, agent, problem, reading, correct FROM evaluations"
        " WHERE mode IN ('greedy', 'full') AND reading IS NOT NULL"
        f" AND {NOT_TWICE}{where} ORDER BY rowid"
    )
    tries: dict[tuple[int, str], dict[tuple[Any, ...], dict[int, int]]] = {}
    for r in store.query(sql, values):
        pairs = tries.setdefault((r["generation"], r["mode"]), {})
        pairs.setdefault((r["depth"], r["agent"], r["problem"]), {})[r["reading"]] = r["correct"]
    return {
        (g, mode): [_pair(key[2], both, g, defined) for key, both in pairs.items() if len(both) == 2]
        for (g, mode), pairs in tries.items()
    }


def _pair(problem: str, both: dict[int, int], generation: int, defined: dict[str, int]) -> Row:
    used = names_in(problem)
    return {
        "with": both[1],
        "without": both[0],
        "name": " ".join(used),
        "known": all(w in defined and defined[w] <= generation for w in used),
    }


def names_in(problem: str) -> list[str]:
    """The hidden names that a problem's text uses, each once, in order."""
    words = problem.partition("|")[0].split()
    return list(dict.fromkeys(w for w in words if w in WORDS))


def _both(pairs: Sequence[Row], interval: bool = False) -> Row:
    return {"all": _rates(pairs, interval), "known": _rates([p for p in pairs if p["known"]], interval)}


def _rates(pairs: Sequence[Row], interval: bool) -> Row:
    n = len(pairs)
    differences = [p["with"] - p["without"] for p in pairs]
    rates: Row = {
        "with_reading": sum(p["with"] for p in pairs) / n if n else None,
        "without_reading": sum(p["without"] for p in pairs) / n if n else None,
        "difference": sum(differences) / n if n else None,
        "n": n,
    }
    if interval:
        groups = [p["name"] for p in pairs]
        several = len(set(groups)) > 1  # one name cannot show how names differ
        ends = widest(bootstrap_interval(differences, groups), gain_interval(differences))
        rates["low"], rates["high"] = ends if several else (math.nan, math.nan)
    return rates


def _mean_over(
    depths: Sequence[Sequence[float]], interval: Callable[[Sequence[float]], tuple[float, float]]
) -> Row | None:
    """The mean over depths of the means of their problems, with its interval; None without problems."""
    if not depths:
        return None
    mean, low, high = mean_of_strata([(statistics.fmean(values), *interval(values)) for values in depths])
    return {"mean": mean, "low": low, "high": high, "n": sum(map(len, depths))}
