"""The held-out sets of python_programs, drawn once by `draw` and stored in python_heldout.jsonl.

48 problems per level and split, cycling through the three kinds; dev and test share no function, and at level 0 nothing
that is computed (`curricula/python_easy.py`). Level 0 came later and changes nothing for runs without it: its problems
are held out where it is played only, and their inputs are larger than those that the seed's school draws. The file
includes outputs, so that neither the version of the sandbox nor an option of the domain changes the held-out sets, and
so that proposals can be checked against them without running code. A test draws them again and compares.
"""

from __future__ import annotations

import functools
import json
import random
from importlib.resources import files

from curricula.domain import SPLITS, Problem
from curricula.python_analysis import TaskAnalysis, examine, make_easy_problem, make_problem
from curricula.python_data import draw_task
from curricula.python_easy import SMALL, calculations, draw_easy
from curricula.python_tasks import FEWEST, INDUCTION, KINDS, Task, parse_task
from curricula.sandboxes import make_sandbox
from curricula.values import Failure, parse_value, show_value

DEPTHS = tuple(range(7))
PER_DEPTH = 48
EASY_INPUTS = range(13, SMALL + 1)
"""Inputs at level 0: larger than all that `python_data.draw_input` draws."""
LONGEST = 120
"""Maximum length of an output, in characters."""
FILE = "python_heldout.jsonl"


def draw(depth: int) -> list[dict[str, object]]:
    """Draw the entries of one level as stored in the file, dev before test. Runs every function."""
    rng, sandbox = random.Random(f"ratchet/python_programs/heldout/{depth}"), make_sandbox()
    found, taken = list[TaskAnalysis](), set[str]()
    while len(found) < len(SPLITS) * PER_DEPTH:
        kind = KINDS[len(found) % len(KINDS)]
        task = parse_task(draw_task(rng, kind, depth)) if depth else draw_easy(rng, kind, EASY_INPUTS, FEWEST)
        if isinstance(task, Failure):
            continue
        keys = {task.code.key} if depth else calculations(task)
        if not taken.isdisjoint(keys):
            continue
        examined = examine(task, sandbox)
        if isinstance(examined, Failure) or any(len(show_value(value)) > LONGEST for value in examined.outputs):
            continue
        known = not depth and (task.code.key in heldout_keys() or examined.behaviour in heldout_behaviours())
        if examined.objection is None and not known:
            found.append(examined)
            taken |= keys
    return [
        {
            "split": SPLITS[i // PER_DEPTH],
            "depth": depth,
            "text": e.task.text,
            "outputs": [show_value(value) for value in e.outputs],
            "behaviour": e.behaviour,
            "key": e.task.code.key,
        }
        for i, e in enumerate(found)
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
        raise ValueError(f"depth must be {DEPTHS[0]} to {DEPTHS[-1]}, got {depth}")
    problems = []
    for entry in _entries():
        if (entry["split"], entry["depth"]) == (split, depth):
            task = parse_task(str(entry["text"]))
            assert isinstance(task, Task), task
            outputs = tuple(parse_value(text) for text in entry["outputs"])  # type: ignore[attr-defined]
            found = TaskAnalysis(task, outputs, str(entry["behaviour"]), None)
            problems.append(make_problem(found) if depth else make_easy_problem(found))
    return tuple(problems)


@functools.cache
def heldout_keys() -> frozenset[str]:
    """Code keys of the functions of both splits at levels 1 and above."""
    return frozenset(str(entry["key"]) for entry in _entries() if entry["depth"])


@functools.cache
def heldout_behaviours() -> frozenset[str]:
    """Behaviour keys of held-out inductions from level 1: an equivalent function would reveal the answer."""
    inductions = [entry for entry in _entries() if entry["depth"] and str(entry["text"]).startswith(INDUCTION)]
    return frozenset(str(entry["behaviour"]) for entry in inductions)


@functools.cache
def heldout_calculations() -> frozenset[str]:
    """What the problems of level 0 of both splits compute on all of their inputs."""
    tasks = [parse_task(str(entry["text"])) for entry in _entries() if not entry["depth"]]
    return frozenset[str]().union(*(calculations(task) for task in tasks if isinstance(task, Task)))


@functools.cache
def _entries() -> tuple[dict[str, object], ...]:
    text = files("curricula").joinpath(FILE).read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.split("\n") if line)
