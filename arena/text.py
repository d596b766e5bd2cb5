"""Text for people: numbers, counts and lists in sentences, and text of unknown origin in Markdown.

A fence or a code span longer than any run of backticks inside cannot be closed from inside (CommonMark 0.31, 4.5 and
6.1), and its content is neither Markdown nor HTML. Characters that would change how the surrounding text is shown
(control characters, marks that reverse the direction of writing) are spelled out, as `\\u202e`.

Left out: tables; a `|` ends a cell of a table even in a code span.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

_BACKTICKS = re.compile(r"`+")
KEPT = "\n\t"


def visible(text: str) -> str:
    """The text with control and formatting characters spelled out, other than line feeds and tabs."""
    return "".join(
        char if char in KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escape(char)
        for char in text
    )


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def one_line(text: str, most: int = 100) -> str:
    """The text with white space as single spaces, cut after `most` characters."""
    shown = " ".join(visible(text).split())
    return shown if len(shown) <= most else shown[: most - 1].rstrip() + "…"


def fence(text: str, language: str = "text") -> str:
    """A Markdown code block that shows `text` literally."""
    shown = visible(text)
    marks = "`" * max(3, _longest(shown) + 1)
    return f"{marks}{language}\n{shown}\n{marks}"


def code(text: str) -> str:
    """A Markdown code span of one line; white space becomes single spaces."""
    shown = " ".join(visible(text).split())
    if not shown:
        return "(empty)"
    marks = "`" * (_longest(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{marks}{pad}{shown}{pad}{marks}"


def _longest(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)


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


def interval(found: Mapping[str, Any] | None, key: str, sign: bool = False) -> str:
    """The value of `key` with the interval from `low` to `high`, as `between` writes it; `-` if it was not measured."""
    return "-" if found is None else between(found[key], found.get("low"), found.get("high"), sign=sign)


def span(depths: Sequence[int]) -> str:
    """`3-6`, `3` for a single depth, `0-2, 5` with gaps. `depths` are in order."""
    runs: list[list[int]] = []
    for depth in depths:
        if runs and depth == runs[-1][-1] + 1:
            runs[-1].append(depth)
        else:
            runs.append([depth])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def compact(value: float | None) -> str:
    """A whole number in at most 6 characters: `12345`, `123.5k`, `12.3M`; `-` for what was not measured."""
    if value is None:
        return "-"
    if abs(value) < 99_999.5:
        return f"{value:.0f}"
    if abs(value) < 999_950:
        return f"{value / 1e3:.1f}k"
    return f"{value / 1e6:.1f}M" if abs(value) < 1e9 else f"{value:.1e}"


def duration(seconds: float | None) -> str:
    """`12.3 s`, `4 min 10 s` or `3 h 12 min`; `-` for what was not measured."""
    if seconds is None:
        return "-"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(n: int, what: str, many: str = "") -> str:
    """`1 post`, `2 posts`, `1,234 posts`."""
    return f"{n:,} {what if n == 1 else many or what + 's'}"


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def clear(low: float, high: float) -> int:
    """1 if an interval lies above 0, -1 if below, 0 if it contains 0 or is undefined."""
    return 1 if low > 0 else -1 if high < 0 else 0


def figure(x: float) -> str:
    """A number with about four figures."""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.3f}"
