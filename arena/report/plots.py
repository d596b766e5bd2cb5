"""Two pictures of a run: what was learned (`heldout.png`) and what was set (`setting.png`).

Drawn from the analysis alone, without a display (Agg). Colours run from light to dark with depth and can be told apart
by the colour-blind. A run with nothing to show yet gets a picture that says so.

Left out: intervals, which the tables have, and comparisons of runs. Not guaranteed: that a file is equal byte by byte
under another version of matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Analysis = dict[str, Any]
Point = tuple[float, float]
# Okabe & Ito's blue and vermilion: told apart by the colour-blind.
BLUE, VERMILION = "#0072B2", "#D55E00"
GREY = "#555555"
MOST_MARKED = 60
"""Points of a line up to which each is marked."""


def write_plots(analysis: Analysis, folder: Path) -> list[Path]:
    """Write both pictures into `folder`, made if need be, over older ones; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"heldout.png": heldout_figure(analysis), "setting.png": setting_figure(analysis)}
    for name, figure in drawn.items():
        FigureCanvasAgg(figure)
        figure.savefig(folder / name)
    return [folder / name for name in drawn]


def heldout_figure(analysis: Analysis) -> Figure:
    """Held-out pass rate over generations, one line a depth."""
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    lines: dict[int, list[Point]] = {}
    for h in analysis["heldout"]:
        lines.setdefault(h["depth"], []).append((h["generation"], h["pass_at_1"]))
    axes.set_title(_heldout_title(analysis), loc="left", fontsize=11)
    axes.set_xlabel("generation (0: before the first)")
    axes.set_ylabel("pass rate, one greedy try a problem")
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    if not lines:
        _say_empty(axes, "no held-out problem has been tried yet")
        return figure
    last = max(h["generation"] for h in analysis["heldout"])
    if any(h["generation"] == last > 0 and h["mode"] == "full" for h in analysis["heldout"]):
        axes.set_xlabel(f"generation (0: before the first; 0 and {last}: full evaluation)")
    colours = mpl.colormaps["viridis_r"]
    for i, depth in enumerate(sorted(lines)):
        place = i / max(1, len(lines) - 1)
        xs, ys = zip(*lines[depth], strict=True)
        # deeper is darker and thinner and lies on top, so that lines of equal height all stay visible
        width, size = 4.8 - 3.3 * place, (8.0 - 4.0 * place if len(xs) <= MOST_MARKED else 0)
        colour = colours(0.1 + 0.9 * place)
        axes.plot(xs, ys, color=colour, linewidth=width, marker="o", markersize=size, clip_on=False, label=str(depth))
    _generation_axis(axes, [x for line in lines.values() for x, _ in line])
    figure.legend(title="depth", loc="outside right upper", frameon=False)
    return figure


def setting_figure(analysis: Analysis) -> Figure:
    """What was set: depths of valid problems above; valid, learnable and solved shares below."""
    figure = Figure(figsize=(8, 6.5), dpi=120)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    figure.subplots_adjust(left=0.09, right=0.79, top=0.91, bottom=0.08, hspace=0.09)
    played = [g for g in analysis["generations"] if g["proposed"] is not None]
    upper.set_title(_setting_title(analysis, played), loc="left", fontsize=11)
    upper.set_ylabel("depth of valid problems (line: mean)")
    lower.set_ylabel("share")
    lower.set_xlabel("generation")
    lower.set_ylim(-0.03, 1.03)
    lower.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    if not played:
        _say_empty(upper, "no problem has been set yet")
        upper.set_yticks([])
        _say_empty(lower, "")
        return figure
    _depth_heat(upper, played)
    ends: list[tuple[Point, str, Any]] = []
    for label, colour, dash, points in (
        ("valid, of those set", GREY, "-", _points(played, "valid", "proposed")),
        ("solve rate", BLUE, "--", _points(played, "solve_rate")),
        ("learnable, of valid", VERMILION, "-", _points(played, "learnable", "valid")),
    ):
        if points:
            xs, ys = zip(*points, strict=True)
            marker = "o" if len(xs) <= MOST_MARKED else ""
            lower.plot(xs, ys, color=colour, linestyle=dash, linewidth=2, marker=marker, markersize=4, clip_on=False)
            ends.append((points[-1], label, colour))
    _generation_axis(lower, [g["index"] for g in played])
    half = 0.5  # the heat's cells are centred on their generation
    lower.set_xlim(played[0]["index"] - half, played[-1]["index"] + half)
    _label_ends(lower, ends, gap=0.11)
    return figure


def _depth_heat(axes: Axes, played: Sequence[Analysis]) -> None:
    first, last = played[0]["index"], played[-1]["index"]
    deepest = max((int(d) for g in played for d in g["depths"]), default=0)
    if not deepest:
        _say_empty(axes, "no problem was valid")
        axes.set_yticks([])
        return
    shares = [[0.0] * (last - first + 1) for _ in range(deepest)]
    for g in played:
        for depth, n in g["depths"].items():
            shares[int(depth) - 1][g["index"] - first] = n / g["valid"]
    image = axes.imshow(
        shares,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(first - 0.5, last + 0.5, 0.5, deepest + 0.5),
        cmap="Greys",
        vmin=0.0,
    )
    bar = axes.inset_axes((1.03, 0.0, 0.03, 1.0))
    axes.figure.colorbar(image, cax=bar, label="share of the generation's valid problems")
    points = _points(played, "mean_difficulty")
    xs, ys = zip(*points, strict=True)
    axes.plot(xs, ys, color="white", linewidth=4)  # a rim, so that the line shows on dark cells
    marker = "o" if len(xs) <= MOST_MARKED else ""
    axes.plot(xs, ys, color=VERMILION, linewidth=2, marker=marker, markersize=4)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _points(played: Sequence[Analysis], key: str, of: str | None = None) -> list[Point]:
    """(generation, value) where there is one, divided by the figure `of` if that is given."""
    found = []
    for g in played:
        whole = g[of] if of else 1
        if g[key] is not None and whole:
            found.append((g["index"], g[key] / whole))
    return found


def _label_ends(axes: Axes, ends: Sequence[tuple[Point, str, Any]], gap: float) -> None:
    """Write each label right of its line's end, at least `gap` apart, between 0 and 1."""
    ordered = sorted(ends, key=lambda end: end[0][1])
    places: list[float] = []
    for (_, y), _, _ in ordered:
        places.append(max(y, places[-1] + gap) if places else y)
    most = 1.0
    for i in reversed(range(len(places))):  # push back down what was pushed past the top
        places[i] = min(places[i], most)
        most = places[i] - gap
    left, right = axes.get_xlim()
    for ((x, y), label, colour), place in zip(ordered, places, strict=True):
        axes.annotate(
            label,
            (x, y),
            xytext=(right + 0.03 * (right - left), place),
            fontsize=9,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 1, "shrinkA": 2, "shrinkB": 3},
        )


def _generation_axis(axes: Axes, indices: Sequence[float]) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = min(indices), max(indices)
    axes.set_xlim(low, max(high, low + 1))
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _say_empty(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_xticks([])


def _heldout_title(analysis: Analysis) -> str:
    title = f"Held-out {analysis['domain'].replace('_', ' ')} by depth"
    means = analysis["heldout_before_after"]
    if means["before"] and means["after"]:
        depths = f"{means['depths'][0]} to {means['depths'][-1]}"
        before, after, last = means["before"]["mean"], means["after"]["mean"], means["generation"]
        return f"{title}\nmean of depths {depths}: {before:.2f} before, {after:.2f} after generation {last}"
    return f"{title}\n{_where(analysis)}, not finished" if not analysis["finished"] else f"{title}\n{_where(analysis)}"


def _setting_title(analysis: Analysis, played: Sequence[Analysis]) -> str:
    title = f"What was set, {_where(analysis)}"
    means = _points(played, "mean_difficulty")
    if not means:
        return title
    (first, a), (last, b) = means[0], means[-1]
    told = f"mean depth {a:.1f} in generation {first}"
    return f"{title}\n{told}, {b:.1f} in generation {last}" if last != first else f"{title}\n{told}"


def _where(analysis: Analysis) -> str:
    return f"run {analysis['run']}, seed {analysis['seed']}"
