"""Check the arithmetic of a worked answer in prose: every equation such as `36 - 7 = 29` must hold.

An equation is a line, or a part of one, in which plain arithmetic stands on one side of `=` and a number on the other.
Other text is not judged: words, names, percentages, units between numbers. An answer that is right although a step is
wrong teaches wrong steps, and is often luck or a wrong problem (`docs/word_problems.md`).

Not guaranteed: that true equations are the right ones; that all steps are written as equations.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from curricula.word_question import format_number
from curricula.word_solution import OPERATIONS

_NUMBER = r"(?<![\w.,])\$?-?\d[\d,]*(?:\.\d+)?"
_SIDE = re.compile(rf"(?:{_NUMBER}|[-+*/%() ]|//|×|÷|·|\bx\b)+")
_STATED = re.compile(r"\s*(-?)\$?(-?)(\d[\d,]*(?:\.\d+)?)(?![\w%])")
"""The number at the beginning of the text right of an equals sign."""
LONGEST = 200
"""Characters of a line that are looked at."""
MOST_LINES = 60


@dataclass(frozen=True)
class Equation:
    """One equation: the values of both sides, and whether they agree. The number on the right is `text[start:end]`.

    In `2 + 3 = 5 + 1 = 6` the right side of the first one is 5, or 5 + 1 if that is equal, as in `7 + 8 = 10 + 5 = 15`.
    """

    line: int  # 1-based
    start: int
    end: int
    value: Fraction
    stated: Fraction
    holds: bool
    chained: bool = False  # whether the right side is arithmetic again


def equations(text: str) -> list[Equation]:
    """The equations of a text, in order. Total: any text has a list."""
    return list(_equations(text))


@lru_cache(maxsize=4096)
def _equations(text: str) -> tuple[Equation, ...]:
    """The same; a verdict and a doubt ask for those of one text several times."""
    found, begin = list[Equation](), 0
    for number, line in enumerate(text.splitlines(keepends=True)[:MOST_LINES], start=1):
        at = begin
        for left, right in pairwise(line.rstrip("\r\n")[:LONGEST].split("=")):
            at += len(left) + 1
            side, stated = _tail(left), _STATED.match(right)
            value = _value(side) if stated and _has_operation(side) else None
            if value is not None and stated is not None:
                said, sign = _number(stated), 1 if stated[1] else 2 if stated[2] else 3
                holds = _agree(value, said, "/" in left or "÷" in left, right) or _value(right) == value
                place = at + stated.start(sign), at + stated.end(3)
                found.append(Equation(number, *place, value, said, holds, _has_operation(right)))
        begin += len(line)
    return tuple(found)


def with_true_results(text: str) -> str | None:
    """The text with the result of every false equation replaced by the true one, there and wherever the false number
    follows; None if a true result is no finite decimal, or equations are false still after `MOST_LINES` replacements.

    A chain of equations is replaced up to its last number: `3 * 14 = 3 * 10 + 3 * 5 = 45` becomes `3 * 14 = 42`.

    This separates what a working plans to do from the arithmetic in it."""
    for _ in range(MOST_LINES):
        wrong = next((e for e in equations(text) if not e.holds), None)
        if wrong is None:
            return text
        true = format_number(wrong.value)
        if "/" in true:
            return None
        end = wrong.end
        if wrong.chained:
            line = text[wrong.start :].splitlines()[0]
            last = _STATED.match(line[line.rindex("=") + 1 :]) if "=" in line else None
            if last is None:
                return None
            start, end = (wrong.start + line.rindex("=") + 1 + at for at in (last.start(3), last.end(3)))
        else:
            start = wrong.start
        false = re.escape(text[start:end])
        after = re.sub(rf"(?<![\d.,]){false}(?![\d,]|\.\d)", true, text[end:])
        text = text[: wrong.start] + true + after
    return None


def wrong_step(text: str) -> int | None:
    """The line, from 1, of the first equation that does not hold; None if all do."""
    return next((e.line for e in _equations(text) if not e.holds), None)


def is_sound(text: str) -> bool | None:
    """Whether all equations of a text hold; None if it has none."""
    found = _equations(text)
    return all(e.holds for e in found) if found else None


def follows(text: str, answer: Fraction) -> bool:
    """Whether a number is the result of an equation of the text; True if it has none."""
    found = _equations(text)
    return not found or any(e.stated == answer for e in found)


def _tail(side: str) -> str:
    """The arithmetic at the end of the text left of an equals sign."""
    found = list(_SIDE.finditer(side))
    return found[-1].group().strip() if found and found[-1].end() == len(side) else ""


def _number(found: re.Match[str]) -> Fraction:
    """The value of a match of `_STATED`."""
    value = Fraction(found[3].replace(",", ""))
    return -value if found[1] or found[2] else value


def _has_operation(side: str) -> bool:
    return re.search(r"\d[\s)]*(?://|[-+*/%×÷·]|\bx\b)[\s(]*\$?-?\d", side) is not None


def _value(side: str) -> Fraction | None:
    """The value of plain arithmetic; None for anything else."""
    plain = re.sub(
        r"(?<=\d),(?=\d{3})", "", side.replace("$", "").replace("×", "*").replace("÷", "/").replace("·", "*")
    )
    plain = re.sub(r"\bx\b", "*", plain)
    try:
        return _evaluate(ast.parse(plain.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _evaluate(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _evaluate(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](_evaluate(node.left), _evaluate(node.right))
    raise ValueError("not plain arithmetic")


def _agree(value: Fraction, stated: Fraction, divides: bool, right: str) -> bool:
    """Equal, or equal after rounding to the stated digits; whole numbers may also be rounded down by a division."""
    if value == stated:
        return True
    shown = re.match(r"\s*\$?-?[\d,]*(?:\.(\d+))?", right)
    digits = len(shown[1]) if shown and shown[1] else 0
    if digits == 0 and divides:
        return abs(value - stated) < 1
    return value.denominator > 1 and abs(value - stated) <= Fraction(1, 2 * 10**digits)
