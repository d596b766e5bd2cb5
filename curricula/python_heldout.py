"""The held-out sets of python_programs: drawn once by `draw`, frozen in python_heldout.jsonl, read from there.

48 problems a level and split, the three kinds in turns; dev and test share no function. They are frozen with their
outputs, so that neither another version of the sandbox nor an option of the domain changes what is held out, and so
that nothing has to run before a proposal can be refused. A test draws them again and compares.
"""

from __future__ import annotations

import functools
import json
import random
from importlib.resources import files

from curricula.domain import SPLITS, Problem
from curricula.python_analysis import Examined, examine, make_problem
from curricula.python_data import draw_task
from curricula.python_tasks import INDUCTION, KINDS, Task, parse_task
from curricula.sandboxes import make_sandbox
from curricula.values import Failure, parse_value, show_value

DEPTHS = tuple(range(1, 7))
PER_DEPTH = 48
LONGEST = 120
"""Longest output, in characters."""
FILE = "python_heldout.jsonl"


def draw(depth: int) -> list[dict[str, object]]:
    """The entries of one level, dev before test, as they stand in the file. Runs every function."""
    rng, sandbox = random.Random(f"ratchet/python_programs/heldout/{depth}"), make_sandbox()
    found: dict[str, Examined] = {}
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
    """Entries as they are written in the file."""
    return "".join(json.dumps(entry, ensure_ascii=True) + "\n" for entry in entries)


@functools.cache
def heldout(split: str, depth: int) -> tuple[Problem, ...]:
    """The problems of one split and level. Raises ValueError if there are none."""
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
            problems.append(make_problem(Examined(task, outputs, str(entry["behaviour"]), None)))
    return tuple(problems)


@functools.cache
def heldout_keys() -> frozenset[str]:
    """Of the functions of both splits at all levels."""
    return frozenset(str(entry["key"]) for entry in _entries())


@functools.cache
def heldout_behaviours() -> frozenset[str]:
    """Of the functions that held-out inductions ask for: another function that does the same would give them away."""
    inductions = [entry for entry in _entries() if str(entry["text"]).startswith(INDUCTION)]
    return frozenset(str(entry["behaviour"]) for entry in inductions)


@functools.cache
def _entries() -> tuple[dict[str, object], ...]:
    text = files("curricula").joinpath(FILE).read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.split("\n") if line)
