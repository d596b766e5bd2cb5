"""What running a task over Python functions shows: its outputs, what tells functions apart, and what speaks against it.

Everything runs in the sandbox that is handed in; values that come back are looked at by type and size before anything
else. Not guaranteed: that two functions that agree on all probes are the same; that what is not called trivial is of
interest.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from curricula.domain import Problem, digest
from curricula.python_code import FUNCTION
from curricula.python_data import like
from curricula.python_tasks import INDUCTION, MAX_TEXT, Arguments, Task
from curricula.sandbox import CallResult, Sandbox
from curricula.values import Failure, Value, same_value, shape, show_value, unfit

NAME = "python_programs"
PROBES = 10
REASONS = {"raised": "raises", "output": "too long"}
"""Reasons of the sandbox that are told in other words here."""


@dataclass(frozen=True)
class Examined:
    """A task and what running it showed."""

    task: Task
    outputs: tuple[Value, ...]
    behaviour: str
    objection: Failure | None  # why it should not be set, though it runs


def examine(task: Task, sandbox: Sandbox) -> Examined | Failure:
    """Run a task: its outputs, and what speaks against it. A Failure where it does not run."""
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
    said = [told(ran) for ran in again]
    here, there = said[: len(outputs)], said[len(outputs) :]
    behaviour = digest(" | ".join([shape(task.inputs[0]), *there]))
    objection = None
    if here != [told(ran) for ran in first]:
        objection = Failure("not deterministic", "it gave something else when it was run again")
    else:
        ran_on = [(args, ran.value) for args, ran in zip([*task.inputs, *probes], again, strict=True) if ran.ok]
        objection = trivial(task, [pair for pair in ran_on if not unfit(pair[1])])
    return Examined(task, outputs, behaviour, objection)


def trivial(task: Task, ran: Sequence[tuple[Arguments, Value]]) -> Failure | None:
    """Why nobody needs to think about a task, from what its function gave for inputs and probes."""
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
    """Fixed inputs of the same shape, on which functions are told apart."""
    return [like_all(args, random.Random(f"ratchet/python_programs/probe/{shape(args)}/{i}")) for i in range(PROBES)]


def like_all(args: Arguments, rng: random.Random) -> Arguments:
    return tuple(like(value, rng) for value in args)


def told(ran: CallResult) -> str:
    """What a run came to, in words that are equal where it came to the same."""
    if not ran.ok:
        return f"! {ran.reason}"
    return "! not data" if unfit(ran.value) else show_value(ran.value)


def make_problem(found: Examined) -> Problem:
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
