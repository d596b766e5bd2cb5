"""The text format of tasks over Python functions: the three kinds, and how tasks and answers are parsed.

    deduction           abduction           induction
    def f(a):           def f(a):           def f(a):
        return a + 1        return a + 1        return a + 1
    input: 3            input: 3            input: 3
                                            input: 5  (4 to 8 of them)

This is the complete text of a task. For an abduction, solvers see `output: 4` in place of the input; for an induction,
half of the inputs with their outputs and no code (Zhao et al. 2025, Absolute Zero). Parsing is total and ignores
layout, code fences and comments; written texts are canonical. Nothing is run here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from curricula.python_code import Code, parse_code
from curricula.values import Failure, Value, parse_value, shortened, show_value

DEDUCTION, ABDUCTION, INDUCTION = "deduction", "abduction", "induction"
KINDS = (DEDUCTION, ABDUCTION, INDUCTION)
MAX_TEXT = 2000
"""Maximum length of a task, in characters."""
FEWEST, MOST = 4, 8
"""Minimum and maximum number of inputs of an induction."""

Arguments = tuple[Value, ...]

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w+-]*[ \t]*$", re.MULTILINE)
_INPUT = re.compile(r"[ \t]*input[ \t]*:(.*)", re.IGNORECASE)
_MARKED = {  # for induction at the start of a line only: inside code, it may be an annotation
    DEDUCTION: re.compile(r"^[ \t]*(?:answer|output)[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE),
    ABDUCTION: re.compile(r"^[ \t]*(?:answer|input)[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE),
    INDUCTION: re.compile(r"^answer[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE),
}


@dataclass(frozen=True)
class Task:
    """A kind, a function and its inputs: one tuple of arguments, or several for induction."""

    kind: str
    code: Code
    inputs: tuple[Arguments, ...]

    @property
    def text(self) -> str:
        """The canonical text: parsing it again gives an equal task."""
        return "\n".join([self.kind, self.code.text, *(f"input: {show_arguments(args)}" for args in self.inputs)])

    @property
    def shown(self) -> int:
        """Number of inputs of an induction that solvers see; the others are hidden."""
        return (len(self.inputs) + 1) // 2

    def question(self, outputs: Sequence[Value]) -> str:
        """The part of the task that solvers see, given the outputs for all inputs."""
        if self.kind == DEDUCTION:
            return self.text
        if self.kind == ABDUCTION:
            return f"{self.kind}\n{self.code.text}\noutput: {show_value(outputs[0])}"
        pairs = list(zip(self.inputs, outputs, strict=True))[: self.shown]
        examples = [f"input: {show_arguments(args)}\noutput: {show_value(value)}" for args, value in pairs]
        return "\n".join([self.kind, *examples, f"hidden: {len(self.inputs) - self.shown}"])

    def answer(self, outputs: Sequence[Value]) -> str:
        """The reference answer, given the outputs for all inputs."""
        if self.kind == DEDUCTION:
            return show_value(outputs[0])
        return show_arguments(self.inputs[0]) if self.kind == ABDUCTION else self.code.text


def parse_task(text: str, kinds: Collection[str] = KINDS) -> Task | Failure:
    """Parse a task. Failure reasons: "malformed", "too long", "not data", and those of `python_code`."""
    if len(text) > MAX_TEXT:
        return Failure("too long", f"{len(text)} characters; the most is {MAX_TEXT}")
    lines = [line for line in _FENCE.sub("", text).replace("\r\n", "\n").split("\n") if line.strip()]
    kind = lines[0].strip().strip(":").lower() if lines else ""
    if kind not in kinds:
        return Failure("malformed", f"the first line is one of {', '.join(kinds)}; found {shortened(kind)}")
    given: list[str] = []
    while lines and (found := _INPUT.fullmatch(lines[-1])):
        given.insert(0, found[1])
        lines.pop()
    fewest, most = (FEWEST, MOST) if kind == INDUCTION else (1, 1)
    if not fewest <= len(given) <= most:
        wanted = f"{fewest} to {most} lines 'input: ...'" if kind == INDUCTION else "one line 'input: ...'"
        return Failure("malformed", f"{kind} ends in {wanted}, found {len(given)}")
    code = parse_code("\n".join(lines[1:]))
    if isinstance(code, Failure):
        return code
    inputs: list[Arguments] = []
    for line in given:
        args = parse_arguments(line, code.params)
        if isinstance(args, Failure):
            return args
        inputs.append(args)
    if len({show_value(args) for args in inputs}) < len(inputs):
        return Failure("malformed", "the same input twice")
    task = Task(kind, code, tuple(inputs))
    if len(task.text) > MAX_TEXT:
        return Failure("too long", f"{len(task.text)} characters as it is written; the most is {MAX_TEXT}")
    return task


def parse_arguments(text: str, params: int) -> Arguments | Failure:
    """Parse comma-separated arguments of a function with `params` parameters. With one parameter, the whole text is
    its value."""
    value = parse_value(text)
    if isinstance(value, Failure):
        return value
    if params == 1:
        return (value,)
    if type(value) is not tuple or len(value) != params:
        return Failure("malformed", f"f takes {params} arguments, given {shortened(text.strip())}")
    return value


def show_arguments(args: Arguments) -> str:
    return ", ".join(map(show_value, args))


def read_answer(kind: str, text: str) -> str | Failure:
    """Extract the answer from a reply: the text after the only `answer:`, else in the only code fence, else all of it.

    Failure reasons: "no answer", "several answers", "too long".
    """
    if len(text) > 4 * MAX_TEXT:
        return Failure("too long", f"{len(text)} characters; the most is {4 * MAX_TEXT}")
    text = text.strip()
    marks = list(_MARKED[kind].finditer(text))
    if len(marks) > 1:
        return Failure("several answers", f"{len(marks)} lines begin like an answer")
    if marks:
        text = text[marks[0].end() :]
        if kind != INDUCTION:
            text = text.strip().split("\n")[0] if text.strip() and not _FENCE.match(text.strip()) else text
    fences = _FENCE.split(text)
    if len(fences) > 1:
        blocks = [block for block in fences[1::2] if block.strip()]
        if len(blocks) != 1 or len(fences) > 3:
            return Failure("several answers", f"{len(blocks)} code blocks")
        text = blocks[0]
    return text.strip() or Failure("no answer")
