"""Comparisons of runs built by hand, whose means and differences can be computed on fingers."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from arena.config.schema import load_config, make_config
from arena.phases.order import LOOP
from arena.report.comparison.arms import arms, flat
from arena.report.comparison.compare import compare, effect
from arena.report.comparison.curves import compute_curve, generation_curves
from arena.report.comparison.sections import LABELS, in_order, label, sections, sentence
from arena.report.comparison.write import write_comparison
from arena.report.metrics.run_metrics import METRICS
from arena.report.metrics.run_summary import analyze
from arena.report.source import Source
from arena.report.terminal import print_sections
from arena.run.store import Store
from tests.helpers.command import ratchet

TRIES = 10
"""Held-out problems a depth: rates are tenths."""


def made(
    folder: Path,
    seed: int,
    after: dict[int, float] | None = None,
    generations: int = 2,
    played: int | None = None,
    tokens: int = 100,
    meta: dict[str, str] | None = None,
    **config: Any,
) -> Source:
    """A run whose held-out rate is 0.2 before, rises evenly, and ends at `after` by depth; 4 learnable a generation."""
    played = generations if played is None else played
    finished = played == generations
    folder.mkdir(parents=True)
    name = folder.name if folder.name.isalnum() else "run"
    data = {"run": {"name": name}, "seed": seed, "generations": generations, **config}
    (folder / "config.yaml").write_text(make_config(data).to_yaml())
    after = after or dict.fromkeys(range(1, 9), 0.6)
    phases, evaluations, outcomes, problems = [], [], [], []
    done = [(0, "baseline"), *((g, name) for g in range(1, played + 1) for name in LOOP)]
    for g, name in done + ([(played, "final")] if finished else []):
        counted = int(name not in ("baseline", "measure", "final"))
        used = tokens if name == "solve" else 0
        phases.append(dict(zip(PHASE, (g, name, used, 0, 0, counted), strict=True)))
        if name in ("baseline", "measure", "final"):
            mode = "greedy" if name == "measure" else "full"
            for depth, end in after.items():
                rate = 0.2 + (end - 0.2) * g / generations
                evaluations += [row(g, name, mode, depth, i, i < round(rate * TRIES)) for i in range(TRIES)]
    for g in range(1, played + 1):
        for i in range(6):
            outcomes.append(dict(zip(OUTCOME, (f"g{g}r{i}", g, 0.5, int(i < 4), 1.0), strict=True)))
            problems.append(problem(g, i))
    store = Store(folder / "run.db", create=True)
    with store.transaction():
        store.insert({"phases": phases, "evaluations": evaluations, "outcomes": outcomes, "problems": problems})
        store.set_meta(meta or {"base model": "aaaa", "torch": "2"})
    return opened(folder, store)


PHASE = ("generation", "phase", "prompt_tokens", "generated_tokens", "trained_tokens", "counted")
OUTCOME = ("round", "generation", "solve_rate", "learnable", "setter_reward")


def row(g: int, place: str, mode: str, depth: int, number: int, right: bool) -> dict[str, Any]:
    known = {"id": f"g{g}/{place}/{depth}/{number}", "generation": g, "domain": "list_programs", "split": "dev"}
    known |= {"depth": depth, "agent": "ada", "problem": f"p{number}", "reading": None, "mode": mode, "k": 1}
    return known | {"correct": int(right), "answer_correct": int(right)}


def problem(g: int, number: int) -> dict[str, Any]:
    empty = dict.fromkeys(("proposal", "detail", "text_key", "features", "logprob", "tokens"))
    empty["text"] = f"rev inc | {g} {number}"
    known = {"round": f"g{g}r{number}", "generation": g, "domain": "list_programs", "author": "ada", "valid": 1}
    return empty | known | {"reason": "ok", "depth": g + 1, "behaviour_key": str(number)}


def opened(folder: Path, store: Store | None = None) -> Source:
    store, config = store or Store(folder / "run.db"), load_config(folder / "config.yaml")
    return Source(folder, store, config, analyze(store, config))


def rates(middle: float) -> dict[int, float]:
    return {1: 1.0, 2: 1.0, **dict.fromkeys((3, 4, 5, 6), middle), 7: 0.0, 8: 0.0}


FROZEN: dict[str, Any] = {"rounds": {"setter": "frozen"}}


@pytest.fixture
def four(tmp_path: Path) -> list[Source]:
    """self: .6, .8 at depths 3 to 6 with seeds 1, 2; frozen: .5, .6 with the same seeds."""
    return [
        made(tmp_path / "a1", 1, rates(0.6)),
        made(tmp_path / "a2", 2, rates(0.8)),
        made(tmp_path / "b1", 1, rates(0.5), **FROZEN),
        made(tmp_path / "b2", 2, rates(0.6), **FROZEN),
    ]


# -- arms -------------------------------------------------------------------------------------------------------------


def test_arms_are_named_by_config_difference(four: list[Source]):
    """Runs are grouped and named by the config keys in which they differ."""
    found = arms(four)
    assert [(a.name, a.seeds) for a in found] == [("setter=self", (1, 2)), ("setter=frozen", (1, 2))]
    assert found[1].differs == {"rounds.setter": "frozen"}


def test_what_cannot_matter_makes_no_arm(tmp_path: Path):
    other = {"engine": {"vllm": {"adapters": 7}, "openai": {"url": "http://other:1/v1"}}, "sinks": ["tensorboard"]}
    runs = [made(tmp_path / "one", 1), made(tmp_path / "two", 2, **other)]
    (arm,) = arms(runs)
    assert arm.name == "all runs" and arm.seeds == (1, 2) and not arm.differs
    asleep = [make_config({"sleep": {"enabled": False, "rank": r}}) for r in (8, 16)]
    assert flat(asleep[0]) == flat(asleep[1])
    assert flat(make_config({"sleep": {"rank": 8}})) != flat(make_config({"sleep": {"rank": 16}}))


def test_arm_names_are_unique(tmp_path: Path):
    """Keys with the same last part are distinguished, and long names are numbered."""
    base = made(tmp_path / "one", 1)
    both = made(tmp_path / "two", 1, rounds={"setter": "frozen"}, rewards={"setter": "inverse"})
    assert arms([base, both])[1].name == "arm 2"  # rounds.setter=frozen, rewards.setter=inverse is longer
    domains = {"domains": {"list_programs": {"share": 0.5}, "hidden_words": {"share": 0.5}}}
    third = made(tmp_path / "three", 1, **domains)
    first, second = arms([base, third])
    assert first.differs["domains.hidden_words.share"] == "(none)"
    assert second.differs["domains.hidden_words.share"] == "0.5"


def test_two_runs_of_one_config_and_seed_are_refused(tmp_path: Path):
    runs = [made(tmp_path / "one", 1), made(tmp_path / "copy", 1)]
    with pytest.raises(ValueError, match=r"one and .*copy are both seed 1 of the same config"):
        compare(runs)


def test_one_and_the_same_run_twice_is_refused(tmp_path: Path):
    run = made(tmp_path / "one", 1)
    again = Source(tmp_path / "x" / ".." / "one", run.store, run.config, run.analysis)
    (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match="the same run"):
        compare([run, again])


# -- numbers ----------------------------------------------------------------------------------------------------------


def test_comparison_matches_hand_counts(four: list[Source]):
    """Means, gains and paired differences equal values computed by hand."""
    c = compare(four)
    assert c["baseline"] == "setter=self" and c["tasks"] == list(range(1, 9))
    base, frozen = c["arms"]
    assert base["scores"]["heldout_3_6"]["mean"] == pytest.approx(0.7)
    assert frozen["scores"]["gain_3_6"]["mean"] == pytest.approx(0.35)
    assert base["scores"]["learnable_per_generation"]["mean"] == 4.0
    (e,) = c["effects"]
    after = e["scores"]["heldout_3_6"]
    assert after["how"] == "paired" and after["n"] == [2, 2] and e["shared_seeds"] == [1, 2]
    assert after["difference"] == pytest.approx(-0.15)  # of -0.1 and -0.2
    half = 12.7062047 * 0.05  # t(1) times the standard error of -0.1 and -0.2
    assert (after["low"], after["high"]) == (pytest.approx(-0.15 - half), pytest.approx(-0.15 + half))
    assert (after["p"], after["smallest_p"]) == (0.5, 0.5)
    assert e["scores"]["heldout_depth_5"]["difference"] == pytest.approx(-0.15)
    assert e["scores"]["heldout_depth_1"]["difference"] == 0.0


def test_iqm_is_over_runs_and_depths(four: list[Source]):
    """Interquartile mean and probability of improvement are over runs and depths."""
    c = compare(four)
    assert c["arms"][0]["iqm"]["value"] == pytest.approx(0.7)  # of 4 at 0 and 4 at 1 cut off, four at .6, four at .8
    (e,) = c["effects"]
    assert e["iqm_difference"]["value"] == pytest.approx(-0.15)
    # depths 3 to 6: of the pairs (.5, .6), (.5, .8), (.6, .6), (.6, .8) one is a tie; the other depths are ties
    assert e["probability_of_improvement"]["value"] == pytest.approx((0.5 / 4) * 0.5 + 0.5 * 0.5)
    assert e["probability_of_improvement"]["runs"] == [2, 2]
    assert c["arms"][0]["iqm"]["low"] == pytest.approx(0.6) and c["arms"][0]["iqm"]["high"] == pytest.approx(0.8)


def test_no_shared_seeds_means_independent_runs():
    """Arms without shared seeds are compared as independent runs."""
    found = effect({1: 1.0, 2: 2.0, 3: 3.0}, {4: 4.0, 5: 5.0, 6: 6.0})
    assert (found["how"], found["difference"], found["n"], found["p"]) == ("independent", -3.0, [3, 3], None)
    assert found["low"] == pytest.approx(-3 - 2.7764451 * math.sqrt(2 / 3))


def test_unshared_seeds_are_not_paired():
    """Seeds that only one arm has are left out of pairs."""
    found = effect({1: 1.0, 2: 2.0, 9: 50.0}, {1: 0.0, 2: 0.0, 3: None})
    assert (found["how"], found["difference"], found["n"]) == ("paired", 1.5, [2, 2])
    assert effect({1: None}, {1: 2.0})["difference"] is None


def test_curves_are_means_with_the_range_of_seeds(four: list[Source]):
    points = generation_curves(four[:2], (3, 4, 5, 6))["heldout"]
    assert [p["x"] for p in points] == [0, 1, 2]
    assert [p["mean"] for p in points] == pytest.approx([0.2, 0.45, 0.7])
    assert (points[2]["low"], points[2]["high"], points[2]["runs"]) == (pytest.approx(0.6), pytest.approx(0.8), 2)
    depth = generation_curves(four, (3,))["difficulty"]
    assert [(p["x"], p["mean"]) for p in depth] == [(1, 2.0), (2, 3.0)]


def test_compute_curves_end_with_shortest_run(tmp_path: Path):
    """Curves over compute share their x values and end with the shortest run."""
    runs = [made(tmp_path / "a", 1, rates(0.6), tokens=100), made(tmp_path / "b", 2, rates(0.6), tokens=200)]
    points = compute_curve(runs, (3, 4, 5, 6))
    assert (points[0]["x"], points[-1]["x"]) == (0.0, 200.0)  # two generations of 100; the other reaches 400
    assert points[0]["mean"] == pytest.approx(0.2)
    assert (points[-1]["low"], points[-1]["high"]) == (pytest.approx(0.4), pytest.approx(0.6))
    middle = points[len(points) // 2]
    assert (middle["x"], middle["high"], middle["low"]) == (100.0, pytest.approx(0.4), pytest.approx(0.3))


# -- what a reader must know ------------------------------------------------------------------------------------------


def test_unfinished_run_is_only_in_curves(four: list[Source], tmp_path: Path):
    """An unfinished run is announced, and is in the curves but in no final score."""
    late = made(tmp_path / "b3", 3, rates(0.9), generations=2, played=1, **FROZEN)
    c = compare([*four, late])
    assert any("b3 is not finished (1 of 2 generations)" in line for line in c["cautions"])
    frozen = c["arms"][1]
    assert frozen["scores"]["heldout_3_6"]["n"] == 2 and frozen["scores"]["before_3_6"]["n"] == 3
    assert [p["runs"] for p in c["curves"]["setter=frozen"]["heldout"]] == [3, 3, 2]
    row_ = next(r for r in c["runs"] if r["name"] == "b3")
    assert row_["scores"]["compute"] is None and not row_["finished"]


def test_few_seeds_are_said(four: list[Source], tmp_path: Path):
    said = " ".join(compare(four)["cautions"])
    assert "setter=self and setter=frozen: fewer than 5 finished seeds" in said
    assert "cannot go below p = 0.5" in said
    lone = compare([four[0], four[2]])
    assert "one finished seed" in " ".join(lone["cautions"])
    assert lone["effects"][0]["scores"]["heldout_3_6"]["low"] is None
    assert sentence(lone["effects"][0], "heldout_3_6").endswith("from too few runs for an interval.")


def test_unlike_runs_are_said(tmp_path: Path):
    words = {"domains": {"hidden_words": {"share": 1.0}}}
    runs = [
        made(tmp_path / "a", 1),
        made(tmp_path / "b", 2, meta={"base model": "bbbb", "torch": "3"}, tokens=500, **words),
        made(tmp_path / "c", 3, measure={"split": "test"}),
    ]
    said = compare(runs)["cautions"]
    assert any("main domains differ (hidden_words, list_programs)" in line for line in said)
    assert any("model.path seed were played with different weights: aaaa, bbbb" in line for line in said)
    assert "Runs were played with different torch: 2, 3." in said
    assert any("dev set and some on the test set" in line for line in said)
    assert any("Compute is not equal" in line for line in said)
    assert any("share no seeds: they are compared as independent runs" in line for line in said)


def test_one_arm_is_pooled_and_not_compared(tmp_path: Path):
    c = compare([made(tmp_path / "a", 1, rates(0.6)), made(tmp_path / "b", 2, rates(0.8))])
    assert c["effects"] == [] and c["arms"][0]["scores"]["heldout_3_6"]["mean"] == pytest.approx(0.7)
    assert any("nothing to compare" in line for line in c["cautions"])
    assert "effects" not in {s.key for s in sections(c)}


def test_difference_needs_interval_without_zero():
    """A sentence claims a difference only if its interval excludes 0."""

    def said(low: float | None, high: float | None) -> str:
        e = {"difference": 0.1, "low": low, "high": high, "how": "paired", "n": [3, 3]}
        return sentence({"arm": "b", "baseline": "a", "scores": {"gain_3_6": e}}, "gain_3_6")

    assert "no difference is shown" in said(-0.1, 0.3)
    assert "higher, +0.100 [+0.050, +0.150]" in said(0.05, 0.15)
    assert "the spread is not known" in said(0.1, 0.1)


# -- what is shown and written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 160])
def test_the_tables_fit_the_screen(four: list[Source], width: int):
    console = Console(width=width, record=True, file=io.StringIO())
    print_sections(console, sections(compare(four)))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    for part in ("setter=frozen", "held-out after, depths 3-6", "-0.150", "2 pairs", "interquartile"):
        assert part in text


def test_hostile_names_are_data(tmp_path: Path):
    runs = [made(tmp_path / "<b>x[red]", 1), made(tmp_path / "[/bold]&amp;", 2)]
    c = compare(runs)
    console = Console(width=120, record=True, file=io.StringIO())
    print_sections(console, sections(c))
    assert "[/bold]&amp;" in console.export_text()
    page = write_comparison(c, sections(c), tmp_path / "out")[0].read_text()
    assert "<b>x" not in page and "[/bold]&amp;amp;" in page


def test_comparison_writes_page_figures_json(four: list[Source], tmp_path: Path):
    """A comparison writes a page and figures, and the JSON holds the same numbers."""
    c = compare(four)
    written = write_comparison(c, sections(c), tmp_path / "out")
    assert written[0] == tmp_path / "out" / "index.html" and all(p.stat().st_size for p in written)
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == c
    page = written[0].read_text()
    for part in ("Cautions", "setter=frozen", "-0.150", "figures/curves.png"):
        assert part in page
    assert "alarms" not in page.partition("<main")[2].lower()
    header, *data = (tmp_path / "out" / "data" / "curves.csv").read_text().splitlines()
    assert header.split(",")[:3] == ["curve", "arm", "x"] and len(data) > 10
    with pytest.raises(ValueError, match="is a run"):
        write_comparison(c, sections(c), four[0].folder)


def test_begun_runs_have_no_scores(tmp_path: Path):
    """Runs that have only begun are compared without scores."""
    runs = [made(tmp_path / "a", 1, played=0), made(tmp_path / "b", 1, played=0, **FROZEN)]
    c = compare(runs)
    assert c["tasks"] == [] and c["arms"][0]["iqm"] is None
    print_sections(Console(width=80, file=io.StringIO()), sections(c))
    write_comparison(c, sections(c), tmp_path / "out")


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_compare_command_writes_where_told(four: list[Source], tmp_path: Path):
    """The command prints a comparison or JSON and writes into the folder of `--out`."""
    done = ratchet("analyze", "a1", "a2", "b1", "b2", "--json", "--out", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [a["name"] for a in found["arms"]] == ["setter=self", "setter=frozen"]
    assert (tmp_path / "here" / "index.html").is_file()
    done = ratchet("analyze", "b1", "a1", "--no-plots", cwd=tmp_path)
    assert done.returncode == 0 and "setter=frozen: seed 1. The baseline." in done.stdout
    assert not (tmp_path / "comparison").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a1", "a1"), "a1 and a1 are the same run: name it once"),
        (("a1", "a3"), "no run folder at a3; did you mean 'a"),
        (("a1", "here"), "no run database at here/run.db"),
        (("a1", "--out", "a2"), "a2 is a run: give --out another folder"),
        (("a1", "b1", "--out", "a2"), "a2 is a run: give --out another folder"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], says: str, four: list[Source], tmp_path: Path):
    (tmp_path / "here").mkdir()
    done = ratchet("analyze", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_metric_has_a_label() -> None:
    """A comparison names and orders every metric; one without a label is named by its key."""
    assert [name for name in METRICS if name not in LABELS] == []
    assert in_order(dict.fromkeys(["of_no_label", "heldout_depth_10", "heldout_depth_9", "heldout_3_6"])) == [
        "heldout_3_6",
        "heldout_depth_9",
        "heldout_depth_10",
        "of_no_label",
    ]
    assert label("of_no_label") == "of no label"
