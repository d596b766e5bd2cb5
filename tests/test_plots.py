"""The pictures of a report, from analyses made by hand."""

from itertools import pairwise
from pathlib import Path

import matplotlib.image
import pytest

from arena.report.plots import heldout_figure, setting_figure, write_plots


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
        {"generation": g, "depth": d, "pass_at_1": min(1.0, g / 10 / d), "mode": "greedy"}
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


def test_both_pictures_are_written_and_not_blank(tmp_path: Path):
    paths = write_plots(analysis(), tmp_path / "report")
    assert [p.name for p in paths] == ["heldout.png", "setting.png"]
    for path in paths:
        assert path.stat().st_size > 10_000
        pixels = matplotlib.image.imread(path)
        assert pixels.shape[1] == 960
        assert pixels.std() > 0.05


def test_writing_again_replaces_the_pictures(tmp_path: Path):
    write_plots(empty(), tmp_path)
    small = (tmp_path / "heldout.png").stat().st_size
    write_plots(analysis(), tmp_path)
    assert (tmp_path / "heldout.png").stat().st_size > small


@pytest.mark.parametrize("make", [empty, unsolved, lambda: analysis(1), lambda: analysis(80)])
def test_empty_short_and_long_runs_have_pictures_too(tmp_path: Path, make):
    assert all(path.stat().st_size > 3_000 for path in write_plots(make(), tmp_path))


def test_an_empty_run_says_so():
    assert "no held-out problem" in heldout_figure(empty()).axes[0].texts[0].get_text()
    assert "no problem has been set" in setting_figure(empty()).axes[0].texts[0].get_text()


def test_rates_have_an_axis_from_zero_to_one_and_one_line_a_depth():
    axes = heldout_figure(analysis()).axes[0]
    assert axes.get_ylim() == pytest.approx((-0.03, 1.03))
    assert [line.get_label() for line in axes.lines] == [str(d) for d in range(1, 9)]
    assert "0.20 before, 0.40 after generation 10" in axes.get_title(loc="left")


def test_labels_of_lines_that_end_together_do_not_overlap():
    run = analysis()
    for g in run["generations"]:
        g["learnable"], g["solve_rate"] = g["valid"], 1.0
        g["proposed"] = g["valid"]
    places = sorted(t.get_position()[1] for t in setting_figure(run).axes[1].texts)
    assert all(b - a > 0.1 for a, b in pairwise(places))
    assert places[-1] <= 1.0
