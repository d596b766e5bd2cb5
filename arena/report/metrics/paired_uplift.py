"""Effect of posts on their readers: uplift of definitions, and use of worked examples.

Held-out problems with hidden names are asked twice, of the same agent in the same generation: with what the library
holds on their names, and without. The difference is the effect of reading. It is credited to the definitions of the
names that a problem uses; of a problem with several names, all of them are credited.

Withholding at random (`arena.report.metrics.randomised_uplift`) answers another question: there one post is missing and
the rest is shown, problems are those that agents set, and each reader is asked in one way only. Here either everything
that the library has on a problem is shown or nothing, and every pair is of one problem.

Left out: posts of which no problem is asked both ways (worked examples are read by setters, who vary them); their
offspring is counted, which is use and no effect. Not guaranteed: that a definition read beside others would have had
the same effect alone.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from arena.report.metrics.heldout import names_in
from arena.run.store import Store
from culture.transmission import paired_interval as paired_interval

EVALUATIONS = (
    "SELECT rowid, generation, mode, depth, agent, problem, reading, correct FROM evaluations"
    " WHERE mode IN ('greedy', 'full') AND reading IS NOT NULL AND generation > 0"
)
"""The rows that `Pairs.add` takes, without its first column."""
OFFSPRING = (
    "SELECT r.parent_post AS post, COUNT(*) AS n, SUM(p.valid) AS valid, SUM(COALESCE(o.learnable, 0)) AS learnable"
    " FROM rounds r JOIN problems p ON p.round = r.id LEFT JOIN outcomes o ON o.round = r.id"
    " WHERE r.parent_post IS NOT NULL GROUP BY r.parent_post"
)
Outcome = tuple[int, int]
"""(correct with reading, correct without)."""


@dataclass(frozen=True)
class Uplift:
    """Share solved with reading minus share solved without, over `n` pairs, with a 95 % interval. `shrunk` is shrunk to
    the mean of all posts, the more the fewer pairs there are; posts are ranked by it."""

    n: int
    with_reading: float
    without_reading: float
    low: float
    high: float
    shrunk: float

    @property
    def difference(self) -> float:
        return self.with_reading - self.without_reading


class Pairs:
    """Evaluations folded into pairs, by name and generation, in any number of pieces."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[int, str, int, str, str], tuple[int, int]] = {}
        self.found: dict[str, dict[int, Counter[Outcome]]] = defaultdict(lambda: defaultdict(Counter))

    def add(self, rows: Iterable[tuple[int, str, int, str, str, int, int]]) -> None:
        """Rows of (generation, mode, depth, agent, problem, reading, correct)."""
        for generation, mode, depth, agent, problem, reading, correct in rows:
            key = (generation, mode, depth, agent, problem)
            other = self.waiting.pop(key, None)
            if other is None or other[0] == reading:
                self.waiting[key] = (reading, correct)
                continue
            pair = (correct, other[1]) if reading else (other[1], correct)
            for name in names_in(problem):
                self.found[name][generation][pair] += 1

    def counts(self, name: str, since: int, until: int | None = None) -> Counter[Outcome]:
        """Outcomes of the pairs of problems that use `name`, in generations `since` to `until`."""
        total: Counter[Outcome] = Counter()
        for generation, outcomes in self.found.get(name, {}).items():
            if since <= generation and (until is None or generation <= until):
                total += outcomes
        return total


def uplifts(counts: Mapping[str, Counter[Outcome]]) -> dict[str, Uplift]:
    """The uplift of each post from its pairs, in the order given; posts without pairs are absent.

    The interval is the adjusted Wald interval of a difference of paired rates (Agresti & Min 2005: half a pair is added
    to each of the four outcomes). `shrunk` is the empirical Bayes estimate of a normal model with equal variance within
    posts, its variance between posts by the method of moments (DerSimonian & Laird 1986, with equal weights).
    """
    raw: dict[str, tuple[int, float, float, float, float]] = {}
    for post, outcomes in counts.items():
        n = outcomes.total()
        if n:
            both, only_with, only_without = outcomes[1, 1], outcomes[1, 0], outcomes[0, 1]
            low, high = paired_interval(only_with, only_without, n)
            raw[post] = (n, (both + only_with) / n, (both + only_without) / n, low, high)
    if not raw:
        return {}
    differences = {post: w - wo for post, (_, w, wo, _, _) in raw.items()}
    spread = {post: _variance(counts[post], raw[post][0]) for post in raw}
    mean = math.fsum(differences.values()) / len(raw)
    between = 0.0
    if len(raw) > 1:
        total = math.fsum((d - mean) ** 2 for d in differences.values()) / (len(raw) - 1)
        between = max(total - math.fsum(spread.values()) / len(raw), 0.0)
    found = {}
    for post, (n, with_, without, low, high) in raw.items():
        keep = between / (between + spread[post]) if between else 0.0
        found[post] = Uplift(n, with_, without, low, high, keep * differences[post] + (1 - keep) * mean)
    return found


def _variance(outcomes: Counter[Outcome], n: int) -> float:
    b, c, m = outcomes[1, 0] + 0.5, outcomes[0, 1] + 0.5, n + 2.0
    return ((b + c) - (b - c) ** 2 / m) / (m * m)


@dataclass(frozen=True)
class Offspring:
    """Problems varied from a post: numbers of those set, valid and learnable."""

    set: int
    valid: int
    learnable: int


def offspring(store: Store) -> dict[str, Offspring]:
    """Offspring of each post that was varied, by id."""
    return {r["post"]: Offspring(r["n"], r["valid"], r["learnable"]) for r in store.query(OFFSPRING)}
