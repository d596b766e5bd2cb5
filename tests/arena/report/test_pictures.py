"""The two pictures of a run that have fixed names, from analyses made by hand."""

from pathlib import Path

import matplotlib.image
import pytest

from arena.report.figures.matplotlib_backend import draw
from arena.report.sections.curriculum import setting_figure
from arena.report.sections.heldout import heldout_figure
from arena.report.write import write_pictures


def analysis(generations=10, finished=True):
    played = [
        {
            "index": g,
            "proposed": 40,
            "valid": 30,
            "learnable": 10,
            "mean_difficulty": 2 + g / 10,
            "solve_rate": 0.5,
            "depths": {"1": 10, "4": 20},
        }
        for g in range(1, generations + 1)
    ]
    heldout = [
        {
            "generation": g,
            "depth": d,
            "pass_at_1": min(1.0, g / 10 / d),
            "mode": "greedy",
            "low": 0.0,
            "high": 1.0,
            "n": 9,
        }
        for g in range(generations + 1)
        for d in range(1, 9)
    ]
    means = {"depths": [3, 4, 5, 6], "generation": generations, "before": {"mean": 0.2}, "after": {"mean": 0.4}}
    return {
        "run": "r",
        "seed": 0,
        "domain": "list_programs",
        "finished": finished,
        "generations": played,
        "heldout": heldout,
        "heldout_before_after": means if finished else {"before": None, "after": None, "depths": []},
    }


def empty():
    return analysis(0, finished=False) | {"heldout": []}


def unsolved():
    """A generation that was killed after its proposals, of which none was valid."""
    begun = {"index": 1, "proposed": 5, "valid": 0, "learnable": None, "mean_difficulty": None, "solve_rate": None}
    return empty() | {"generations": [begun | {"depths": {}}]}


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_both_pictures_are_written_and_not_blank(tmp_path: Path):
    paths = write_pictures(analysis(), tmp_path)
    assert [p.name for p in paths] == ["heldout.png", "setting.png"]
    for path in paths:
        assert path.stat().st_size > 10_000
        pixels = matplotlib.image.imread(path)
        assert pixels.shape[1] == 960
        assert pixels.std() > 0.05


def test_writing_again_replaces_the_pictures(tmp_path: Path):
    write_pictures(empty(), tmp_path)
    small = (tmp_path / "heldout.png").stat().st_size
    write_pictures(analysis(), tmp_path)
    assert (tmp_path / "heldout.png").stat().st_size > small


@pytest.mark.parametrize("make", [empty, unsolved, lambda: analysis(1), lambda: analysis(80)])
def test_empty_short_and_long_runs_have_pictures_too(tmp_path: Path, make):
    assert all(path.stat().st_size > 3_000 for path in write_pictures(make(), tmp_path))


def test_an_empty_run_says_so():
    assert "no held-out problem" in draw(heldout_figure(empty())).axes[0].texts[0].get_text()
    assert "no problem has been set" in draw(setting_figure(empty())).axes[0].texts[0].get_text()
    assert "no problem was valid" in draw(setting_figure(unsolved())).axes[0].texts[0].get_text()


def test_rates_have_a_unit_axis():
    """Rates have an axis from 0 to 1 and one line per depth."""
    figure = heldout_figure(analysis())
    axes = draw(figure).axes[0]
    assert axes.get_ylim() == pytest.approx((-0.03, 1.03))
    assert [line.get_label() for line in axes.lines] == [str(d) for d in range(1, 9)]
    assert "0.20 before, 0.40 after generation 10" in figure.title


def test_overlapping_lines_are_labelled():
    """Lines that overlap are all visible and all labelled."""
    run = analysis()
    for g in run["generations"]:
        g["learnable"], g["solve_rate"] = g["valid"], 1.0
        g["proposed"] = g["valid"]
    for h in run["heldout"]:
        h["pass_at_1"] = 1.0
    assert legend(draw(setting_figure(run)).axes[1]) == ["valid, of those set", "solve rate", "learnable, of valid"]
    axes = draw(heldout_figure(run)).axes[0]
    assert legend(axes) == [str(d) for d in range(1, 9)]
    widths = [line.get_linewidth() for line in axes.lines]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == 8  # later ones lie on top


def test_both_panels_of_a_run_share_their_generations():
    upper, lower = draw(setting_figure(analysis())).axes[:2]
    assert upper.get_xlim() == lower.get_xlim() == (0.5, 10.5)
