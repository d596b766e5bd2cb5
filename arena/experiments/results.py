"""Results of an experiment: results.json, table.md and figure.png in its folder, from the records of finished cells;
for series also story.png, story.svg and series/<name>.csv.

Means and differences to the baseline arm are over seeds, with 95 % Student t intervals; differences are paired by seed.
Where some seeds have no value, such as a run that never came to its 32nd discovery, the table says how many have one.

Left out: a correction for many arms and metrics (the table says so); the answer to the question.

Not guaranteed: that the seed is all that could vary; intervals say nothing about other base models or domains. The main
domain's held-out problems are the same in all seeds, so the intervals hold for these, not for problems at large.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.atomic import write_atomically
from arena.experiments.figure import draw_experiment
from arena.experiments.story_figure import draw_story
from arena.report.metrics.run_metrics import METRICS
from arena.report.stats.over_seeds import Estimate, distinct, estimate, paired
from arena.text import figure

Record = dict[str, Any]


def make_results(
    experiment: Mapping[str, Any], records: Sequence[Record], failed: Mapping[str, str], final: bool, commit: Any
) -> dict[str, Any]:
    """The results of the experiment as plain data. Raises ValueError if cells were played with different weights under
    one model path."""
    arms: list[str] = list(experiment["arms"])
    models: dict[str, str] = {}
    for r in records:
        model = models.setdefault(r["config"]["model"]["path"], r["model_sha256"])
        if model != r["model_sha256"]:
            where = r["config"]["model"]["path"]
            raise ValueError(f"cell {r['arm']}-s{r['seed']} was played with other weights of {where!r} than {models}")
    by_metric = {m: {a: {r["seed"]: r["metrics"][m] for r in records if r["arm"] == a} for a in arms} for m in METRICS}
    return {
        "experiment": experiment["name"],
        "question": experiment["question"],
        "final": final,
        "split": "test" if final else "dev",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "cell_commits": distinct(r["commit"] for r in records),
        "versions": distinct(r["versions"] for r in records),
        "models": models,
        "file": dict(experiment),
        "failed": dict(failed),
        "notes": notes(experiment, records, failed, final),
        "arms": {a: {m: estimate(list(v[a].values())) for m, v in by_metric.items()} for a in arms},
        "differences": {
            a: {m: paired(v[a], v[experiment["baseline"]]) for m, v in by_metric.items()}
            for a in arms
            if a != experiment["baseline"]
        },
        "configs": {a: next((r["config"] for r in records if r["arm"] == a), None) for a in arms},
        "series": {
            s: {a: series_of({r["seed"]: r["series"][s] for r in records if r["arm"] == a}) for a in arms}
            for s in experiment.get("series", ())
        },
        "cells": [{k: v for k, v in r.items() if k not in ("versions", "config")} for r in records],
    }


def series_of(by_seed: Mapping[int, Sequence[Sequence[float]]]) -> list[dict[str, Any]]:
    """By generation: mean and interval over the seeds that have a value, and the value of each seed."""
    found: dict[int, dict[int, float]] = {}
    for seed, points in sorted(by_seed.items()):
        for generation, value in points:
            found.setdefault(int(generation), {})[seed] = value
    return [{"generation": g, **estimate(list(by.values())), "seeds": by} for g, by in sorted(found.items())]


def notes(
    experiment: Mapping[str, Any], records: Sequence[Record], failed: Mapping[str, str], final: bool
) -> list[str]:
    """Notes for the reader of the numbers, first of all whether compute was equal."""
    found = []
    limits = {r["config"]["limits"]["compute"] for r in records}
    if len(records) > 0 and None in limits:
        found.append(
            "No compute limit is set: arms are compared at the same number of generations, not at equal compute."
        )
    for limit in limits - {None}:
        used = {f"{r['arm']}-s{r['seed']}": r["metrics"]["compute"] / limit for r in records}
        if short := [name for name, share in used.items() if share < 1]:
            found.append(f"Compute is not equal: {', '.join(short)} ended before the limit of {limit:,.0f} units.")
        over = max(used.values()) - 1
        found.append(f"Compute limit {limit:,.0f} units; the cell furthest past it used {max(over, 0):.1%} more.")
    if partly := partly_reached(experiment, records):
        found.append(
            f"Not all seeds have a value of {', '.join(partly)}: such means are over those that have one (k of n), "
            "which flatters an arm in which few reached it."
        )
    if failed:
        found.append(f"Incomplete: {', '.join(failed)} failed.")
    if len(distinct(r["commit"] for r in records)) > 1:
        found.append("Cells were played at different commits of the program.")
    if any(r["commit"] is None or r["commit"]["dirty"] for r in records):
        found.append("Some cells were played with files that differ from any commit.")
    if len(distinct(r["versions"] for r in records)) > 1:
        found.append("Cells were played with different versions of libraries or threads.")
    if not final:
        found.append("Dev set and dev seeds: these numbers may have guided choices.")
    found.append(
        "Intervals are 95 % Student t over seeds, differences paired by seed; "
        "neither is corrected for the number of arms and metrics."
    )
    return found


def partly_reached(experiment: Mapping[str, Any], records: Sequence[Record]) -> list[str]:
    """Tabled metrics of which some seeds of an arm have a value and others have none."""
    has = {
        (m, a): {r["metrics"][m] is None for r in records if r["arm"] == a}
        for m in experiment["metrics"]
        for a in experiment["arms"]
    }
    return distinct(m for (m, _), found in has.items() if len(found) > 1)


def make_table(results: Mapping[str, Any]) -> str:
    """The results as Markdown: means by metric and arm, then differences to the baseline."""
    file, commit = results["file"], results["commit"]
    seeds = file["final_seeds"] if results["final"] else file["seeds"]
    at = f"{commit['id'][:12]}{', with changes' * commit['dirty']}" if commit else "unknown"
    lines = [f"# {results['experiment']}{' (final)' * results['final']}", "", results["question"], ""]
    lines += [f"{results['date']}, commit {at}, {results['split']} set, seeds {', '.join(map(str, seeds))}.", ""]
    lines += [f"- {note}" for note in results["notes"]]
    of = {a: sum(c["arm"] == a for c in results["cells"]) for a in results["arms"]}
    lines += ["", *grid(results["arms"], file["metrics"], "mean [95 % interval]", of)]
    if results["differences"]:
        pairs = {a: min(of[a], of[file["baseline"]]) for a in of}
        lines += ["", *grid(results["differences"], file["metrics"], f"difference to {file['baseline']}", pairs)]
    return "\n".join(lines) + "\n"


def grid(
    columns: Mapping[str, Mapping[str, Estimate]], metrics: Sequence[str], title: str, of: Mapping[str, int]
) -> list[str]:
    """A Markdown table, a row a metric and a column an arm, padded to be read as text too. `of`: seeds by arm."""
    rows = [[title, *columns], *([m, *(show(c[m], of[a]) for a, c in columns.items())] for m in metrics)]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)) + " |" for r in rows]
    return [lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]]


def show(e: Estimate, of: int) -> str:
    """`0.512 [0.480, 0.544]`, without an interval where there is none, `-` where there is no value; with ` (3 of 5)`
    where not all of `of` seeds have one, and `(all alike)` for seeds with one value, which do not show the spread."""
    if e["mean"] is None:
        return f"- (0 of {of})" if of else "-"
    n = int(e["n"] or 0)
    some = f" ({n} of {of})" if n < of else ""
    if e["low"] is None or e["high"] is None:
        return f"{figure(e['mean'])}{some or f' (n = {n})'}"
    if e["low"] == e["high"]:
        return f"{figure(e['mean'])} (all alike){some}"
    return f"{figure(e['mean'])} [{figure(e['low'])}, {figure(e['high'])}]{some}"


def write_results(results: Mapping[str, Any], home: Path) -> str:
    """Write the figures, a CSV a series, table.md and, last, results.json; the table."""
    table = make_table(results)
    draw_experiment(results, home / "figure.png")
    if results["series"]:
        draw_story(results, home)
        (home / "series").mkdir(exist_ok=True)
    for name, arms in results["series"].items():
        write_atomically(home / "series" / f"{name}.csv", series_csv(arms))
    write_atomically(home / "table.md", table)
    write_atomically(home / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    return table


def series_csv(arms: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """One line per arm and generation: mean, interval, number of seeds, and the value of each seed."""
    seeds = sorted({seed for points in arms.values() for p in points for seed in p["seeds"]})
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["arm", "generation", "mean", "low", "high", "n", *(f"seed_{s}" for s in seeds)])
    for arm, points in arms.items():
        for p in points:
            values = (p["seeds"].get(s) for s in seeds)
            lines.writerow([arm, p["generation"], p["mean"], p["low"], p["high"], p["n"], *values])
    return out.getvalue()
