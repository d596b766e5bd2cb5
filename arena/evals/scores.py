"""Scores: pass@1 and pass@k of agents and base model by set and level, and their differences.

An item's value is the mean over the agents that answered it. Intervals are 95 % over items, because items are the
sampled units, not agents or samples. Differences are paired by item. The intervals reflect the number of items even
where all values are equal (`share_interval`, `gain_interval` of `arena.report.stats.intervals`).

Left out: tests between levels, and corrections for multiple comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from arena.evals.dataset import Item
from arena.evals.participants import AGENTS, BASE, MODEL
from arena.evals.scorers import ScoredReply
from arena.report.stats.intervals import gain_interval, pass_at_k, share_interval

ALL, CLEAN = "all", "clean"
GREEDY = "greedy"
READING = ", reading"
PAIRS = (
    (AGENTS, BASE),
    (AGENTS + READING, AGENTS),
    (BASE + READING, BASE),
    (AGENTS + READING, BASE + READING),
    (AGENTS + READING, BASE),
    (MODEL + READING, MODEL),
)
"""Arms that are compared, if both exist."""

Estimate = dict[str, float | None]


@dataclass
class Tally:
    """One item of one participant: the greedy verdict, and how many of n samples were right."""

    greedy: bool = False
    right: int = 0
    n: int = 0

    def value(self, measure: str) -> float:
        return float(self.greedy) if measure == GREEDY else pass_at_k(self.n, self.right, int(measure))


@dataclass(frozen=True)
class Scores:
    """All scores of one set. `rows` and `differences` are JSON data, as stored."""

    measures: tuple[str, ...]
    """GREEDY, then k of each pass@k as text."""
    levels: tuple[str, ...]
    arms: tuple[str, ...]
    rows: list[dict[str, Any]] = field(default_factory=list)
    differences: list[dict[str, Any]] = field(default_factory=list)

    def row(self, who: str, level: str = ALL) -> dict[str, Any]:
        return next(r for r in self.rows if r["who"] == who and r["level"] == level)

    def difference(self, who: str, other: str, level: str = ALL) -> dict[str, Any] | None:
        same = (d for d in self.differences if (d["who"], d["minus"], d["level"]) == (who, other, level))
        return next(same, None)


def ks(k: int) -> list[int]:
    """The k for which pass@k is reported: powers of two up to k, and k itself."""
    return sorted({1 << i for i in range(k.bit_length())} | {k}) if k else []


def score(
    items: Sequence[Item], levels: Sequence[str], judged: Sequence[ScoredReply], dirty: Mapping[int, Any], k: int
) -> Scores:
    """The scores of one set. `dirty`: lines of contaminated items."""
    tallies = dict[str, dict[str, dict[int, Tally]]]()  # by arm, player, line
    for j in judged:
        player, line = j.reply.question.player, j.reply.question.item.line
        arm = player.group + (READING if player.reads else "")
        tally = tallies.setdefault(arm, {}).setdefault(player.name, {}).setdefault(line, Tally())
        if j.reply.sample is None:
            tally.greedy = j.correct
        else:
            tally.n += 1
            tally.right += j.correct
    measures = (GREEDY, *map(str, ks(k)))
    lines = {ALL: [i.line for i in items], CLEAN: [i.line for i in items if i.line not in dirty]}
    if len(levels) > 1:
        lines |= {f"level {level}": [i.line for i in items if i.level == level] for level in levels}
    scores = Scores(measures, tuple(lines), tuple(tallies))
    for level, chosen in lines.items():
        values = {
            arm: {m: [_mean([p[line].value(m) for p in players.values()]) for line in chosen] for m in measures}
            for arm, players in tallies.items()
        }
        for arm, players in tallies.items():
            scores.rows.append(_row(arm, level, len(chosen), {m: estimate(values[arm][m]) for m in measures}))
            if len(players) > 1:
                for name, own in players.items():
                    found = {m: estimate([own[line].value(m) for line in chosen]) for m in measures}
                    scores.rows.append(_row(name, level, len(chosen), found))
        for one, other in PAIRS:
            if one in values and other in values:
                found = {m: difference(values[one][m], values[other][m]) for m in measures}
                row = {"who": one, "minus": other, "level": level, "items": len(chosen), **found}
                scores.differences.append(row)
    return scores


def estimate(values: Sequence[float]) -> Estimate | None:
    """The mean over items with its interval; None without items."""
    return _told(_mean(values), *share_interval(values)) if values else None


def difference(one: Sequence[float], other: Sequence[float]) -> Estimate | None:
    """The mean over items of `one` - `other` with its interval; None without items."""
    apart = [a - b for a, b in zip(one, other, strict=True)]
    return _told(_mean(apart), *gain_interval(apart)) if apart else None


def _told(mean: float, low: float, high: float) -> Estimate:
    """An estimate as JSON data; an infinite bound becomes None."""
    return {"mean": mean, "low": low if isfinite(low) else None, "high": high if isfinite(high) else None}


def _row(who: str, level: str, n: int, found: Mapping[str, Estimate | None]) -> dict[str, Any]:
    return {"who": who, "level": level, "items": n, **found}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
