"""Run a task over a Python function: compute its outputs and behaviour key, and find reasons to reject it.

All code runs in the sandbox that is passed in; returned values are checked for type and size before they are used.

Not guaranteed: that two functions that agree on all probe inputs are equivalent; that a task that is not rejected as
trivial is interesting.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from curricula.domain import Problem, digest
from curricula.python_code import FUNCTION
from curricula.python_data import like
from curricula.python_easy import calculations
from curricula.python_tasks import INDUCTION, MAX_TEXT, Arguments, Task
from curricula.sandbox import CallResult, Sandbox
from curricula.values import Failure, Value, same_value, shape, show_value, unfit

NAME = "python_programs"
PROBES = 10
REASONS = {"raised": "raises", "output": "too long"}
"""Sandbox reasons that have another name in this domain."""


@dataclass(frozen=True)
class TaskAnalysis:
    """A task and the results of running it."""

    task: Task
    outputs: tuple[Value, ...]
    behaviour: str
    objection: Failure | None  # why the task is rejected although it runs


def examine(task: Task, sandbox: Sandbox) -> TaskAnalysis | Failure:
    """Run a task twice on its inputs, and once on probe inputs.

    Returns:
        The analysis, or a Failure if the code does not run on all inputs or its values are not acceptable.
    """
    first = sandbox.call(task.code.text, FUNCTION, task.inputs)
    for ran in first:
        if not ran.ok:
            return Failure(REASONS.get(ran.reason, ran.reason), ran.detail)
        wrong = unfit(ran.value)
        if wrong:
            return Failure("not data", wrong)
    outputs = tuple(ran.value for ran in first)
    if len(task.question(outputs)) > MAX_TEXT:
        return Failure("too long", f"what a solver is to see is longer than {MAX_TEXT} characters")
    probes = probe_inputs(task.inputs[0])
    again = sandbox.call(task.code.text, FUNCTION, [*task.inputs, *probes])
    said = [outcome(ran) for ran in again]
    here, there = said[: len(outputs)], said[len(outputs) :]
    behaviour = digest(" | ".join([shape(task.inputs[0]), *there]))
    objection = None
    if here != [outcome(ran) for ran in first]:
        objection = Failure("not deterministic", "it gave something else when it was run again")
    else:
        ran_on = [(args, ran.value) for args, ran in zip([*task.inputs, *probes], again, strict=True) if ran.ok]
        objection = trivial(task, [pair for pair in ran_on if not unfit(pair[1])])
    return TaskAnalysis(task, outputs, behaviour, objection)


def trivial(task: Task, ran: Sequence[tuple[Arguments, Value]]) -> Failure | None:
    """Why a task is trivial, given (arguments, value) of its inputs followed by the probes; None if it is not."""
    values = [value for _, value in ran]
    distinct = len({show_value(args) for args, _ in ran})
    if distinct > 1 and all(same_value(value, values[0]) for value in values):
        return Failure("trivial", "f gives the same whatever it is given")
    for i in range(task.code.params):
        if all(same_value(args[i], value) for args, value in ran):
            return Failure("trivial", "f gives back what it is given")
    count = len(task.inputs)
    if task.kind == INDUCTION and all(same_value(value, values[0]) for value in values[:count]):
        return Failure("trivial", "f gives the same for all of the inputs")
    if task.kind != INDUCTION and task.code.params == 1 and same_value(ran[0][0][0], values[0]):
        return Failure("trivial", "f gives back this input")
    return None


def probe_inputs(args: Arguments) -> list[Arguments]:
    """Fixed inputs of the same shape as `args`, used for behaviour keys."""
    return [like_all(args, random.Random(f"ratchet/python_programs/probe/{shape(args)}/{i}")) for i in range(PROBES)]


def like_all(args: Arguments, rng: random.Random) -> Arguments:
    return tuple(like(value, rng) for value in args)


def outcome(ran: CallResult) -> str:
    """A text of the result of a call; equal texts mean equal results."""
    if not ran.ok:
        return f"! {ran.reason}"
    return "! not data" if unfit(ran.value) else show_value(ran.value)


def make_easy_problem(found: TaskAnalysis) -> Problem:
    """The problem of a task, of level 0 if it is one small step: it is then held out by what it computes."""
    problem, computes = make_problem(found), calculations(found.task)
    return replace(problem, depth=0, heldout_key=digest("; ".join(sorted(computes)))) if computes else problem


def make_problem(found: TaskAnalysis) -> Problem:
    """The problem of a task, of level 1 at least."""
    task = found.task
    return Problem(
        domain=NAME,
        text=task.text,
        depth=task.code.level,
        answer=task.answer(found.outputs),
        text_key=digest(task.text),
        heldout_key=task.code.key,
        behaviour_key=found.behaviour,
        question=task.question(found.outputs),
    )
