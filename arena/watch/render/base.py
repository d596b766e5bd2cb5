"""Text helpers that several screens use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from arena.watch.queries.base import safe
from arena.watch.sparkline import strip

NO_DATA = "no data in this run yet"
HEAD = "bold"
DIM = "dim"


def line(text: str) -> str:
    """Untrusted text made safe and put on one line."""
    return safe(text).replace("\n", " ")


def one_line(text: str) -> Text:
    return Text(line(text), no_wrap=True, overflow="ellipsis")


LABEL = 14
"""Columns for the label before a strip."""
ENDS = 17
"""Columns after a strip: two spaces, the first and the last value."""


def labelled_strip(
    label: str, values: Sequence[float | None], width: int, height: int, high: float, low: float = 0.0, ends: str = ""
) -> Text:
    """A strip with its label before and `ends` after it; by default the first and the last value."""
    known = [v for v in values if v is not None]
    ends = ends or (f"{short(known[0])} to {short(known[-1])}" if known else "-")
    lines = strip(values, max(width - LABEL - max(ENDS, len(ends) + 2), 1), height, low, high)
    out = Text(no_wrap=True)
    for i, bars in enumerate(lines):
        bottom = i == len(lines) - 1
        out.append(f"{label if bottom else '':<{LABEL}}").append(bars, "cyan").append(f"  {ends if bottom else ''}\n")
    return out


def short(value: float) -> str:
    """A number with fewer decimal places the larger it is, in at most six characters."""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def beside(left: Sequence[Text], right: Sequence[Text], width: int) -> Text:
    """Two columns of lines, each cut to its half of the width."""
    half = (width - 2) // 2
    out = Text(no_wrap=True)
    for i in range(max(len(left), len(right))):
        for column, lines in enumerate((left, right)):
            half_line = lines[i].copy() if i < len(lines) else Text()
            half_line.truncate(half, overflow="ellipsis", pad=column == 0)
            out.append(half_line).append("\n" if column else "  ")
    return out


def steps(text: str, answer: bool = True) -> Iterator[tuple[int | None, str]]:
    """The numbered steps of a trace, then its answer without a number if `answer`. A text of several lines is not a
    trace and is yielded line by line."""
    if "\n" in text.strip():
        for line in text.strip().split("\n"):
            yield None, line
        return
    body, _, value = text.rpartition(" answer ")
    yield from enumerate((body or text).split(" ; "), 1)
    if body and answer:
        yield None, f"answer {value}"


def number_of(step: int | None) -> str:
    return "  " if step is None else f"{step:>2}"
