"""Numbers in sentences and cells of the report: one form for values, their intervals and counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from arena.report.statistics import wilson_interval


def number(value: float | None, places: int = 2, sign: bool = False) -> str:
    """`0.65`, `+0.65`; `-` for what was not measured."""
    if value is None or not math.isfinite(value):
        return "-"
    form = f"{'+' if sign else ''}.{places}f"
    return format(round(value, places) + 0.0, form)  # adding 0.0 turns a rounded -0.0 into 0.0


def between(value: float | None, low: float | None, high: float | None, places: int = 2, sign: bool = False) -> str:
    """`0.65 [0.52, 0.77]`, without the interval where there is none."""
    ends = number(low, places, sign), number(high, places, sign)
    return number(value, places, sign) + ("" if "-" in ends else f" [{ends[0]}, {ends[1]}]")


def rate(successes: int, n: int) -> str:
    """A rate with its Wilson interval; `-` of nothing."""
    return between(successes / n if n else None, *wilson_interval(successes, n))


def count(n: int, what: str, many: str = "") -> str:
    """`1 post`, `2 posts`, `1,234 posts`."""
    return f"{n:,} {what if n == 1 else many or what + 's'}"


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def clear(low: float, high: float) -> int:
    """1 where an interval lies above 0, -1 below, and 0 where it holds 0 or there is none."""
    return 1 if low > 0 else -1 if high < 0 else 0
