"""Python programs: deduction, abduction and induction over functions that the agents write (Zhao et al. 2025).

A deduction gives a function and an input and asks for the output; an abduction gives a function and an output and asks
for an input that gives it; an induction gives some inputs with their outputs and asks for a function that also does
right by others, which are hidden. `curricula/python_tasks.py` says how they are written. Every function runs in a
sandbox (`curricula/sandbox.py`), every answer is read as a literal or as code and compared as a value, and no text of
an agent ever becomes part of another program.

A proposal is run twice and must give the same, and on probe inputs, where it must not give the same for all, nor give
back what it is given. Held-out functions are held out with every input, in every kind and whatever their variables
are called; for induction, so are functions that do what a held-out one does. Not guaranteed: that a function is as
hard as its level says, which counts what is written down; that a function near its limit of time runs on a slower
machine (stored ones have four times the time).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import replace

from curricula import python_heldout
from curricula import python_prose as prose
from curricula.domain import Problem, Rejection, Verdict
from curricula.python_analysis import NAME, REASONS, Examined, examine, like_all, make_problem
from curricula.python_code import FUNCTION, parse_code
from curricula.python_data import draw_task
from curricula.python_mutate import vary
from curricula.python_tasks import (
    ABDUCTION,
    DEDUCTION,
    FEWEST,
    INDUCTION,
    KINDS,
    MOST,
    Arguments,
    Task,
    parse_arguments,
    parse_task,
    read_answer,
)
from curricula.sandbox import CallResult, Limits
from curricula.sandboxes import make_sandbox
from curricula.values import Failure, Value, parse_value, same_value, show_value, unfit

PATIENCE = 4
"""How much longer than a proposal a stored problem may take."""
KNOWN = 16384
"""Problems whose outputs are remembered."""
VARIATIONS = 40
"""Tries at a variation that is a problem."""


class PythonPrograms:
    """Functions that agents write, asked about in three ways. `kinds` are those that may be set; `seconds` and
    `memory_mb` limit each call. Raises ValueError for options it does not know."""

    name = NAME
    depths = python_heldout.DEPTHS
    longest = 4000  # characters of a prompt or an answer, twice a problem's most
    reasons = (
        "malformed", "syntax", "forbidden", "too long", "trivial", "not data", "raises", "time", "memory", "recursion",
        "unsupported", "crashed", "not deterministic", "held-out",
    )  # fmt: skip

    def __init__(
        self, kinds: Sequence[str] = KINDS, sandbox: str = "monty", seconds: float = 0.5, memory_mb: int = 64
    ) -> None:
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or isinstance(kinds, str) or not kinds or len(set(kinds)) < len(kinds):
            raise ValueError(f"kinds must be some of {', '.join(KINDS)}, got {kinds!r}")
        if not 0 < seconds <= 60 or not 1 <= memory_mb <= 4096:
            raise ValueError(f"seconds must be 0 to 60 and memory_mb 1 to 4096, got {seconds} and {memory_mb}")
        self.kinds = tuple(kind for kind in KINDS if kind in kinds)
        self._limits = Limits(time=seconds, memory=memory_mb * 2**20)
        self._sandbox = sandbox
        make_sandbox(sandbox, self._limits)  # a wrong name is told here
        self._examined = functools.lru_cache(KNOWN)(self._examine)

    # -- problems ------------------------------------------------------------------------------------------------------

    def propose_prompt(self, parent: str | None) -> str:
        return f"propose\n{parent}\n->\n" if parent else "propose\n"

    def setting(self, parent: str | None) -> str:
        return prose.setting(self.kinds, parent)

    def parse_proposal(self, text: str) -> Problem | Rejection:
        task = parse_task(text, self.kinds)
        if isinstance(task, Failure):
            return Rejection(task.reason, task.detail)
        if task.code.key in python_heldout.heldout_keys():
            return Rejection("held-out", f"a function of the held-out sets: {task.text[:80]!r}")
        found = self._examined(task.text)
        wrong = found if isinstance(found, Failure) else found.objection
        if wrong is not None:
            return Rejection(wrong.reason, wrong.detail)
        assert isinstance(found, Examined)
        problem = make_problem(found)
        return (
            Rejection("held-out", f"does what a held-out function does: {text[:80]!r}")
            if self.is_heldout(problem)
            else problem
        )

    def problem(self, text: str) -> Problem:
        return make_problem(self._known(text))

    def solve_prompt(self, problem: Problem, notes: Sequence[str]) -> str:
        lib = "".join(f"note\n{note}\n" for note in notes)
        return f"{lib}solve\n{problem.shown}\n"

    def asking(self, problem: Problem) -> str:
        return prose.asking(problem)

    def solution(self, problem: Problem) -> str:
        return f"answer:\n{problem.answer}" if "\n" in problem.answer else f"answer: {problem.answer}"

    def features(self, problem: Problem) -> dict[str, float]:
        task = self._known(problem.text).task
        found = {name: float(count) for name, count in task.code.features.items()}
        shown = {"depth": float(problem.depth), "params": float(task.code.params), "inputs": float(len(task.inputs))}
        kinds = {kind: float(kind == task.kind) for kind in KINDS}
        return {**shown, "answer_length": float(len(problem.answer)), **kinds, **found}

    # -- verdicts ------------------------------------------------------------------------------------------------------

    def verify(self, problem: Problem, text: str) -> Verdict:
        known = self._known(problem.text)
        said = read_answer(known.task.kind, text)
        if isinstance(said, Failure):
            return Verdict(False, False, said.reason)
        judge = {DEDUCTION: self._deduced, ABDUCTION: self._abduced, INDUCTION: self._induced}[known.task.kind]
        reason, answer = judge(known, said)
        # a right answer may be worded in many ways: what is told is the reference, so that right ones agree
        return Verdict(reason == "ok", reason == "ok", reason, answer=problem.answer if reason == "ok" else answer)

    def _deduced(self, known: Examined, said: str) -> tuple[str, str | None]:
        value = parse_value(said)
        if isinstance(value, Failure):
            return "not a literal", None
        return "ok" if same_value(value, known.outputs[0]) else "wrong value", show_value(value)

    def _abduced(self, known: Examined, said: str) -> tuple[str, str | None]:
        task = known.task
        args = parse_arguments(said, task.code.params)
        if isinstance(args, Failure):
            return ("wrong arguments" if args.reason == "malformed" else "not a literal"), None
        shown = ", ".join(map(show_value, args))
        if all(map(same_value, args, task.inputs[0])):
            return "ok", shown
        (ran,) = self._run(task.code.text, [args])
        return self._compared(ran, known.outputs[0], "wrong value"), shown

    def _induced(self, known: Examined, said: str) -> tuple[str, str | None]:
        task, code = known.task, parse_code(said)
        if isinstance(code, Failure):
            return code.reason, None
        if code.params != task.code.params:
            return "wrong arguments", code.text
        for i, ran in enumerate(self._run(code.text, task.inputs)):
            which = "fails a shown example" if i < task.shown else "fails a hidden example"
            reason = self._compared(ran, known.outputs[i], which)
            if reason != "ok":
                return reason, code.text
        return "ok", code.text

    @staticmethod
    def _compared(ran: CallResult, wanted: Value, otherwise: str) -> str:
        if not ran.ok:
            return REASONS.get(ran.reason, ran.reason)
        if unfit(ran.value):
            return "not data"
        return "ok" if same_value(ran.value, wanted) else otherwise

    # -- held-out sets and drawing -------------------------------------------------------------------------------------

    def heldout(self, split: str, depth: int) -> Sequence[Problem]:
        return [p for p in python_heldout.heldout(split, depth) if p.text.partition("\n")[0] in self.kinds]

    def is_heldout(self, problem: Problem) -> bool:
        same = problem.text.startswith(INDUCTION) and problem.behaviour_key in python_heldout.heldout_behaviours()
        return same or problem.heldout_key in python_heldout.heldout_keys()

    def random_problem(self, rng: random.Random, depth: int | None = None) -> Problem:
        while True:
            found = self.parse_proposal(draw_task(rng, rng.choice(self.kinds), depth or rng.choice(self.depths)))
            if isinstance(found, Problem):
                return found

    def mutate(self, parent: str, rng: random.Random) -> str:
        """The function with one or two changes, or else with other inputs; now and then it is asked about in another
        way. The parent itself, if nothing that was tried is a problem."""
        task = self._known(parent).task
        for _ in range(VARIATIONS):
            code = task.code
            for _ in range(rng.choice((0, 1, 1, 1, 2))):
                code = vary(code, rng) or code
            kind = rng.choice(self.kinds) if rng.random() < 0.2 else task.kind
            count = (1, 1) if kind != INDUCTION else (FEWEST, MOST)
            inputs = task.inputs[: count[1]]
            if code.params != task.code.params or code == task.code or len(inputs) < count[0] or rng.random() < 0.3:
                inputs = tuple(like_all(task.inputs[0], rng) for _ in range(rng.randint(*count)))
            varied = Task(kind, code, inputs).text
            if varied != task.text and isinstance(self.parse_proposal(varied), Problem):
                return varied
        return parent

    # -- running -------------------------------------------------------------------------------------------------------

    def _run(self, code: str, inputs: Sequence[Arguments]) -> list[CallResult]:
        return make_sandbox(self._sandbox, self._limits).call(code, FUNCTION, inputs)

    def _examine(self, text: str) -> Examined | Failure:
        task = parse_task(text)
        return task if isinstance(task, Failure) else examine(task, make_sandbox(self._sandbox, self._limits))

    def _known(self, text: str) -> Examined:
        """A problem that was set before. Raises ValueError for a text that is none."""
        found = self._examined(text)
        if isinstance(found, Failure) and found.reason in ("time", "crashed"):
            task = parse_task(text)
            if isinstance(task, Task):
                patient = replace(self._limits, time=self._limits.time * PATIENCE)
                found = examine(task, make_sandbox(self._sandbox, patient))
        if isinstance(found, Failure):
            raise ValueError(f"not a {self.name} problem: {found.reason}: {found.detail}")
        return found
