"""Check that two sympy values which math-verify calls equal really are: it compares differences rounded to 15 decimal
places, so that `10^{-50}x` equals `10^{-60}x`.

Both values are computed to 60 digits, letters replaced by fixed numbers. They must agree to 40 digits if neither has a
decimal point, else to six.
"""

from __future__ import annotations

from typing import Any

_DIGITS = 60
_EXACT = 40
_POINTS = (("7/5", "11/13", "23/7"), ("19/11", "5/17", "3/29"))


def is_close(left: Any, right: Any) -> bool:
    """Whether two values agree. Sets agree if each member has a counterpart."""
    import sympy

    if isinstance(left, sympy.Interval) and isinstance(right, sympy.Interval):
        return is_close(left.start, right.start) and is_close(left.end, right.end)
    if isinstance(left, sympy.FiniteSet | sympy.Union) and isinstance(right, sympy.FiniteSet | sympy.Union):
        pairs = [(a, b) for a in left.args for b in right.args if is_close(a, b)]
        return {a for a, _ in pairs} == set(left.args) and {b for _, b in pairs} == set(right.args)
    if isinstance(left, sympy.Tuple) and isinstance(right, sympy.Tuple):
        return len(left) == len(right) and all(map(is_close, left, right))
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
        if not bool(abs(a - b) <= 2 * max(abs(a), abs(b)) * sympy.Float(10) ** -digits):
            return False
    return True
