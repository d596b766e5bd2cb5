"""The domain `python_programs`: deduction, abduction and induction over functions that agents write (Zhao et al. 2025).

A deduction gives a function and an input and asks for the output. An abduction gives a function and an output and asks
for an input that produces it. An induction gives some input-output pairs and asks for a function that also satisfies
hidden pairs. `curricula/python_tasks.py` defines the text format. Every function runs in a sandbox
(`curricula/sandbox.py`), every answer is parsed as a literal or as code and compared as a value, and the text of an
agent never becomes part of another program.

A proposal is run twice and must return the same values. It is also run on probe inputs, where it must be neither
constant nor the identity. A held-out function is held out with every input, in every kind, and regardless of the names
of its variables; for induction, functions with the behaviour of a held-out one are held out too.

Not guaranteed: that the level, which counts syntax elements, matches the actual difficulty; that a function close to
the time limit also runs on a slower machine (stored problems have four times the limit).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import replace

from curricula import python_heldout
from curricula import python_prose as prose
from curricula.domain import Problem, Rejection, Span, Verdict, lines_of
from curricula.python_analysis import NAME, REASONS, TaskAnalysis, examine, like_all, make_easy_problem, make_problem
from curricula.python_code import FUNCTION, parse_code
from curricula.python_data import draw_task
from curricula.python_easy import calculations, draw_easy
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
from curricula.python_trace import traced
from curricula.sandbox import CallResult, Limits
from curricula.sandboxes import make_sandbox
from curricula.values import Failure, Value, parse_value, same_value, show_value, unfit

STORED_TIME = 4
"""Time limit of a stored problem, as a multiple of that of a proposal."""
KNOWN = 16384
"""Number of problems whose analysis is cached."""
VARIATIONS = 40
"""Attempts to find a mutation that is a valid problem."""


class PythonPrograms:
    """Tasks about Python functions.

    Args:
        kinds: kinds of tasks that may be proposed; some of "deduction", "abduction", "induction".
        sandbox: "monty", "monty_only" or "subprocess" (see `curricula.sandboxes.make_sandbox`).
        seconds: time limit of each call.
        memory_mb: memory limit of each call, in MiB.
        lowest: lowest level, 1, or 0 to have the problems of one small step apart (`curricula/python_easy.py`).

    Raises:
        ValueError: an option is unknown or out of range.
    """

    name = NAME
    depths = python_heldout.DEPTHS[1:]
    longest = 4000  # characters of a prompt or an answer: twice the maximum length of a problem
    mark = "\n"
    reasons = (
        "malformed", "syntax", "forbidden", "too long", "trivial", "not data", "raises", "time", "memory", "recursion",
        "unsupported", "crashed", "not deterministic", "held-out",
    )  # fmt: skip

    def __init__(
        self,
        kinds: Sequence[str] = KINDS,
        sandbox: str = "monty",
        seconds: float = 0.5,
        memory_mb: int = 64,
        lowest: int = 1,
    ) -> None:
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or isinstance(kinds, str) or not kinds or len(set(kinds)) < len(kinds):
            raise ValueError(f"kinds must be some of {', '.join(KINDS)}, got {kinds!r}")
        if not 0 < seconds <= 60 or not 1 <= memory_mb <= 4096:
            raise ValueError(f"seconds must be 0 to 60 and memory_mb 1 to 4096, got {seconds} and {memory_mb}")
        if type(lowest) is not int or lowest not in (0, 1):
            raise ValueError(f"lowest must be 0 or 1, the lowest level, got {lowest!r}")
        self.kinds = tuple(kind for kind in KINDS if kind in kinds)
        self.depths = python_heldout.DEPTHS[lowest:]
        self._limits = Limits(time=seconds, memory=memory_mb * 2**20)
        self._sandbox = sandbox
        make_sandbox(sandbox, self._limits)  # raises ValueError for an unknown sandbox
        self._examined = functools.lru_cache(KNOWN)(self._examine)
        self._steps = functools.lru_cache(KNOWN)(self._trace)

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
        assert isinstance(found, TaskAnalysis)
        problem = self._made(found)
        return (
            Rejection("held-out", f"does what a held-out function does: {text[:80]!r}")
            if self.is_heldout(problem)
            else problem
        )

    def problem(self, text: str) -> Problem:
        return self._made(self._known(text))

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
        # correct answers can differ in wording; record the reference, so that they compare as equal
        return Verdict(reason == "ok", reason == "ok", reason, answer=problem.answer if reason == "ok" else answer)

    def credit(self, problem: Problem, text: str) -> list[Span]:
        """Of a deduction, lines such as `8 - 3 = 5` before the answer: judged by the steps of the execution, in their
        order. Lines that no step begins like are not judged, nor are answers to the other kinds of tasks."""
        known = self._known(problem.text)
        if known.task.kind != DEDUCTION:
            return []
        steps = self._steps(problem.text)
        lines, found = lines_of(text), list[Span]()
        for number, (start, stop) in enumerate(lines, start=1):
            left, _, value = text[start:stop].strip().rpartition(" = ")
            at = next((i for i, step in enumerate(steps) if step[0] == left), None) if left else None
            right: bool | None = None
            if at is not None:
                right, steps = steps[at][2] == value, steps[at + 1 :]
            elif number == len(lines):
                right = self.verify(problem, text).correct
            found.append(Span(start, stop, right))
            if right is False:
                return [*found, *(Span(a, b, None) for a, b in lines[number:])]
        return found

    def _trace(self, text: str) -> list[tuple[str, str, str]]:
        """The steps of executing a deduction, as (left side, " = ", value); empty if it cannot be traced."""
        task = self._known(text).task
        (ran,) = self._run(traced(task.code.text), task.inputs)
        return [str(step).rpartition(" = ") for step in ran.value[1]] if ran.ok else []

    def _deduced(self, known: TaskAnalysis, said: str) -> tuple[str, str | None]:
        value = parse_value(said)
        if isinstance(value, Failure):
            return "not a literal", None
        return "ok" if same_value(value, known.outputs[0]) else "wrong value", show_value(value)

    def _abduced(self, known: TaskAnalysis, said: str) -> tuple[str, str | None]:
        task = known.task
        args = parse_arguments(said, task.code.params)
        if isinstance(args, Failure):
            return ("wrong arguments" if args.reason == "malformed" else "not a literal"), None
        shown = ", ".join(map(show_value, args))
        if all(map(same_value, args, task.inputs[0])):
            return "ok", shown
        (ran,) = self._run(task.code.text, [args])
        return self._compared(ran, known.outputs[0], "wrong value"), shown

    def _induced(self, known: TaskAnalysis, said: str) -> tuple[str, str | None]:
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
        if depth not in self.depths:
            raise ValueError(f"depth must be {self.depths[0]} to {self.depths[-1]}, got {depth}")
        return [p for p in python_heldout.heldout(split, depth) if p.text.partition("\n")[0] in self.kinds]

    def is_heldout(self, problem: Problem) -> bool:
        if problem.text.startswith(INDUCTION) and problem.behaviour_key in python_heldout.heldout_behaviours():
            return True
        if problem.depth == 0:
            return not python_heldout.heldout_calculations().isdisjoint(calculations(self._known(problem.text).task))
        return problem.heldout_key in python_heldout.heldout_keys()

    def random_problem(self, rng: random.Random, depth: int | None = None) -> Problem:
        while True:
            kind, level = rng.choice(self.kinds), rng.choice(self.depths) if depth is None else depth
            found = self.parse_proposal(draw_easy(rng, kind).text if level == 0 else draw_task(rng, kind, level))
            if isinstance(found, Problem) and (found.depth == level or self.depths[0]):
                return found

    def mutate(self, parent: str, rng: random.Random) -> str:
        """Mutate the function once or twice, or draw other inputs; sometimes also change the kind. Returns the parent
        if no attempt gives a valid problem."""
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

    def _made(self, found: TaskAnalysis) -> Problem:
        """The problem of a task. A function that is held out from level 1 on keeps its level."""
        known = found.task.code.key in python_heldout.heldout_keys()
        return make_problem(found) if self.depths[0] or known else make_easy_problem(found)

    def _run(self, code: str, inputs: Sequence[Arguments]) -> list[CallResult]:
        return make_sandbox(self._sandbox, self._limits).call(code, FUNCTION, inputs)

    def _examine(self, text: str) -> TaskAnalysis | Failure:
        task = parse_task(text)
        return task if isinstance(task, Failure) else examine(task, make_sandbox(self._sandbox, self._limits))

    def _known(self, text: str) -> TaskAnalysis:
        """The analysis of a stored problem. Raises ValueError if the text is not a problem."""
        found = self._examined(text)
        if isinstance(found, Failure) and found.reason in ("time", "crashed"):
            task = parse_task(text)
            if isinstance(task, Task):
                longer = replace(self._limits, time=self._limits.time * STORED_TIME)
                found = examine(task, make_sandbox(self._sandbox, longer))
        if isinstance(found, Failure):
            raise ValueError(f"not a {self.name} problem: {found.reason}: {found.detail}")
        return found
