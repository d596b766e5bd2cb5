"""Evaluate formulas of plain numbers (`\\frac{1}{2^{99}}`, `10^{-50}`, `3 * 2^5 + 1`) as fractions, without rounding.

Left out: roots, letters and everything else that is not a fraction. The cost is bounded: a value of more than
`MOST_BITS` bits, and a formula of more than `LONGEST` characters, has no value.
"""

from __future__ import annotations

import re
from fractions import Fraction

LONGEST = 300
MOST_BITS = 20_000
MOST_DEPTH = 20
_TOKEN = re.compile(r"\s*(\\frac|[0-9]+(?:\.[0-9]+)?|\.[0-9]+|[-+*/^(){}])")


class _NoValue(Exception):
    """Internal: not a formula of plain numbers, or too large."""


def evaluate(text: str) -> tuple[Fraction, bool] | None:
    """The value of a formula, and whether it is exact (no number has a decimal point); None if it has no value."""
    if len(text) > LONGEST:
        return None
    tokens, at = list[str](), 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            return None
        tokens.append(found[1])
        at = found.end()
    reader = _Reader(tokens)
    try:
        value = reader.sum(0)
    except _NoValue:
        return None
    return (value, not any("." in token for token in tokens)) if reader.at == len(tokens) else None


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        token = self.peek()
        if not token or (wanted and token not in wanted):
            raise _NoValue
        self.at += 1
        return token

    def sum(self, depth: int) -> Fraction:
        if depth > MOST_DEPTH:
            raise _NoValue
        value = self.product(depth)
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            value = _bounded(value + sign * self.product(depth))
        return value

    def product(self, depth: int) -> Fraction:
        if self.peek() in ("+", "-"):
            if depth >= MOST_DEPTH:
                raise _NoValue
            return (1 if self.take() == "+" else -1) * self.product(depth + 1)
        value = self.power(depth)
        while (token := self.peek()) in ("*", "/", "(", "\\frac"):
            if token in ("*", "/"):
                self.take()
            factor = self.signed_power(depth)
            if token == "/" and not factor:
                raise _NoValue
            value = _bounded(value / factor if token == "/" else value * factor)
        return value

    def signed_power(self, depth: int) -> Fraction:
        sign = -1 if self.peek() == "-" and self.take() else 1
        return sign * self.power(depth)

    def power(self, depth: int) -> Fraction:
        base = self.atom(depth)
        if self.peek() != "^":
            return base
        self.take()
        sign = -1 if self.peek() == "-" and self.take() else 1
        exponent = sign * self.atom(depth + 1)
        if self.peek() == "^" or exponent.denominator != 1 or (not base and exponent <= 0):
            raise _NoValue
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if abs(base) != 1 and base and size * abs(exponent) > MOST_BITS:
            raise _NoValue
        return base ** (exponent.numerator if abs(base) != 1 else exponent.numerator % 2)

    def atom(self, depth: int) -> Fraction:
        token = self.take()
        if token in ("(", "{"):
            value = self.sum(depth + 1)
            self.take({"(": ")", "{": "}"}[token])
            return value
        if token == "\\frac":
            over, under = self.argument(depth), self.argument(depth)
            if not under:
                raise _NoValue
            return over / under
        if token[0].isdigit() or token[0] == ".":
            return Fraction(token)
        raise _NoValue

    def argument(self, depth: int) -> Fraction:
        """An argument of `\\frac`: in braces, or one digit."""
        token = self.peek()
        if token[:1].isdigit() and "." not in token:
            self.take()
            if len(token) > 1:
                self.at -= 1
                self.tokens[self.at] = token[1:]
            return Fraction(int(token[0]))
        self.take("{")
        value = self.sum(depth + 1)
        self.take("}")
        return value


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise _NoValue
    return value
