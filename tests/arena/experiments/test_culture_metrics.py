"""What experiments say of a culture: metrics and series on rows with known answers, and the figure of the series."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import arena.experiments.runner as experiment_module
from arena.config.culture import LibrarySection
from arena.config.schema import make_config
from arena.config.shipped import ROOT, SEED_FOLDER
from arena.experiments.cell import cell_record
from arena.experiments.file import load_experiment, make_cells
from arena.experiments.results import make_results, series_of, show
from arena.experiments.runner import run_experiment
from arena.experiments.story_figure import lines_of, spread
from arena.loop import play
from arena.report.metrics.culture_metrics import CULTURE_LABELS, CULTURE_METRICS
from arena.report.metrics.run_metrics import METRICS, FinishedRun, all_metrics
from arena.report.metrics.series import SERIES, TITLES, all_series
from arena.run.state import Arena
from arena.run.store import Row, Store

FIRE = LibrarySection(burn=3, restore=4)


def fill(store: Store, tables: dict[str, list[Row]], last: int) -> None:
    phase = {"generation": last, "phase": "final", "prompt_tokens": 0, "generated_tokens": 0, "trained_tokens": 0}
    with store.transaction():
        store.insert({"phases": [phase | {"counted": 0}], **tables})


def finished(folder: Path, tables: dict[str, list[Row]], last: int, library: LibrarySection = FIRE) -> FinishedRun:
    store = Store(folder / "run.db", create=True)
    fill(store, tables, last)
    return FinishedRun.read(store, "list_programs", library)


def knows(generation: int, agent: str, read: int, recalled: int, known: int, wrong: int, level: int) -> Row:
    row = {"generation": generation, "agent": agent, "read": read, "recalled": recalled}
    return row | {"known": known, "wrong": wrong, "level": level}


def guesses(*made: tuple[int, str, int]) -> list[Row]:
    """(generation, name, correct) in their order; ids that sort the other way round."""
    rest = {"agent": "a", "prompt": "", "text": "", "reason": ""}
    return [
        {"id": f"q{1000 - i}", "generation": g, "name": name, "correct": right, **rest}
        for i, (g, name, right) in enumerate(made)
    ]


def reading(
    generation: int, mind: str, library: str, right: int, of: int = 10, needs: int = 1, depth: int = 1
) -> list[Row]:
    row = {"generation": generation, "mind": mind, "library": library, "domain": "hidden_words", "depth": depth}
    place = f"{generation}/{mind}/{library}/{needs}/{depth}"
    return [
        row
        | {"id": f"{place}/{i}", "needs": needs, "problem": f"w0 | {i}", "correct": int(i < right), "answer_correct": 1}
        for i in range(of)
    ]


def problem(number: int, generation: int, text: str | None, key: str, depth: int, domain: str = "list_programs") -> Row:
    row = {"round": f"r{number}", "generation": generation, "domain": domain, "text": text, "behaviour_key": key}
    return row | {"valid": int(text is not None), "depth": depth if text is not None else None}


# -- what is known and found ------------------------------------------------------------------------------------------


def test_known_names_before_and_after_burn(tmp_path: Path) -> None:
    """Known names are a mean over agents, before and after the library burns."""
    rows = [knows(g, a, known, 1, known + 1, a == "b", known // 8) for g, known in enumerate((0, 8, 16, 0, 24), 0)
            for a in ("a", "b")]  # fmt: skip
    rows[-1] |= {"known": 27, "level": 4}
    run = finished(tmp_path, {"knowledge": rows}, last=4)
    found = all_metrics(run)
    assert (found["names_known_before_burn"], found["names_known_after_burn"]) == (17, 1)
    assert (found["names_known_after_restore"], found["names_known_end"]) == (26, 26)
    assert (found["level_end"], found["names_wrong_end"]) == (3.5, 0.5)
    assert SERIES["names_known"](run) == [(0, 1), (1, 9), (2, 17), (3, 1), (4, 26)]
    assert SERIES["names_read"](run)[2] == (2, 16) and SERIES["names_recalled"](run)[2] == (2, 1)
    assert SERIES["names_wrong"](run)[2] == (2, 0.5)
    assert SERIES["level"](run) == [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 0),
        (4, 3.5),
    ]


def test_no_burn_has_no_before_and_after(tmp_path: Path) -> None:
    """A library that does not burn has no figures before and after."""
    run = finished(tmp_path, {"knowledge": [knows(1, "a", 1, 0, 1, 0, 1)]}, last=1, library=LibrarySection())
    found = all_metrics(run)
    assert [m for m in found if "burn" in m or "restore" in m if found[m] is not None] == []
    assert found["names_known_end"] == 1


def test_first_right_guess_is_the_discovery(tmp_path: Path) -> None:
    """Only the first correct guess of a name is a discovery; guesses count in their stored order."""
    made = [(1, "w0", 0), (1, "w0", 1), (1, "w0", 1), (2, "w9", 1), (2, "w1", 0), (4, "w1", 1), (4, "w8", 1)]
    run = finished(tmp_path, {"guesses": guesses(*made, *[(4, f"w{i}", 1) for i in range(16, 20)], (4, "w63", 1))}, 5)
    found = all_metrics(run)
    assert found["discoveries"] == 9 and found["guesses_per_discovery"] == pytest.approx(12 / 9)
    assert found["guesses_to_8"] == 11 and found["guesses_to_16"] is None
    assert found["level_reached"] == 3  # one name of level 8 is luck
    assert SERIES["discoveries"](run) == [(1, 1), (2, 2), (3, 2), (4, 9), (5, 9)]


def test_no_discovery_is_nought_and_no_guess_is_none(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    none, all_wrong = finished(tmp_path, {}, 1), finished(tmp_path / "b", {"guesses": guesses((1, "w0", 0))}, 1)
    assert [METRICS[m](none) for m in ("discoveries", "guesses_per_discovery", "level_reached")] == [None] * 3
    assert [METRICS[m](all_wrong) for m in ("discoveries", "guesses_per_discovery", "level_reached")] == [0, None, 0]
    assert SERIES["discoveries"](none) == [] and SERIES["discoveries"](all_wrong) == [(1, 0)]


# -- the ratchet ------------------------------------------------------------------------------------------------------


def test_ratchet_end_is_the_last_three_readings(tmp_path: Path) -> None:
    """The ratchet is own minus first library, its end the mean of the last three readings."""
    rows = []
    for g, own, filler, shuffled in ((5, 1, 0, 0), (10, 4, 1, 0), (15, 6, 2, 3), (20, 8, 3, 1)):
        rows += reading(g, "newborn", "own", own) + reading(g, "newborn", "first", 1)
        rows += reading(g, "newborn", "filler", filler) + reading(g, "newborn", "shuffled", shuffled)
        rows += reading(g, "newborn", "own", 10, needs=0) + reading(g, "newborn", "first", 0, needs=0)
        if g == 20:
            rows += reading(g, "newborn", "stale", 5)
    run = finished(tmp_path, {"ratchet": rows}, last=20)
    found = all_metrics(run)
    assert SERIES["ratchet"](run) == [(5, 0), (10, pytest.approx(0.3)), (15, 0.5), (20, pytest.approx(0.7))]
    assert found["ratchet_end"] == pytest.approx(0.5)
    assert found["ratchet_slope"] == pytest.approx(0.046)  # covariance 5.75 over variance 125
    assert found["ratchet_margin"] == pytest.approx(0.6 - 0.2)  # the better control at the end is filler
    assert found["ratchet_over_stale"] == pytest.approx(0.3)
    assert [found[m] for m in ("text_channel", "weights_channel", "synergy", "late_over_early")] == [None] * 4


def test_channels_are_the_two_by_two(tmp_path: Path) -> None:
    rows = reading(3, "newborn", "none", 1) + reading(3, "newborn", "own", 4)
    rows += reading(3, "living", "none", 3) + reading(3, "living", "own", 9)
    rows += reading(3, "schooled", "own", 10) + reading(3, "schooled", "none", 10)  # are not of who lives then
    found = all_metrics(finished(tmp_path, {"ratchet": rows}, last=3))
    assert [found[m] for m in ("text_channel", "weights_channel", "synergy")] == pytest.approx([0.3, 0.2, 0.3])
    assert found["ratchet_slope"] is None and found["late_over_early"] is None


def asked(generation: int, library: str, *answers: tuple[int, int, int | None], needs: int = 1) -> list[Row]:
    """A newborn's (correct, answer_correct, follows), a problem each."""
    row = {"generation": generation, "mind": "newborn", "library": library, "domain": "hidden_words", "depth": 1}
    return [
        row
        | {"id": f"{generation}/{library}/{needs}/{i}", "needs": needs, "problem": f"w{i} | 1", "correct": correct}
        | {"answer_correct": answer, "follows": follows}
        for i, (correct, answer, follows) in enumerate(answers)
    ]


def test_reading_difference_needs_definitions(tmp_path: Path) -> None:
    """The effect of reading is over problems whose definitions were shown."""
    unknown = (0, 1, None)
    rows = asked(4, "own", (1, 1, 1), (1, 1, 1), (0, 1, 1), (0, 0, 0), (1, 1, None))  # the last is solved without
    rows += asked(4, "none", unknown, unknown, (1, 1, None), unknown, (0, 0, None))
    rows += asked(4, "filler", unknown, unknown, unknown, unknown, (1, 1, None))
    rows += asked(4, "wrong", (0, 0, 1), (0, 0, 1), (0, 1, 0), (0, 0, 0), (1, 1, None))
    rows += asked(4, "own", (1, 1, None), needs=0) + asked(4, "none", (0, 0, None), needs=0)
    found = all_metrics(finished(tmp_path, {"ratchet": rows}, last=5))
    assert found["reading_difference"] == pytest.approx(2 / 4 - 1 / 4)
    assert found["filler_difference"] == pytest.approx(0 - 1 / 4)
    assert (found["follows_own"], found["follows_wrong"], found["right_despite_wrong"]) == (0.75, 0.5, 0.25)


def test_reading_difference_is_of_three_readings(tmp_path: Path) -> None:
    """The effect of reading is a mean over the last three readings."""
    rows = []
    for g, right in ((1, 0), (2, 1), (3, 0), (4, 1)):
        rows += asked(g, "own", (right, right, right)) + asked(g, "none", (0, 0, None))
        rows += asked(g, "wrong", (0, 1 - right, right))
    found = all_metrics(finished(tmp_path, {"ratchet": rows}, last=4))
    assert found["reading_difference"] == found["follows_wrong"] == pytest.approx(2 / 3)
    assert found["right_despite_wrong"] == pytest.approx(1 / 3) and found["filler_difference"] is None


def test_schools_are_means_over_depths(tmp_path: Path) -> None:
    """Schools are means over depths, of newborns schooled after the last generation."""
    rows = []
    for depth in range(1, 9):
        for school, right in (("none", 1), ("early", 2), ("late", depth), ("hard_early", 3), ("hard_late", 4)):
            rows += reading(6, "schooled", f"school_{school}", right, 10 * (1 + depth % 2), 0, depth)
        rows += reading(6, "living", "school_late", 10, needs=0, depth=depth)
        rows += reading(3, "schooled", "school_early", 10, needs=0, depth=depth)  # when the run ended earlier
    found = all_metrics(finished(tmp_path, {"ratchet": rows}, last=6))
    # depths 3, 5 and 7 have 20 problems, the others 10; a depth counts once
    late = [3 / 20, 4 / 10, 5 / 20, 6 / 10, 7 / 20, 8 / 10]
    early = [2 / 20, 2 / 10, 2 / 20, 2 / 10, 2 / 20, 2 / 10]
    assert found["school_late_3_6"] == pytest.approx(sum(late[:4]) / 4)
    assert found["school_early_3_6"] == pytest.approx(0.15) and found["school_none_3_6"] == pytest.approx(0.075)
    assert found["school_hard_early_3_6"] == pytest.approx(0.225)
    assert found["school_hard_late_3_6"] == pytest.approx(0.3)
    assert found["late_over_early"] == pytest.approx(sum(late[:4]) / 4 - 0.15)
    assert found["late_over_early_3_8"] == pytest.approx((sum(late) - sum(early)) / 6)


def test_school_without_all_depths_is_none(tmp_path: Path) -> None:
    """A school that was not measured at all depths has no value."""
    rows = [
        r for d in range(1, 7) for s in ("early", "late") for r in reading(2, "schooled", f"school_{s}", d, 10, 0, d)
    ]
    found = all_metrics(finished(tmp_path, {"ratchet": rows}, last=2))
    assert found["late_over_early"] == 0 and found["late_over_early_3_8"] is None


# -- diversity --------------------------------------------------------------------------------------------------------


def test_diversity_counts_behaviours_of_valid_problems(tmp_path: Path) -> None:
    rows = [problem(0, 1, "rev inc | 1 2", "x", 2), problem(1, 1, "inc rev | 1 2", "x", 2)]
    rows += [problem(2, 2, "rev | 1 2", "x", 1), problem(3, 2, "inc dbl | 3", "y", 2), problem(4, 2, None, "z", 9)]
    rows += [problem(5, 2, "inc inc | 3", "v", 3), problem(6, 2, "w0 dbl rev | 3", "x", 4, "hidden_words")]
    run = finished(tmp_path, {"problems": rows}, last=2)
    found = all_metrics(run)
    assert (found["distinct_first"], found["distinct_problems_last"], found["distinct_change"]) == (0.5, 1.0, 0.5)
    assert (found["depth_first"], found["depth_last"]) == (2, 2.5)
    # rev 2, inc 3, dbl 2, w0 1 of 8 words
    assert found["prompt_entropy"] == pytest.approx(2 * 0.25 * 2 + 0.125 * 3 + 0.375 * 1.4150375)
    assert SERIES["distinct_problems"](run) == [(1, 0.5), (2, 1.0)] and SERIES["depth"](run) == [(1, 2), (2, 2.5)]


def test_a_run_with_empty_tables_has_nothing_to_say(tmp_path: Path) -> None:
    run = finished(tmp_path, {}, last=1)
    assert {m: f(run) for m, f in CULTURE_METRICS.items() if f(run) is not None} == {}
    assert set(CULTURE_LABELS) == set(CULTURE_METRICS)
    assert set(map(len, all_series(run).values())) == {0} and set(TITLES) == set(SERIES)


# -- from the file to the figure --------------------------------------------------------------------------------------


def written(folder: Path, **changes: Any) -> Path:
    file: dict[str, Any] = {"name": "trial", "question": "does it?", "base": str(ROOT / "configs" / "tiny.yaml")}
    file |= {"arms": {"burned": {"library.burn": 3, "library.restore": 5}, "lasting": None}, "baseline": "burned"}
    file |= {"seeds": [0, 1], "final_seeds": [100], "metrics": ["guesses_to_8", "names_known_end"]}
    file |= {"series": ["names_known", "discoveries"], "marks": {3: "the library burns", 5: "it is given back"}}
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in (file | changes).items() if v is not ...}))
    return path


def play_out(path: Path, home: Path) -> None:
    """Runs as they would be left behind: burned knows 2 g names but none in 3 and 4, of which seed 1 finds few."""
    for cell in make_cells(load_experiment(path), path, home, False):
        cell.folder.mkdir(parents=True)
        last = 6 - cell.seed  # one seed ends earlier
        gone = (3, 4) if cell.arm == "burned" else ()
        knowledge = [knows(g, "a", 0, 0, 0 if g in gone else 2 * g + cell.seed, 0, 1) for g in range(1, last + 1)]
        tables = {"knowledge": knowledge, "guesses": guesses(*[(1, f"w{i}", 1) for i in range(9 - 2 * cell.seed)])}
        tables["evaluations"] = [{"id": "e", "generation": 0, "split": "dev", "correct": 0, "mode": "full"}]
        store = Store(cell.folder / "run.db", create=True)
        fill(store, tables, last)
        record = cell_record(store, cell.config, "list_programs")
        store.close()
        record |= {"arm": cell.arm, "model_sha256": "m", "commit": None}
        (cell.folder / "cell.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"series": ["names_knwon"]}, "unknown series 'names_knwon'; did you mean 'names_known'"),
        ({"series": ["level", "level"]}, "series holds one twice"),
        ({"highlight": ["burnt"]}, "highlight holds 'burnt', which is not an arm; did you mean 'burned'"),
        ({"marks": {-1: "x"}}, "marks holds generation -1"),
        ({"marks": {"soon": "x"}}, "marks.soon"),
        ({"series": ...}, "marks and highlight are about series"),
    ],
)
def test_a_mistake_about_series_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load_experiment(written(tmp_path, **changes))


def test_series_come_out_as_data_and_as_a_figure(tmp_path: Path, monkeypatch: Any) -> None:
    path, home = written(tmp_path, highlight=["burned"]), tmp_path / "out" / "trial"
    play_out(path, home)
    monkeypatch.setattr(experiment_module, "start", None)  # nothing is left to play
    said: list[str] = []
    assert run_experiment(path, folder=tmp_path / "out", say=said.append) == 0
    results = json.loads((home / "results.json").read_text())
    points = results["series"]["names_known"]["burned"]
    assert [(p["generation"], p["mean"], p["n"]) for p in points[1:3]] == [(2, 4.5, 2), (3, 0, 2)]
    # 4 and 5: t(1 df) = 12.706, standard error 0.5
    assert points[1]["low"] == pytest.approx(4.5 - 6.353, abs=1e-3) and points[-1]["n"] == 1
    with open(home / "series" / "names_known.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["arm"] for r in rows] == ["burned"] * 6 + ["lasting"] * 6
    assert (rows[1]["seed_0"], rows[1]["seed_1"], rows[5]["seed_1"], rows[5]["low"]) == ("4.0", "5.0", "", "")
    assert (home / "story.png").read_bytes().startswith(b"\x89PNG")
    story = (home / "story.svg").read_text()
    for words in ("the library burns", "it is given back", "Names an agent knows", "lasting  10", "does it?"):
        assert words in story
    assert "9.000 (1 of 2)" not in said[-1] and "8.000 (1 of 2)" in said[-1]
    assert "Not all seeds have a value of guesses_to_8:" in said[-1]


def test_story_line_keeps_its_seeds(tmp_path: Path) -> None:
    """A line is over the same seeds throughout and ends with the first seed that ends."""
    path = written(tmp_path, highlight=["lasting"])
    play_out(path, tmp_path / "out")
    cells = make_cells(load_experiment(path), path, tmp_path / "out", False)
    records = [json.loads((c.folder / "cell.json").read_text()) for c in cells]
    results = make_results(load_experiment(path).model_dump(mode="json"), records, {}, False, None)
    grey, bold = lines_of(results, "names_known")
    assert (grey.arm, grey.bold, bold.arm, bold.bold) == ("burned", False, "lasting", True)
    assert grey.x == bold.x == [1, 2, 3, 4, 5] and bold.y == [2.5, 4.5, 6.5, 8.5, 10.5]


def test_new_series_are_read_from_the_run(tmp_path: Path, monkeypatch: Any) -> None:
    """Series added after a cell was played are read from its run."""
    path, home = written(tmp_path), tmp_path / "out" / "trial"
    play_out(path, home)
    for file in home.glob("*/cell.json"):
        record = json.loads(file.read_text())
        del record["series"], record["metrics"]["names_known_after_burn"]
        file.write_text(json.dumps(record))
    monkeypatch.setattr(experiment_module, "start", None)
    assert run_experiment(path, folder=tmp_path / "out", say=lambda line: None) == 0
    results = json.loads((home / "results.json").read_text())
    assert results["series"]["names_known"]["lasting"][0]["mean"] == 2.5
    assert results["arms"]["burned"]["names_known_after_burn"]["mean"] == 0


def test_a_figure_of_nothing_says_so(tmp_path: Path, monkeypatch: Any) -> None:
    path, home = written(tmp_path, series=["names_known", "ratchet"]), tmp_path / "out" / "trial"
    play_out(path, home)
    monkeypatch.setattr(experiment_module, "start", None)
    run_experiment(path, folder=tmp_path / "out", say=lambda line: None)
    assert (home / "story.svg").read_text().count("nothing was measured") == 1
    assert (home / "series" / "ratchet.csv").read_text() == "arm,generation,mean,low,high,n\n"


def test_how_many_seeds_have_a_value_is_said() -> None:
    assert show({"mean": 12.5, "low": 10.0, "high": 15.0, "n": 3}, 5) == "12.5 [10.0, 15.0] (3 of 5)"
    assert show({"mean": 12.5, "low": 10.0, "high": 15.0, "n": 5}, 5) == "12.5 [10.0, 15.0]"
    assert show({"mean": 12.5, "low": None, "high": None, "n": 1}, 1) == "12.5 (n = 1)"
    assert show({"mean": None, "low": None, "high": None, "n": 0}, 5) == "- (0 of 5)"
    assert series_of({}) == [] and [p["n"] for p in series_of({0: [(2, 1.0)], 1: [(1, 2.0), (2, 3.0)]})] == [1, 2]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([1.0, 5.0, 9.0], [1.0, 5.0, 9.0]),
        ([5.0, 5.0, 5.0], [4.0, 5.0, 6.0]),
        ([5.0, 5.2, 9.0], [4.6, 5.6, 9.0]),
        ([0.0, 0.0, 0.0], [0.0, 1.0, 2.0]),
        ([10.0, 10.0], [9.0, 10.0]),
    ],
)
def test_names_are_spread_as_little_as_it_takes(wanted: list[float], expected: list[float]) -> None:
    assert spread(wanted, 1.0, 0.0, 10.0) == pytest.approx(expected)


# -- the files that ship ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_marks_match_the_arms(path: Path, tmp_path: Path) -> None:
    """The marks of a shipped experiment are the generations in which its libraries burn or are restored."""
    experiment = load_experiment(path)
    cells = make_cells(experiment, path, tmp_path, False)
    libraries = [c.config.library for c in cells]
    assert set(experiment.marks) == {g for x in libraries for g in (x.burn, x.restore) if g}
    assert f"`configs/experiments/{path.name}`" in (ROOT / "docs" / "configs.md").read_text()
    assert path.read_text().startswith("# ") and experiment.name == path.stem
    assert len({c.config.to_yaml() for c in cells}) == len(cells)


def test_the_burned_library_compares_what_it_says(tmp_path: Path) -> None:
    path = ROOT / "configs" / "experiments" / "burned_library.yaml"
    arms = {c.arm: c.config for c in make_cells(load_experiment(path), path, tmp_path, False) if c.seed == 0}
    assert not arms["burned"].sleep.enabled and arms["burned"].library.reading and arms["burned"].turnover.life == 1
    assert not arms["weights_only"].library.reading and arms["weights_only"].sleep.lore
    assert arms["both"].library.reading and arms["both"].rounds.recall and arms["both"].turnover.inherit == "both"
    assert {a for a, c in arms.items() if c.library.burn} == {"burned", "weights_only", "both"}
    assert {a for a, c in arms.items() if c.turnover.policy == "none"} == {"immortal_notes", "immortal_no_notes"}


@pytest.mark.parametrize("name", ["sharing", "collapse"])
def test_list_experiments_have_no_hidden_words(name: str, tmp_path: Path) -> None:
    """Experiments on list programs alone have no domain hidden_words."""
    path = ROOT / "configs" / "experiments" / f"{name}.yaml"
    assert {tuple(c.config.domains) for c in make_cells(load_experiment(path), path, tmp_path, False)} == {
        ("list_programs",)
    }


@pytest.mark.slow
@pytest.mark.skipif(not SEED_FOLDER.is_dir(), reason="the seed model is not in agents/seed")
def test_every_metric_and_series_runs_on_a_real_run(tmp_path: Path) -> None:
    data = yaml.safe_load((ROOT / "configs" / "tiny.yaml").read_text()) | {"generations": 2}
    config = make_config(data, [f"run.folder={tmp_path}"])
    with Arena.create(config) as arena:
        play(arena)
        record = cell_record(arena.store, config, "list_programs")
    assert set(record["metrics"]) == set(METRICS) and set(record["series"]) == set(SERIES)
    assert record["metrics"]["discoveries"] is not None and 0 < record["metrics"]["distinct_problems_last"] <= 1
    assert [g for g, _ in record["series"]["depth"]] == [g for g, _ in record["series"]["discoveries"]] == [1, 2]
