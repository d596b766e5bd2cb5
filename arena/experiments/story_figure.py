"""The figure of an experiment's series: one panel per series, one line per arm, with marked events.

The first series has the whole width, the others share rows below. Highlighted arms are drawn in colour with a band
(95 % Student t interval over seeds), the others thin and grey; each line has its name and its last mean at its end. If
an arm's library burns and is restored, the time between is tinted, and the first highlighted arm with a burn is the
heaviest line, with its values before and after.

Draws results.json and nothing else. Left out: single seeds (series/<name>.csv has them).

Not guaranteed: that bands of arms can be compared by eye; differences paired by seed are narrower than they suggest. A
line ends where the first of an arm's seeds ended, so that it is over the same seeds throughout.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator

from arena.report.figures.matplotlib_backend import METADATA, clean, shorten, styled
from arena.report.metrics.series import TITLES

# Okabe and Ito's, without the yellow that is too light for a line; the first two are the furthest apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
FAINT, QUIET, INK = "#BFBFBF", "#757575", "#222222"
FIRE = "#D55E00"
WIDTH, DPI = 10.0, 160
HERO, OTHER = 3.9, 2.35
"""Heights of the first and of the other panels' axes, inches; all measures below are inches too."""
LEFT, NAMES, BELOW, TITLE = 0.58, 1.72, 0.6, 0.36
LINE = 0.165
"""Least distance between names at the ends of lines."""
FEW = 12
"""Points of a line up to which each is marked."""
CROWDED = 1.5
"""How many times as high as the coloured lines a grey one may be without being cut off."""
NAME = 22
"""Letters of an arm's name."""


@dataclass(frozen=True)
class Line:
    """An arm in a panel: `bold` in colour, `again` in one that another has too; `low`, `high` empty for one seed."""

    arm: str
    colour: str
    bold: bool
    again: bool
    x: list[int]
    y: list[float]
    low: list[float]
    high: list[float]


def draw_story(results: Mapping[str, Any], folder: Path) -> None:
    """Write story.png and story.svg of an experiment that follows at least one series."""
    names: list[str] = list(results["series"])
    rows = [[names[0]], *(names[i : i + 2] for i in range(1, len(names), 2))]
    name = f"{results['experiment']}{' (final)' * results['final']}: {results['question']}"
    heading = textwrap.wrap(clean(results["question"] or name), 84)
    top = 0.26 * len(heading) + 0.5
    heights = [HERO, *[OTHER] * (len(rows) - 1)]
    total = top + sum(heights) + len(rows) * (TITLE + BELOW) - 0.1
    with styled():
        figure = Figure(figsize=(WIDTH, total), dpi=DPI)
        FigureCanvasAgg(figure)
        figure.text(0.18 / WIDTH, 1 - 0.14 / total, "\n".join(heading), va="top", fontsize=14, weight="bold", color=INK)
        figure.text(0.18 / WIDTH, 1 - (top - 0.14) / total, about(results), va="bottom", fontsize=9, color=QUIET)
        at = total - top
        for row, height in zip(rows, heights, strict=True):
            at -= TITLE + height
            width = WIDTH / len(row)
            for i, series in enumerate(row):
                box = (i * width + LEFT, at, width - LEFT - NAMES, height)
                axes = figure.add_axes((box[0] / WIDTH, box[1] / total, box[2] / WIDTH, box[3] / total))
                draw_panel(axes, results, series, first=series == names[0])
            at -= BELOW
        for kind in ("png", "svg"):
            figure.savefig(folder / f"story.{kind}", metadata=METADATA[kind])


def about(results: Mapping[str, Any]) -> str:
    """The line under the heading."""
    file = results["file"]
    n = len(file["final_seeds"] if results["final"] else file["seeds"])
    seeds = f"mean of {n} seeds, bands are 95 % intervals" if n > 1 else "one seed"
    return f"{clean(results['experiment'])}{' (final)' * results['final']}: {seeds}; {results['date'][:10]}"


def lines_of(results: Mapping[str, Any], series: str) -> list[Line]:
    """The arms that have values; grey ones first, so that the coloured ones are on top."""
    file = results["file"]
    arms: list[str] = list(results["arms"])
    bold = list(file["highlight"]) or arms
    found = []
    for arm in [*(a for a in arms if a not in bold), *reversed(bold)]:
        points = results["series"][series][arm]
        most = max((p["n"] for p in points), default=0)
        points = [p for p in points if p["n"] == most]
        if not points:
            continue
        sure = all(p["low"] is not None for p in points)
        low, high = ([p[k] for p in points] if sure else [] for k in ("low", "high"))
        place = bold.index(arm) if arm in bold else None
        colour = FAINT if place is None else COLOURS[place % len(COLOURS)]
        x, y = [p["generation"] for p in points], [p["mean"] for p in points]
        found.append(Line(arm, colour, place is not None, (place or 0) >= len(COLOURS), x, y, low, high))
    return found


def draw_panel(axes: Axes, results: Mapping[str, Any], series: str, first: bool) -> None:
    lines = lines_of(results, series)
    axes.set_title(
        clean(TITLES.get(series, series)), loc="left", fontsize=11 if first else 10, weight="bold", color=INK
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
    axes.tick_params(axis="both", length=0, labelcolor=QUIET, labelsize=9)
    axes.set_xlabel("generation", color=QUIET, fontsize=9)
    if not lines:
        axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, ha="center", va="center", color=QUIET)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.grid(axis="y", color="#EAEAEA", linewidth=0.8)
    room(axes, lines)
    marks = {int(g): text for g, text in results["file"]["marks"].items()}
    for since, until in fires(results):
        axes.axvspan(since - 0.5, min(until - 0.5, axes.get_xlim()[1]), color=FIRE, alpha=0.09, linewidth=0, zorder=0)
    draw_marks(axes, marks, words=first)
    dashed = sum(line.bold for line in lines) > len(COLOURS)
    burned = next((line for line in reversed(lines) if line.bold and burns(results, line.arm)), None)
    for line in lines:
        draw_line(axes, line, line is burned, dashed and line.bold and line.again)
    if first and burned:
        write_values(axes, burned, sorted(marks))
    name_lines(axes, lines)


def draw_line(axes: Axes, line: Line, heavy: bool, dashed: bool) -> None:
    if line.bold and line.low:
        axes.fill_between(line.x, line.low, line.high, color=line.colour, alpha=0.13, linewidth=0, zorder=2)
    width = 3.0 if heavy else 2.2 if line.bold else 1.1
    axes.plot(
        line.x,
        line.y,
        color=line.colour,
        linewidth=width,
        linestyle=(0, (5, 1.5)) if dashed else "-",
        marker="o" if len(line.x) <= FEW else "",
        markersize=4.5 if line.bold else 2.5,
        solid_capstyle="round",
        solid_joinstyle="round",
        path_effects=[Stroke(linewidth=width + 1.8, foreground="white"), Normal()] if line.bold else None,
        zorder=4.5 if heavy else 4 if line.bold else 3,
        clip_on=max(line.y) > axes.get_ylim()[1],
    )


def write_values(axes: Axes, line: Line, marks: Sequence[int]) -> None:
    """A line's values in the generations before and after each mark."""
    values = dict(zip(line.x, line.y, strict=True))
    digits = digits_of([line])
    for g in marks:
        if g - 1 not in values or g not in values:
            continue
        falls = values[g] < values[g - 1]
        for at, side, up in ((g - 1, -1, True), (g, 1, True)) if falls else ((g - 1, 1, False), (g, 1, False)):
            axes.plot([at], [values[at]], "o", color=line.colour, markersize=6, markeredgecolor="white", zorder=6)
            axes.annotate(
                f"{values[at]:.{digits}f}",
                (at, values[at]),
                xytext=(side * 7, 4 if up else -4),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="bottom" if up else "top",
                fontsize=10.5,
                weight="bold",
                color=line.colour,
                bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
                zorder=5,
            )


def digits_of(lines: Sequence[Line]) -> int:
    """Decimal places of values that are compared with each other."""
    largest = max(abs(y) for line in lines for y in line.y)
    return 0 if largest >= 20 else 1 if largest >= 2 else 2


def room(axes: Axes, lines: Sequence[Line]) -> None:
    """The ends of both axes: from 0 where values come near it, with room for words above. A grey line that would press
    the coloured ones together leaves the panel, and its name says so."""
    low = min(min(line.low or line.y) if line.bold else min(line.y) for line in lines)
    high = max(max(line.high or line.y) if line.bold else max(line.y) for line in lines)
    if 0 <= min(min(line.y) for line in lines) < 0.5 * high:
        low = 0.0
    bold = max((max(line.high or line.y) for line in lines if line.bold), default=high)
    high = bold if 0 < CROWDED * bold < high else high
    span = (high - low) or abs(high) or 1.0
    axes.set_ylim(low - (0.0 if low == 0.0 else 0.05 * span), high + 0.13 * span)
    start, end = min(line.x[0] for line in lines), max(line.x[-1] for line in lines)
    axes.set_xlim(start - 0.2, max(end, start + 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=high > 8))


def burns(results: Mapping[str, Any], arm: str) -> tuple[int, float] | None:
    """(burn, restore) of an arm's library in generations; 0 means never."""
    library = (results["configs"][arm] or {}).get("library", {})
    return (library["burn"], float(library["restore"] or "inf")) if library.get("burn") else None


def fires(results: Mapping[str, Any]) -> list[tuple[int, float]]:
    """The burns of all arms, each once."""
    return sorted({fire for arm in results["configs"] if (fire := burns(results, arm))})


def draw_marks(axes: Axes, marks: Mapping[int, str], words: bool) -> None:
    """Lines where a generation begins, with their words at the top: the first left of its line if there is room, the
    others right of theirs, lower where they would touch."""
    start, end = axes.get_xlim()
    used: list[float] = []
    assert axes.figure is not None
    for g, text in sorted(marks.items()):
        if not start <= g - 0.5 <= end:
            continue
        axes.axvline(g - 0.5, color="#555555", linewidth=1.0, linestyle=(0, (3, 2)), zorder=1)
        if not words:
            continue
        label = axes.annotate(
            shorten(text, 40),
            (g - 0.5, axes.get_ylim()[1]),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=10,
            style="italic",
            color=INK,
            zorder=7,
        )
        pen = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
        if used or label.get_window_extent(pen).x0 < axes.get_window_extent().x0:
            label.set_horizontalalignment("left")
            box = label.get_window_extent(pen)
            level = next((i for i, x in enumerate(used) if box.x0 > x + 4), len(used))
            label.xyann = (4, -14 * level)
            box = label.get_window_extent(pen)
            used[level : level + 1] = [box.x1]
        else:
            used.append(label.get_window_extent(pen).x1)


def name_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """Each line's name and last mean beside its end, as near as they fit without touching."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    box = axes.get_window_extent()
    wide, high = box.width / DPI, box.height / DPI
    order = sorted(lines, key=lambda line: line.y[-1])
    ends = [min((line.y[-1] - bottom) / (top - bottom), 1.0) * high for line in order]
    digits = digits_of(lines)
    for line, end, place in zip(order, ends, spread(ends, LINE, 0.0, high), strict=True):
        x = (line.x[-1] - left) / (right - left) * wide
        way = [(x + 0.06, end), (wide + 0.09, end), (wide + 0.19, place), (wide + 0.24, place)]
        axes.plot(
            [left + a / wide * (right - left) for a, _ in way],
            [bottom + b / high * (top - bottom) for _, b in way],
            color=line.colour,
            linewidth=0.8,
            clip_on=False,
            scalex=False,
            scaley=False,
        )
        beyond = " \u2191" if line.y[-1] > top else ""
        axes.annotate(
            f"{shorten(line.arm.replace('_', ' '), NAME)}  {line.y[-1]:.{digits}f}{beyond}",
            (right, bottom),
            xytext=(0.28 * 72, place * 72),
            textcoords="offset points",
            va="center",
            fontsize=9.5 if line.bold else 8.5,
            weight="bold" if line.bold else "normal",
            color=line.colour if line.bold else QUIET,
            annotation_clip=False,
        )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places for things in ascending order, `gap` apart at least, nearest to where they are wanted (least squares).

    Within [low, high] where they fit. Taking i * gap off the i-th leaves an isotonic regression, solved by pooling
    neighbours that violate the order (Ayer et al. 1955).
    """
    pools: list[tuple[float, int]] = []
    for i, y in enumerate(wanted):
        total, n = y - i * gap, 1
        while pools and pools[-1][0] / pools[-1][1] > total / n:
            before, many = pools.pop()
            total, n = total + before, n + many
        pools.append((total, n))
    flat = [total / n for total, n in pools for _ in range(n)]
    most = max(low, high - (len(wanted) - 1) * gap)
    return [min(max(z, low), most) + i * gap for i, z in enumerate(flat)]
