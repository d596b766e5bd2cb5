"""The agents that set the most useful problems, and how their problems differ.

Usefulness is the reward that a problem earned its author (the learnability of the run's payment rule; a rejected
proposal costs), and its consequences: worked examples, and problems varied from them. Agents lived at different times,
and rewards change as everyone learns; so each author is compared with the others who set problems in the same
generations. A difference is a mean over generations, its interval Student's t over generations.

Left out: causes. Differences of an author's problems are associations. Solve rates are those of others, so a strong
solver's problems meet weaker ones.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from arena.report.figures.figure import Figure, Heat, Panel, Section, Series, Table
from arena.report.source import Source
from arena.report.stats.intervals import mean_interval, rate
from arena.run.store import Row, Store
from arena.text import between, clear, count, listed, number

MOST_SHOWN = 24
MOST_REASONS = 3
ROUNDING = 1e-9
"""Differences below this count as 0."""
BY_GENERATION = (
    "SELECT p.author, p.generation, COUNT(*) AS n, AVG(o.setter_reward) AS earned, AVG(p.valid) AS valid,"
    " SUM(o.learnable) AS learnable, AVG(CASE WHEN p.valid THEN o.learnable END) AS learnable_share,"
    " AVG(CASE WHEN p.valid THEN p.depth END) AS depth, AVG(CASE WHEN p.valid THEN ABS(o.solve_rate - 0.5) END) AS far,"
    " AVG(CASE WHEN p.valid THEN o.solve_rate END) AS solved, SUM(p.valid) AS n_valid,"
    " COUNT(DISTINCT CASE WHEN p.valid THEN p.behaviour_key END) AS behaviours,"
    " SUM(CASE WHEN p.valid THEN o.setter_reward ELSE 0 END) AS total,"
    " AVG(r.parent_post IS NOT NULL) AS varied, SUM(p.domain = ?) AS main"
    " FROM problems p JOIN outcomes o ON o.round = p.round JOIN rounds r ON r.id = p.round"
    " GROUP BY p.author, p.generation ORDER BY p.generation, p.author"
)
EXAMPLES = (
    "SELECT r.author, COUNT(*) AS n FROM posts p JOIN rounds r ON r.id = substr(p.about, instr(p.about, '/') + 1)"
    " WHERE p.kind = 'worked_example' GROUP BY r.author"
)
OFFSPRING = (
    "SELECT parent.author, COUNT(*) AS n, SUM(COALESCE(o.learnable, 0)) AS learnable,"
    " SUM(child.author != parent.author) AS by_others FROM rounds child"
    " JOIN posts p ON p.id = child.parent_post JOIN rounds parent"
    " ON parent.id = substr(p.about, instr(p.about, '/') + 1) LEFT JOIN outcomes o ON o.round = child.id"
    " WHERE p.kind = 'worked_example' GROUP BY parent.author"
)


@dataclass(frozen=True)
class Measure:
    """One figure of an author's problems in a generation. `more` and `less` are the words for a higher and a lower
    value."""

    key: str
    label: str
    more: str
    less: str


MEASURES = (
    Measure("far", "solve rate away from 1/2", "have solve rates further from 1/2", "have solve rates closer to 1/2"),
    Measure("learnable_share", "learnable, share of valid", "are more often learnable", "are less often learnable"),
    Measure("solved", "solve rate", "are easier", "are harder"),
    Measure("depth", "depth", "are deeper", "are shallower"),
    Measure("valid", "valid, share of set", "are more often valid", "are more often rejected"),
    Measure("distinct", "distinct, share of valid", "are more varied", "are less varied"),
    Measure("varied", "varied, share of set", "more often vary a post", "less often vary a post"),
    Measure("main_share", "main domain, share of set", "are more often of the main domain", "more often use names"),
)


@dataclass(frozen=True)
class Author:
    """One setter. Differences are to the others of the same generations."""

    name: str
    generations: int
    set: int
    learnable: int
    total: float
    """Learnability earned by valid problems."""
    earned: float
    """Per problem, rejected ones included."""
    depth: float | None
    examples: int
    offspring: int
    offspring_learnable: int
    offspring_by_others: int
    against: Against
    apart: dict[str, Against]


@dataclass(frozen=True)
class Against:
    """Mean difference to contemporaries over generations, its interval, and its distance from 0 in standard errors.
    `errors` is None with a single generation, or if all differences are equal."""

    mean: float
    low: float
    high: float
    errors: float | None

    def __str__(self) -> str:
        return between(self.mean, self.low, self.high, sign=True)


def part(source: Source) -> Section:
    found = authors(source.store, source.config.main_domain)
    if not found:
        return Section("authors", "", missing=("No round has been settled yet, so no problem has earned anything.",))
    played = source.store.query("SELECT COUNT(DISTINCT generation) AS n FROM outcomes")[0]["n"]
    figures = tuple(f for f in (earned_figure(found), apart_figure(found)) if f)
    return Section("authors", "", tuple(most_useful(found, played)), figures, (table(found),))


def authors(store: Store, main: str) -> list[Author]:
    """All setters by the total reward of their valid problems, the most useful first."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in store.query(BY_GENERATION, [main]):
        row["distinct"] = row["behaviours"] / row["n_valid"] if row["n_valid"] else None
        row["main_share"] = row["main"] / row["n"]
        rows[row["author"]].append(row)
    examples = {r["author"]: r["n"] for r in store.query(EXAMPLES)}
    offspring = {r["author"]: r for r in store.query(OFFSPRING)}
    differences = {key: against(rows, key) for key in ("earned", *(m.key for m in MEASURES))}
    found = []
    for name, own in rows.items():
        total, valid = sum(r["n"] for r in own), sum(r["n_valid"] for r in own)
        born: Row = offspring.get(name, {})
        found.append(
            Author(
                name,
                len(own),
                total,
                sum(r["learnable"] for r in own),
                math.fsum(r["total"] for r in own),
                math.fsum(r["earned"] * r["n"] for r in own) / total,
                sum(r["depth"] * r["n_valid"] for r in own if r["n_valid"]) / valid if valid else None,
                examples.get(name, 0),
                born.get("n", 0),
                born.get("learnable", 0),
                born.get("by_others", 0),
                differences["earned"][name],
                {m.key: differences[m.key][name] for m in MEASURES},
            )
        )
    return sorted(found, key=lambda a: (-a.total, a.name))


def against(rows: dict[str, list[Row]], key: str) -> dict[str, Against]:
    """Each author's mean difference to the mean of the others who have a value in the same generation."""
    by_generation: dict[int, dict[str, float]] = defaultdict(dict)
    for name, own in rows.items():
        for row in own:
            if row[key] is not None:
                by_generation[row["generation"]][name] = row[key]
    differences: dict[str, list[float]] = {name: [] for name in rows}
    for values in by_generation.values():
        if len(values) > 1:
            total = math.fsum(values.values())
            for name, value in values.items():
                differences[name].append(value - (total - value) / (len(values) - 1))
    return {name: _against(found) for name, found in differences.items()}


def _against(differences: list[float]) -> Against:
    n = len(differences)
    if not n:
        return Against(math.nan, math.nan, math.nan, None)
    mean = math.fsum(differences) / n
    if abs(mean) < ROUNDING:
        mean = 0.0
    low, high = mean_interval(differences)
    variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1) if n > 1 else 0.0
    return Against(mean, low, high, mean / math.sqrt(variance / n) if variance > ROUNDING**2 else None)


def most_useful(found: list[Author], played: int) -> list[str]:
    """The setter of the most useful problems in total, and per problem, each with possible reasons."""
    most = found[0]
    text = (
        f"{most.name} set the most useful problems in all: they earned "
        f"{number(most.total, 0 if most.total >= 10 else 2)} of learnability; "
        f"{most.learnable} of {most.set} proved learnable, {rate(most.learnable, most.set)}."
    )
    if most.offspring:
        text += (
            f" {count(most.examples, 'worked example')} came of them, varied {count(most.offspring, 'time')} "
            f"({most.offspring_by_others:,} by others), which gave "
            f"{count(most.offspring_learnable, 'learnable problem')}."
        )
    if not math.isfinite(most.against.mean):
        return [f"{text} No other agent set problems in the same generations, so there is no comparison."]
    told = [text, f"Why {most.name}: it set problems in {most.generations} of {played} generations, and {why(most)}"]
    best = max((a for a in found if math.isfinite(a.against.mean)), key=lambda a: (a.against.mean, a.name))
    lead = clear(best.against.low, best.against.high) > 0
    if best is most:
        told.append(f"Problem for problem it leads as well{'' if lead else ', though not clearly'}.")
        return told
    text = f"Problem for problem, {best.name} leads{'' if lead else ', though not clearly'}: {why(best)}"
    return [*told, text]


def why(author: Author) -> str:
    """How an author's problems differ, the clearest difference first."""
    text = (
        f"a problem of {author.name} earned {number(author.earned)}, {author.against} against the others in the same "
        f"generations. Its problems "
    )
    told = [(m, author.apart[m.key]) for m in MEASURES]
    apart = [(m, a) for m, a in told if a.mean and clear(a.low, a.high)]
    apart.sort(key=lambda x: -abs(x[1].errors or math.inf))  # without spread, no error: as clear as can be
    if not apart:
        return f"{text}differ clearly from theirs in none of {len(MEASURES)} measures, so chance may explain its place."
    reasons = [f"{m.more if a.mean > 0 else m.less} ({m.label}: {a})" for m, a in apart[:MOST_REASONS]]
    rest = f"clear in {len(apart)} of {len(MEASURES)} measures, which distinguishes them and proves no cause"
    return f"{text}{listed(reasons)}; {rest}."


def earned_figure(found: list[Author]) -> Figure | None:
    shown = [a for a in found if math.isfinite(a.against.mean)][:MOST_SHOWN]
    if not shown:
        return None
    x = tuple(a.name for a in shown)
    low, high = (tuple(_finite(getattr(a.against, end)) for a in shown) for end in ("low", "high"))
    text = tuple(f"{a.learnable} of {a.set} learnable, {a.generations} generations" for a in shown)
    difference = Series("difference", x, tuple(a.against.mean for a in shown), low, high, "points", text=text)
    counts = (
        Series("worked examples", x, tuple(float(a.examples) for a in shown), kind="bars"),
        Series("problems varied from them", x, tuple(float(a.offspring) for a in shown), kind="bars"),
        Series("of these, learnable", x, tuple(float(a.offspring_learnable) for a in shown), kind="bars"),
    )
    return Figure(
        "setters",
        "Usefulness of each author's problems",
        "Above: what a problem earned its author, minus what problems of the others earned in the same generation; "
        "mean over generations with its 95 % interval. Below: worked examples and variations that resulted from an "
        "author's problems, which grow with its lifetime.",
        (
            Panel((difference,), "", "reward per problem, against contemporaries"),
            Panel(counts, "author", "number", height=0.8),
        ),
        tuple(author_row(a) for a in found),
    )


def apart_figure(found: list[Author]) -> Figure | None:
    """Authors by measures: differences to contemporaries in standard errors."""
    shown = [a for a in found if any(x.errors is not None for x in a.apart.values())][:MOST_SHOWN]
    if not shown:
        return None
    measures = MEASURES[::-1]  # rows of a grid are from the bottom
    values = tuple(tuple(a.apart[m.key].errors for a in shown) for m in measures)
    most = max((abs(v) for row in values for v in row if v is not None), default=1.0)
    heat = Heat(
        tuple(a.name for a in shown),
        tuple(m.label for m in measures),
        values,
        "difference to contemporaries, standard errors",
        -most,
        most,
        annotate=len(shown) <= 12,
    )
    return Figure(
        "setters-apart",
        "How each author's problems differ",
        "Difference of an author's problems to the others' of the same generations, divided by its standard error over "
        "generations: beyond about 2 either way chance alone is unlikely, though with so many cells one in twenty is. "
        "Distinct: different behaviours on fixed probe inputs. Varied: asked for as a variation of a post. Authors "
        "from the most useful to the least.",
        (Panel(heat, "author", ""),),
        tuple({"author": a.name, "measure": m.label, **_plain(a.apart[m.key])} for a in found for m in MEASURES),
    )


def table(found: list[Author]) -> Table:
    earned = ("earned", "a problem", "against others", "depth")
    columns = ("author", "gens", "set", "learnable", *earned, "varied", "by others", "gave")
    rows = tuple(
        (
            a.name,
            *(f"{n:,}" for n in (a.generations, a.set, a.learnable)),
            f"{a.total:,.0f}",
            number(a.earned),
            str(a.against),
            number(a.depth, 1),
            *(f"{n:,}" for n in (a.offspring, a.offspring_by_others, a.offspring_learnable)),
        )
        for a in found[:MOST_SHOWN]
    )
    caption = (
        "Setters, the most useful first. Earned: learnability of valid problems in all; a problem: its mean, rejected "
        "ones included; against others: its difference to those who set problems in the same generations. Varied: how "
        "often the worked examples that came of its problems were varied, by others, and how many learnable problems "
        "that gave."
    )
    more = f" {len(found) - MOST_SHOWN} more are in the data." if len(found) > MOST_SHOWN else ""
    return Table(columns, rows, caption + more, frozenset(columns[1:]))


def author_row(a: Author) -> Row:
    return {
        "author": a.name,
        "generations": a.generations,
        "set": a.set,
        "learnable": a.learnable,
        "earned_in_all": a.total,
        "earned_a_problem": a.earned,
        **{f"against_{k}": v for k, v in _plain(a.against).items()},
        "depth": a.depth,
        "worked_examples": a.examples,
        "offspring": a.offspring,
        "offspring_by_others": a.offspring_by_others,
        "offspring_learnable": a.offspring_learnable,
    }


def _plain(a: Against) -> dict[str, Any]:
    return {"mean": _finite(a.mean), "low": _finite(a.low), "high": _finite(a.high), "standard_errors": a.errors}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
