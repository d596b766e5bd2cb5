"""A comparison of runs as sections of a page.

Sentences state findings with their uncertainty, and claim a difference only if its interval excludes 0. Names of arms
and folders are data and are shown literally.

Left out: computing (`compare`), drawing (the page) and printing (`arena.report.terminal`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from arena.report.comparison.cautions import FEW
from arena.report.figures.figure import COLOURS, Figure, Panel, Section, Series, Table
from arena.report.metrics.culture_metrics import CULTURE_LABELS
from arena.run.faults import Faults
from arena.text import compact, duration
from arena.text import figure as number

Row = dict[str, Any]
LABELS = {
    "heldout_3_6": "held-out after, depths 3-6",
    "before_3_6": "held-out before, depths 3-6",
    "gain_3_6": "gain, depths 3-6",
    "pass_at_k_3_6": "pass@k after, depths 3-6",
    "heldout_mean": "held-out after, mean of all depths",
    "gain_mean": "gain, mean of all depths",
    "sampled_mean": "solved in samples, mean of all depths",
    "sampled_gain": "gain in samples, mean of all depths",
    "pass_at_k_mean": "pass@k after, mean of all depths",
    "pass_at_k_gain": "gain of pass@k, mean of all depths",
    "first_words_kept": "distinct first words of problems, last over first generations",
    "triples_kept": "distinct word triples of problems, last over first generations",
    "operations_kept": "distinct operations of problems, last over first generations",
    "names_with_reading": "names, with reading",
    "names_without_reading": "names, without reading",
    "names_difference": "names, effect of reading",
    "names_known_with_reading": "known names, with reading",
    "names_known_without_reading": "known names, without reading",
    "names_known_difference": "known names, effect of reading",
    "heldout_7": "held-out after, depth 7",
    "heldout_8": "held-out after, depth 8",
    "heldout_10": "held-out after, depth 10",
    "frontier": "deepest depth with half of the problems solved",
    "always_3_6": "solved in all samples, depths 3-6",
    "broken_traces": "right answers with a broken trace (share)",
    "gain_per_million": "gain per million compute units",
    "value_error": "calibration error of last estimates",
    "value_rank": "rank correlation of forecast and solve rate",
    "stopped_share": "attempts ended by an estimate (share)",
    "corrected": "rewritten attempts that are right (share)",
    "learnable_per_generation": "learnable problems per generation",
    "valid_per_generation": "valid problems per generation",
    "generations": "generations played",
    "compute": "compute units",
    "evaluation_compute": "units of evaluation, not counted",
    **CULTURE_LABELS,
    "seconds": "seconds, wall clock",
}
DEPTH = "heldout_depth_"
ABOUT = ("heldout_3_6", "gain_3_6", "names_known_difference", "learnable_per_generation")
"""The scores that have sentences."""


def label(score: str) -> str:
    depth = score.removeprefix(DEPTH)
    return LABELS.get(score) or (f"held-out after, depth {depth}" if depth != score else score.replace("_", " "))


def in_order(scores: Mapping[str, Any]) -> list[str]:
    """Held-out means, then depths, then the rest as `LABELS` has them."""
    first = ["heldout_3_6", "before_3_6", "gain_3_6", "pass_at_k_3_6"]
    depths = sorted((s for s in scores if s.startswith(DEPTH)), key=lambda s: int(s.removeprefix(DEPTH)))
    order = dict.fromkeys([*first, *depths, *LABELS, *scores])
    return [s for s in order if s in scores]


def sections(c: Row, faults: Faults | None = None) -> list[Section]:
    """The comparison as a page shows it. `faults` collects sections that fail (default: the error is raised)."""
    made = [built(build, c, faults or Faults()) for build in (_compared, _cautions, _effects, _scores, _curves)]
    return [s for s in made if s is not None]


def built(build: Callable[[Row], Section | None], c: Row, faults: Faults) -> Section | None:
    name = build.__name__.strip("_")
    failed: Callable[[str], Section | None] = lambda why: Section(name, name.capitalize(), missing=(why,))  # noqa: E731
    return faults.part(f"the section {name}", lambda: build(c), failed)


# -- what is compared -------------------------------------------------------------------------------------------------


def _compared(c: Row) -> Section:
    findings = []
    for arm in c["arms"]:
        seeds = ", ".join(map(str, arm["seeds"]))
        differs = "; ".join(f"{key} = {value}" for key, value in arm["differs"].items())
        base = " The baseline." if arm["name"] == c["baseline"] and len(c["arms"]) > 1 else ""
        what = f" ({differs})" if differs and arm["name"].startswith("arm ") else ""
        findings.append(f"{arm['name']}{what}: seed{'s' * (len(arm['seeds']) != 1)} {seeds}.{base}")
    columns = ("run", "arm", "seed", "gen", "before", "after", "gain", "units", "time")
    rows = []
    for run in c["runs"]:
        s = run["scores"]
        played = f"{run['generations']}/{run['planned_generations']}"
        cells = [number(s[k]) if s.get(k) is not None else "-" for k in ("before_3_6", "heldout_3_6", "gain_3_6")]
        units = compact(s.get("compute"))
        seconds = duration(s["seconds"]) if s.get("seconds") is not None else "-"
        rows.append((run["folder"], run["arm"], str(run["seed"]), played, *cells, units, seconds))
    table = Table(
        columns,
        tuple(rows),
        "gen: generations played, of those planned; before, after, gain: share of held-out problems solved, mean of "
        "depths 3-6; units: compute, without evaluation",
        frozenset(columns[2:]),
    )
    return Section("compared", "What is compared", tuple(findings), (), (table,))


def _cautions(c: Row) -> Section | None:
    return Section("cautions", "Cautions", tuple(c["cautions"])) if c["cautions"] else None


# -- effects ----------------------------------------------------------------------------------------------------------


def sentence(effect: Row, score: str) -> str:
    """One difference with its interval, in a sentence."""
    e = effect["scores"][score]
    what = f"{effect['arm']} against {effect['baseline']}, {label(score)}: "
    if e["difference"] is None:
        return f"{what}no two runs to compare."
    if e["low"] is None:
        return f"{what}{signed(e['difference'])}, from too few runs for an interval."
    if e["low"] == e["high"]:
        return f"{what}{signed(e['difference'])} in every seed, so the spread is not known."
    interval = f"{signed(e['difference'])} [{signed(e['low'])}, {signed(e['high'])}]"
    how = f"paired by {e['n'][0]} seeds" if e["how"] == "paired" else f"{e['n'][0]} and {e['n'][1]} independent runs"
    if e["low"] > 0 or e["high"] < 0:
        return f"{what}{'higher' if e['low'] > 0 else 'lower'}, {interval} ({how})."
    return f"{what}no difference is shown, {interval} ({how})."


def signed(x: float) -> str:
    return ("+" if x >= 0 else "-") + number(abs(x))


def _effects(c: Row) -> Section | None:
    if not c["effects"]:
        return None
    findings, tables = [], []
    for e in c["effects"]:
        findings += [sentence(e, score) for score in ABOUT if score in e["scores"]]
        p = e["probability_of_improvement"]
        if p:
            enough = p["low"] is not None and min(p["runs"]) >= FEW
            interval = f" [{p['low']:.2f}, {p['high']:.2f}]" if enough else " (too few seeds for an interval)"
            findings.append(
                f"A run of {e['arm']} is better than one of {e['baseline']} at a held-out depth with probability"
                f" {p['value']:.2f}{interval}; 0.5 is no difference."
            )
        tables.append(_effects_table(e))
    figure = _depths_figure(c)
    return Section(
        "effects", f"Differences to {c['baseline']}", tuple(findings), (figure,) if figure else (), tuple(tables)
    )


def _effects_table(effect: Row) -> Table:
    columns = ("score", "difference", "95 % interval", "runs", "p")
    rows = []
    for score in in_order(effect["scores"]):
        e = effect["scores"][score]
        if e["difference"] is None:
            continue
        runs = f"{e['n'][0]} pairs" if e["how"] == "paired" else f"{e['n'][0]} and {e['n'][1]}"
        p = f"{e['p']:.3f}" if e["p"] is not None else "-"
        rows.append((label(score), signed(e["difference"]), _ends(e, signed), runs, p))
    if d := effect["iqm_difference"]:
        runs = f"{d['runs'][0]} and {d['runs'][1]}"
        rows.append(("held-out after, interquartile mean", signed(d["value"]), _ends(d, signed), runs, "-"))
    caption = (
        f"{effect['arm']} minus {effect['baseline']}. Intervals: Student's t of pairs, Welch's of independent runs;"
        " of the interquartile mean a bootstrap over whole runs. p: exact sign-flip test of pairs, two-sided"
    )
    return Table(columns, tuple(rows), caption, frozenset(columns[1:]))


def _ends(e: Row, shown: Callable[[float], str], prefix: str = "") -> str:
    """An interval's ends; where all values are alike it has no width, and says nothing about other seeds."""
    low, high = e[f"{prefix}low"], e[f"{prefix}high"]
    if low is None:
        return "-"
    return "all alike" if low == high else f"[{shown(low)}, {shown(high)}]"


def _depths_figure(c: Row) -> Figure | None:
    """Differences by held-out depth with their intervals."""
    series, rows = [], []
    for at, e in enumerate(c["effects"]):
        depths = [d for d in c["tasks"] if e["scores"].get(f"heldout_depth_{d}", {}).get("difference") is not None]
        found = [e["scores"][f"heldout_depth_{d}"] for d in depths]
        if not found:
            continue
        values = [tuple(f[key] for f in found) for key in ("difference", "low", "high")]
        colour = COLOURS[(at + 1) % len(COLOURS)]
        aside = 0.12 * (at - (len(c["effects"]) - 1) / 2)  # arms beside each other, not on each other
        series.append(
            Series(e["arm"], tuple(d + aside for d in depths), values[0], values[1], values[2], "points", colour)
        )
        rows += [
            {"arm": e["arm"], "baseline": e["baseline"], "depth": d, **{k: f[k] for k in ("difference", "low", "high")}}
            for d, f in zip(depths, found, strict=True)
        ]
    if not series:
        return None
    zero = Series(c["baseline"], tuple(c["tasks"]), (0.0,) * len(c["tasks"]), colour=COLOURS[0], dash=True)
    panel = Panel((zero, *series), "held-out depth", "difference of shares solved", whole_x=True)
    caption = "Share of held-out problems solved after the last generation, minus the baseline's; bars: 95 % intervals."
    return Figure(
        "differences", f"Held-out skill by depth, difference to {c['baseline']}", caption, (panel,), tuple(rows)
    )


# -- scores and curves ------------------------------------------------------------------------------------------------


def _scores(c: Row) -> Section:
    names = in_order(c["arms"][0]["scores"])
    columns = ("score", *(arm["name"] for arm in c["arms"]))
    rows = [(label(s), *(_mean(arm["scores"][s]) for arm in c["arms"])) for s in names]
    iqms = [arm["iqm"] for arm in c["arms"]]
    missing: tuple[str, ...] = ()
    if any(iqms):
        rows.append(("held-out after, interquartile mean", *(_iqm(i) for i in iqms)))
        rows.append(("  the same, runs drawn for each depth", *(_iqm(i, "by_task_") for i in iqms)))
        span = f"depths {c['tasks'][0]} to {c['tasks'][-1]}"
        caption = (
            "Means over seeds with 95 % t intervals, which with few seeds may pass 0 or 1. Interquartile mean: over"
            f" runs and {span}, the lowest and highest quarter cut off; bootstrap over whole runs, then with runs"
            f" drawn anew for each depth (as rliable), both too narrow with fewer than {FEW} seeds"
        )
    else:
        missing = ("No two runs are finished, so there are no final scores.",) if not names else ()
        caption = "Means over seeds with 95 % t intervals."
    return Section("scores", "Scores", (), (), (Table(columns, tuple(rows), caption, frozenset(columns[1:])),), missing)


def _mean(e: Row) -> str:
    if e["mean"] is None:
        return "-"
    return f"{number(e['mean'])} {_ends(e, number)}" if e["low"] is not None else f"{number(e['mean'])} (n = {e['n']})"


def _iqm(i: Row | None, prefix: str = "") -> str:
    return "-" if i is None else f"{number(i['value'])} {_ends(i, number, prefix)}"


def _curves(c: Row) -> Section:
    depths = c["curve_depths"]
    span = f"depths {depths[0]}-{depths[-1]}" if depths else "no depth in common"
    held = f"held-out share solved, {span}"
    wanted = (
        ("heldout", "generation", held, True, 1.4),
        ("by_compute", "compute units, in millions, without evaluation", held, False, 1.4),
        ("learnable", "generation", "learnable problems", True, 1.0),
        ("difficulty", "generation", "mean depth set", True, 1.0),
    )
    panels, rows = [], []
    for key, x_label, y_label, whole, height in wanted:
        lines = []
        for at, arm in enumerate(c["arms"]):
            points = c["curves"][arm["name"]][key]
            if not points:
                continue
            x, y, low, high = (tuple(p[k] for p in points) for k in ("x", "mean", "low", "high"))
            if key == "by_compute":
                x = tuple(units / 1e6 for units in x)
            text = tuple(f"{p['runs']} of {len(arm['seeds'])} runs" for p in points)
            line = Series(arm["name"], x, y, colour=COLOURS[at % len(COLOURS)], text=text)
            lines.append(replace(line, low=low, high=high) if len(arm["seeds"]) > 1 else line)
            rows += [{"curve": key, "arm": arm["name"], **p} for p in points]
        if lines:
            panels.append(Panel(tuple(lines), x_label, y_label, None, whole, height=height))
    if not panels:
        return Section("curves", "Curves", missing=("No run has played a generation yet.",))
    caption = (
        "Lines: means over an arm's seeds; bands: from its lowest to its highest seed. A point by generation is over"
        " the runs that have reached it; a curve over compute ends where the arm's shortest run ends."
    )
    return Section(
        "curves", "Curves", (), (Figure("curves", "Arms side by side", caption, tuple(panels), tuple(rows)),)
    )
