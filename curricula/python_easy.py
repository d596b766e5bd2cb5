"""Level 0 of python_programs: one addition, subtraction or multiplication of whole numbers up to 20.

    deduction
    def f(a):
        return a + 7
    input: 15

There are few such functions, so not a function is held out, but what is computed: the numbers, in any order, and the
value. All of level 0 that computes `7 15 = 22` is the same, whichever of the two is the input.
Left out: other operations and types, which begin at level 1.
"""

from __future__ import annotations

import ast
import operator
import random
from collections.abc import Sequence
from typing import Any

from curricula.python_code import FUNCTION, Code, parse_code
from curricula.python_data import INT, NAMES
from curricula.python_tasks import FEWEST, INDUCTION, MOST, Task

SMALL = 20
"""Largest number in a function or an input."""
FACTORS = (2, 5)
"""Smallest and largest constant that an input is multiplied by, in drawn functions."""
_SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def calculations(task: Task) -> frozenset[str]:
    """What a task of level 0 computes on its inputs, such as "7 15 = 22"; empty for a task that is not of level 0."""
    match ast.parse(task.code.text).body:
        case [ast.FunctionDef(args=given, body=[ast.Return(value=ast.BinOp(left, op, right))])]:
            compute = _OPERATIONS.get(type(op))
        case _:
            return frozenset()
    found = set[str]()
    for args in task.inputs:
        known = dict(zip((arg.arg for arg in given.args), args, strict=True))
        numbers: list[Any] = [
            known.get(n.id) if isinstance(n, ast.Name) else getattr(n, "value", None) for n in (left, right)
        ]
        if not compute or any(type(n) is not int or not 0 <= n <= SMALL for n in (*args, *numbers)):
            return frozenset()
        small, large = sorted(numbers)
        found.add(f"{small} {large} = {compute(*numbers)}")
    return frozenset(found)


def draw_easy(rng: random.Random, kind: str, numbers: Sequence[int] = range(SMALL + 1), most: int = MOST) -> Task:
    """Draw a task of level 0 whose inputs are some of `numbers` and whose values are not negative.

    It has not been run, so the domain may still reject it. An induction has at most `most` inputs."""
    while True:
        name, sign = rng.choice(NAMES[INT]), rng.choice(list(_SIGNS))
        constant = rng.randint(*FACTORS) if sign == "*" else rng.randint(1, SMALL)
        first = rng.random() < 0.5
        left, right = (name, constant) if first else (constant, name)
        code = parse_code(f"def {FUNCTION}({name}):\n    return {left} {sign} {right}")
        inputs = rng.sample(numbers, rng.randint(FEWEST, most) if kind == INDUCTION else 1)
        values = [_SIGNS[sign](*((n, constant) if first else (constant, n))) for n in inputs]
        if isinstance(code, Code) and min(values) >= 0:
            return Task(kind, code, tuple((n,) for n in inputs))
