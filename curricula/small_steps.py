"""Arithmetic in steps that a small model can take: `24 * 14 = 200 + 80 + 40 + 16 = 280 + 56 = 336`.

A model of a hundred million weights does not know 24 * 14, but it knows products of digits and adds round numbers.
Only whole numbers that are not negative are taken apart, and only where a digit is carried or a number has several.
"""

from __future__ import annotations

import ast

MOST_PARTS = 4
"""Maximum number of partial products."""


def small_steps(operation: ast.operator, a: int, b: int) -> list[str]:
    """The expressions between `a operation b` and its value, each equal to the next; empty if it is easy enough."""
    if a < 0 or b < 0:
        return []
    match operation:
        case ast.Mult():
            return _product(a, b)
        case ast.Add():
            return _in_turn(a, b, "+") if _carries(a, b) else []
        case ast.Sub():
            return _in_turn(a, b, "-") if a >= b and _carries(a - b, b) else []
        case ast.FloorDiv():
            return _quotient(a, b)
        case ast.Mod():
            return [f"{a} - {a // b * b}"] if b and b <= a else []
    return []


def added_product(a: int, sign: str, b: int, c: int) -> list[str]:
    """The same for `a + b * c` and `a - b * c`: the product is taken apart, then its parts are added in turn."""
    product = b * c
    if min(a, b, c) < 0 or (sign == "-" and product > a):
        return []
    pairs = _pairs(b, c)
    terms = [f"{x} * {y}" for x, y in pairs] if len(pairs) > 1 else []
    shown = [f" {sign} ".join([str(a), *terms])] if terms else []
    parts = [x * y for x, y in pairs]
    while len(parts) > 1:
        shown.append(f" {sign} ".join(map(str, [a, *parts])))
        a, parts = a + parts[0] if sign == "+" else a - parts[0], parts[1:]
    steps = small_steps(ast.Add() if sign == "+" else ast.Sub(), a, parts[0])
    return [*shown, f"{a} {sign} {parts[0]}", *steps]


def places(n: int) -> list[int]:
    """A number as a sum of digits with zeros: 305 is 300, 5."""
    digits = str(n)
    return [int(d) * 10 ** (len(digits) - 1 - i) for i, d in enumerate(digits) if d != "0"]


def _carries(a: int, b: int) -> bool:
    """Whether both numbers have several digits and a digit is carried when they are added."""
    return min(a, b) > 9 and any(int(x) + int(y) > 9 for x, y in zip(str(a)[::-1], str(b)[::-1], strict=False))


def _in_turn(a: int, b: int, sign: str) -> list[str]:
    """Add or take away one digit of `b` after the other."""
    parts, found = places(b), []
    while len(parts) > 1:
        found.append(f" {sign} ".join(map(str, [a, *parts])))
        a, parts = a + parts[0] if sign == "+" else a - parts[0], parts[1:]
    return [*found, f"{a} {sign} {parts[0]}"] if found else []


def _product(a: int, b: int) -> list[str]:
    pairs = _pairs(a, b)
    if len(pairs) < 2:
        return []
    return [" + ".join(f"{x} * {y}" for x, y in pairs), *_sums([x * y for x, y in pairs])]


def _pairs(a: int, b: int) -> list[tuple[int, int]]:
    """Factors of the partial products of a * b; a itself stays whole if they were too many."""
    left, right = places(a), places(b)
    if len(left) * len(right) > MOST_PARTS:
        left = [a]
    return [(x, y) for x in left for y in right] if 0 < len(left) * len(right) <= MOST_PARTS else [(a, b)]


def _quotient(a: int, b: int) -> list[str]:
    """Long division: each part but the last is a multiple of `b`."""
    if b < 2 or a // b < 10:
        return []
    parts, rest = list[int](), a
    for part in places(a // b):
        parts.append(part * b)
        rest -= part * b
    parts[-1] += rest
    return [" + ".join(f"{part} // {b}" for part in parts), *_sums([part // b for part in parts])] if parts[1:] else []


def _sums(parts: list[int]) -> list[str]:
    """A sum of parts, then with neighbours added, until two are left."""
    found = [parts]
    while len(found[-1]) > 2:
        last = found[-1]
        found.append([sum(last[i : i + 2]) for i in range(0, len(last), 2)])
    return [" + ".join(map(str, row)) for row in found]
