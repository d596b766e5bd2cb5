"""Figures as plain data, drawn both ways: every kind of mark, empty states, hostile text."""

import json
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image
import plotly.graph_objects as go
import pyarrow.parquet as parquet
import pytest

from arena.report.figures.figure import COLOURS, Figure, Heat, Network, Node, Panel, Series, shades
from arena.report.figures.layout import place, whole_step
from arena.report.figures.matplotlib_backend import draw, save
from arena.report.figures.plotly_backend import interactive
from arena.report.figures.rows import write_rows

HOSTILE = "_<script>alert(1)</script> $\\frac{1}{2}$ <a href='https://x.example'>x</a>"
HOSTILE += " \x1b[31m\n]]> --> & \u202e名 \U0001f600"


def figure(*panels, title="A title\nand a number", key="a-key"):
    return Figure(key, title, "How to read it.", panels, ({"x": 1},))


def line(**more):
    return Series("line", (1, 2, 3, 4), (0.1, None, 0.3, 0.4), (0.0, None, 0.2, 0.3), (0.2, None, 0.4, 0.5), **more)


EVERY = {
    "line with a band and a hole": Panel(
        (line(), Series("dashed", (1, 4), (1.0, 2.0), dash=True)), "generation", "rate"
    ),
    "points with whiskers": Panel(
        (line(kind="points"), line(kind="points")), "depth", "rate", (0.0, 1.0), whole_x=True
    ),
    "bars": Panel((line(kind="bars"), Series("others", (1, 2), (3.0, 4.0), kind="bars")), "x", "y"),
    "stacked bars": Panel((line(kind="bars"), line(kind="bars")), "x", "y", stacked=True),
    "categories": Panel(
        (Series("c", ("ada", "ben"), (1.0, 2.0), kind="bars", text=("n = 1", "n = 2")),), "agent", "posts"
    ),
    "heat": Panel(
        Heat((1, 2), (1, 2, 3), ((0.0, 1.0), (None, 0.5), (0.2, 0.3)), "share", 0.0, annotate=True), "x", "y"
    ),
    "heat of names": Panel(Heat(("a", "b"), ("c",), ((-1.0, 1.0),), "difference", -1.0, 1.0), "old", "new"),
    "heat below a line": Panel(
        Heat((1, 2, 3), (1, 2), ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), "share"),
        "g",
        "d",
        over=(Series("m", (1, 3), (1, 2)),),
    ),
    "network": Panel(
        Network((Node("a", 0, 0, "A", "one", 2.0, "said"), Node("b", 1, 1, "B", "two")), (("a", "b"), ("a", "gone")))
    ),
    "no series": Panel((), "x", "y"),
    "a series of nothing": Panel((Series("s", (), ()), Series("t", (1,), (None,))), "x", "y"),
    "an empty heat": Panel(Heat((), (), (), "share"), "x", "y"),
    "a heat of holes": Panel(Heat((1,), (1,), ((None,),), "share"), "x", "y"),
    "an empty network": Panel(Network((), ())),
    "one point": Panel((Series("s", (5,), (1.0,)),), "generation", "y", whole_x=True),
    "a heat of one value": Panel(Heat((1,), (1,), ((3.0,),), "n"), "x", "y"),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_kind_of_panel_is_drawn_both_ways(tmp_path: Path, name: str):
    made = figure(EVERY[name])
    png, svg = save(made, tmp_path)
    assert matplotlib.image.imread(png).shape[1] == 960
    assert "A title" in "".join(ElementTree.parse(svg).getroot().itertext())
    drawn = interactive(made)
    json.dumps(drawn, allow_nan=False)
    go.Figure(drawn)  # plotly's own check of names and values


def test_both_backends_draw_every_panel_kind(tmp_path: Path):
    """Both backends draw a figure with every kind of panel."""
    made = figure(*EVERY.values())
    save(made, tmp_path, ("png",))
    drawn = interactive(made)
    go.Figure(drawn)
    domains = [drawn["layout"][f"yaxis{i + 1 if i else ''}"]["domain"] for i in range(len(EVERY))]
    assert all(0 <= low < high <= 1 for low, high in domains)
    assert all(above[0] > below[1] for above, below in pairwise(domains))  # none on another


@pytest.mark.parametrize(
    "name", [n for n in EVERY if n.startswith(("no ", "a series of", "an empty", "a heat of holes"))]
)
def test_what_holds_nothing_says_so_both_ways(name: str):
    made = figure(EVERY[name])
    assert "nothing to show yet" in [t.get_text() for t in draw(made).axes[0].texts]
    assert "nothing to show yet" in [a["text"] for a in interactive(made)["layout"]["annotations"]]


def test_the_same_figure_gives_the_same_files(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        save(figure(*list(EVERY.values())[:9]), folder)
    assert b"<dc:date>" not in (one / "a-key.svg").read_bytes()
    for kind in ("png", "svg"):
        assert (one / f"a-key.{kind}").read_bytes() == (two / f"a-key.{kind}").read_bytes()


def test_hostile_text_in_figures_is_inert(tmp_path: Path):
    """Hostile text in a figure is shown literally and does nothing."""
    made = figure(
        Panel(
            (Series(HOSTILE, (HOSTILE, "b"), (1.0, 2.0), text=(HOSTILE, "")), Series("_", ("b",), (1.0,))),
            HOSTILE,
            HOSTILE,
        ),
        Panel(Heat((HOSTILE,), (HOSTILE,), ((1.0,),), HOSTILE), HOSTILE, HOSTILE, title=HOSTILE, legend=HOSTILE),
        Panel(Network((Node(HOSTILE, 0, 0, HOSTILE, HOSTILE, 1.0, HOSTILE),), ())),
        Panel((), HOSTILE, HOSTILE, empty=HOSTILE),
        title=HOSTILE,
    )
    _, svg = save(made, tmp_path)
    root = ElementTree.parse(svg).getroot()  # well-formed
    assert not [e for e in root.iter() if e.tag.endswith(("script", "}a"))]
    assert "$\\frac{1}{2}$" in "".join(root.itertext())
    drawn = json.dumps(interactive(made))
    assert "<script" not in drawn and "<a " not in drawn and "&lt;script&gt;" in drawn
    assert "\\u001b" not in drawn


def test_underscore_names_are_in_the_legend():
    """A series whose name begins with an underscore is in the legend."""
    made = figure(Panel((Series("_a", (1, 2), (1.0, 2.0)), Series("b", (1, 2), (2.0, 1.0))), "x", "y"))
    names = [t.get_text().strip("\u200b") for t in draw(made).axes[0].get_legend().get_texts()]
    assert names == ["_a", "b"]


def test_hover_text_is_complete():
    """Hover text gives the series, the place, the value, its interval and the extra text."""
    series = Series("ada", (1, 2), (0.25, 0.5), (0.1, 0.4), (0.4, 0.6), text=("n = 12", "n = 24"))
    drawn = interactive(figure(Panel((series,), "generation (0: before)", "pass rate")))
    said = drawn["data"][-1]["text"][0]
    assert said == "<b>ada</b><br>generation: 1<br>pass rate: 0.25 [0.1, 0.4]<br>n = 12"


def test_bars_and_points_do_not_overlap():
    """Bars side by side and points with whiskers do not cover each other."""
    for kind in ("bars", "points"):
        panel = Panel(tuple(Series(n, (1, 2), (1.0, 2.0), (0.5, 1.5), (1.5, 2.5), kind) for n in "abc"))
        marks = place(panel, panel.content)
        at_one = [m.x[0] for m in marks]
        assert at_one == sorted(set(at_one)) and at_one[1] == pytest.approx(1.0)
        assert at_one[-1] + marks[0].width / 2 < 1.5


def test_stacked_bars_skip_missing_values():
    """Stacked bars are stacked correctly where a value is missing."""
    panel = Panel(
        (Series("a", (1, 2), (1.0, None), kind="bars"), Series("b", (1, 2), (2.0, 5.0), kind="bars")), stacked=True
    )
    assert place(panel, panel.content)[1].base == (1.0, 0.0)


def test_many_series_differ_by_dashes():
    """If there are more series than colours, dashes distinguish them."""
    panel = Panel(tuple(Series(str(i), (1,), (1.0,)) for i in range(len(COLOURS) + 2)))
    marks = place(panel, panel.content)
    assert len({(m.colour, m.dash) for m in marks}) == len(marks)


def test_shades_are_ordered_from_light_to_dark():
    for n in (1, 2, 8, 12):
        lightness = [sum(w * int(c[k : k + 2], 16) for w, k in ((0.3, 1), (0.6, 3), (0.1, 5))) for c in shades(n)]
        assert lightness == sorted(lightness, reverse=True) and len(set(lightness)) == n


@pytest.mark.parametrize(("low", "high", "step"), [(0, 0, 1), (1, 3, 1), (0, 36, 5), (0, 1000, 100), (1, 12, 1)])
def test_ticks_of_whole_numbers_are_whole(low, high, step):
    assert whole_step(low, high) == step


def test_csv_and_parquet_hold_the_same_rows(tmp_path: Path):
    """CSV and Parquet hold the same rows with the same types."""
    rows = [
        {"generation": 1, "rate": 1, "who": HOSTILE, "flag": True, "mixed": 1},
        {"generation": 2, "rate": 0.5, "who": None, "flag": False, "mixed": "x", "late": float("nan")},
    ]
    csv, table = write_rows(rows, tmp_path, "k")
    read = parquet.read_table(table).to_pylist()
    assert read[0]["who"] == HOSTILE and read[1]["who"] is None
    assert [r["rate"] for r in read] == [1.0, 0.5] and [r["flag"] for r in read] == [True, False]
    assert [r["mixed"] for r in read] == ["1", "x"] and [r["late"] for r in read] == [None, None]
    assert csv.read_text(encoding="utf-8").splitlines()[0] == "generation,rate,who,flag,mixed,late"


def test_no_rows_give_empty_files(tmp_path: Path):
    csv, table = write_rows([], tmp_path, "k")
    assert parquet.read_table(table).num_rows == 0 and csv.is_file()
