"""Difficulty: abilities of agents and difficulties of problems on one scale, by generation and by lineage.

A problem that was set is attempted in its generation only, so it cannot link generations; held-out problems can. First
the abilities of agents and the difficulties of held-out problems are fitted together (`rasch`), then each problem's
difficulty from the attempts at it, its solvers' abilities taken as known. An agent attempts the problems of generation
g with what it learned by the end of generation g - 1. Before the first sleep all agents are one, the base model.

If there are measurements of each generation (mode "greedy"), only held-out problems of these count: of those attempted
before and after only, too little is known, and they would pull the abilities of these two evaluations to the middle.

Left out: names (reading changes ability), and other domains than the main one. Not guaranteed: that greedy answers to
held-out problems and sampled attempts at others are of one ability.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arena.report.figures.figure import GREY, Figure, Heat, Panel, Section, Series, Table
from arena.report.metrics.heldout import COUNTS
from arena.report.source import Source
from arena.report.stats.intervals import Z
from arena.report.stats.rasch import PRIOR, Estimate, Fit, difficulties, fit, mean_of
from arena.run.store import Store

Person = tuple[int, str]
"""(generation, agent): an agent as it was after that generation."""
BASE = "the base model"
MOST_LINEAGES, MOST_AGENTS = 6, 12
MIDDLE = 3
"""Fewest problems for a mean."""
SCALE = (
    "In logits: a problem whose difficulty equals the ability is solved half of the time, one logit easier 73 %, two "
    "88 %. The scale is relative, as only differences matter: 0 is the mean held-out problem of this run, and the "
    f"prior (standard deviation {PRIOR:g}) affects the length of a logit. Values compare only within a run."
)


@dataclass(frozen=True)
class SetProblem:
    generation: int
    depth: int
    learnable: bool
    difficulty: Estimate


@dataclass(frozen=True)
class Scale:
    """Everything on one scale."""

    fitted: Fit[Person, str]
    depths: dict[str, int]
    """Of the held-out problems."""
    living: dict[int, list[str]]
    """Agents that were measured, by generation."""
    set_: list[SetProblem] = field(default_factory=list)
    unmeasured: int = 0
    """Problems whose solvers' ability is not known."""

    def population(self, generation: int) -> Estimate:
        return self.fitted.mean_ability((generation, agent) for agent in self.living[generation])


def section(source: Source) -> Section:
    title = "Difficulty and ability"
    scale = measure(source)
    if scale is None:
        return Section(
            "difficulty", title, missing=("Ability needs attempts at held-out problems: there are none yet.",)
        )
    founders = founders_of(source.store)
    figures, missing = [], []
    if scale.set_:
        figures.append(ability_figure(scale))
    else:
        missing.append("Difficulty of what was set: no attempt was made by an agent that had been measured before.")
    if scale.unmeasured:
        missing.append(
            f"Difficulty of {scale.unmeasured} problems: their solvers were not measured after the generation before."
        )
    if len(scale.living) > 1:
        figures.append(lineage_figure(scale, founders))
    else:
        missing.append("Ability over time: agents were measured before the first generation only.")
    figures.append(depth_figure(scale))
    heat = solved_figure(source.store, source.analysis["domain"])
    if heat:
        figures.append(heat)
    return Section(
        "difficulty", title, findings(scale, founders), tuple(figures), tables(scale, founders), tuple(missing)
    )


# -- the two fits ----------------------------------------------------------------------------------------------------


def measure(source: Source) -> Scale | None:
    """Abilities and difficulties of a run; None if no held-out problem has been attempted."""
    domain = source.analysis["domain"]
    sql = (
        "SELECT generation, agent, depth, problem, mode, correct FROM evaluations WHERE domain = ?"
        f" AND mode IN ('greedy', 'full') AND {COUNTS} ORDER BY generation, mode DESC, rowid"
    )
    rows = source.store.query(sql, [domain])
    passing = {r["problem"] for r in rows if r["mode"] == "greedy"}
    right: dict[tuple[Person, str], int] = {}
    depths: dict[str, int] = {}
    for r in rows:  # the full evaluation comes after the one in passing, and asks the same again: it counts once
        if r["problem"] in passing or not passing:
            person = (r["generation"], r["agent"] if r["generation"] else BASE)
            right[person, r["problem"]] = r["correct"]
            depths[r["problem"]] = r["depth"]
    if not right:
        return None
    fitted = fit((person, problem, correct, 1) for (person, problem), correct in right.items())
    living: dict[int, list[str]] = defaultdict(list)
    for generation, agent in fitted.abilities:
        living[generation].append(agent)
    scale = Scale(fitted, depths, dict(sorted(living.items())))
    return place_set(source.store, domain, scale)


def place_set(store: Store, domain: str, scale: Scale) -> Scale:
    """The same with the problems that were set in their places."""
    sql = (
        "SELECT a.round, a.generation, a.agent, p.depth, COALESCE(o.learnable, 0) AS learnable, SUM(a.correct) AS"
        " correct, COUNT(*) AS n FROM attempts a JOIN problems p ON p.round = a.round LEFT JOIN outcomes o"
        " ON o.round = a.round WHERE p.domain = ? GROUP BY a.round, a.agent"
    )
    abilities = {person: e.value for person, e in scale.fitted.abilities.items()}
    trials: list[tuple[Person, str, int, int]] = []
    about: dict[str, tuple[int, int, bool]] = {}
    unknown = set()
    for r in store.query(sql, [domain]):
        before = r["generation"] - 1
        person = (before, r["agent"] if before else BASE)
        if person in abilities:
            trials.append((person, r["round"], r["correct"], r["n"]))
            about[r["round"]] = (r["generation"], r["depth"], bool(r["learnable"]))
        else:
            unknown.add(r["round"])
    found = difficulties(trials, abilities, {round_: generation for round_, (generation, _, _) in about.items()})
    set_ = [SetProblem(*about[round_], estimate) for round_, estimate in found.items()]
    return Scale(scale.fitted, scale.depths, scale.living, set_, len(unknown - set(about)))


def founders_of(store: Store) -> dict[str, str]:
    """By agent, in order of birth: its ancestor of the first population, along first parents."""
    found: dict[str, str] = {}
    for row in store.query("SELECT name, parents FROM agents ORDER BY number"):
        parents = json.loads(row["parents"])
        found[row["name"]] = found.get(parents[0], parents[0]) if parents else row["name"]
    return found


# -- what is said ----------------------------------------------------------------------------------------------------


def findings(scale: Scale, founders: dict[str, str]) -> tuple[str, ...]:
    first, last = min(scale.living), max(scale.living)
    one, other = scale.population(first), scale.population(last)
    said = [f"Mean ability in generation {first}: {told(one)} logits (0: the mean held-out problem)."]
    if last > first:
        apart = abs(other.value - one.value) > Z * (one.se + other.se)
        verb = ("rose" if other.value > one.value else "fell") if apart else "did not clearly change,"
        said = [f"Mean ability {verb} from {told(one)} logits in generation {first} to {told(other)} in {last}."]
    by_generation = group(scale.set_)
    if by_generation:
        for what, learnable in (("what was set", False), ("the learnable problems", True)):
            means = mean_difficulties(by_generation, learnable)
            if means:
                start, end = min(means), max(means)
                until = f", {told(means[end])} in generation {end}" if end > start else ""
                said.append(f"Mean difficulty of {what}: {told(means[start])} in generation {start}{until}.")
        g = max(by_generation)
        ability = scale.population(g - 1).value
        harder = sum(p.difficulty.value > ability for p in by_generation[g]) / len(by_generation[g])
        said.append(
            f"Of the problems set in generation {g}, {harder:.0%} were harder than the mean ability of their solvers."
        )
    lines = lineages(scale, founders, last)
    if last and len(lines) > 1:
        best = max(lines, key=lambda f: lines[f].value)
        rest = [lines[f] for f in lines if f != best]
        sure = all(lines[best].value - Z * lines[best].se > e.value + Z * e.se for e in rest)
        caution = (
            "no other interval reaches so high" if sure else "others' intervals overlap it: the order may be chance"
        )
        said.append(
            f"Of {len(lines)} lineages alive after generation {last}, that of {best} has the highest measured ability: "
            f"{told(lines[best])} logits; {caution}."
        )
    elif last and len(founders) > 1 and lines:
        said.append(f"All agents alive after generation {last} descend from {next(iter(lines))}.")
    return tuple(said)


def told(e: Estimate) -> str:
    return f"{signed(e.value)} [{signed(e.value - Z * e.se)}, {signed(e.value + Z * e.se)}]"


def signed(value: float) -> str:
    return format(round(value, 2) + 0.0, "+.2f")  # adding 0.0 turns a rounded -0.0 into 0.0


def lineages(scale: Scale, founders: dict[str, str], generation: int) -> dict[str, Estimate]:
    """Mean ability by founder of those who were measured in a generation."""
    members: dict[str, list[Person]] = defaultdict(list)
    for agent in scale.living.get(generation, []):
        members[founders.get(agent, agent)].append((generation, agent))
    return {founder: scale.fitted.mean_ability(persons) for founder, persons in members.items()}


def group(set_: Sequence[SetProblem]) -> dict[int, list[SetProblem]]:
    found: dict[int, list[SetProblem]] = defaultdict(list)
    for p in set_:
        found[p.generation].append(p)
    return dict(sorted(found.items()))


def mean_difficulties(by_generation: Mapping[int, Sequence[SetProblem]], learnable: bool) -> dict[int, Estimate]:
    """By generation, mean difficulty of the problems set, or of the learnable ones, if there are enough."""
    found = {g: [p.difficulty for p in ps if p.learnable or not learnable] for g, ps in by_generation.items()}
    return {g: mean_of(estimates) for g, estimates in found.items() if len(estimates) >= MIDDLE}


# -- what is shown ---------------------------------------------------------------------------------------------------


def ability_figure(scale: Scale) -> Figure:
    able = {g: scale.population(g) for g in scale.living}
    by_generation = group(scale.set_)
    series = [
        Series(
            "ability of the agents",
            tuple(able),
            tuple(e.value for e in able.values()),
            tuple(e.value - Z * e.se for e in able.values()),
            tuple(e.value + Z * e.se for e in able.values()),
            text=tuple(f"{len(scale.living[g])} agents, {e.n} answers" for g, e in able.items()),
        )
    ]
    rows: dict[int, dict[str, Any]] = {
        g: {"generation": g, "ability": e.value, "ability_se": e.se, "agents": len(scale.living[g])}
        for g, e in able.items()
    }
    for name, key, colour, dash in (
        ("difficulty of all problems", "set", GREY, True),
        ("difficulty of the learnable", "learnable", "#D55E00", False),
    ):
        means = mean_difficulties(by_generation, key == "learnable")
        for g, e in means.items():
            row = rows.setdefault(g, {"generation": g})
            row |= {f"difficulty_{key}": e.value, f"difficulty_{key}_se": e.se, f"{key}_problems": e.n}
        if means:
            series.append(
                Series(
                    name,
                    tuple(means),
                    tuple(e.value for e in means.values()),
                    tuple(e.value - Z * e.se for e in means.values()),
                    tuple(e.value + Z * e.se for e in means.values()),
                    colour=colour,
                    dash=dash,
                    text=tuple(f"{e.n} problems" for e in means.values()),
                )
            )
    return Figure(
        "ability",
        "Ability of the agents and difficulty of the problems they set, on one scale",
        f"{SCALE} Ability is after the generation, a mean over agents; its band is 1.96 standard errors. Difficulties "
        "are means over problems with 95 % intervals. A problem has few attempts, so its estimate is shrunk to the "
        "mean of its generation, the more the fewer they were.",
        (Panel(tuple(series), "generation", "logits (0: the mean held-out problem)", whole_x=True, height=1.2),),
        tuple(rows[g] for g in sorted(rows)),
    )


def lineage_figure(scale: Scale, founders: dict[str, str]) -> Figure:
    """Above lineages, below agents, in the colour of their lineage."""
    after = [g for g in scale.living if g]
    base = scale.population(0) if 0 in scale.living else None
    means = {g: lineages(scale, founders, g) for g in after}
    lived: dict[str, int] = defaultdict(int)
    for found in means.values():
        for founder in found:
            lived[founder] += 1
    latest = means[after[-1]]
    kept = sorted(lived, key=lambda f: (f not in latest, -lived[f], list(founders).index(f) if f in founders else 0))
    kept = kept[:MOST_LINEAGES]
    colours = dict(zip(kept, ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"), strict=False))
    upper = []
    for founder in kept:
        points = [(g, means[g][founder]) for g in after if founder in means[g]]
        points = [(0, base), *points] if base else points
        upper.append(
            Series(
                f"of {founder}",
                tuple(g for g, _ in points),
                tuple(e.value for _, e in points),
                tuple(e.value - Z * e.se for _, e in points),
                tuple(e.value + Z * e.se for _, e in points),
                colour=colours[founder],
            )
        )
    agents = [a for a in founders if founders[a] in kept and any(a in scale.living[g] for g in after)]
    agents = [a for a in agents if a in scale.living[after[-1]]] + [
        a for a in agents if a not in scale.living[after[-1]]
    ]
    lower = []
    for agent in agents[:MOST_AGENTS]:
        found_ = [(g, scale.fitted.abilities[g, agent]) for g in after if agent in scale.living[g]]
        founder = founders[agent]
        lower.append(
            Series(
                agent if agent == founder else f"{agent} (of {founder})",
                tuple(g for g, _ in found_),
                tuple(e.value for _, e in found_),
                colour=colours[founder],
                dash=agent != founder,
                width=1.4,
                text=tuple(f"standard error {e.se:.2f}, {e.n} answers" for _, e in found_),
            )
        )
    more = f" The {MOST_LINEAGES} lineages that lived longest of {len(lived)}." if len(lived) > MOST_LINEAGES else ""
    more += f" {MOST_AGENTS} of {len(agents)} agents, the living first." if len(agents) > MOST_AGENTS else ""
    return Figure(
        "lineages",
        "Ability by lineage, and of each agent",
        "A lineage is named after its founder; children are dashed, in the colour of their lineage. Bands: 1.96 "
        f"standard errors; those of a single agent are about as wide. Same scale as above.{more}",
        (
            Panel(tuple(upper), "", "logits, mean of the lineage", whole_x=True, legend="lineage", title="Lineages"),
            Panel(tuple(lower), "generation", "logits", whole_x=True, legend="agent", title="Agents"),
        ),
        tuple(
            {"generation": g, "agent": a, "lineage": founders.get(a), "ability": e.value, "se": e.se, "answers": e.n}
            for (g, a), e in scale.fitted.abilities.items()
        ),
    )


def depth_figure(scale: Scale) -> Figure:
    rows = by_depth(scale)
    series = []
    for key, name, colour in (
        ("heldout", "held-out problems", "#0072B2"),
        ("set", "problems set", GREY),
        ("learnable", "of these, learnable", "#D55E00"),
    ):
        shown = [r for r in rows if r[key] is not None]
        if shown:
            series.append(
                Series(
                    name,
                    tuple(r["depth"] for r in shown),
                    tuple(r[key] for r in shown),
                    tuple(r[key] - Z * r[f"{key}_se"] for r in shown),
                    tuple(r[key] + Z * r[f"{key}_se"] for r in shown),
                    "points",
                    colour,
                    text=tuple(f"n = {r[f'{key}_n']}" for r in shown),
                )
            )
    return Figure(
        "difficulty-by-depth",
        "Difficulty by depth of the program",
        "Means over problems with 95 % intervals, same scale. Depth counts operations, difficulty how often they are "
        "solved: deep problems need not be hard, and the problems that were set are a choice of the setters. Problems "
        "that nobody or everybody solved lie further out than can be measured.",
        (Panel(tuple(series), "depth of the program", "difficulty (logits)", whole_x=True),),
        tuple(rows),
    )


def by_depth(scale: Scale) -> list[dict[str, Any]]:
    kinds: dict[str, dict[int, list[Estimate]]] = {k: defaultdict(list) for k in ("heldout", "set", "learnable")}
    for problem, e in scale.fitted.difficulties.items():
        kinds["heldout"][scale.depths[problem]].append(e)
    for p in scale.set_:
        kinds["set"][p.depth].append(p.difficulty)
        if p.learnable:
            kinds["learnable"][p.depth].append(p.difficulty)
    rows = []
    for depth in sorted({d for found in kinds.values() for d in found}):
        row: dict[str, Any] = {"depth": depth}
        for kind, found in kinds.items():
            here = found.get(depth, [])
            mean = mean_of(here) if len(here) >= MIDDLE else None
            row |= {kind: mean and mean.value, f"{kind}_se": mean and mean.se, f"{kind}_n": len(here)}
        rows.append(row)
    return rows


def solved_figure(store: Store, domain: str) -> Figure | None:
    """Solve rate of the problems set, by depth and generation."""
    sql = (
        "SELECT p.generation, p.depth, AVG(a.correct) AS rate, COUNT(*) AS n FROM attempts a JOIN problems p"
        " ON p.round = a.round WHERE p.domain = ? GROUP BY p.generation, p.depth"
    )
    rows = store.query(sql, [domain])
    if not rows:
        return None
    found = {(r["generation"], r["depth"]): r["rate"] for r in rows}
    span = range(min(g for g, _ in found), max(g for g, _ in found) + 1)
    depths = range(min(d for _, d in found), max(d for _, d in found) + 1)
    grid = tuple(tuple(found.get((g, d)) for g in span) for d in depths)
    return Figure(
        "solved",
        "Solve rate of the problems set, by depth",
        "Share of correct attempts, with every step verified. White: no problem of that depth. Cells of rare depths "
        "have few attempts (the data file has n).",
        (
            Panel(
                Heat(tuple(span), tuple(depths), grid, "solve rate of attempts", 0.0, 1.0),
                "generation",
                "depth",
                whole_x=True,
            ),
        ),
        tuple(
            {"generation": r["generation"], "depth": r["depth"], "solve_rate": r["rate"], "attempts": r["n"]}
            for r in rows
        ),
    )


def tables(scale: Scale, founders: dict[str, str]) -> tuple[Table, ...]:
    def cell(row: dict[str, Any], kind: str) -> str:
        n = row[f"{kind}_n"]
        return "-" if row[kind] is None else told(Estimate(row[kind], row[f"{kind}_se"], n))

    columns = ("depth", "held-out", "n", "set", "n ", "learnable", "n  ")
    rows = tuple(
        (str(r["depth"]), *(c for k in ("heldout", "set", "learnable") for c in (cell(r, k), str(r[f"{k}_n"]))))
        for r in by_depth(scale)
    )
    found = [Table(columns, rows, "Mean difficulty in logits, with 95 % intervals over problems.", frozenset(columns))]
    last = max(scale.living)
    if last:
        agents = sorted(scale.living[last], key=lambda a: -scale.fitted.abilities[last, a].value)[:MOST_AGENTS]
        cells = tuple(
            (a, founders.get(a, a), told(e), str(e.n)) for a in agents for e in [scale.fitted.abilities[last, a]]
        )
        caption = f"Ability after generation {last} in logits, with 95 % intervals, the highest first."
        found.append(
            Table(("agent", "lineage", "ability", "answers"), cells, caption, frozenset(("ability", "answers")))
        )
    return tuple(found)
