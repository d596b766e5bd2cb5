"""Terminal output of `eval`: a progress bar, then tables and a summary for each set.

Text written by users or agents is never interpreted as markup.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from arena.evals.contamination import KINDS, POSTED, SET, TRAINED
from arena.evals.participants import AGENTS, BASE
from arena.evals.results import as_data, checker_failures, write
from arena.evals.run_eval import Result
from arena.evals.scores import ALL, CLEAN, GREEDY, READING
from arena.report.terminal import new_table
from arena.text import between, clear, count, listed

MOST_LEVELS = 16
"""Maximum levels in a table; the files hold all of them."""
MET = {SET: "set as a problem", POSTED: "in a post", TRAINED: "in fine-tuning data"}


class Bar:
    """Progress bar of answered requests. A context manager, so that the terminal is always restored."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("answers"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self.task = self.progress.add_task("answers", total=None, visible=False)

    def __call__(self, done: int, total: int) -> None:
        self.progress.update(self.task, completed=done, total=total, visible=True)

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def conclude(results: Sequence[Result], folder: Path, as_json: bool) -> None:
    """Write the files of all sets and print the results, as one JSON object if `as_json`."""
    written = [write(result, folder) for result in results]
    if as_json:
        print(json.dumps({"sets": [as_data(result) for result in results]}, indent=1, ensure_ascii=False))
        return
    console = Console()
    for result, paths in zip(results, written, strict=True):
        print_result(console, result)
        print(f"wrote {paths[0]}; every answer is in {paths[1].name}, a picture in {paths[2].name}\n")


def print_result(console: Console, result: Result) -> None:
    """Print the tables and the summary of one set."""
    for title, measure in measures(result):
        console.print(levels_table(result, title, measure))
    if any(arm.endswith(READING) for arm in result.scores.arms):
        console.print(differences_table(result))
    agents = agents_table(result)
    if agents:
        console.print(agents)
    for line in findings(result):
        console.print(Text(line))


def measures(result: Result) -> list[tuple[str, str]]:
    """(title, measure) of the measures to show."""
    k = str(result.options.k)
    return [("pass@1, greedy", GREEDY), *([(f"pass@{k}", k)] if k in result.scores.measures else [])]


def levels_table(result: Result, title: str, measure: str) -> Any:
    """One row per level, one column per arm; with two arms, also their difference."""
    scores = result.scores
    two = len(scores.arms) == 2
    pair = next(((d["who"], d["minus"]) for d in scores.differences), None) if two else None
    names = [*scores.arms, *([f"{pair[0]} - {pair[1]}"] if pair else [])]
    table = new_table(f"{result.set.name}: {title}", "level", "items", *names)
    for level in shown_levels(result):
        if level == ALL and len(table.rows):
            table.add_section()
        cells = [estimate(scores.row(arm, level)[measure], len(scores.arms) <= 3) for arm in scores.arms]
        if pair:
            found = scores.difference(*pair, level)
            cells.append(estimate(found[measure] if found else None, True, sign=True))
        table.add_row(Text(level.removeprefix("level ")), str(scores.row(scores.arms[0], level)["items"]), *cells)
    return table


def shown_levels(result: Result) -> list[str]:
    """Single levels, then all items, then the uncontaminated items if any item is contaminated."""
    own = [v for v in result.scores.levels if v not in (ALL, CLEAN)][:MOST_LEVELS]
    return [*own, ALL, *([CLEAN] if result.met else [])]


def differences_table(result: Result) -> Any:
    """Differences between arms, which separate the effects of reading and of the weights."""
    shown = measures(result)
    table = new_table(f"{result.set.name}: differences", "all items", *(t for t, _ in shown))
    for d in result.scores.differences:
        if d["level"] == ALL:
            table.add_row(f"{d['who']} - {d['minus']}", *(estimate(d[m], True, sign=True) for _, m in shown))
    return table


def agents_table(result: Result) -> Any:
    """One row per agent, if there are several."""
    own = [r for r in result.scores.rows if r["level"] == ALL and r["who"] not in result.scores.arms]
    if not own:
        return None
    table = new_table(f"{result.set.name}: agent by agent", "agent", *(title for title, _ in measures(result)))
    for row in own:
        table.add_row(row["who"], *(estimate(row[m], True) for _, m in measures(result)))
    return table


def findings(result: Result) -> list[str]:
    """The summary of a set, in sentences."""
    found = [*_gain(result), _met(result)]
    replies = [j.reply for j in result.judged]
    cut = sum(r.finish == "length" for r in replies)
    if cut:
        found.append(f"{cut} of {len(replies):,} answers were cut off at {result.options.max_tokens} tokens.")
    failures = checker_failures(result)
    if failures:
        told = listed([f"{reason} {n}" for reason, n in sorted(failures.items())])
        found.append(
            f"Checkers came to nothing on {count(sum(failures.values()), 'answer')}, counted as wrong: {told}."
        )
    hidden = sum(v not in (ALL, CLEAN) for v in result.scores.levels) - MOST_LEVELS
    if hidden > 0:
        found.append(f"{count(hidden, 'more level is', 'more levels are')} in the files.")
    return found


def _gain(result: Result) -> list[str]:
    level = CLEAN if result.met else ALL
    d = result.scores.difference(AGENTS, BASE, level)
    e = d[GREEDY] if d else None
    if d is None or e is None:
        return []
    told = between(e["mean"], e["low"], e["high"], sign=True)
    where = "the items that had not occurred in the run" if result.met else "these items"
    sure = {1: "more", -1: "less", 0: "neither clearly more nor clearly less"}
    says = sure[clear(e["low"], e["high"])] if e["low"] is not None and e["high"] is not None else sure[0]
    return [f"Agents solve {says} of {where} than the base model: {told}, 95 % over {count(d['items'], 'item')}."]


def _met(result: Result) -> str:
    g = result.selection.generation
    if not result.met:
        return f"No item occurred in the run as a problem, in a post or in fine-tuning data by generation {g}."
    by = [f"{n} {MET[k]}" for k in KINDS if (n := sum(k in kinds for kinds in result.met.values()))]
    return (
        f"By generation {g}, {len(result.met)} of {len(result.set.items)} items had occurred in the run"
        f" ({listed(by)}); the row clean leaves them out."
    )


def estimate(found: Any, whole: bool, sign: bool = False) -> str:
    """A number, with its interval if `whole`."""
    if found is None:
        return "-"
    return between(found["mean"], found["low"] if whole else None, found["high"] if whole else None, sign=sign)
