"""Compare two answers as values, with math-verify's equality.

The reference determines the type of the comparison. An answer of another type has no value:

- a number (`12`, `3/4`, `2.5`): the answer must be one evaluated number that `plain_numbers` can read; `2+3` is not.
  Units are dropped. `12%` matches both 12 and 0.12, because the question determines which is meant.
- a sequence of numbers (`[1, 2, 3]`, `(1, 2)`, `{1, 2}`): the same count in the same order; in braces, in any order.
  The answer may omit the brackets, but may not use another type of bracket.
- a formula (`2\\sqrt{3}`, `x^2+1`, `[0, \\infty)`): an equivalent formula. A leading `x =` is ignored. Only
  fractions, roots and small powers count as formulas; relations and functions are compared as words.
- anything else: the same words, ignoring case, articles and punctuation.

math-verify limits its run time with alarm signals, which work in the main thread only and have a resolution of one
second. They are not used here. Instead, only formulas that are cheap to compare are passed to it: short, built from a
few known tokens, with small powers that are not nested. Answers can therefore be compared in any thread, and the
result is deterministic.

math-verify rounds decimals to six places. In addition, zero equals only zero, and numbers must agree to six digits.
"""

from __future__ import annotations

import logging
import re
import threading
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from curricula.final_answer import final_answers
from curricula.plain_numbers import Number, read_number, tidy

LONGEST = 120  # characters of a formula
MOST_TOKENS = 50
MOST_ITEMS = 40
_TOKEN = re.compile(r"\\[A-Za-z]+|\\[{}|]|[0-9]+(?:\.[0-9]+)?|\.[0-9]+|[A-Za-z]|[-+*/^_(){}\[\],]|\s+")
_SIGNS = re.compile(r"[-+*/^=<>\\]|[(\[{].*[,(\[{]|[0-9][A-Za-z]")
_COMMANDS = frozenset(("frac", "sqrt", "pi", "infty", "cup", "emptyset", "{", "}"))
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_ARTICLES = re.compile(r"\A(?:(?:the|a|an|on|in|at|is|it is|it's)\s+)+")
_LOCK = threading.Lock()  # math-verify's parser is stateful
_CLOSE = Fraction(2, 10**6)


def same_answer(said: str, reference: str) -> bool | None:
    """Compare the final answer of a reply with a reference answer.

    Args:
        said: the whole reply; its final answer is found by `final_answers`.
        reference: the reference answer alone.

    Returns:
        Whether the values are equal; None if the reply has no final answer, no value, or several different values.

    Raises:
        ValueError: the reference is empty.
    """
    if not reference.strip():
        raise ValueError("the reference answer is empty")
    found = [same_value(text, reference) for text in final_answers(said)]
    if not found or None in found or len(set(found)) > 1:
        return None
    texts = final_answers(said)
    if not found[0] and any(same_value(text, texts[0]) is not True for text in texts[1:]):
        return None
    return found[0]


def same_value(said: str, reference: str) -> bool | None:
    """Compare like `same_answer`, for a text that consists of the final answer alone."""
    said, reference = right_side(said), right_side(reference)
    number = read_number(reference)
    if number is not None:
        return _same_number(read_number(said), number)
    row = _row(reference)
    if row is not None:
        return _same_row(_row(said), row)
    formula = _formula(reference)
    if formula is not None and _SIGNS.search(formula):
        other = _formula(said)
        return None if other is None else _same_formula(other, formula)
    words = _words(said)
    return words == _words(reference) if words else None


def _same_number(said: Number | None, reference: Number) -> bool | None:
    if said is None:
        return None
    readings = {said.value, said.value / 100} if said.percent and not reference.percent else {said.value}
    if reference.percent and not said.percent:
        readings.add(said.value * 100)
    return any(_equal(value, reference.value) for value in readings)


def _equal(said: Fraction, reference: Fraction) -> bool:
    """Whether two fractions are equal under math-verify and agree to six digits."""
    if said == reference:
        return True
    if said == 0 or reference == 0 or abs(said - reference) > _CLOSE * abs(reference):
        return False
    return bool(_math_verify().verify(_decimal(reference), _decimal(said), timeout_seconds=None))


def _decimal(value: Fraction) -> Any:
    """Convert a fraction to the sympy type that math-verify uses for decimals."""
    import sympy

    return sympy.Float(sympy.Rational(value.numerator, value.denominator), 20)


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
    words = re.sub(r"\s+", " ", tidy(text[:500])).strip(" .,;!?\"'()").casefold()
    return _ARTICLES.sub("", words).strip(" .,;!?\"'()")


def _formula(text: str) -> str | None:
    """The text normalised as a formula; None if it is not a formula, or too expensive to compare."""
    text = tidy(text).replace("**", "^").replace("π", "\\pi").replace("∞", "\\infty").replace("\\lbrack", "[")
    if not 0 < len(text) <= LONGEST or not text.isascii():
        return None
    tokens, at = list[str](), 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            return None
        at = found.end()
        if not found[0].isspace():
            tokens.append(found[0])
    commands = [t[1:] for t in tokens if t[0] == "\\"]
    if len(tokens) > MOST_TOKENS or not set(commands) <= _COMMANDS or re.search(r"[A-Za-z]{3}", _no_commands(text)):
        return None
    return text if _is_cheap(tokens) else None


def _no_commands(text: str) -> str:
    return re.sub(r"\\[A-Za-z]+", "", text)


def _is_cheap(tokens: list[str]) -> bool:
    """Whether numbers are short, brackets are shallow, roots are few, and powers are small and not nested."""
    opened = list[int]()
    matching = dict[int, int]()
    for i, token in enumerate(tokens):
        if token in "([{":
            opened.append(i)
            if len(opened) > 5:
                return False
        elif token in ")]}":
            if not opened:
                return False
            matching[i] = opened.pop()
        elif token[0].isdigit() and len(token) > (20 if "." in token else 12):
            return False
    if opened or tokens.count("\\sqrt") > 3 or tokens.count("^") > 4:
        return False
    letters = any(len(t) == 1 and t.isalpha() for t in tokens)
    ends = {begin: end for end, begin in matching.items()}
    for i, token in enumerate(tokens):
        if token != "^":
            continue
        base = tokens[matching.get(i - 1, i - 1) : i] if i else []
        after = i + 1
        power = tokens[after : ends.get(after, after) + 1]
        if not base or not power or "^" in base or "^" in power or "_" in power:
            return False
        if len(power) > 6 or any(t.isalpha() for t in power):
            return False
        most = 4 if letters and len(base) > 1 else 99
        if any(float(t) > most for t in power if t[0].isdigit() or t[0] == "."):
            return False
        if any(t[0].isdigit() and len(t) > 6 for t in base):
            return False
    return True


def _same_formula(said: str, reference: str) -> bool | None:
    if said.replace(" ", "") == reference.replace(" ", ""):
        return True
    ours, theirs = _parsed(reference), _parsed(said)
    if ours is None:
        return False
    if theirs is None or _type_of(ours) != _type_of(theirs):
        return None
    with _LOCK:
        return bool(_math_verify().verify(ours, theirs, timeout_seconds=None, allow_set_relation_comp=False))


def _type_of(value: Any) -> str:
    """The type of a parsed value; values of different types are never equal."""
    import sympy

    if isinstance(value, sympy.Set | sympy.Tuple):
        return "set"
    if isinstance(value, sympy.core.relational.Relational | sympy.logic.boolalg.Boolean):
        return "relation"
    return "formula"


@lru_cache(maxsize=4096)
def _parsed(formula: str) -> Any:
    """Parse a formula with math-verify; None if that fails."""
    maths = _math_verify()
    with _LOCK:
        try:
            found = maths.parse(
                f"${formula}$", [maths.LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None
            )
        except RecursionError:
            return None
    import sympy

    value = found[0] if found else None
    return value if isinstance(value, sympy.Basic) and not value.has(sympy.nan, sympy.zoo) else None


@cache
def _math_verify() -> Any:
    """Import math-verify on first use, with its warnings about disabled timeouts turned off."""
    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import math_verify

    return math_verify
