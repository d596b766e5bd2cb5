"""A figure as plain data: one description that is drawn for the page and as PNG and SVG, and saved as a table.

A `Figure` is a column of panels. A panel holds series over one x axis, or one heat map, or one network. Its `rows` are
the numbers behind it, as a spreadsheet would hold them.

Left out: drawing (`matplotlib_backend`, `plotly_backend`, and `layout` for what both share) and computing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from arena.run.store import Row

T = TypeVar("T")

MOST_ROWS = 14
"""Most rows of a table with a row a generation."""

# Okabe & Ito's colours, which colour-blind readers can distinguish; the first is for the most important series.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
GREY = "#555555"
# From light to dark with evenly spaced lightness, for ordered categories (depths); distinct in grey, too.
LADDER = ((181, 222, 43), (53, 183, 121), (38, 130, 142), (62, 74, 137), (68, 1, 84))


def _finite(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(None if isinstance(v, float) and not math.isfinite(v) else v for v in values)


@dataclass(frozen=True)
class Series:
    """One line, cloud of points or row of bars. `low` and `high` bound a band (or bars' whiskers) around `y`. Values of
    `y` and bounds that are not finite become None: a gap."""

    name: str
    x: tuple[Any, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] | None = None
    high: tuple[float | None, ...] | None = None
    kind: Literal["line", "points", "bars"] = "line"
    colour: str = ""
    """Empty: the next of COLOURS."""
    dash: bool = False
    width: float = 2.0
    text: tuple[str, ...] | None = None
    """Additional hover text of each point."""

    def __post_init__(self) -> None:
        for name in ("y", "low", "high"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, _finite(values))


@dataclass(frozen=True)
class Heat:
    """A grid of values: `values[row][column]`, rows from the bottom; None is an empty cell."""

    x: tuple[Any, ...]
    y: tuple[Any, ...]
    values: tuple[tuple[float | None, ...], ...]
    label: str
    """What the colour means, with its unit."""
    low: float | None = None
    high: float | None = None
    annotate: bool = False
    """Write each value into its cell (small grids)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(_finite(row) for row in self.values))


@dataclass(frozen=True)
class Node:
    id: str
    x: float
    y: float
    label: str
    group: str
    """What its colour stands for; named in the legend."""
    size: float = 1.0
    """Relative to others, for its area."""
    text: str = ""


@dataclass(frozen=True)
class Network:
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]
    labelled: bool = True
    side: Literal["right", "left"] = "right"
    """Of a node, where its label stands."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes. `y_range` fixes the y axis; `whole_x` asks for whole numbers on the x axis (generations).

    `over` lies on top of a heat map whose axes are numbers; `stacked` puts bars on one another; `legend` heads the
    names of the series.
    """

    content: tuple[Series, ...] | Heat | Network
    x_label: str = ""
    y_label: str = ""
    y_range: tuple[float, float] | None = None
    whole_x: bool = False
    title: str = ""
    height: float = 1.0
    """Relative to the other panels of the figure."""
    over: tuple[Series, ...] = ()
    stacked: bool = False
    legend: str = ""
    empty: str = "nothing to show yet"
    """Text of empty axes."""


@dataclass(frozen=True)
class Figure:
    """`key` is the stem of its files; `title` says what is shown, `caption` how to read it.

    What follows a line break in the title is set smaller: the number to remember.
    """

    key: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows of cells that are text already; numbers are aligned right where `right` names their column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    right: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Section:
    """A part of the report: what was found, in sentences, then what shows it.

    `missing` says why a run has nothing to show here; `figures` and `tables` are then empty.
    """

    key: str
    title: str
    findings: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    missing: tuple[str, ...] = field(default=())
    """What this run holds no data for, and what would bring it; one sentence each."""


def spread(items: Sequence[T], most: int = MOST_ROWS) -> list[T]:
    """At most `most` (2 or more) of the items: the first, the last and evenly spaced ones between."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def shades(n: int) -> tuple[str, ...]:
    """`n` colours of LADDER, from light to dark; a single one is dark."""
    found = []
    for i in range(n):
        at = (i / (n - 1) if n > 1 else 1.0) * (len(LADDER) - 1)
        k = min(int(at), len(LADDER) - 2)
        mixed = (round(a + (at - k) * (b - a)) for a, b in zip(LADDER[k], LADDER[k + 1], strict=True))
        found.append("#" + "".join(f"{c:02x}" for c in mixed))
    return tuple(found)
