"""Compare two answers as values: numbers exactly, other formulas with math-verify's equality.

The reference determines the type of the comparison. An answer of another type has no value:

- a Python value with a string or a nested container (`'abc'`, `{'a': 3}`): the same value, as `curricula.values`
  compares them; a string may lack its quotes. Case matters.
- a number (`12`, `3/4`, `2.5`): the answer must be one evaluated number that `plain_numbers` can read; `2+3` is not.
  A unit may be missing on one side; two units must be the same. `12%` matches both 12 and 0.12, because the question
  determines which is meant.
- a sequence of numbers (`[1, 2, 3]`, `(1, 2)`, `{1, 2}`): the same count in the same order; in braces, in any order.
  The answer may omit the brackets, but may not use another type of bracket.
- a formula (`2\\sqrt{3}`, `x^2+1`, `[0, \\infty)`): an equivalent formula. A leading `x =` is ignored. Only
  fractions, roots and small powers count as formulas; relations and functions are compared as words.
- anything else, such as `5 April`: the same words, ignoring case, articles and punctuation.

Integers, fractions and powers of them are compared exactly. A number with a decimal point must agree to six digits and,
as math-verify rounds, to six decimal places; zero equals only zero.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from curricula.exact import evaluate
from curricula.final_answer import final_answers, marked_answers
from curricula.formulas import is_formula, notation, read_formula, same_decimal, same_formula
from curricula.plain_numbers import Number, read_number, tidy
from curricula.values import Failure, Value, parse_value
from curricula.values import same_value as same_python_value

MOST_ITEMS = 40
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_ARTICLES = re.compile(r"\A(?:(?:the|a|an|on|in|at|is|it is|it's)\s+)+")
_CLOSE = Fraction(2, 10**6)


def same_answer(said: str, reference: str) -> bool | None:
    """Compare the final answer of a reply with a reference answer.

    Args:
        said: the whole reply; its final answer is found by `final_answers`.
        reference: the reference answer, alone or marked as in a reply (`#### 7`, `$\\boxed{7}$`).

    Returns:
        Whether the values are equal; None if the reply has no final answer, no value, or several different values.

    Raises:
        ValueError: as `reference_answer`.
    """
    reference = reference_answer(reference)
    texts = final_answers(said, quotes=_python(reference) is not None)
    found = [same_value(text, reference) for text in texts]
    if not found or None in found or len(set(found)) > 1:
        return None
    if not found[0] and any(same_value(text, texts[0]) is not True for text in texts[1:]):
        return None
    return found[0]


@lru_cache(maxsize=4096)
def reference_answer(reference: str) -> str:
    """The answer in a reference, found as in a reply if it is marked, else the whole reference.

    Raises:
        ValueError: the reference is empty, marks an empty answer, or marks several that differ.
    """
    if not reference.strip():
        raise ValueError("the reference answer is empty")
    marked = marked_answers(reference)
    if marked is None:
        return reference
    if not marked:
        raise ValueError("the reference answer marks no answer, or too many")
    if any(same_value(other, marked[0]) is not True for other in marked[1:]):
        raise ValueError(f"the reference answer marks several answers: {marked[0][:40]!r} and {marked[1][:40]!r}")
    return marked[0]


def same_value(said: str, reference: str) -> bool | None:
    """Compare like `same_answer`, for texts that consist of the final answer alone."""
    python = _python(reference)
    if python is not None:
        return _same_python(said, python[0])
    said, reference = right_side(said), right_side(reference)
    number = read_number(reference)
    if number is not None:
        return _same_number(read_number(said), number)
    row = _row(reference)
    if row is not None:
        return _same_row(_row(said), row)
    exact = evaluate(notation(reference))
    if exact is not None and (value := _evaluated(said)) is not None:
        return _equal(*value, *exact)
    formula = read_formula(reference)
    if formula is not None and is_formula(formula):
        other = read_formula(said)
        return None if other is None else same_formula(other, formula)
    words = _words(said)
    return words == _words(reference) if words else None


def _evaluated(said: str) -> tuple[Fraction, bool] | None:
    number = read_number(said)
    return evaluate(notation(said)) if number is None or number.percent else (number.value, number.exact)


def _python(reference: str) -> tuple[Value] | None:
    """The Python value of a reference that has a string or a container in a container; None for other references."""
    if reference.strip()[:1] not in tuple("'\"[({"):
        return None
    value = parse_value(reference)
    if type(value) in (str, dict):
        return (value,)
    parts = value if isinstance(value, list | tuple | set) else ()
    return (value,) if any(type(part) in (str, list, tuple, dict) for part in parts) else None


def _same_python(said: str, value: Value) -> bool | None:
    found = parse_value(said)
    if not isinstance(found, Failure):
        return same_python_value(found, value)
    if not said.strip():
        return None
    return type(value) is str and said.strip() == value.strip()


def _same_number(said: Number | None, reference: Number) -> bool | None:
    if said is None:
        return None
    units = [n.unit or "percent" * n.percent for n in (said, reference)]
    if all(units) and units[0] != units[1]:
        return False
    readings = {said.value, said.value / 100} if said.percent and not reference.percent else {said.value}
    if reference.percent and not said.percent:
        readings.add(said.value * 100)
    return any(_equal(value, said.exact, reference.value, reference.exact) for value in readings)


def _equal(said: Fraction, said_exact: bool, reference: Fraction, reference_exact: bool) -> bool:
    """Whether two numbers are equal, if both are exact; else whether they are under math-verify and to six digits."""
    if said == reference:
        return True
    if (said_exact and reference_exact) or said == 0 or reference == 0:
        return False
    if abs(said - reference) > _CLOSE * min(abs(said), abs(reference)):
        return False
    return same_decimal(reference, said)


def right_side(said: str) -> str:
    """Remove a leading `x =`."""
    return re.sub(r"\A\W?[A-Za-z][A-Za-z _]{0,20}= ?", "", said.strip()) if said.count("=") == 1 else said.strip()


def _row(text: str) -> tuple[str, tuple[Number, ...]] | None:
    """The opening bracket ("" if there is none) and the numbers of a sequence; None if the text is not a sequence.

    A sequence has at least one number inside brackets, or at least two without brackets.
    """
    text = tidy(text.replace("\\{", "{").replace("\\}", "}"))
    bracket = text[:1] if _BRACKETS.get(text[:1]) == text[-1:] else ""
    inner = text[1:-1] if bracket else text
    if len(inner) > 1000:
        return None
    parts = re.split(r"\s*[,;]\s*(?:and\s+)?|\s+and\s+", inner.strip().strip(",;"))
    numbers = [read_number(part) for part in parts[: MOST_ITEMS + 1]]
    if len(parts) > MOST_ITEMS or (not bracket and len(parts) < 2):
        return None
    return (bracket, tuple(n for n in numbers if n is not None)) if None not in numbers else None


def _same_row(said: tuple[str, tuple[Number, ...]] | None, reference: tuple[str, tuple[Number, ...]]) -> bool | None:
    if said is None or (said[0] and reference[0] and said[0] != reference[0]):
        return None
    ours, theirs = reference[1], said[1]
    if reference[0] == "{":
        ours, theirs = (tuple(sorted(row, key=lambda n: n.value)) for row in (ours, theirs))
    return len(ours) == len(theirs) and all(bool(_same_number(b, a)) for a, b in zip(ours, theirs, strict=True))


def _words(text: str) -> str:
    """The text in lower case, without leading articles and surrounding punctuation."""
    words = re.sub(r"\s+", " ", tidy(text[:500])).casefold()
    words = re.sub(r"(?<=[0-9]) ?([ap])(?:m\b|\. ?m\b\.?)", r" \1m", words)
    words = _ARTICLES.sub("", _stripped(words))
    return _stripped(words)


def _stripped(words: str) -> str:
    """Without surrounding punctuation. The point of `.5` stays, and so do the marks of `5'` and `5"`."""
    quoted = words.lstrip()[:1] in ("'", '"')
    words = (
        words.rstrip(" .,;!?()") if not quoted and re.search("[0-9]['\"]+\\Z", words) else words.rstrip(" .,;!?\"'()")
    )
    return re.sub(r"\A(?:[ ,;!?\"'()]|\.(?![0-9]))+", "", words)
