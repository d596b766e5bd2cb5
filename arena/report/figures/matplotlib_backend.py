"""A `Figure` drawn with matplotlib, saved as PNG and SVG: for papers, slides and printers.

Drawn without a display (Agg). Text is shown literally: nothing in it is taken for mathematics or a legend's control
sign. An empty panel says so. SVG keeps its text as text; neither file holds a date, so the same data drawn twice by the
same versions gives the same bytes.

Left out: hovering (`plotly_backend`). Not guaranteed: equal bytes with another version of matplotlib or another font.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MultipleLocator, StrMethodFormatter

from arena.report.figures.figure import GREY, Figure, Heat, Network, Panel
from arena.report.figures.layout import (
    Axis,
    Mark,
    ends,
    group_colours,
    holds,
    place,
    room_of,
    whole_step,
    whole_ticks,
    written,
    x_axis,
    y_axis,
)

WIDTH, HEIGHT, DPI = 8.0, 2.9, 120
MOST_MARKED = 60
"""Points of a line up to which each is marked."""
MOST_VECTORS = 3000
"""Points of a cloud up to which an SVG holds each; more are stored as pixels."""
LABEL = 34
"""Letters of a label; longer ones are cut."""
STYLE: Any = {
    "text.parse_math": False,
    "svg.hashsalt": "ratchet",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.titlesize": 9.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.axisbelow": True,
}
METADATA: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
# Nothing is tinted, so that it differs from an empty cell, which is white.
SEQUENTIAL = LinearSegmentedColormap.from_list("blues", ["#e3eef7", "#9ecae1", "#4292c6", "#08519c", "#041f4a"])
DIVERGING = LinearSegmentedColormap.from_list("sides", ["#8c3c00", "#e69055", "#f4f4f4", "#5ea3d0", "#00446f"])


def save(figure: Figure, folder: Path, kinds: Sequence[str] = tuple(METADATA)) -> list[Path]:
    """Write `<key>.png` and `<key>.svg` into `folder`; return their paths."""
    paths = []
    with styled():
        canvas = draw(figure)
        for kind in kinds:
            paths.append(folder / f"{figure.key}.{kind}")
            canvas.savefig(paths[-1], metadata=METADATA[kind])
            canvas.set_layout_engine("none")  # everything has its place; once is enough
    return paths


@contextmanager
def styled() -> Iterator[None]:
    """matplotlib's settings, without warnings about missing glyphs."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def draw(figure: Figure) -> Canvas:
    """The figure on a canvas of matplotlib's, ready to be saved."""
    with styled():
        shares = [p.height for p in figure.panels]
        canvas = Canvas(figsize=(WIDTH, 0.75 + HEIGHT * sum(shares)), dpi=DPI, layout="constrained")
        FigureCanvasAgg(canvas)
        grid = canvas.subplots(len(shares), 1, squeeze=False, height_ratios=shares)
        for axes, panel, span in zip(grid[:, 0], figure.panels, ends(figure), strict=True):
            draw_panel(axes, panel, span)
        title, _, rest = figure.title.partition("\n")
        lines = [*textwrap.wrap(clean(title), 92), *textwrap.wrap(clean(rest), 110)]
        grid[0, 0].annotate(
            "\n".join(lines),
            (0.0, 1.0),
            xycoords="axes fraction",
            xytext=(0, 22 if figure.panels[0].title else 8),
            textcoords="offset points",
            va="bottom",
            fontsize=10.5,
            linespacing=1.3,
        )
    return canvas


def draw_panel(axes: Axes, panel: Panel, span: tuple[float, float]) -> None:
    """One panel, its x axis from `span[0]` to `span[1]`."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(clean(panel.x_label))
    axes.set_ylabel(textwrap.fill(clean(panel.y_label), max(20, round(34 * panel.height))))
    if panel.title:
        axes.set_title(clean(panel.title), loc="left", color="#333333")
    if not holds(panel):
        axes.text(0.5, 0.5, clean(panel.empty), transform=axes.transAxes, ha="center", va="center", color=GREY)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    if isinstance(panel.content, Network):
        draw_network(axes, panel.content, panel)
        return
    marks = place(panel, panel.over if isinstance(panel.content, Heat) else panel.content)
    if isinstance(panel.content, Heat):
        draw_heat(axes, panel.content, x_axis(panel))
    else:
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    for mark in marks:
        draw_mark(axes, mark, rim=isinstance(panel.content, Heat))
    limits(axes, panel, marks, span)
    legend(axes, panel)


# -- series ----------------------------------------------------------------------------------------------------------


def draw_mark(axes: Axes, mark: Mark, rim: bool) -> None:
    s, label = mark.series, clean(mark.series.name) or None
    ys = [float("nan") if y is None else y for y in s.y]
    if s.kind == "bars":
        heights = [0.0 if y is None else y for y in s.y]
        axes.bar(
            mark.x, heights, mark.width, bottom=mark.base, color=mark.colour, label=label, linewidth=0.4, edgecolor="w"
        )
        whiskers(axes, mark, "#222222")
    elif s.kind == "points":
        many = len(ys) > MOST_MARKED
        whiskers(axes, mark, mark.colour)
        axes.plot(
            mark.x,
            ys,
            "o",
            color=mark.colour,
            label=label,
            markersize=3.0 if many else 5.0,
            markeredgewidth=0,
            alpha=0.6 if many and s.low is None else 1.0,
            rasterized=len(ys) > MOST_VECTORS,
            clip_on=False,
        )
    else:
        if s.low is not None and s.high is not None:
            ends = [
                (float("nan"),) * 2 if a is None or b is None else (a, b) for a, b in zip(s.low, s.high, strict=True)
            ]
            low, high = zip(*ends, strict=True) if ends else ((), ())
            axes.fill_between(mark.x, low, high, color=mark.colour, alpha=0.13, linewidth=0)
        if rim:  # so that the line shows on dark cells
            axes.plot(mark.x, ys, color="white", linewidth=s.width + 2)
        axes.plot(
            mark.x,
            ys,
            color=mark.colour,
            label=label,
            linewidth=s.width,
            linestyle="--" if mark.dash else "-",
            marker="o" if len(ys) <= MOST_MARKED else "",
            markersize=2.2 + s.width * 0.9,
            markeredgewidth=0,
            clip_on=False,
        )


def whiskers(axes: Axes, mark: Mark, colour: str) -> None:
    low, high = mark.series.low, mark.series.high
    if low is None or high is None:
        return
    ends = [(x, a, b) for x, a, b in zip(mark.x, low, high, strict=True) if a is not None and b is not None]
    lift = dict(zip(mark.x, mark.base, strict=True)) if mark.base else {}
    axes.vlines(
        [x for x, _, _ in ends],
        [a + lift.get(x, 0.0) for x, a, _ in ends],
        [b + lift.get(x, 0.0) for x, _, b in ends],
        color=colour,
        linewidth=1.3,
    )


def limits(axes: Axes, panel: Panel, marks: Sequence[Mark], span: tuple[float, float]) -> None:
    """The ends and ticks of both axes."""
    axis = x_axis(panel)
    axes.set_xlim(*span)
    if axis.labels:
        label_ticks(axes.xaxis, axis)
        if sum(min(len(axis.labels[i]), LABEL) for i in axis.ticks()) > 75:
            upright = len(axis.ticks()) > 20
            axes.tick_params(axis="x", rotation=90 if upright else 35)
            for text in axes.get_xticklabels():
                text.set_horizontalalignment("center" if upright else "right")
    elif panel.whole_x:
        axes.xaxis.set_major_locator(MultipleLocator(whole_step(axis.low, axis.high)))
    if isinstance(panel.content, Heat):
        return
    if panel.y_range:
        low, high = panel.y_range
        axes.set_ylim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    if max(map(abs, axes.get_ylim())) >= 10_000:
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def legend(axes: Axes, panel: Panel) -> None:
    """The names of the series, where there is more than one: right of the axes, or within a heat map."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels or (len(labels) < 2 and not panel.over and not panel.legend):
        return
    if panel.stacked:
        handles, labels = handles[::-1], labels[::-1]  # as they lie on one another
    labels = [shorten(text, 30) for text in labels]
    if isinstance(panel.content, Heat):
        axes.legend(handles, labels, loc="upper left", frameon=True, framealpha=0.85, edgecolor="none")
        return
    axes.legend(
        handles,
        labels,
        title=panel.legend or None,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        borderaxespad=0.0,
        alignment="left",
        ncols=1 + len(labels) // 25,
    )


# -- grids and networks ----------------------------------------------------------------------------------------------


def draw_heat(axes: Axes, heat: Heat, across: Axis) -> None:
    up = y_axis(heat)
    known = [v for row in heat.values for v in row if v is not None]
    low = heat.low if heat.low is not None else min(known, default=0.0)
    high = heat.high if heat.high is not None else max(known, default=1.0)
    high = high if high > low else low + 1.0
    colours = DIVERGING if low < 0 < high else SEQUENTIAL
    image = axes.imshow(
        [[float("nan") if v is None else v for v in row] for row in heat.values],
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(
            across.low - across.step / 2,
            across.high + across.step / 2,
            up.low - up.step / 2,
            up.high + up.step / 2,
        ),
        cmap=colours,
        norm=Normalize(low, high),
    )
    assert axes.figure is not None
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.015, 0.0, 0.02, 1.0)))
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_label(textwrap.fill(clean(heat.label), 36))
    if up.labels:
        label_ticks(axes.yaxis, up)
    else:
        axes.yaxis.set_major_locator(MultipleLocator(whole_step(up.low, up.high)))
    if heat.annotate:
        texts = written(heat)
        for i, row in enumerate(heat.values):
            for j, value in enumerate(row):
                if value is not None:
                    r, g, b, _ = colours((value - low) / (high - low))
                    ink = "black" if 0.299 * r + 0.587 * g + 0.114 * b > 0.5 else "white"
                    x, y = across.low + j * across.step, up.low + i * up.step
                    axes.text(x, y, texts[i][j], ha="center", va="center", color=ink, fontsize=8)


def draw_network(axes: Axes, network: Network, panel: Panel) -> None:
    places = {n.id: (n.x, n.y) for n in network.nodes}
    lines = [(places[a], places[b]) for a, b in network.edges if a in places and b in places]
    many = len(lines) > MOST_VECTORS
    axes.add_collection(
        LineCollection(lines, colors="#888888", linewidths=0.4 if many else 0.8, alpha=0.5, rasterized=many)
    )
    largest = max(n.size for n in network.nodes) or 1.0
    most = 160.0 if len(network.nodes) <= MOST_MARKED else 60.0
    for group, colour in group_colours(network).items():
        nodes = [n for n in network.nodes if n.group == group]
        axes.scatter(
            [n.x for n in nodes],
            [n.y for n in nodes],
            s=[6.0 + most * n.size / largest for n in nodes],
            color=colour,
            edgecolors="white",
            linewidths=0.5,
            label=clean(group),
            zorder=3,
            rasterized=len(nodes) > MOST_VECTORS,
        )
    if network.labelled:
        place = {"xytext": (-7, 0), "ha": "right", "va": "center"} if network.side == "left" else {"xytext": (6, 2)}
        for n in network.nodes:
            label = shorten(n.label, LABEL)
            axes.annotate(label, (n.x, n.y), textcoords="offset points", fontsize=8, zorder=4, **place)
    across, up = room_of(network)
    axes.set_xlim(*across)
    axes.set_ylim(*up)
    for axis, label in ((axes.xaxis, panel.x_label), (axes.yaxis, panel.y_label)):
        if not label:
            axis.set_visible(False)
    if not panel.y_label:
        axes.spines["left"].set_visible(False)
    if not panel.x_label:
        axes.spines["bottom"].set_visible(False)
    if panel.whole_x:
        axes.set_xticks(whole_ticks(network))
    legend(axes, panel)


# -- text ------------------------------------------------------------------------------------------------------------


def label_ticks(axis: Any, places: Axis) -> None:
    axis.set_ticks(places.ticks(), [shorten(places.labels[i], LABEL) for i in places.ticks()])


def shorten(text: str, most: int) -> str:
    text = clean(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def clean(text: str) -> str:
    """Text on one line, without control signs; one that begins with `_` keeps its place in a legend."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"\u200b{text}" if text.startswith("_") else text
