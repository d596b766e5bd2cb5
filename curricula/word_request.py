"""Requests for kinds of word problems, such as `a division, about candles`; and sample posts.

A request names an operation and a subject. Only the subject is checked, in the question. The operation is a suggestion:
a program can use it and contradict its question ("4 times as many" with a division), which a small model often did.
Setters that are asked for kinds in even proportions cannot drift to the one kind that pays best.
"""

from __future__ import annotations

import ast
import random
import re

from curricula.word_data import PLACES, THINGS

OPERATIONS: dict[str, tuple[type[ast.operator], ...]] = {
    "an addition": (ast.Add,),
    "a subtraction": (ast.Sub,),
    "a multiplication": (ast.Mult,),
    "a division": (ast.Div, ast.FloorDiv),
    "a remainder": (ast.Mod,),
}
SYMBOLS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
}  # fmt: skip
OTHER = "other"
SUBJECTS = (*THINGS, *PLACES, "dollars", "kilometres", "years", "minutes", "litres")
_FORM = re.compile(r"an? \w+, about (\w+)")
_ADVICE = {
    "an addition": "Add when more is put to what is there.",
    "a subtraction": "Subtract what is taken, lost or spent.",
    "a multiplication": "Multiply when the same number comes several times.",
    "a division": "Divide when something is shared in equal parts.",
    "a remainder": "The remainder is what is left when equal groups are taken away.",
}


def draw(rng: random.Random) -> str:
    """A request; operations and subjects are equally frequent."""
    return _worded(rng.choice(list(OPERATIONS)), rng.choice(SUBJECTS))


def describe(question: str, program: str, rng: random.Random) -> str | None:
    """A request that a problem meets; None if it has no known operation or subject."""
    used = _operations(program)
    kinds = [name for name, types in OPERATIONS.items() if any(isinstance(op, types) for op in used)]
    subjects = [s for s in SUBJECTS if _names(question, s)]
    return _worded(rng.choice(kinds), rng.choice(subjects)) if kinds and subjects else None


def meets(question: str, request: str) -> bool:
    """Whether a question names the requested subject. A text that is no request is met by every question."""
    found = _FORM.fullmatch(request)
    return found is None or _names(question, found[1])


def operation_counts(program: str) -> dict[str, int]:
    """The number of uses of each operation in a program, by symbol, or under `other`; all are present."""
    found = dict.fromkeys((*SYMBOLS.values(), OTHER), 0)
    for op in _operations(program):
        found[SYMBOLS.get(type(op), OTHER)] += 1
    return found


def post(question: str, program: str, solution: str, rng: random.Random) -> tuple[str, str, str]:
    """Title, use and body of a post that explains a problem's solution."""
    used = _operations(program)
    kinds = [name for name, types in OPERATIONS.items() if any(isinstance(op, types) for op in used)]
    subject = next((s for s in SUBJECTS if _names(question, s)), "numbers")
    kind = rng.choice(kinds) if kinds else "an addition"
    plain = kind.split(" ", 1)[1]
    title = rng.choice((f"{plain.capitalize()} with {subject}", f"How to find the {plain}", f"Problems with {kind}"))
    when = rng.choice((f"when a question about {subject} needs {kind}", f"when there is {kind} to do"))
    steps = " Then ".join(line for line in solution.splitlines()[:3] if not line.startswith("answer"))
    return title, when, f"{_ADVICE[kind]} For example: {steps}. Work out one step at a time."


def _worded(operation: str, subject: str) -> str:
    return f"{operation}, about {subject}"


def _operations(program: str) -> list[ast.operator]:
    return [node.op for node in ast.walk(ast.parse(program)) if isinstance(node, ast.BinOp | ast.AugAssign)]


def _names(question: str, subject: str) -> bool:
    return re.search(rf"\b{re.escape(subject)}\b", question, re.IGNORECASE) is not None
