"""Positions, widths and colours of the marks of a figure, computed once for both backends.

Categories become integers with their names as tick labels; bars get a left edge beside or on top of each other; points
with whiskers at the same place are set side by side, so that every whisker is visible.

Left out: drawing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arena.report.figures.figure import COLOURS, GREY, Figure, Heat, Network, Panel, Series

GROUP = 0.8
"""Width of the bars of one place together, where 1 lies between places."""
DODGE = 0.5
"""The same of points with whiskers."""
MANY = 40
"""Categories up to which each has its label."""


@dataclass(frozen=True)
class Axis:
    """`labels` names the positions 0, 1, 2, ... of categories; empty for numbers. `step`: the least distance of two."""

    labels: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    step: float = 1.0

    def ticks(self) -> list[int]:
        """Positions of the labels that are shown: each, or evenly spaced ones."""
        every = -(-len(self.labels) // MANY)
        return list(range(0, len(self.labels), max(every, 1)))


@dataclass(frozen=True)
class Mark:
    """A series in its place. `base` is where bars begin; `width` is that of a bar."""

    series: Series
    x: tuple[float, ...]
    colour: str
    dash: bool
    base: tuple[float, ...] = ()
    width: float = 0.0


def x_axis(panel: Panel) -> Axis:
    """The x axis of a panel of series or of a heat map."""
    if isinstance(panel.content, Heat):
        return axis_of([*panel.content.x], grid=True)
    assert not isinstance(panel.content, Network), "a network brings its own places"
    return axis_of([x for s in panel.content for x in s.x])


def y_axis(heat: Heat) -> Axis:
    return axis_of([*heat.y], grid=True)


def axis_of(values: Sequence[Any], grid: bool = False) -> Axis:
    """Numbers keep their places; anything else, and the uneven numbers of a grid, are categories in order."""
    distinct = list(dict.fromkeys(values))
    if distinct and all(isinstance(v, int | float) and not isinstance(v, bool) for v in distinct):
        ordered = sorted(distinct)
        steps = [b - a for a, b in itertools.pairwise(ordered)]
        step = float(min(steps, default=1.0))
        even = distinct == ordered and all(abs(s - step) < 1e-9 for s in steps)
        if even or not grid:
            return Axis((), float(ordered[0]), float(ordered[-1]), step)
    return Axis(tuple(map(str, distinct)), 0.0, float(max(len(distinct) - 1, 0)))


def ends(figure: Figure) -> list[tuple[float, float]]:
    """The ends of each panel's x axis. Where all panels count in whole numbers, of generations say, they share them."""
    found = []
    for panel in figure.panels:
        if isinstance(panel.content, Network):
            nodes = panel.content.nodes
            found.append((min((n.x for n in nodes), default=0.0), max((n.x for n in nodes), default=1.0)))
            continue
        axis = x_axis(panel)
        wide = isinstance(panel.content, Heat) or any(s.kind != "line" for s in panel.content) or axis.low == axis.high
        room = axis.step / 2 if wide else 0.0
        found.append((axis.low - room, axis.high + room))
    if all(p.whole_x and not isinstance(p.content, Network) and holds(p) for p in figure.panels):
        return [(min(low for low, _ in found), max(high for _, high in found))] * len(found)
    return found


def holds(panel: Panel) -> bool:
    """Whether there is anything to draw."""
    if isinstance(panel.content, Network):
        return bool(panel.content.nodes)
    if isinstance(panel.content, Heat):
        return any(v is not None for row in panel.content.values for v in row)
    return any(y is not None for s in panel.content for y in s.y)


def place(panel: Panel, series: Sequence[Series]) -> list[Mark]:
    """The series of a panel, or those over its heat map, in their places."""
    axis = x_axis(panel)
    at = {label: float(i) for i, label in enumerate(axis.labels)}
    bars = [s for s in series if s.kind == "bars"]
    clouds = [s for s in series if s.kind == "points" and s.low is not None]
    dodged = len(clouds) > 1 and len({x for s in clouds for x in s.x}) < sum(len(s.x) for s in clouds)
    heights: dict[float, float] = {}
    marks = []
    for i, s in enumerate(series):
        xs = tuple(at[str(x)] if axis.labels else float(x) for x in s.x)
        base: tuple[float, ...] = ()
        width = 0.0
        if s.kind == "bars":
            width = GROUP * axis.step
            if panel.stacked:
                base = tuple(heights.get(x, 0.0) for x in xs)
                heights |= {x: heights.get(x, 0.0) + (y or 0.0) for x, y in zip(xs, s.y, strict=True)}
            else:
                width /= len(bars)
                shift = (bars.index(s) - (len(bars) - 1) / 2) * width
                xs, base = tuple(x + shift for x in xs), (0.0,) * len(xs)
        elif dodged and s in clouds:
            shift = (clouds.index(s) - (len(clouds) - 1) / 2) * DODGE * axis.step / len(clouds)
            xs = tuple(x + shift for x in xs)
        colour = s.colour or COLOURS[i % len(COLOURS)]
        marks.append(Mark(s, xs, colour, s.dash or (not s.colour and i >= len(COLOURS)), base, width))
    return marks


def group_colours(network: Network) -> dict[str, str]:
    """A colour for each group of nodes, in order of appearance; the eighth and later ones share grey."""
    groups = dict.fromkeys(n.group for n in network.nodes)
    return {g: COLOURS[i] if i < len(COLOURS) - 1 else GREY for i, g in enumerate(groups)}


def written(heat: Heat) -> list[list[str]]:
    """The values of a heat map as they stand in its cells; empty for holes."""
    known = [v for row in heat.values for v in row if v is not None]
    form = ".0f" if all(float(v).is_integer() for v in known) else ".2f"
    return [["" if v is None else format(round(v, 2) + 0.0, form) for v in row] for row in heat.values]


def room_of(network: Network) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ends of both axes, with room around the nodes, and more of it on the side where their labels stand."""
    more = 0.13 * network.labelled
    left, right = (more + 0.06, 0.0) if network.side == "left" else (0.0, more)
    found = []
    for places, before, after in (
        ([n.x for n in network.nodes], left, right),
        ([n.y for n in network.nodes], 0.0, 0.0),
    ):
        low, high = min(places), max(places)
        length = high - low or 1.0
        found.append((low - (0.06 + before) * length, high + (0.06 + after) * length))
    return found[0], found[1]


def whole_ticks(network: Network) -> list[int]:
    """Ticks at whole numbers, where nodes can lie: none in the room beside them."""
    low, high = min(n.x for n in network.nodes), max(n.x for n in network.nodes)
    step = whole_step(low, high)
    return list(range(math.ceil(low / step) * step, math.floor(high) + 1, step))


def whole_step(low: float, high: float, most: int = 12) -> int:
    """Distance of ticks at whole numbers, at most about `most` of them: 1, 2, 5, 10, 20, 50, ..."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if (high - low) / (digit * power) <= most:
                return digit * power
        power *= 10
