"""Compare formulas with math-verify: fractions, roots and small powers, with letters.

math-verify limits its run time with alarm signals, which work in the main thread only and have a resolution of one
second. They are not used here. Instead, only formulas that are cheap to compare are passed to it: short, built from a
few known tokens, with small powers that are not nested. Answers can therefore be compared in any thread, and the
result is deterministic. What it calls equal is computed once more without its rounding.
"""

from __future__ import annotations

import logging
import re
import threading
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from curricula.plain_numbers import tidy

LONGEST = 120  # characters of a formula
MOST_TOKENS = 50
_TOKEN = re.compile(r"\\[A-Za-z]+|\\[{}|]|[0-9]+(?:\.[0-9]+)?|\.[0-9]+|[A-Za-z]|[-+*/^_(){}\[\],]|\s+")
_SIGNS = re.compile(r"[-+*/^=<>\\]|[(\[{].*[,(\[{]|[0-9][A-Za-z]")
_COMMANDS = frozenset(("frac", "sqrt", "pi", "infty", "cup", "emptyset", "{", "}"))
_LOCK = threading.Lock()  # math-verify's parser is stateful
_DIGITS = 60
_EXACT = 40
_POINTS = (("7/5", "11/13", "23/7"), ("19/11", "5/17", "3/29"))


def notation(text: str) -> str:
    """The text with the operators and roots of LaTeX."""
    text = tidy(text).replace("**", "^").replace("π", "\\pi").replace("∞", "\\infty").replace("\\lbrack", "[")
    text = re.sub(r"(?:√|(?<![A-Za-z\\])sqrt) ?(?:\(([^()]*)\)|([0-9]+|[A-Za-z]))", r"\\sqrt{\1\2}", text)
    return re.sub(r"\\sqrt ?([0-9A-Za-z])", r"\\sqrt{\1}", text)


def read_formula(text: str) -> str | None:
    """The text normalised as a formula; None if it is not a formula, or too expensive to compare."""
    text = notation(text)
    if not 0 < len(text) <= LONGEST or not text.isascii() or re.search(r"[0-9]\s+[.0-9]", text):
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


def is_formula(text: str) -> bool:
    """Whether a text that `read_formula` can read looks like a formula, not a word."""
    return _SIGNS.search(text) is not None


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


def same_formula(said: str, reference: str) -> bool | None:
    if said.replace(" ", "") == reference.replace(" ", ""):
        return True
    ours, theirs = _parsed(reference), _parsed(said)
    if ours is None:
        return False
    if theirs is None or _type_of(ours) != _type_of(theirs):
        return None
    with _LOCK:
        found = _math_verify().verify(ours, theirs, timeout_seconds=None, allow_set_relation_comp=False)
        return bool(found) and _is_close(theirs, ours)


def _type_of(value: Any) -> str:
    """The type of a parsed value; values of different types are never equal."""
    import sympy

    if isinstance(value, sympy.Set | sympy.Tuple):
        return "set"
    if isinstance(value, sympy.core.relational.Relational | sympy.logic.boolalg.Boolean):
        return "relation"
    return "formula"


def _with_signs(formula: str) -> str:
    """Write multiplication signs before letters that follow a number, a letter or a closing bracket."""
    found, before = "", ""
    for token in (m[0] for m in _TOKEN.finditer(formula)):
        if token.isspace():
            found += " "
            continue
        letter = len(token) == 1 and token.isalpha()
        if letter and before and ((before[-1].isalnum() and before[0] != "\\") or before in (")", "}")):
            found += "*"
        found += token if token[0] != "\\" else f"{token} "
        before = "" if before in ("_", "^") and not letter else token
    return found


@lru_cache(maxsize=4096)
def _parsed(formula: str) -> Any:
    """Parse a formula with math-verify; None if that fails, or if letters get lost: it drops units (`5am` is 5).

    Multiplication signs are written out before letters, so that they are no units.
    """
    maths = _math_verify()
    letters = set(_no_commands(formula).lower()) & set("abcdfghjklmnopqrstuvwxyz")  # e and i are numbers
    formula = _with_signs(formula)
    with _LOCK:
        try:
            found = maths.parse(
                f"${formula}$", [maths.LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None
            )
        except RecursionError:
            return None
    import sympy

    value = found[0] if found else None
    if not isinstance(value, sympy.Basic) or value.has(sympy.nan, sympy.zoo):
        return None
    return value if letters <= set("".join(map(str, value.free_symbols)).lower()) else None


def _is_close(left: Any, right: Any) -> bool:
    """Whether two values that math-verify calls equal are equal: it rounds, so that `10^{-50}x` equals `10^{-60}x`.

    Both are computed to 60 digits, letters replaced by fixed numbers. They must agree to 40 digits if neither has a
    decimal point, else to six. Sets agree if each member has a counterpart.
    """
    import sympy

    if isinstance(left, sympy.Interval) and isinstance(right, sympy.Interval):
        return _is_close(left.start, right.start) and _is_close(left.end, right.end)
    if isinstance(left, sympy.FiniteSet | sympy.Union) and isinstance(right, sympy.FiniteSet | sympy.Union):
        pairs = [(a, b) for a in left.args for b in right.args if _is_close(a, b)]
        return {a for a, _ in pairs} == set(left.args) and {b for _, b in pairs} == set(right.args)
    if isinstance(left, sympy.Tuple) and isinstance(right, sympy.Tuple):
        return len(left) == len(right) and all(map(_is_close, left, right))
    if not isinstance(left, sympy.Expr) or not isinstance(right, sympy.Expr):
        return True  # nothing to compute
    left, right = left.doit(), right.doit()
    if left == right:
        return True
    letters = sorted(left.free_symbols | right.free_symbols, key=str)
    digits = 6 if left.has(sympy.Float) or right.has(sympy.Float) else _EXACT
    for point in _POINTS if letters else _POINTS[:1]:
        at = {letter: sympy.Rational(point[i % 3]) + i // 3 for i, letter in enumerate(letters)}
        a, b = (side.subs(at).evalf(_DIGITS) for side in (left, right))
        if not (a.is_number and b.is_number):
            return False
        if a == b:
            continue
        if not (a.is_finite and b.is_finite):
            return False
        if not bool(abs(a - b) <= 2 * max(abs(a), abs(b)) * sympy.Float(10) ** -digits):
            return False
    return True


@cache
def _math_verify() -> Any:
    """Import math-verify on first use, with its warnings about disabled timeouts turned off."""
    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import math_verify

    return math_verify


def same_decimal(left: Fraction, right: Fraction) -> bool:
    """Whether math-verify calls two decimals equal: it rounds them to six places."""
    return bool(_math_verify().verify(_decimal(left), _decimal(right), timeout_seconds=None))


def _decimal(value: Fraction) -> Any:
    """Convert a fraction to the sympy type that math-verify uses for decimals."""
    import sympy

    return sympy.Float(sympy.Rational(value.numerator, value.denominator), 20)
