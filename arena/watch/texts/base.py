"""Words and shapes that several screens use."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from arena.watch.data.base import safe
from arena.watch.plot import strip

ROLES = ("setter", "solver", "grader")
NO_DATA = "this run holds no data for this yet"
HEAD = "bold"
DIM = "dim"


def one_line(text: str) -> Text:
    return Text(safe(text).replace("\n", " "), no_wrap=True, overflow="ellipsis")


def labelled_strip(
    label: str, values: Sequence[float | None], width: int, height: int, high: float, low: float = 0.0
) -> Text:
    known = [v for v in values if v is not None]
    ends = f"{known[0]:.2f} to {known[-1]:.2f}" if known else "-"
    lines = strip(values, max(width - 11 - 14, 1), height, low, high)
    out = Text()
    for i, line in enumerate(lines):
        bottom = i == len(lines) - 1
        out.append(f"{label if bottom else '':<11}").append(line, "cyan").append(f"  {ends if bottom else ''}\n")
    return out
