"""Results of a benchmark: records for JSON, tables for the terminal, and each ratio against its target."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from arena.tools.bench.plans import OURS, Case, Target
from arena.tools.bench.roofline_ours import LIMIT
from arena.tools.bench.timing import Sample, Spread, paired

Record = dict[str, Any]
PACKAGES = ("torch", "transformers", "peft", "trl", "tokenizers", "numpy")
UNIT = {
    "generate": "generated tokens",
    "learn": "trained tokens",
    "objectives": "trained tokens",
    "llm generate": "generated tokens",
    "llm learn": "trained tokens",
    "generation": "generated and trained tokens",
}
HEADS = ("tokens\n/CPU-s", "range", "tokens\n/s", "ratchet\n: this", "range")
FOUR, MOST = 4, 1.0  # target: the cost an agent of the largest population is at most that of four agents


def versions() -> dict[str, str | None]:
    """The installed version of each package in use, or None."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def summarise(case: Case, samples: dict[str, list[Sample]]) -> Record:
    """A case as it is stored: every sample, medians and spreads, ratios within turns, targets, notes."""
    sides = [
        {
            "name": name,
            "tokens_per_cpu_second": asdict(Spread.of([s.rate for s in turns])),
            "tokens_per_second": asdict(Spread.of([s.wall_rate for s in turns])),
            "tokens": turns[0].tokens,
            "prompt_tokens": turns[0].prompt_tokens,
            "samples": [asdict(s) for s in turns],
        }
        for name, turns in samples.items()
    ]
    uneven = {n for n, turns in samples.items() if case.asked and n != LIMIT and turns[0].tokens != case.asked}
    notes = list(case.notes)
    notes += [
        f"{n} generated {samples[n][0].tokens:,} of {case.asked:,} tokens asked: its rate does not compare"
        for n in samples
        if n in uneven
    ]
    rates = {name: [s.rate for s in turns] for name, turns in samples.items()}
    ratios = {name: asdict(paired(rates[OURS], rates[name])) for name in samples if OURS in samples and name != OURS}
    return {
        "part": case.part,
        "title": case.title,
        "counts": UNIT.get(case.part, "generated and trained tokens"),
        "sides": sides,
        "ratios": ratios,
        "targets": [target_record(t, rates, uneven) for t in case.targets] + scaling_target(case, samples),
        "scaling": scaling_records(case, samples),
        "left_out": case.missing,
        "notes": notes,
    }


def target_record(target: Target, rates: dict[str, list[float]], uneven: set[str]) -> Record:
    """Our rate over the best measured side of a target; neither met nor missed if the work differed."""
    measured = [name for name in target.over if name in rates]
    record: Record = {"of": OURS, "over": list(target.over), "least": target.least, "best": None, "ratio": None}
    if measured:
        best = max(measured, key=lambda name: Spread.of(rates[name]).median)
        ratio = paired(rates[OURS], rates[best])
        record |= {"best": best, "ratio": asdict(ratio), "met": ratio.median >= target.least}
        if best != LIMIT and uneven & {OURS, best}:
            record["met"] = None
    else:
        record["met"] = None
    record["unmeasured"] = [name for name in target.over if name not in rates]
    return record


def scaling_records(case: Case, samples: dict[str, list[Sample]]) -> list[Record]:
    """Processor seconds an agent at each size, and relative to four agents within the turn."""
    costs = {n: [s.cpu / n for s in turns] for n, turns in zip(case.agents, samples.values(), strict=False)}
    base = costs.get(FOUR) or next(iter(costs.values()), [])
    return [
        {
            "agents": n,
            "cpu_seconds_per_agent": asdict(Spread.of(cost)),
            "relative": asdict(paired(cost, base)),
        }
        for n, cost in costs.items()
    ]


def scaling_target(case: Case, samples: dict[str, list[Sample]]) -> list[Record]:
    found = scaling_records(case, samples)
    if not found or FOUR not in case.agents or found[-1]["agents"] <= FOUR:
        return []
    ratio = found[-1]["relative"]
    record = {"of": f"cost an agent at {found[-1]['agents']}", "over": [f"at {FOUR}"], "best": f"at {FOUR}"}
    return [{**record, "most": MOST, "ratio": ratio, "met": ratio["median"] <= MOST, "unmeasured": []}]


def print_case(console: Console, case: Record) -> None:
    table = Table(title=f"{case['part']}: {case['title']}", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("agents" if case["scaling"] else case["counts"], no_wrap=False)
    heads = ("CPU-s an agent", "range", "relative", "range") if case["scaling"] else HEADS
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in case["scaling"]:
        cost, relative = row["cpu_seconds_per_agent"], row["relative"]
        numbers = (f"{cost['median']:.3f}", span(cost, ".3f"), f"{relative['median']:.2f}", span(relative, ".2f"))
        table.add_row(str(row["agents"]), *numbers)
    for side in case["sides"] if not case["scaling"] else ():
        cpu, wall, ratio = side["tokens_per_cpu_second"], side["tokens_per_second"], case["ratios"].get(side["name"])
        last = (f"{ratio['median']:.2f}", span(ratio, ".2f")) if ratio else ("", "")
        table.add_row(side["name"], f"{cpu['median']:,.0f}", span(cpu, ",.0f"), f"{wall['median']:,.0f}", *last)
    console.print(table)
    for line in (*map(target_words, case["targets"]), *case["notes"]):
        console.print(f"  {line}", highlight=False, markup=False)
    for name, why in case["left_out"].items():
        console.print(f"  left out: {name} ({why})", highlight=False, markup=False)


def print_targets(console: Console, found: Record) -> None:
    """Print the last line: how many targets were reached."""
    targets = [t for case in found["cases"] for t in case["targets"]]
    reached, missed = (sum(t["met"] is wanted for t in targets) for wanted in (True, False))
    console.print(f"targets: {reached} reached, {missed} missed, {len(targets) - reached - missed} not measured")


def target_words(target: Record) -> str:
    """One line: the target, the result, and whether it was reached."""
    bound = f"at most {target['most']:.2f}" if "most" in target else f"at least {target['least']:.2f}"
    words = f"target: {target['of']} over {' or '.join(target['over'])} {bound}: "
    if target["ratio"] is None:
        return words + "not measured"
    said = {True: "reached", False: "MISSED", None: "not to be compared, the work differed"}
    words += f"{target['ratio']['median']:.2f} ({span(target['ratio'], '.2f')}), {said[target['met']]}"
    if len(target["over"]) > 1:
        words += f" (the best was {target['best']})"
    if target["unmeasured"]:
        words += f" ({', '.join(target['unmeasured'])} not measured)"
    return words


def span(value: Record, form: str) -> str:
    """least-greatest"""
    return f"{value['low']:{form}}-{value['high']:{form}}"
