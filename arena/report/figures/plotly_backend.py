"""A `Figure` as plotly draws it in a browser: plain data for `Plotly.newPlot`, and plotly's own script.

The data is written without plotly's Python classes, whose import alone takes longer than all figures of a report. Every
text is escaped: plotly interprets some HTML, links among it, and agents wrote some of the texts.

Left out: files (`matplotlib_backend`). Not guaranteed: that another major version of plotly.js takes the same data.
"""

from __future__ import annotations

import html
from typing import Any

from plotly.offline import get_plotlyjs

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
from arena.report.figures.matplotlib_backend import DIVERGING, LABEL, MOST_MARKED, SEQUENTIAL, shorten

HEIGHT, TOP, BOTTOM, BETWEEN = 270, 12, 52, 74
"""Pixels: of a panel of height 1, above and below all panels, and from one to the next."""
LINE = "#dddddd"


def script() -> str:
    """plotly.js, whole."""
    found: str = get_plotlyjs()
    return found


def interactive(figure: Figure) -> dict[str, Any]:
    """{"data": traces, "layout": layout}, JSON-able, with a fixed height and no fixed width."""
    titled = sum(bool(p.title) for p in figure.panels)
    inner = HEIGHT * sum(p.height for p in figure.panels) + BETWEEN * (len(figure.panels) - 1) + 16 * titled
    layout: dict[str, Any] = {
        "height": round(inner + TOP + BOTTOM + 16),
        "margin": {"l": 64, "r": 24, "t": TOP + 16, "b": BOTTOM},
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#222222"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "#ffffff",
        "barmode": "overlay",
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "annotations": [],
    }
    traces: list[dict[str, Any]] = []
    top = 1.0
    for i, (panel, span) in enumerate(zip(figure.panels, ends(figure), strict=True)):
        top -= 16 / inner if panel.title else 0.0
        bottom = max(top - HEIGHT * panel.height / inner, 0.0)
        number = str(i + 1) if i else ""
        traces += draw_panel(panel, number, (bottom, top), span, layout)
        top = bottom - BETWEEN / inner
    return {"data": traces, "layout": layout}


def draw_panel(
    panel: Panel, number: str, domain: tuple[float, float], span: tuple[float, float], layout: dict[str, Any]
) -> list[dict[str, Any]]:
    """The traces of one panel; its axes, legend and title go into the layout."""
    x: dict[str, Any] = {
        "anchor": f"y{number}",
        "title": {"text": safe(panel.x_label), "standoff": 8},
        "zeroline": False,
        "showgrid": False,
        "showline": True,
        "linecolor": "#888888",
        "ticks": "outside",
        "tickcolor": "#888888",
        "automargin": True,
    }
    y = {
        **x,
        "anchor": f"x{number}",
        "domain": list(domain),
        "title": {"text": wrapped(panel.y_label, max(20, round(34 * panel.height))), "standoff": 10},
    }
    layout[f"xaxis{number}"], layout[f"yaxis{number}"] = x, y
    layout[f"legend{number}"] = {
        "x": 0.01 if isinstance(panel.content, Heat) else 1.02,
        "bgcolor": "rgba(255,255,255,0.85)",
        "y": domain[1],
        "xanchor": "left",
        "yanchor": "top",
        "title": {"text": safe(panel.legend)},
        "font": {"size": 11},
        "tracegroupgap": 0,
        "traceorder": "reversed" if panel.stacked else "normal",
    }
    if panel.title:
        note(layout, safe(panel.title), number, 0.0, 1.0, xanchor="left", yanchor="bottom", font={"color": "#333333"})
    if isinstance(panel.content, Network):
        traces = draw_network(panel.content, panel, x, y)
    else:
        marks = place(panel, panel.over if isinstance(panel.content, Heat) else panel.content)
        axis = x_axis(panel)
        across(x, axis, panel, span)
        if isinstance(panel.content, Heat):
            traces = draw_heat(panel.content, axis, panel, y, domain)
        else:
            y |= {"showgrid": True, "gridcolor": LINE, "separatethousands": True, "exponentformat": "none"}
            traces = []
            if panel.y_range:
                low, high = panel.y_range
                y["range"] = [low - 0.03 * (high - low), high + 0.03 * (high - low)]
        many = len(marks) > 1 or bool(panel.over) or bool(panel.legend)
        for mark in marks:
            if isinstance(panel.content, Heat):
                traces.append(rim(mark))
            traces += draw_mark(mark, panel, many)
    if not holds(panel):
        x |= {"showticklabels": False, "ticks": ""}
        y |= {"showticklabels": False, "ticks": "", "showgrid": False}
        note(layout, safe(panel.empty), number, 0.5, 0.5, font={"color": GREY})
    for trace in traces:
        trace |= {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        if trace["type"] != "heatmap":
            trace["legend"] = f"legend{number}"
    return traces


def across(x: dict[str, Any], axis: Axis, panel: Panel, span: tuple[float, float]) -> None:
    """Range and ticks of the x axis, with a margin for the marks at its ends."""
    room = 0.01 * (span[1] - span[0])
    x["range"] = [span[0] - room, span[1] + room]
    if axis.labels:
        label_ticks(x, axis)
    elif panel.whole_x:
        x |= {"tickmode": "linear", "dtick": whole_step(axis.low, axis.high), "tick0": 0, "tickformat": "d"}


def label_ticks(axis: dict[str, Any], places: Axis) -> None:
    axis |= {
        "tickmode": "array",
        "tickvals": places.ticks(),
        "ticktext": [safe(shorten(places.labels[i], LABEL)) for i in places.ticks()],
    }


# -- series ----------------------------------------------------------------------------------------------------------


def draw_mark(mark: Mark, panel: Panel, named: bool) -> list[dict[str, Any]]:
    s = mark.series
    trace: dict[str, Any] = {
        "x": list(mark.x),
        "y": list(s.y),
        "name": safe(s.name),
        "showlegend": bool(named and s.name),
        "legendgroup": safe(s.name),
        "text": hover(mark, panel),
        "hoverinfo": "text",
    }
    if s.kind == "bars":
        trace |= {"type": "bar", "width": mark.width, "base": list(mark.base), "textposition": "none"}
        trace["marker"] = {"color": mark.colour, "line": {"color": "#ffffff", "width": 0.5}}
    elif s.kind == "points":
        many = len(s.x) > MOST_MARKED
        trace |= {"type": "scatter", "mode": "markers", "cliponaxis": False}
        trace["marker"] = {"color": mark.colour, "size": 5 if many else 8, "opacity": 0.6 if many and not s.low else 1}
    else:
        marked = len(s.x) <= MOST_MARKED
        trace |= {"type": "scatter", "mode": "lines+markers" if marked else "lines", "cliponaxis": False}
        trace["line"] = {"color": mark.colour, "width": s.width, "dash": "dash" if mark.dash else "solid"}
        trace["marker"] = {"color": mark.colour, "size": 3 + s.width}
    if s.low is None or s.high is None:
        return [trace]
    if s.kind != "line":
        ends = [
            (y, a, b) if None not in (y, a, b) else (0.0, 0.0, 0.0) for y, a, b in zip(s.y, s.low, s.high, strict=True)
        ]
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [b - y for y, _, b in ends],  # type: ignore[operator]
            "arrayminus": [y - a for y, a, _ in ends],  # type: ignore[operator]
            "color": "#222222" if s.kind == "bars" else mark.colour,
            "thickness": 1.3,
            "width": 0,
        }
        return [trace]
    return [*band(mark), trace]


def rim(mark: Mark) -> dict[str, Any]:
    """A white line below a line, so that it shows on dark cells."""
    trace = {"type": "scatter", "mode": "lines", "x": list(mark.x), "y": list(mark.series.y), "hoverinfo": "skip"}
    return {**trace, "showlegend": False, "line": {"color": "#ffffff", "width": mark.series.width + 2}}


def band(mark: Mark) -> list[dict[str, Any]]:
    """Filled areas between `low` and `high`, one for each stretch where both are known."""
    assert mark.series.low is not None and mark.series.high is not None
    pieces: list[list[tuple[float, float, float]]] = [[]]
    for x, low, high in zip(mark.x, mark.series.low, mark.series.high, strict=True):
        if low is None or high is None:
            pieces.append([])
        else:
            pieces[-1].append((x, low, high))
    rgb = ",".join(str(int(mark.colour[k : k + 2], 16)) for k in (1, 3, 5))
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for x, _, _ in piece] + [x for x, _, _ in reversed(piece)],
            "y": [low for _, low, _ in piece] + [high for _, _, high in reversed(piece)],
            "fill": "toself",
            "fillcolor": f"rgba({rgb},0.13)",
            "line": {"width": 0},
            "hoverinfo": "skip",
            "showlegend": False,
            "legendgroup": safe(mark.series.name),
        }
        for piece in pieces
        if len(piece) > 1
    ]


def hover(mark: Mark, panel: Panel) -> list[str]:
    """Hover text of each point: its series, its place, its value with its interval, and its own text."""
    s, found = mark.series, []
    for i, (x, y) in enumerate(zip(s.x, s.y, strict=True)):
        lines = [f"<b>{safe(s.name)}</b>"] if s.name else []
        lines.append(f"{safe(panel.x_label.partition(' (')[0]) or 'x'}: {safe(number(x))}")
        low, high = (ends[i] if ends else None for ends in (s.low, s.high))
        interval = f" [{number(low)}, {number(high)}]" if low is not None and high is not None else ""
        lines.append(f"{safe(panel.y_label.partition(' (')[0]) or 'y'}: {safe(number(y))}{interval}")
        if s.text and s.text[i]:
            lines.append(safe(s.text[i]))
        found.append("<br>".join(lines))
    return found


# -- grids and networks ----------------------------------------------------------------------------------------------


def draw_heat(
    heat: Heat, axis: Axis, panel: Panel, y: dict[str, Any], domain: tuple[float, float]
) -> list[dict[str, Any]]:
    if not heat.x or not heat.y:
        return []
    up = y_axis(heat)
    known = [v for row in heat.values for v in row if v is not None]
    low = heat.low if heat.low is not None else min(known, default=0.0)
    high = heat.high if heat.high is not None else max(known, default=1.0)
    high = high if high > low else low + 1.0
    colours = DIVERGING if low < 0 < high else SEQUENTIAL
    y["range"] = [up.low - up.step / 2, up.high + up.step / 2]
    if up.labels:
        label_ticks(y, up)
    else:
        y |= {"tickmode": "linear", "dtick": whole_step(up.low, up.high), "tick0": 0, "tickformat": "d"}
    across_name, up_name = (safe(t.partition(" (")[0]) or n for t, n in ((panel.x_label, "x"), (panel.y_label, "y")))
    says = [
        [
            f"{across_name}: {safe(number(a))}<br>{up_name}: {safe(number(b))}<br>{safe(heat.label)}: {number(v)}"
            for a, v in zip(heat.x, row, strict=True)
        ]
        for b, row in zip(heat.y, heat.values, strict=True)
    ]
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": [axis.low + i * axis.step for i in range(len(heat.x))],
        "y": [up.low + i * up.step for i in range(len(heat.y))],
        "z": [list(row) for row in heat.values],
        "zmin": low,
        "zmax": high,
        "colorscale": [[k / 10, hexed(colours(k / 10))] for k in range(11)],
        "text": says,
        "hoverinfo": "text",
        "xgap": 1 if len(heat.x) <= MOST_MARKED else 0,
        "ygap": 1,
        "colorbar": {
            "x": 1.01,
            "len": domain[1] - domain[0],
            "y": (domain[0] + domain[1]) / 2,
            "thickness": 12,
            "outlinewidth": 0,
            "title": {"text": wrapped(heat.label), "side": "right"},
        },
    }
    if heat.annotate:
        trace |= {
            "hovertext": says,
            "text": written(heat),
            "texttemplate": "%{text}",
        }
    return [trace]


def draw_network(network: Network, panel: Panel, x: dict[str, Any], y: dict[str, Any]) -> list[dict[str, Any]]:
    for axis, label in ((x, panel.x_label), (y, panel.y_label)):
        if not label:
            axis |= {"visible": False}
    if panel.whole_x and network.nodes:
        x |= {"tickmode": "array", "tickvals": whole_ticks(network), "tickformat": "d"}
    if not network.nodes:
        return []
    ends_x, ends_y = room_of(network)
    x["range"], y["range"] = list(ends_x), list(ends_y)
    places = {n.id: (n.x, n.y) for n in network.nodes}
    edges = [(places[a], places[b]) for a, b in network.edges if a in places and b in places]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [v for a, b in edges for v in (a[0], b[0], None)],
            "y": [v for a, b in edges for v in (a[1], b[1], None)],
            "line": {"color": "rgba(110,110,110,0.45)", "width": 1},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    largest = max(n.size for n in network.nodes) or 1.0
    most = 18.0 if len(network.nodes) <= MOST_MARKED else 12.0
    for group, colour in group_colours(network).items():
        nodes = [n for n in network.nodes if n.group == group]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text" if network.labelled else "markers",
                "cliponaxis": False,
                "x": [n.x for n in nodes],
                "y": [n.y for n in nodes],
                "name": safe(group),
                "showlegend": True,
                "marker": {
                    "color": colour,
                    "opacity": 1,
                    "size": [4 + most * (n.size / largest) ** 0.5 for n in nodes],
                    "line": {"color": "#ffffff", "width": 1},
                },
                "text": [safe(shorten(n.label, LABEL)) for n in nodes],
                "textposition": f"middle {network.side}",
                "hovertext": ["<br>".join(filter(None, (f"<b>{safe(n.label)}</b>", safe(n.text)))) for n in nodes],
                "hoverinfo": "text",
            }
        )
    return traces


# -- text ------------------------------------------------------------------------------------------------------------


def note(layout: dict[str, Any], text: str, number: str, x: float, y: float, **more: Any) -> None:
    place = {"xref": f"x{number} domain", "yref": f"y{number} domain", "x": x, "y": y}
    layout["annotations"].append({"text": text, "showarrow": False, **place, **more})


def safe(text: str) -> str:
    """Text that plotly shows as it is, its lines kept."""
    return "<br>".join(html.escape(shorten(line, 400), quote=False) for line in text.splitlines())


def wrapped(text: str, width: int = 34) -> str:
    lines = [""]
    for word in text.split():
        lines = [*lines[:-1], f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < width else [*lines, word]
    return "<br>".join(map(safe, lines))


def number(value: Any) -> str:
    """Three significant digits, whole numbers in full."""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.3g}"
    return "none" if value is None else str(value)


def hexed(colour: tuple[float, float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * c):02x}" for c in colour[:3])
