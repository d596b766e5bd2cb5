"""The held-out sets of python_programs, drawn once by `draw` and stored in python_heldout.jsonl.

48 problems per level and split, cycling through the three kinds; dev and test share no function. The file includes
outputs, so that neither the version of the sandbox nor an option of the domain changes the held-out sets, and so that
proposals can be checked against them without running code. A test draws them again and compares.
"""

from __future__ import annotations

import functools
import json
import random
from importlib.resources import files

from curricula.domain import SPLITS, Problem
from curricula.python_analysis import TaskAnalysis, examine, make_problem
from curricula.python_data import draw_task
from curricula.python_tasks import INDUCTION, KINDS, Task, parse_task
from curricula.sandboxes import make_sandbox
from curricula.values import Failure, parse_value, show_value

DEPTHS = tuple(range(1, 7))
PER_DEPTH = 48
LONGEST = 120
"""Maximum length of an output, in characters."""
FILE = "python_heldout.jsonl"


def draw(depth: int) -> list[dict[str, object]]:
    """Draw the entries of one level as stored in the file, dev before test. Runs every function."""
    rng, sandbox = random.Random(f"ratchet/python_programs/heldout/{depth}"), make_sandbox()
    found: dict[str, TaskAnalysis] = {}
    while len(found) < len(SPLITS) * PER_DEPTH:
        task = parse_task(draw_task(rng, KINDS[len(found) % len(KINDS)], depth))
        if isinstance(task, Failure) or task.code.key in found:
            continue
        examined = examine(task, sandbox)
        if isinstance(examined, Failure) or any(len(show_value(value)) > LONGEST for value in examined.outputs):
            continue
        if examined.objection is None:
            found[task.code.key] = examined
    return [
        {
            "split": SPLITS[i // PER_DEPTH],
            "depth": depth,
            "text": e.task.text,
            "outputs": [show_value(value) for value in e.outputs],
            "behaviour": e.behaviour,
            "key": e.task.code.key,
        }
        for i, e in enumerate(found.values())
    ]


def as_lines(entries: list[dict[str, object]]) -> str:
    """Format entries as JSON lines, as stored in the file."""
    return "".join(json.dumps(entry, ensure_ascii=True) + "\n" for entry in entries)


@functools.cache
def heldout(split: str, depth: int) -> tuple[Problem, ...]:
    """The held-out problems of one split and level.

    Raises:
        ValueError: unknown split or level.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    if depth not in DEPTHS:
        raise ValueError(f"depth must be 1 to {DEPTHS[-1]}, got {depth}")
    problems = []
    for entry in _entries():
        if (entry["split"], entry["depth"]) == (split, depth):
            task = parse_task(str(entry["text"]))
            assert isinstance(task, Task), task
            outputs = tuple(parse_value(text) for text in entry["outputs"])  # type: ignore[attr-defined]
            problems.append(make_problem(TaskAnalysis(task, outputs, str(entry["behaviour"]), None)))
    return tuple(problems)


@functools.cache
def heldout_keys() -> frozenset[str]:
    """Code keys of the functions of both splits at all levels."""
    return frozenset(str(entry["key"]) for entry in _entries())


@functools.cache
def heldout_behaviours() -> frozenset[str]:
    """Behaviour keys of held-out inductions: an equivalent function would reveal the answer."""
    inductions = [entry for entry in _entries() if str(entry["text"]).startswith(INDUCTION)]
    return frozenset(str(entry["behaviour"]) for entry in inductions)


@functools.cache
def _entries() -> tuple[dict[str, object], ...]:
    text = files("curricula").joinpath(FILE).read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.split("\n") if line)
