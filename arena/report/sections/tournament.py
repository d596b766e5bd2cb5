"""The tournament between generations: do later generations win everywhere, or is something lost again?

`arena.report.metrics.tournament` plays it; this section states the results. Cells are compared row with row on the same
problems, as pairs.

Many pairs are compared: the number that chance alone would give is stated beside them, and the largest drop is
corrected for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from arena.report.figures.figure import Figure, Heat, Panel, Section, Series, shades
from arena.report.metrics.paired_uplift import paired_interval
from arena.report.metrics.tournament import Listener, NotPlayed, TournamentResult, silent, slept_on, tournament
from arena.report.source import Source
from arena.report.stats.intervals import difference_interval, wilson_interval
from arena.run.agents import spread
from arena.run.store import Row
from arena.text import between, clear, count, number

KEY, TITLE = "tournament", "Tournament: old agents on new problems, new agents on old ones"
MOST_LINES = 6
SURE = 0.05
"""Significance level of a drop (Bonferroni, over all comparisons)."""
CHANCE = 0.025
"""Share of true zeros whose 95 % interval lies on one given side of 0."""


@dataclass(frozen=True)
class Change:
    """The difference of a later and an earlier generation on the same problems."""

    earlier: int
    later: int
    column: int | None
    n: int
    won: int
    lost: int
    low: float
    high: float

    @property
    def difference(self) -> float:
        return (self.won - self.lost) / self.n if self.n else 0.0

    @property
    def chance(self) -> float:
        """p of so many more losses than wins if both were equally likely (exact sign test, one-sided)."""
        n = self.won + self.lost
        return math.fsum(math.comb(n, k) * 0.5**n for k in range(self.lost, n + 1))

    def __str__(self) -> str:
        return between(self.difference, self.low, self.high, sign=True)


def section(source: Source, listen: Listener = silent) -> Section:
    try:
        played = tournament(source.folder, source.store, source.config, listen=listen, out=source.out)
    except NotPlayed as reason:
        return Section(KEY, TITLE, missing=(str(reason),))
    slept = slept_on(source.store, played.plan)
    return Section(
        KEY,
        TITLE,
        (*gain(played, slept), losses(played), *cycles(played), cost(played)),
        figures(played, slept),
        missing=played.plan.left_out,
    )


def change(
    played: TournamentResult, earlier: int, later: int, places: Sequence[int], column: int | None = None
) -> Change:
    """Paired by problem, over the questions at `places`."""
    before, after = played.correct[earlier], played.correct[later]
    won = sum(after[i] > before[i] for i in places)
    lost = sum(after[i] < before[i] for i in places)
    n = len(places)
    low, high = paired_interval(won, lost, n)
    return Change(earlier, later, column, n, won, lost, low, high)


def gain(played: TournamentResult, slept: dict[int, tuple[bool, ...]]) -> list[str]:
    """Last against first generation on all problems, and on those that the last was not trained on."""
    last, every = max(played.correct), list(range(len(played.plan.questions)))
    new = [i for i in every if not slept[last][i]]
    rates = [sum(played.correct[g]) / len(every) for g in (0, last)]
    text = (
        f"Of {count(len(every), 'problem')} that all generations set, agents after generation {last} solve "
        f"{number(rates[1])} and the untrained base model {number(rates[0])}: difference "
        f"{change(played, 0, last, every)}, paired by problem"
    )
    if new and len(new) < len(every):
        text += (
            f"; on the {len(new)} that the later agents were not trained on (mostly problems that nobody or everybody "
        )
        text += f"solved when they were set), {change(played, 0, last, new)}"
    return [text + "."]


def losses(played: TournamentResult) -> str:
    """Whether a later generation does worse than an earlier one on problems that are old for both."""
    found = changes(played)
    won, lost = (sum(clear(c.low, c.high) == side for c in found) for side in (1, -1))
    text = f"Later against earlier generations on each generation's problems, {count(len(found), 'comparison')}: "
    text += f"clearly more solved in {won}, clearly less in {lost} (chance alone would give about "
    text += f"{number(CHANCE * len(found), 0)} on each side). "
    old = [c for c in found if c.column is not None and c.column <= c.earlier]
    if not old:
        return text.strip()
    worst = min(old, key=lambda c: (c.chance, c.earlier, c.later))
    where = f"the problems of generation {worst.column}, from generation {worst.earlier} to {worst.later}"
    if all(c.difference >= 0 for c in old):
        return text + "No later generation solves fewer of the old problems: no skill was lost again."
    told = f"the largest drop on old problems is {worst}, on {where}"
    chance = min(1.0, worst.chance * len(old))
    if chance < SURE:
        return text + f"That is forgetting or cycling: {told}, which chance hardly explains ({chance:.2g})."
    return text + f"That is no sign of forgetting or cycling: {told}."


def changes(played: TournamentResult) -> list[Change]:
    """Every later generation against every earlier one, on the problems of each generation."""
    return [
        change(played, earlier, later, played.plan.of(column), column)
        for earlier, later in combinations(sorted(played.correct), 2)
        for column in played.plan.columns
    ]


def cycles(played: TournamentResult) -> list[str]:
    """Whether generations beat one another in cycles, each on the other's problems."""
    both = [g for g in sorted(played.correct) if g in played.plan.columns]
    if len(both) < 3:
        return []
    beats: dict[tuple[int, int], int] = {}
    for a, b in combinations(both, 2):
        mine, theirs = played.cell(a, b), played.cell(b, a)
        side = clear(*difference_interval(sum(mine), len(mine), sum(theirs), len(theirs)))
        beats[a, b], beats[b, a] = side, -side
    triples = list(combinations(both, 3))
    circles = sum(beats[a, b] == beats[b, c] == beats[c, a] != 0 for a, b, c in triples)
    decided = sum(beats[pair] != 0 for pair in combinations(both, 2))
    later = sum(beats[pair] < 0 for pair in combinations(both, 2))
    text = (
        f"Head to head, each on the problems the other set, {decided} of {count(len(beats) // 2, 'pair')} are decided"
    )
    text += f", {later} of them for the later generation; "
    text += f"{circles or 'none'} of {count(len(triples), 'triple')} form a circle in which each beats the next."
    return [text]


def cost(played: TournamentResult) -> str:
    tokens = played.prompt_tokens + played.generated_tokens
    cells = [played.cell(g, column) for g in played.correct for column in played.plan.columns]
    ends = [wilson_interval(sum(c), len(c)) for c in cells]
    half = median((high - low) / 2 for low, high in ends)
    return (
        f"The tournament took {tokens:,} tokens of evaluation, which do not count as the run's compute; the 95 % "
        f"interval of one cell is about ±{number(half)}."
    )


def figures(played: TournamentResult, slept: dict[int, tuple[bool, ...]]) -> tuple[Figure, Figure]:
    plan = played.plan
    table = tuple(cell(played, slept, g, column) for g in plan.teams for column in plan.columns)
    at = {(r["agents_after"], r["problems_by"]): r for r in table}
    n = {len(plan.of(c)) for c in plan.columns}
    size = f"{min(n)}" if len(n) == 1 else f"{min(n)} to {max(n)}"
    heat = Heat(
        tuple(name(c) for c in plan.columns),
        tuple(name(g) for g in plan.teams),
        tuple(tuple(at[g, c]["solve_rate"] for c in plan.columns) for g in plan.teams),
        "share of problems solved",
        0.0,
        1.0,
        annotate=True,
    )
    matrix = Figure(
        "tournament",
        "Each generation on the problems of every generation",
        f"Each cell: the share of {size} valid problems, set by the agents as they were after the generation below, "
        "that agents as they were after the generation at the left solve, one greedy attempt per problem. Generation "
        "0 is the base model. On the diagonal agents meet their own problems; up and left of it new agents meet old "
        "problems. Where no column falls towards the top nothing is lost again; where skills are lost, or cycle, one "
        "does.",
        (Panel(heat, "problems set by agents after generation", "attempted by agents after generation"),),
        table,
    )
    columns = spread(list(plan.columns), MOST_LINES)
    lines = []
    for column, colour in zip(columns, shades(len(columns)), strict=True):
        rows = [at[g, column] for g in plan.teams]
        y, low, high = (tuple(r[k] for r in rows) for k in ("solve_rate", "low", "high"))
        lines.append(Series(name(column), tuple(plan.teams), y, low, high, colour=colour))
    over_time = Figure(
        "tournament-lines",
        "Old problems, attempted by later and later agents",
        f"The columns of the matrix as lines, with 95 % Wilson intervals ({size} problems each). A line that falls is "
        "a skill that was lost again.",
        (
            Panel(
                tuple(lines),
                "attempted by agents after generation",
                "share solved",
                (0.0, 1.0),
                whole_x=True,
                legend="problems set after generation",
            ),
        ),
        tuple(r for r in table if r["problems_by"] in columns),
    )
    return matrix, over_time


def cell(played: TournamentResult, slept: dict[int, tuple[bool, ...]], row: int, column: int) -> Row:
    got, places = played.cell(row, column), played.plan.of(column)
    low, high = wilson_interval(sum(got), len(got))
    return {
        "agents_after": row,
        "problems_by": column,
        "n": len(got),
        "solved": sum(got),
        "solve_rate": sum(got) / len(got),
        "low": low,
        "high": high,
        "slept_on": sum(slept[row][i] for i in places),
    }


def name(generation: int) -> str:
    return "0 (base)" if generation == 0 else str(generation)
