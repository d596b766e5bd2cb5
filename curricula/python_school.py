"""Supervised training data of the Python seed model: synthetic functions in the bare prompts of the domain.

Each function runs once on several inputs and gives several examples: deductions, whose completion includes a
step-by-step trace (curricula/python_trace.py), an abduction, an induction, a proposal, and a mutation of it. Solve data
are mostly of levels 1 to 3, with a small share above, to leave room for improvement by self-play. Proposals go up to
level 6, because a setter can only propose programs that it can write. No held-out problem (dev or test) occurs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curricula.list_school import SeedExample
from curricula.python_analysis import trivial
from curricula.python_code import FUNCTION, Code
from curricula.python_data import draw_function, draw_input
from curricula.python_heldout import LONGEST, heldout_keys
from curricula.python_mutate import vary
from curricula.python_programs import PythonPrograms
from curricula.python_tasks import ABDUCTION, DEDUCTION, FEWEST, INDUCTION, KINDS, MOST, Arguments, Task
from curricula.python_trace import traced
from curricula.sandboxes import make_sandbox
from curricula.values import Value, show_value, unfit

LEVELS, SHARES = (1, 2, 3, 4, 5, 6), (24, 28, 26, 12, 6, 4)
"""Levels, and the weights with which they are drawn."""
INPUTS = 12
MAX_TRACE = 600
"""Maximum length of a trace, in characters; longer ones are omitted from the completion."""
TASKS = (*(f"solve {kind}" for kind in KINDS), "set", "vary")
SET_FROM = 0.5  # share of functions that give proposals; the others give solve data only


@dataclass(frozen=True)
class _Run:
    """One call: arguments, value, and the trace of its operations."""

    args: Arguments
    value: Value
    trace: tuple[str, ...]


class PythonSchool:
    """Draws examples. Deterministic for a given generator state."""

    def __init__(self) -> None:
        self.domain = PythonPrograms()
        self.sandbox = make_sandbox()

    def examples(self, rng: random.Random) -> Iterator[SeedExample]:
        """Yield examples without end, several per function."""
        while True:
            code, types = draw_function(rng, rng.choices(LEVELS, SHARES)[0])
            given = {show_value(args): args for args in (draw_input(rng, types) for _ in range(INPUTS))}
            runs = [] if code.key in heldout_keys() else self.runs(code, list(given.values()))
            if is_fit(code, runs):
                yield from self._solved(code, runs, rng)
                if rng.random() < SET_FROM:
                    yield from self._set(code, runs, rng)

    def runs(self, code: Code, inputs: Sequence[Arguments]) -> list[_Run]:
        """Run the function; inputs for which it does not return acceptable data are dropped."""
        found = []
        for args, ran in zip(inputs, self.sandbox.call(traced(code.text), FUNCTION, inputs), strict=True):
            value, steps = ran.value if ran.ok else (None, [])
            if ran.ok and not unfit(value) and len(show_value(value)) <= LONGEST:
                found.append(_Run(args, value, tuple(steps)))
        return found

    def _solved(self, code: Code, runs: Sequence[_Run], rng: random.Random) -> Iterator[SeedExample]:
        """Two deductions, an abduction and, for half of the functions, an induction."""
        for run in runs[:2]:
            working = "\n".join(run.trace)
            answer = f"answer: {show_value(run.value)}"
            said = f"{working}\n{answer}" if working and len(working) <= MAX_TRACE else answer
            yield self._solve(Task(DEDUCTION, code, (run.args,)), [run], said)
        yield self._solve(Task(ABDUCTION, code, (runs[2].args,)), [runs[2]])
        if rng.random() < 0.5:
            shown = runs[: rng.randint(FEWEST, MOST)]
            yield self._solve(Task(INDUCTION, code, tuple(r.args for r in shown)), shown)

    def _solve(self, task: Task, runs: Sequence[_Run], said: str = "") -> SeedExample:
        outputs = [run.value for run in runs]
        answer = task.answer(outputs)
        said = said or (f"answer:\n{answer}" if task.kind == INDUCTION else f"answer: {answer}")
        return SeedExample(f"solve {task.kind}", f"solve\n{task.question(outputs)}\n", said)

    def _set(self, code: Code, runs: Sequence[_Run], rng: random.Random) -> Iterator[SeedExample]:
        """A problem to set, and the same with one change."""
        task = task_of(rng.choice(KINDS), code, runs, rng)
        yield SeedExample("set", self.domain.propose_prompt(None), task.text)
        varied = vary(code, rng)
        if varied is not None and varied.params == code.params and varied.key not in heldout_keys():
            again = self.runs(varied, [run.args for run in runs])
            if is_fit(varied, again):
                child = task_of(task.kind, varied, again, rng)
                yield SeedExample("vary", self.domain.propose_prompt(task.text), child.text)


def is_fit(code: Code, runs: Sequence[_Run]) -> bool:
    """Whether there are enough runs and the task is not trivial."""
    task = Task(INDUCTION, code, tuple(run.args for run in runs))
    return len(runs) >= MOST and trivial(task, [(run.args, run.value) for run in runs]) is None


def task_of(kind: str, code: Code, runs: Sequence[_Run], rng: random.Random) -> Task:
    """A task with a random choice of the inputs that were run."""
    count = rng.randint(FEWEST, MOST) if kind == INDUCTION else 1
    return Task(kind, code, tuple(run.args for run in rng.sample(list(runs), count)))


def pool(size: int, seed: int) -> list[SeedExample]:
    """The first `size` examples of a seed, in order of drawing."""
    drawn = PythonSchool().examples(random.Random(f"ratchet/python_seed/{seed}"))
    return [next(drawn) for _ in range(size)]
