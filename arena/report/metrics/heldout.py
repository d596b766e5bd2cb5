"""What the evaluations say: held-out skill by depth, before and after, and names with and without reading.

Of a generation that was measured twice, in passing (mode "greedy") and in full (mode "full"), the full one counts. A
rate by depth has a Wilson interval, as if its trials were independent; agents that try the same problem in passing make
it somewhat too narrow. Means over depths 3 to 6 are bootstrapped over problems.

Left out: pass@k of k other than the number of samples taken. Not guaranteed: that a gain would show with other seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arena.report.stats.intervals import bootstrap_interval, pass_at_k, wilson_interval
from arena.run.store import Row, Store
from curricula.hidden_world import WORDS

MIDDLE_DEPTHS = (3, 4, 5, 6)
COUNTS = "(reading IS NULL OR reading = 1) AND NOT (generation = 0 AND id LIKE '%/after/%')"
"""Which evaluations count: what an agent can do with all it may read. A run of no generations measures the same agents
twice; one of both counts."""


def heldout(store: Store, domain: str) -> list[Row]:
    """Pass rates of one domain by generation and depth; `pass_at_k` is over k samples where taken, else k = 1.

    `low` and `high` bound `pass_at_1`, `k_low` and `k_high` `pass_at_k`, where every problem had k samples.
    """
    sql = (
        "SELECT generation, mode, depth, COUNT(*) AS n, SUM(correct) AS correct FROM evaluations WHERE domain = ?"
        f" AND mode IN ('greedy', 'full') AND {COUNTS} GROUP BY generation, depth, mode"
        " ORDER BY generation, depth, mode DESC"
    )
    found: dict[tuple[int, int], Row] = {}
    for row in store.query(sql, [domain]):  # "greedy" comes first, so "full" stays
        low, high = wilson_interval(row["correct"], row["n"])
        rate = row["correct"] / row["n"]
        found[row["generation"], row["depth"]] = {
            "generation": row["generation"],
            "depth": row["depth"],
            "mode": row["mode"],
            "pass_at_1": rate,
            "low": low,
            "high": high,
            "pass_at_k": rate,
            "k_low": low,
            "k_high": high,
            "k": 1,
            "n": row["n"],
        }
    sql = (
        "SELECT generation, depth, k, correct, COUNT(*) AS n FROM evaluations WHERE domain = ? AND mode = 'pass'"
        f" AND {COUNTS} GROUP BY generation, depth, k, correct"
    )
    sampled: dict[tuple[int, int], list[Row]] = {}
    for row in store.query(sql, [domain]):
        sampled.setdefault((row["generation"], row["depth"]), []).append(row)
    for key, rows in sampled.items():
        if key in found:
            k, n = min(r["k"] for r in rows), sum(r["n"] for r in rows)
            total = sum(pass_at_k(r["k"], r["correct"], k) * r["n"] for r in rows)
            found[key] |= {"pass_at_k": total / n, "k": k, "k_low": None, "k_high": None}
            if all(r["k"] == k for r in rows):  # of k samples one is right, or none: a rate like any other
                ends = wilson_interval(sum(r["n"] for r in rows if r["correct"]), n)
                found[key] |= dict(zip(("k_low", "k_high"), ends, strict=True))
    return list(found.values())


def heldout_before_after(store: Store, domain: str) -> Row:
    """Mean pass rate over the problems of depths 3 to 6 before the first and after the last generation, and the gain.

    Each problem is one unit; the gain is over problems that were tried both times. What was not measured is None.
    """
    sql = (
        "SELECT generation, depth, problem, AVG(correct) AS correct FROM evaluations WHERE domain = ? AND mode = 'full'"
        f" AND {COUNTS} GROUP BY generation, depth, problem ORDER BY generation, depth, problem"
    )
    rows = [r for r in store.query(sql, [domain]) if r["depth"] in MIDDLE_DEPTHS]
    last = max((r["generation"] for r in rows), default=0)
    before = {(r["depth"], r["problem"]): r["correct"] for r in rows if r["generation"] == 0}
    after = {(r["depth"], r["problem"]): r["correct"] for r in rows if r["generation"] == last > 0}
    both = [key for key in before if key in after]
    return {
        "depths": sorted({r["depth"] for r in rows}),
        "generation": last if after else None,
        "before": _mean(list(before.values())),
        "after": _mean(list(after.values())),
        "gain": _mean([after[key] - before[key] for key in both]),
    }


def names(store: Store) -> Row:
    """Problems with hidden names, solved with and without what the library holds on them.

    `known` keeps the problems whose names were all defined by the time they were asked, by anyone. Each try with
    reading is paired with the same agent's try at the same problem without. `overall` pools all generations from 1 on;
    `final` is the full evaluation after the last generation, its interval bootstrapped over names, since all problems
    of a name hang on one definition.
    """
    # a post that waited for a reviewer is known from the generation in which it was let in
    sql = (
        "SELECT p.title, MIN(COALESCE(w.decided, p.generation)) AS generation FROM posts p LEFT JOIN waiting w"
        " ON w.id = p.id WHERE p.kind = 'definition' GROUP BY p.title"
    )
    defined = {r["title"]: r["generation"] for r in store.query(sql)}
    sql = (
        "SELECT generation, mode, depth, agent, problem, reading, correct FROM evaluations"
        " WHERE domain = 'hidden_words' AND mode IN ('greedy', 'full') AND reading IS NOT NULL ORDER BY rowid"
    )
    tries: dict[tuple[int, str], dict[tuple[Any, ...], dict[int, int]]] = {}
    for r in store.query(sql):
        pairs = tries.setdefault((r["generation"], r["mode"]), {})
        pairs.setdefault((r["depth"], r["agent"], r["problem"]), {})[r["reading"]] = r["correct"]
    by_generation, pooled, final = [], list[Row](), None
    for g in sorted({g for g, _ in tries}):
        full = (g, "full") in tries
        pairs = tries[g, "full" if full else "greedy"]
        found = [_pair(key[2], both, g, defined) for key, both in pairs.items() if len(both) == 2]
        by_generation.append({"generation": g, **_both(found)})
        if g:
            pooled += found
            final = {"generation": g, **_both(found, interval=True)} if full else final
    return {"generations": by_generation, "overall": _both(pooled), "final": final, "defined": len(defined)}


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
        rates["low"], rates["high"] = bootstrap_interval(differences, [p["name"] for p in pairs])
    return rates


def _mean(values: Sequence[float]) -> Row | None:
    if not values:
        return None
    low, high = bootstrap_interval(values)
    return {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}
