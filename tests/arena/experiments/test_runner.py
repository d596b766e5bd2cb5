"""Experiments: strict files, cells that are never confused, metrics from the store, a final that is made once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import arena.experiments.runner as experiment_module
from arena.config.schema import load_config, make_config
from arena.config.shipped import ROOT, SEED_FOLDER
from arena.experiments.cell import cell_record
from arena.experiments.file import load_experiment, make_cells
from arena.experiments.results import make_results, write_results
from arena.experiments.runner import Cell, check_split, check_stored, completed, run_experiment
from arena.report.metrics.culture_metrics import CULTURE_METRICS
from arena.report.metrics.run_metrics import METRICS, FinishedRun, all_metrics, curve
from arena.report.metrics.series import SERIES
from arena.report.stats.over_seeds import estimate, paired
from arena.run.state import Arena
from arena.run.store import Store

TINY = ROOT / "configs" / "experiments" / "tiny.yaml"
GOOD: dict[str, Any] = {
    "name": "trial",
    "question": "does it?",
    "base": "configs/tiny.yaml",
    "common": {"engine.threads": 1, "limits.compute": 6000},
    "arms": {"selfplay": None, "uniform": {"rounds.setter": "uniform"}},
    "seeds": [0, 1],
    "final_seeds": [100, 101],
    "metrics": ["heldout_3_6", "names_difference", "compute"],
    "baseline": "selfplay",
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "trial.yaml"
    data = {k: v for k, v in (GOOD | {"base": str(ROOT / GOOD["base"])} | changes).items() if v is not ...}
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def cells_of(path: Path, final: bool = False) -> list[Cell]:
    return make_cells(load_experiment(path), path, path.parent / "out" / ("trial-final" if final else "trial"), final)


def finish(cell: Cell, **metrics: float) -> None:
    """Write the record of a finished cell as its process would."""
    record = {
        "arm": cell.arm,
        "seed": cell.seed,
        "metrics": dict.fromkeys(METRICS, 0.5) | {"compute": 6100.0, "names_difference": None} | metrics,
        "curve": [[1000.0 * (cell.seed + 1), 0.1], [6000.0, 0.5]],
        "series": {name: [[1, 0.25], [2, 0.5 + 0.1 * cell.seed]] for name in SERIES},
        "versions": {"torch": "1"},
        "digest": "d",
        "config": cell.config.model_dump(mode="json"),
        "model_sha256": "m",
        "commit": {"id": "c" * 40, "dirty": False},
    }
    cell.folder.mkdir(parents=True)
    (cell.folder / "cell.json").write_text(json.dumps(record))


def never(*_: object) -> Any:
    raise AssertionError("a finished cell was started again")


# -- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": [0]}, "unknown key 'seed'; did you mean 'seeds'"),
        ({"question": ...}, "'question' is missing"),
        ({"metrics": ["heldout_3_5"]}, "did you mean 'heldout_3_6'"),
        ({"baseline": "self-play"}, "did you mean 'selfplay'"),
        ({"arms": {"../up": {}}, "baseline": "../up"}, "arm '../up'"),
        ({"name": "trial-final"}, "taken by finals"),
        ({"name": "../up"}, "name"),
        ({"seeds": [0, 0]}, "twice"),
        ({"seeds": [0, 100]}, "kept for the final"),
        ({"final_seeds": [3]}, "the final has seeds 100 to 109"),
        ({"common": {"measure.split": "test"}}, "measure.split, which the experiment sets itself"),
        ({"common": {"measure": {"split": "test"}}}, "measure.split, which the experiment sets itself"),
        ({"common": {"seed": 3}}, "seed, which the experiment sets itself"),
        ({"arms": {"selfplay": {"run.name": "x"}}}, "run.name, which the experiment sets itself"),
        ({"arms": {"selfplay": {}, "b": {"rounds.setters": "self"}}}, "arm 'b'.*did you mean 'setter'"),
        ({"arms": {"selfplay": {}, "b": {"limits.compute": 7000}}}, "differ in limits.compute"),
        ({"arms": {"selfplay": {}, "b": {"measure.passes": 64}}}, "differ in measure.passes"),
        ({"base": "configs/tyni.yaml"}, "no base config"),
        ({"arms": {"selfplay": {}, "SelfPlay": {}}}, "arms 'selfplay' and 'SelfPlay' differ only in case"),
        ({"arms": {"selfplay": {}, 1: {}}}, "arms.1: expected text, but YAML reads this as 1: put it in quotes"),
        (
            {"common": {"sleep.rank": 4, "sleep": {"batch": 8}}},
            "of 'sleep.rank' would be lost.* later one sets 'sleep'",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cells_of(written(tmp_path, **changes))


def test_two_arms_of_one_name(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace("  uniform:\n", "  selfplay:\n"))
    with pytest.raises(ValueError, match=r"the key 'arms.selfplay' is given twice, on lines \d+ and \d+; keep one"):
        load_experiment(path)


def test_base_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text((ROOT / "configs" / "tiny.yaml").read_text())
    assert cells_of(written(tmp_path, base="~/mine.yaml"))


def test_arms_do_not_share_a_section(tmp_path: Path) -> None:
    arms = {"selfplay": {"sleep.rank": 4}, "b": None}
    cells = cells_of(written(tmp_path, common={"limits.compute": 6000, "sleep": {"batch": 8}}, arms=arms))
    assert [c.config.sleep.rank for c in cells[:2]] == [4, make_config({}).sleep.rank]


def test_arm_overrides_come_last(tmp_path: Path) -> None:
    """Common overrides apply to every arm; an arm's own come last."""
    path = written(
        tmp_path,
        common={"sleep.learning_rate": 1e-5, "limits.compute": 6000, "rounds.setter": "frozen", "turnover.every": 0},
        arms={"selfplay": None, "school": {"rounds.setter": "seed", "domains": {"list_programs": {"share": 1.0}}}},
    )
    cells = cells_of(path)
    assert [c.name for c in cells] == ["selfplay-s0", "school-s0", "selfplay-s1", "school-s1"]
    assert [c.config.rounds.setter for c in cells[:2]] == ["frozen", "seed"]
    assert {c.config.sleep.learning_rate for c in cells} == {1e-5}
    assert list(cells[1].config.domains) == ["list_programs"]
    assert [c.config.seed for c in cells] == [0, 0, 1, 1]
    assert {c.config.measure.split for c in cells} == {"dev"}
    assert {c.folder for c in cells if c.seed == 1 and c.arm == "school"} == {tmp_path / "out" / "trial" / "school-s1"}


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_experiments_load_from_anywhere(path: Path, monkeypatch: Any, tmp_path: Path) -> None:
    """Shipped experiment files load from any working directory."""
    monkeypatch.chdir(tmp_path)
    for final in (False, True):
        assert make_cells(load_experiment(path), path, tmp_path, final)


def test_the_sealed_set_is_for_finals_only(tmp_path: Path) -> None:
    check_split(make_config({}))
    sealed = make_config({}, ["measure.split=test"])
    with pytest.raises(ValueError, match="experiment --final"):
        check_split(sealed)
    check_split(sealed, final=True)
    assert {c.config.measure.split for c in cells_of(written(tmp_path), final=True)} == {"test"}
    assert {c.config.seed for c in cells_of(written(tmp_path), final=True)} == {100, 101}


@pytest.mark.slow
def test_cell_refuses_the_sealed_set(tmp_path: Path) -> None:
    """A cell process refuses the sealed test set unless it is a final."""
    config = make_config({"run": {"folder": str(tmp_path)}}, ["measure.split=test"]).model_dump(mode="json")
    spec = json.dumps({"arm": "a", "seed": 0, "final": False, "config": config})
    command = [sys.executable, "-m", "arena.experiments.cell", spec]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and "sealed" in done.stderr and not list(tmp_path.iterdir())


# -- cells that are there already -----------------------------------------------------------------------------------


def test_finished_cells_are_kept_and_not_run_again(tmp_path: Path, monkeypatch: Any) -> None:
    path, said = written(tmp_path), list[str]()
    for cell in cells_of(path):
        finish(cell, heldout_3_6=0.4 + 0.1 * (cell.arm == "uniform"))
    monkeypatch.setattr(experiment_module, "start", never)
    assert run_experiment(path, folder=tmp_path / "out", say=said.append) == 0
    results = json.loads((tmp_path / "out" / "trial" / "results.json").read_text())
    assert results["differences"]["uniform"]["heldout_3_6"] == pytest.approx(
        {"mean": 0.1, "low": 0.1, "high": 0.1, "n": 2}
    )
    assert results["arms"]["selfplay"]["names_difference"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert (tmp_path / "out" / "trial" / "table.md").read_text() == said[-1]
    assert (tmp_path / "out" / "trial" / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_finished_cell_of_other_config_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    """A cell finished with another config is refused; the error names the cell and the key."""
    for cell in cells_of(written(tmp_path)):
        finish(cell)
    changed = written(tmp_path, common=GOOD["common"] | {"sleep.rank": 8})
    monkeypatch.setattr(experiment_module, "start", never)
    with pytest.raises(ValueError, match=r"selfplay-s0 .* sleep.rank is 4 there, 8 in the file"):
        run_experiment(changed, folder=tmp_path / "out")
    assert (tmp_path / "out" / "trial" / "selfplay-s0" / "cell.json").exists()


def test_begun_cell_of_other_config_is_refused(tmp_path: Path) -> None:
    """An unfinished cell begun with another config is refused."""
    cell = cells_of(written(tmp_path))[1]
    cell.folder.mkdir(parents=True)
    (cell.folder / "config.yaml").write_text(make_config({}).to_yaml())
    check_stored(cell)  # nothing was played there yet
    Store(cell.folder / "run.db", create=True).close()
    with pytest.raises(ValueError, match=r"uniform-s0 .*domains"):
        check_stored(cell)
    (cell.folder / "config.yaml").write_text(cell.config.to_yaml())
    check_stored(cell)


def test_extended_cell_is_refused(tmp_path: Path) -> None:
    """The run of a finished cell was extended: its record is of a shorter run."""
    cell = cells_of(written(tmp_path))[0]
    finish(cell)
    longer = cell.config.model_copy(update={"generations": cell.config.generations + 1})
    (cell.folder / "config.yaml").write_text(longer.to_yaml())
    if not (cell.folder / "run.db").exists():
        Store(cell.folder / "run.db", create=True).close()
    with pytest.raises(ValueError, match=r"generations is \d+ there"):
        check_stored(cell)


def test_where_a_run_lies_is_no_difference(tmp_path: Path) -> None:
    path = written(tmp_path)
    for cell in cells_of(path):
        finish(cell)
    (tmp_path / "out").rename(tmp_path / "moved")
    for cell in make_cells(load_experiment(path), path, tmp_path / "moved" / "trial", False):
        check_stored(cell)


def test_failed_cell_is_reported_with_its_log(tmp_path: Path, monkeypatch: Any) -> None:
    """A failed cell is reported with its log and stops nothing else."""
    path, said = written(tmp_path), list[str]()

    def start(cell: Cell, final: bool) -> subprocess.Popen[bytes]:
        broken = cell.name == "uniform-s0"
        if not broken:
            finish(cell)
        cell.folder.mkdir(parents=True, exist_ok=True)
        (cell.folder / "cell.log").write_text("generation 1\nerror: the disk is full\n" if broken else "")
        return subprocess.Popen([sys.executable, "-c", f"raise SystemExit({int(broken)})"])

    monkeypatch.setattr(experiment_module, "start", start)
    assert run_experiment(path, folder=tmp_path / "out", processes=2, say=said.append) == 1
    assert any("uniform-s0 FAILED" in line and "the disk is full" in line for line in said)
    results = json.loads((tmp_path / "out" / "trial" / "results.json").read_text())
    assert list(results["failed"]) == ["uniform-s0"] and len(results["cells"]) == 3
    assert results["differences"]["uniform"]["compute"]["n"] == 1


def test_a_final_is_made_once_and_whole(tmp_path: Path, monkeypatch: Any) -> None:
    path, said = written(tmp_path), list[str]()
    cells = cells_of(path, final=True)
    for cell in cells[:-1]:
        finish(cell)

    def failing(cell: Cell, final: bool) -> subprocess.Popen[bytes]:
        assert final
        cell.folder.mkdir(parents=True, exist_ok=True)
        (cell.folder / "cell.log").write_text("no")
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])

    monkeypatch.setattr(experiment_module, "start", failing)
    assert run_experiment(path, final=True, folder=tmp_path / "out", say=said.append) == 1
    assert not list((tmp_path / "out" / "trial-final").glob("*.*")) and "0.500" not in "".join(said)
    (cells[-1].folder / "cell.log").unlink()
    cells[-1].folder.rmdir()
    finish(cells[-1])
    assert run_experiment(path, final=True, folder=tmp_path / "out", say=said.append) == 0
    results = json.loads((tmp_path / "out" / "trial-final" / "results.json").read_text())
    assert results["final"] and results["split"] == "test"
    with pytest.raises(ValueError, match=f"was made on {results['date']}".replace("+", r"\+")):
        run_experiment(path, final=True, folder=tmp_path / "out")


# -- metrics --------------------------------------------------------------------------------------------------------


def evaluation(number: int, generation: int, depth: int, mode: str, correct: int, **more: Any) -> dict[str, Any]:
    row = {"id": f"e{number}", "generation": generation, "domain": "list_programs", "split": "dev", "depth": depth}
    row |= {
        "agent": "a",
        "problem": "rev | 1",
        "reading": None,
        "mode": mode,
        "k": 4 if mode == "pass" else 1,
        "correct": correct,
    }
    return row | {"answer_correct": correct} | more


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two generations: held-out 3 to 6 from 1/4 to 3/4, two named problems of which only one's name is known."""
    store, rows = Store(tmp_path / "run.db", create=True), []
    for depth in (2, 3, 4, 5, 6, 7):
        inner = 3 <= depth <= 6
        rows += [(0, depth, "full", int(depth == 3)), (0, depth, "pass", 0)]
        rows += [(1, depth, "greedy", int(depth <= 4)), (2, depth, "greedy", int(inner))]
        rows += [(2, depth, "full", int(depth < 6)), (2, depth, "pass", 2 * inner)]
    evaluations = [evaluation(i, *row) for i, row in enumerate(rows)]
    # depth 3 has a second problem, unsolved: depths weigh the same whatever their number of problems
    evaluations += [evaluation(900, 2, 3, "full", 0), evaluation(901, 0, 3, "full", 1)]
    evaluations.append(evaluation(902, 2, 6, "full", 0, answer_correct=1))  # a right answer with a broken trace
    for i, (problem, reading, correct) in enumerate(
        [("w1 sort | 3 1", 1, 1), ("w1 sort | 3 1", 0, 0), ("w2 w1 | 3 1", 1, 0), ("w2 w1 | 3 1", 0, 0)]
    ):
        more = {"domain": "hidden_words", "problem": problem, "reading": reading}
        evaluations.append(evaluation(1000 + i, 2, 3, "full", correct, **more))
    phases = [(0, "baseline", 7, 3, 0, 0), (1, "solve", 100, 50, 0, 1), (1, "sleep", 0, 0, 10, 1)]
    phases += [(1, "measure", 9, 1, 0, 0), (2, "solve", 200, 0, 0, 1), (2, "measure", 5, 5, 0, 0)]
    phases += [(2, "final", 0, 20, 0, 0)]
    columns = ("generation", "phase", "prompt_tokens", "generated_tokens", "trained_tokens", "counted")
    post = "INSERT INTO posts VALUES (?, ?, 1, ?, 'a', ?, 'b', '[]', 'c', 'k', 's', '', '')"
    with store.transaction():
        store.insert({"evaluations": evaluations, "phases": [dict(zip(columns, p, strict=True)) for p in phases]})
        store.insert({"telemetry": [{"generation": 1, "phase": "solve", "seconds": 1.5, "finished": "x"}] * 2})
        outcomes = [(f"r{i}", 1 + i % 2, 0.5, int(i < 3), 1.0) for i in range(4)]
        store.db.conn.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, NULL)", outcomes)
        for i in range(5):
            row = {"round": f"r{i}", "generation": 1, "valid": int(i < 4)}
            store.insert({"problems": [row]})
        store.db.conn.execute(post, ("p1", 1, "definition", "w1"))
        store.db.conn.execute(post, ("p2", 2, "worked_example", "w2"))
    return store


def test_metrics_come_from_the_store(store: Store) -> None:
    expected = {
        "heldout_3_6": (0.5 + 1 + 1 + 0) / 4,
        "before_3_6": 0.25,
        "gain_3_6": 0.375,
        "pass_at_k_3_6": 1.0,
        "heldout_mean": 3.5 / 6,
        "gain_mean": 2.5 / 6,
        "sampled_mean": 4 * 0.5 / 6,
        "sampled_gain": 4 * 0.5 / 6,
        "pass_at_k_mean": 4 / 6,
        "pass_at_k_gain": 4 / 6,
        "first_words_kept": None,
        "triples_kept": None,
        "operations_kept": None,
        "names_with_reading": 0.5,
        "names_without_reading": 0.0,
        "names_difference": 0.5,
        "names_known_with_reading": 1.0,
        "names_known_without_reading": 0.0,
        "names_known_difference": 1.0,
        "heldout_7": 0.0,
        "heldout_8": None,
        "heldout_10": None,
        "frontier": 5.0,
        "always_3_6": 0.0,
        "broken_traces": 1 / 5,
        "gain_per_million": 0.375 / 380 * 1e6,
        "value_error": None,
        "value_rank": None,
        "stopped_share": None,
        "corrected": None,
        "learnable_per_generation": 1.5,
        "valid_per_generation": 2.0,
        "generations": 2.0,
        "compute": 380.0,
        "evaluation_compute": 50.0,
        "seconds": 3.0,
    }
    run = FinishedRun.read(store, "list_programs")
    assert {m: v for m, v in all_metrics(run).items() if m not in CULTURE_METRICS} == pytest.approx(expected)
    assert {*expected, *CULTURE_METRICS} == set(METRICS) and curve(run) == [(180.0, 0.5), (380.0, 1.0)]


def test_what_a_run_cannot_say_is_none_and_never_zero(store: Store) -> None:
    with store.transaction():
        store.db.conn.execute("DELETE FROM evaluations WHERE domain = 'hidden_words' OR depth = 6")
        store.db.conn.execute("DELETE FROM posts_fts")
    metrics = all_metrics(FinishedRun.read(store, "list_programs"))
    own = [k for k in METRICS if k not in CULTURE_METRICS]
    unknown = "names", "3_6", "_kept", "_8", "_10", "per_million", "value", "stopped", "corrected"
    assert [k for k in own if metrics[k] is None] == [k for k in own if any(part in k for part in unknown)]


def test_an_unfinished_run_has_no_metrics(store: Store) -> None:
    with store.transaction():
        store.db.conn.execute("DELETE FROM phases WHERE phase = 'final'")
    with pytest.raises(ValueError, match="not finished"):
        FinishedRun.read(store, "list_programs")


def test_run_of_other_split_is_refused(store: Store) -> None:
    """A run that was measured on another split than its config says is refused."""
    with pytest.raises(ValueError, match="was measured on"):
        cell_record(store, make_config({}, ["measure.split=test"]), "list_programs")


# -- the report -----------------------------------------------------------------------------------------------------


def test_estimates_are_paired_by_seed() -> None:
    """Estimates are paired by seed; one seed gives no interval."""
    assert estimate([0.5, None]) == {"mean": 0.5, "low": None, "high": None, "n": 1}
    assert estimate([None]) == {"mean": None, "low": None, "high": None, "n": 0}
    found = paired({0: 0.9, 1: 0.5, 2: None, 3: 1.0}, {1: 0.4, 0: 0.6, 2: 0.1})
    # differences 0.3 and 0.1: t(1 df) = 12.706, standard error 0.1
    assert found == pytest.approx({"mean": 0.2, "low": 0.2 - 1.2706, "high": 0.2 + 1.2706, "n": 2}, abs=1e-4)


def test_unequal_compute_is_noted(tmp_path: Path) -> None:
    """Unequal compute is noted, unequal models are refused."""
    cells = cells_of(written(tmp_path))
    for i, cell in enumerate(cells):
        finish(cell, compute=[6600.0, 5000.0, 6000.0, 6000.0][i])
    records = [json.loads((c.folder / "cell.json").read_text()) for c in cells]
    file = load_experiment(written(tmp_path)).model_dump(mode="json")
    notes = " ".join(make_results(file, records, {}, False, None)["notes"])
    assert "Compute is not equal: uniform-s0 ended before" in notes and "used 10.0% more" in notes
    records[2]["model_sha256"] = "other"
    with pytest.raises(ValueError, match="selfplay-s1 was played with other weights"):
        make_results(file, records, {}, False, None)


def test_new_metrics_of_a_cell_without_its_database(tmp_path: Path) -> None:
    """A record that is older than a metric still counts; the metric is unknown."""
    cell = cells_of(written(tmp_path))[0]
    finish(cell)
    path = cell.folder / "cell.json"
    record = json.loads(path.read_text())
    known = record["metrics"].pop("heldout_3_6")
    path.write_text(json.dumps(record))
    assert known is not None and completed(cell)["metrics"]["heldout_3_6"] is None
    assert completed(cell)["metrics"]["compute"] == record["metrics"]["compute"]


@pytest.mark.slow
def test_ended_experiment_ends_its_cells(tmp_path: Path) -> None:
    """SIGTERM stops the processes of the cells and says how to continue."""
    command = [sys.executable, "run_arena.py", "experiment", "tiny", "--folder", str(tmp_path), "--processes", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    db = tmp_path / "tiny" / "selfplay-s0" / "run.db"
    deadline = time.monotonic() + 120
    while not db.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143 and "run it again to continue" in said
    Arena.open(db.parent).close()  # nobody plays it any more


def test_a_report_of_nothing_is_still_written(tmp_path: Path) -> None:
    file = load_experiment(written(tmp_path)).model_dump(mode="json")
    table = write_results(make_results(file, [], {"selfplay-s0": "no"}, False, None), tmp_path)
    assert "Incomplete: selfplay-s0 failed." in table


# -- end to end -----------------------------------------------------------------------------------------------------


def no_time(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"metrics": record["metrics"] | {"seconds": 0}, "commit": None}


@pytest.mark.slow
@pytest.mark.skipif(not SEED_FOLDER.is_dir(), reason="the seed model is not in agents/seed")
def test_interrupted_experiment_resumes(tmp_path: Path) -> None:
    """An interrupted experiment resumes and ends like an undisturbed one."""
    assert run_experiment(TINY, folder=tmp_path / "whole", processes=2, say=lambda line: None) == 0
    code = (
        f"from arena.experiments.runner import run_experiment as r; r({str(TINY)!r}, folder={str(tmp_path / 'cut')!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
    db = tmp_path / "cut" / "tiny" / "selfplay-s0" / "run.db"
    deadline = time.monotonic() + 120
    while not db.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert db.exists() and process.poll() is None
    process.kill()  # its cells notice that it is gone
    process.wait()
    while time.monotonic() < deadline:
        try:
            assert run_experiment(TINY, folder=tmp_path / "cut", say=lambda line: None) == 0
            break
        except AssertionError:  # a cell of the killed experiment still holds its run
            time.sleep(1)
    for name in ("selfplay-s0", "uniform-s1"):
        whole, cut = (json.loads((tmp_path / f / "tiny" / name / "cell.json").read_text()) for f in ("whole", "cut"))
        whole["config"]["run"] = cut["config"]["run"]
        assert no_time(cut) == no_time(whole)
    results = json.loads((tmp_path / "cut" / "tiny" / "results.json").read_text())
    assert all(c["metrics"]["compute"] >= 6000 for c in results["cells"]) and not results["failed"]
    assert load_config(db.parent / "config.yaml").engine.threads == 1
    assert os.path.getsize(tmp_path / "cut" / "tiny" / "figure.png") > 10_000
