"""Time, tokens and money: by phase and by generation, in seconds, requests, tokens and compute units.

Compute is counted in one unit: 1 per prompt or generated token, 3 per trained token. Evaluation is separate.

Money is the price of the tokens at the prices of the config, if any are set. Left out: memory, energy, and phases that
were paid for but never finished. Not guaranteed: that seconds compare with another machine, or mean anything on a
machine that was shared.
"""

from __future__ import annotations

from typing import Any

from arena.phases.order import LOOP, ORDER
from arena.report.figures.figure import GREY, Figure, Panel, Section, Series, Table
from arena.report.source import Source
from arena.run.budget import amount
from arena.run.store import Row
from arena.text import compact, duration

MOST_PHASES = 5
"""Phases that have a colour of their own: those that took longest."""


def section(source: Source) -> Section:
    title = "Time and tokens"
    rows = read(source)
    if not rows:
        return Section("costs", title, missing=("No phase has been played yet.",))
    loop = [r for r in rows if r["generation"] > 0 and r["phase"] in LOOP]
    figures = (seconds_figure(loop), units_figure(loop)) if loop else ()
    missing = () if loop else ("Time and tokens by generation: no generation has begun yet.",)
    return Section(
        "costs", title, findings(source.analysis, rows), figures, (table(rows, source.analysis["compute"]),), missing
    )


def read(source: Source) -> list[Row]:
    """One row per phase; `seconds` is summed over interruptions."""
    return source.store.query(
        "SELECT p.generation, p.phase, p.prompt_tokens AS prompt, p.generated_tokens AS generated, p.trained_tokens AS"
        " trained, p.counted, p.requests, p.prompt_tokens + p.generated_tokens + 3 * p.trained_tokens AS units,"
        " COALESCE(t.seconds, 0) AS seconds FROM phases p LEFT JOIN"
        " (SELECT generation, phase, SUM(seconds) AS seconds FROM telemetry"
        " GROUP BY generation, phase) t ON t.generation = p.generation AND t.phase = p.phase ORDER BY p.rowid"
    )


def findings(a: dict[str, Any], rows: list[Row]) -> tuple[str, ...]:
    seconds = sum(r["seconds"] for r in rows)
    counted = [r for r in rows if r["counted"]]
    apart = [r for r in rows if not r["counted"]]
    units = sum(r["units"] for r in counted)
    said = [
        f"{duration(seconds)} in all, {share(sum(r['seconds'] for r in apart), seconds)} of it for evaluation.",
        f"{compact(units)} compute units; evaluation took {compact(sum(r['units'] for r in apart))} more, not counted.",
    ]
    said.append(cost_sentence(a["compute"]) + ".")
    by_phase = totals(counted)
    if units:
        top = max(by_phase, key=lambda p: by_phase[p]["units"])
        said.append(
            f"The most expensive phase is {top}: {share(by_phase[top]['units'], units)} of the units, "
            f"{share(by_phase[top]['seconds'], sum(r['seconds'] for r in counted))} of the time without evaluation."
        )
    learnable = sum(g["learnable"] or 0 for g in a["generations"])
    if learnable and units:
        said.append(f"A learnable problem cost {compact(units / learnable)} units, everything included.")
    return tuple(said)


def cost_sentence(compute: dict[str, Any]) -> str:
    """How many completions were requested and, where prices are set, what they cost, evaluation included."""
    c = compute
    paid = "" if c["money"] is None else f", {amount(c['money'], c['currency'])} at the prices of the config"
    return f"{compact(c['requests'])} requests{paid}, evaluation included"


def totals(rows: list[Row]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for r in rows:
        total = found.setdefault(
            r["phase"], dict.fromkeys(("seconds", "requests", "prompt", "generated", "trained", "units"), 0)
        )
        for key in total:
            total[key] += r[key] or 0  # phases of earlier versions have no count of requests
    return dict(sorted(found.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


def table(rows: list[Row], compute: dict[str, Any]) -> Table:
    """`compute`: of the analysis, which has the money of each phase."""
    money = {row["phase"]: row["money"] for row in compute["by_phase"]}
    currency = () if compute["money"] is None else (compute["currency"],)
    seconds, evaluated = sum(r["seconds"] for r in rows), {r["phase"] for r in rows if not r["counted"]}
    cells = []
    for phase, t in totals(rows).items():
        rate = (
            f"{(t['prompt'] + t['generated'] + t['trained']) / t['seconds']:,.0f}"
            if t["units"] and t["seconds"]
            else "-"
        )
        counts = tuple(f"{t[key]:,}" for key in ("requests", "prompt", "generated", "trained"))
        units = f"({t['units']:,})" if phase in evaluated else f"{t['units']:,}"
        cost = money.get(phase)
        paid = (f"{cost or 0.0:,.4f}",) if currency else ()
        cells.append((phase, f"{t['seconds']:,.1f}", share(t["seconds"], seconds), *counts, units, rate, *paid))
    tokens = ("requests", "prompt", "generated", "trained", "units", "tokens/s")
    columns = ("phase", "seconds", "of all time", *tokens, *currency)
    caption = (
        "Units: 1 per prompt or generated token, 3 per trained token; in brackets: evaluation, which does not count."
    )
    return Table(columns, tuple(cells), caption, frozenset(columns[1:]))


def seconds_figure(loop: list[Row]) -> Figure:
    by_phase = totals(loop)
    kept = sorted(by_phase, key=lambda p: -by_phase[p]["seconds"])[:MOST_PHASES]
    shown = [p for p in by_phase if p in kept]
    rest = [p for p in by_phase if p not in kept]
    generations = tuple(dict.fromkeys(r["generation"] for r in loop))
    at = {(r["generation"], r["phase"]): r["seconds"] for r in loop}
    series = [Series(p, generations, tuple(at.get((g, p), 0.0) for g in generations), kind="bars") for p in shown]
    if rest:
        others = tuple(sum(at.get((g, p), 0.0) for p in rest) for g in generations)
        series.append(Series(", ".join(rest), generations, others, kind="bars", colour=GREY))
    return Figure(
        "seconds",
        "Seconds of each generation, by phase",
        "Wall-clock time. The phase measure is evaluation.",
        (Panel(tuple(series), "generation", "seconds", whole_x=True, stacked=True, height=0.9),),
        tuple({"generation": r["generation"], "phase": r["phase"], "seconds": r["seconds"]} for r in loop),
    )


def units_figure(loop: list[Row]) -> Figure:
    generations = tuple(dict.fromkeys(r["generation"] for r in loop))
    at: dict[int, dict[str, int]] = {
        g: dict.fromkeys(("prompt", "generated", "trained", "evaluation"), 0) for g in generations
    }
    measured = {r["generation"] for r in loop if not r["counted"]}
    for r in loop:
        if r["counted"]:
            for key in ("prompt", "generated", "trained"):
                at[r["generation"]][key] += r[key]
        else:
            at[r["generation"]]["evaluation"] += r["units"]
    bars = tuple(
        Series(name, generations, tuple(float(weight * at[g][key]) for g in generations), kind="bars")
        for name, key, weight in (
            ("prompt", "prompt", 1),
            ("generated", "generated", 1),
            ("trained, x 3", "trained", 3),
        )
    )
    evaluation = Series(
        "evaluation, not counted",
        generations,
        tuple(float(at[g]["evaluation"]) if g in measured else None for g in generations),
        colour="#222222",
        dash=True,
    )
    return Figure(
        "units",
        "Compute of each generation, by kind of token",
        "Units: 1 per prompt or generated token, 3 per trained token. The dashed line is evaluation, which does not "
        "count.",
        (Panel((*bars, evaluation), "generation", "compute units", whole_x=True, stacked=True, height=0.9),),
        tuple({"generation": g, **at[g]} for g in generations),
    )


def share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "-"
