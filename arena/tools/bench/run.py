"""Runs the benchmark: an estimate first, then case after case, with progress, tables, and one JSON object at the end.

The exit status is 0 even if a target ratio is missed; the miss is printed and stored.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from agents.atomic import write_atomically
from arena.experiments.runner import commit
from arena.tools.bench import gpu, library, llm, ours, report, workload
from arena.tools.bench.plans import (
    CASES,
    ISLANDS,
    LARGE,
    LIBRARY,
    LLM,
    LONG,
    SANDBOX,
    WATCH,
    Case,
    Options,
    check,
    plan,
)
from arena.tools.bench.timing import Side, interleave
from arena.tools.bench.workload import QUICK


def bench(
    parts: Sequence[str],
    options: Options,
    console: Console,
    json_path: Path | None = None,
    plot: Path | None = None,
    profile: bool = False,
) -> dict[str, Any]:
    """Measure the parts (the default ones if none is named), print the results, and return them as `--json` stores
    them."""
    wanted = check(parts, options)
    plot = plot or (json_path.with_suffix(".png") if json_path else None)
    for path in (json_path, plot):
        if path is not None and not path.resolve().parent.is_dir():
            raise ValueError(f"no folder {path.parent} for {path.name}")
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    found: dict[str, Any] = {
        "format": "ratchet-bench/1",
        "commit": commit(),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()},
        "versions": report.versions(),
        "threads": options.threads,
        "repeats": options.repeats,
        "quick": options.quick,
        "cases": [],
    }

    def save(**more: Any) -> None:
        """Called after every case, so that an interruption loses only the current one."""
        if json_path is not None:
            write_atomically(json_path, json.dumps(found | more, indent=1).encode())

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            cases = [
                case
                for part in wanted
                if part in CASES
                for case in (llm.cases(options, Path(folder)) if part == LLM else plan(part, options, Path(folder)))
            ]
            if cases:
                console.print(
                    f"about {minutes(cases, options)} in all, {options.threads} thread(s) a side", style="bold"
                )
            for name, why in {n: w for c in cases for n, w in c.missing.items()}.items():
                console.print(f"left out: {name} ({why})", highlight=False, markup=False)
            for case in cases:
                found["cases"].append(measure(case, options, console, profile))
                report.print_case(console, found["cases"][-1])
                save()
            if LARGE in wanted:
                found[LARGE] = gpu.measure(options.large, say, lambda so_far: save(**{LARGE: so_far}))
            if WATCH in wanted:
                from arena.tools.bench import watch

                found[WATCH] = watch.measure(options.repeats, options.quick, say)
                save()
            if LIBRARY in wanted:
                found[LIBRARY] = library.measure(options.quick, say)
                save()
            if SANDBOX in wanted:
                from arena.tools.bench import sandbox

                found[SANDBOX] = sandbox.measure(options.repeats, options.quick, say)
                save()
            if LONG in wanted:
                from arena.tools.bench import long

                generations = options.generations or (long.QUICK if options.quick else long.GENERATIONS)
                found[LONG] = long.measure(generations, options.retention, say, plot)
                save()
            if ISLANDS in wanted:
                from arena.tools.bench import islands

                found[ISLANDS] = islands.measure(options.repeats, options.quick, say)
                save()
    finally:
        torch.set_num_threads(threads)
    if found["cases"]:
        report.print_targets(console, found)
    if json_path is not None:
        console.print(f"wrote {json_path}", highlight=False)
    scaling = [c for c in found["cases"] if c["scaling"]]
    if plot is not None and scaling:
        from arena.tools.bench.plot import draw_scaling

        draw_scaling(scaling[0], plot)
        console.print(f"wrote {plot}", highlight=False)
    return found


def measure(case: Case, options: Options, console: Console, profile: bool) -> dict[str, Any]:
    """Build the sides, let them take turns, close them. Returns the case as it is stored."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    sides: list[Side] = []
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            total = len(case.sides) * (options.repeats + 2)
            task = progress.add_task(case.part, total=total)
            if not console.is_terminal:
                console.print(f"measuring {case.part}: {', '.join(s.name for s in case.sides)}", highlight=False)
            for planned in case.sides:
                progress.update(task, description=f"{case.part}: starting {planned.name}")
                try:
                    sides.append(planned.build())
                except RuntimeError as error:  # a peer that does not start must not end the benchmark
                    if not sides:
                        raise
                    case.missing[planned.name] = f"did not start: {str(error)[-500:]}"
                progress.advance(task)

            def done(name: str, turn: int, _: Any) -> None:
                words = f"turn {turn} of {options.repeats}" if turn else "warm-up"
                progress.update(task, description=f"{case.part}: {name}, {words}", advance=1)

            samples = interleave(sides, options.repeats, done)
        if profile and not case.agents:
            table = ours.profile(lambda: sides[0].run(options.repeats + 1))
            console.print(table, highlight=False, markup=False, soft_wrap=True)
    finally:
        for side in sides:
            side.close()
        sides.clear()
        gc.collect()
    return report.summarise(case, samples)


def minutes(cases: Sequence[Case], options: Options) -> str:
    """An estimate of the whole duration, from a second of our own work and rough speeds of the others."""
    names = workload.names(2)
    trial = ours.Generations(options.model, names, QUICK)
    trial.run(0)
    started = time.perf_counter()
    rate = trial.run(1).tokens / (time.perf_counter() - started)
    seconds = 0.0
    for case in cases:
        seconds += sum(s.setup + (options.repeats + 1) * s.cost * case.tokens / rate for s in case.sides)
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def processor() -> str:
    """The processor's name, if the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
