"""Instructions for Python programs in prose, for instruction-tuned models."""

from __future__ import annotations

from collections.abc import Sequence

from curricula.domain import Problem, quoted
from curricula.python_tasks import ABDUCTION, DEDUCTION, FEWEST, INDUCTION, KINDS, MOST

_FUNCTION = (
    "def f(a, xs):\n    total = 0\n    for x in xs:\n        if x % a == 0:\n            total += x\n    return total"
)
EXAMPLES = {
    DEDUCTION: f"{DEDUCTION}\n{_FUNCTION}\ninput: 3, [6, 1, 9]",
    ABDUCTION: f"{ABDUCTION}\n{_FUNCTION}\ninput: 3, [6, 1, 9]",
    INDUCTION: f"{INDUCTION}\n{_FUNCTION}\ninput: 3, [6, 1, 9]\ninput: 2, [5, 4]\ninput: 4, []\ninput: 1, [7]",
}
"""An example problem of each kind."""
MEANS = {
    DEDUCTION: "the solver sees the function and the input and says what f returns",
    ABDUCTION: "the solver sees the function and what f returns for your input and finds an input that gives the same",
    INDUCTION: "the solver sees half of your inputs with what f returns for them and writes a function that also does "
    "the same for the other half",
}
FORM = (
    "Write the kind on the first line, then Python code with a function named f that takes 1 to 4 arguments (more "
    "functions may stand before it), then one line `input:` with the arguments as Python literals, separated by commas."
)
SEVERAL = f"For {INDUCTION} there are {FEWEST} to {MOST} such lines, all different."
RULES = (
    "No imports, classes, print, random or outside state: f must give the same whenever it is called, and must return "
    "numbers, strings, booleans, None, lists, tuples, dicts or sets of modest size. What it returns must depend on "
    "what it is given."
)
RETURNS = "Types count: 2 is not 2.0, a tuple is not a list, and strings stand in quotes."


def setting(kinds: Sequence[str], parent: str | None) -> str:
    """The instruction for a setter."""
    first = "A problem is about a Python function, and is of one of these kinds:"
    if len(kinds) == 1:
        first = f"A problem is about a Python function. Its kind is {kinds[0]}:"
    listed = "\n".join(f"- {kind}: {MEANS[kind]}" for kind in kinds)
    form = [FORM, *([SEVERAL] if INDUCTION in kinds else []), RULES]
    asked = [f"{first}\n{listed}", " ".join(form), f"In this form:\n{quoted(EXAMPLES[kinds[-1]])}"]
    if parent:
        asked.append(f"Vary this one: change what the function does, and choose inputs of your own:\n{quoted(parent)}")
    else:
        asked.append("Write a new problem that takes several steps to think through.")
    return "\n\n".join(asked)


def asking(problem: Problem) -> str:
    """The instruction for a solver."""
    kind, _, rest = problem.shown.partition("\n")
    assert kind in KINDS, problem.shown
    if kind == DEDUCTION:
        code, _, given = rest.rpartition("\n")
        asked = [
            f"A Python function:\n{quoted(code)}",
            f"It is called with\n{quoted(given)}",
            f"Work out what f returns. Your answer is that value alone, as a Python literal. {RETURNS}",
        ]
    elif kind == ABDUCTION:
        code, _, given = rest.rpartition("\n")
        asked = [
            f"A Python function:\n{quoted(code)}",
            f"It returned\n{quoted(given)}",
            "Find an input for which f returns just that; any such input will do. Your answer is the input alone: the "
            f"arguments in their order, as Python literals separated by commas. {RETURNS}",
        ]
    else:
        examples, _, hidden = rest.rpartition("\nhidden: ")
        asked = [
            f"A Python function named f gives these outputs:\n{quoted(examples)}",
            f"Write a function f that gives the same, for these inputs and for {hidden} others that you do not see. "
            "No imports, classes or print. Your answer is the Python code alone.",
        ]
    return "\n\n".join(asked)
