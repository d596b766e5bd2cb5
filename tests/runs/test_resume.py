"""Survival: whatever kills a run, the resumed one is the undisturbed one, by digest."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arena.config.schema import load_config
from arena.loop import play
from arena.run.state import Arena
from arena.run.store import UNHASHED_TABLES, Store
from tests.helpers.crashes import Crash, die_inside_every_transaction, play_through

TINY = "configs/tiny.yaml"


def start(folder: Path, name: str, *overrides: str) -> Arena:
    return Arena.create(load_config(TINY, [f"run.folder={folder}", f"run.name={name}", *overrides]))


def digest(folder: Path) -> str:
    return Store(folder / "run.db").digest()


def test_the_same_config_and_seed_give_the_same_run(undisturbed: Path, tmp_path: Path) -> None:
    with start(tmp_path, "again") as arena:
        play(arena)
    assert digest(tmp_path / "again") == digest(undisturbed)


def test_another_seed_gives_another_run(undisturbed: Path, tmp_path: Path) -> None:
    with start(tmp_path, "other", "seed=1") as arena:
        play(arena)
    assert digest(tmp_path / "other") != digest(undisturbed)


@pytest.mark.slow
def test_two_threads_give_the_same_run_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with start(tmp_path, name, "engine.threads=2", "population.agents=5", "generations=2") as arena:
            play(arena)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_stopping_after_every_phase(undisturbed: Path, tmp_path: Path) -> None:
    stops = []

    def crash_after_one_phase(event: str, data: dict[str, object]) -> None:
        if event == "done":
            stops.append((data["generation"], data["phase"]))
            raise Crash

    found = play_through(start(tmp_path, "halting"), crash_after_one_phase)
    assert len(stops) == len(set(stops)) == 2 + 8 * 3 + 1  # birth, baseline, three generations, final
    assert found == digest(undisturbed)


@pytest.mark.slow
def test_killed_in_every_transaction(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = die_inside_every_transaction(monkeypatch)
    found = play_through(start(tmp_path, "dying"))
    assert len(died) == 2 + 8 * 3 + 1
    assert found == digest(undisturbed)


@pytest.mark.slow
def test_sigkill_at_random_times_loses_nothing(undisturbed: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    command = [sys.executable, "run_arena.py", "run", TINY, f"run.folder={tmp_path}", "run.name=killed", "--quiet"]
    kills, patience = 0, 2.0
    for _ in range(40):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(timeout=patience + rng.random() * 2.5)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills, patience = kills + 1, patience * 1.1  # a busy machine gets there too
        else:
            assert process.returncode == 0, process.stderr and process.stderr.read()
            break
        if (tmp_path / "killed" / "run.db").exists():
            command = [sys.executable, "run_arena.py", "resume", str(tmp_path / "killed"), "--quiet"]
    assert kills >= 1
    assert digest(tmp_path / "killed") == digest(undisturbed)


def test_a_finished_run_resumes_to_itself(undisturbed: Path) -> None:
    before = digest(undisturbed)
    with Arena.open(undisturbed) as arena:
        play(arena)
    assert digest(undisturbed) == before


def test_a_second_process_is_refused_by_name(undisturbed: Path) -> None:
    with Arena.open(undisturbed), pytest.raises(ValueError, match=r"another process is running .*calm"):
        Arena.open(undisturbed)


def test_other_versions_are_refused(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.__version__", "9.9.9")
    with pytest.raises(ValueError, match=r"torch 2\..*here it is 9\.9\.9"):
        Arena.open(undisturbed)


def test_missing_and_damaged_run_folders_are_named(undisturbed: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run folder at"):
        Arena.open(tmp_path / "nowhere")
    broken = tmp_path / "broken"
    broken.mkdir()
    for config in ("", (undisturbed / "config.yaml").read_text()):
        with pytest.raises(ValueError, match=r"no run database at .*run\.db"):
            Arena.open(broken)
        (broken / "config.yaml").write_text(config or "{}")
    shutil.copy(undisturbed / "run.db", broken / "run.db")
    (broken / "config.yaml").unlink()
    with pytest.raises(ValueError, match=r"cannot read the config .*broken/config\.yaml"):
        Arena.open(broken)
    shutil.copy(undisturbed / "config.yaml", broken)
    (broken / "run.db").write_bytes(b"not a database at all, but long enough to look at" * 100)
    with pytest.raises(ValueError, match=r"run\.db is not a readable run database"):
        Arena.open(broken)


def test_a_damaged_adapter_file_is_named(tmp_path: Path) -> None:
    with start(tmp_path, "torn", "generations=1") as arena:
        play(arena)
    path = tmp_path / "torn" / "adapters" / "g0001" / "learner.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"learner\.safetensors"):
        Arena.open(tmp_path / "torn")


def test_full_disk_is_one_error_and_loses_nothing(undisturbed: Path, tmp_path: Path) -> None:
    arena = start(tmp_path, "full")
    with arena:
        size = arena.store.db.execute("PRAGMA page_count").fetchone()[0]
        arena.store.db.execute(f"PRAGMA max_page_count = {size + 12}")
        with pytest.raises(OSError, match=r"cannot write .*run\.db: database or disk is full"):
            play(arena)
    with Arena.open(tmp_path / "full") as arena:
        play(arena)
    assert digest(tmp_path / "full") == digest(undisturbed)


def test_a_locked_database_is_one_clear_error(tmp_path: Path) -> None:
    with start(tmp_path, "locked") as arena:
        arena.store.db.execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(tmp_path / "locked" / "run.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="another program has it locked"):
            play(arena)
        other.execute("ROLLBACK")
        play(arena)


def test_heldout_is_never_proposed_posted_or_trained(undisturbed: Path) -> None:
    with Arena.open(undisturbed) as arena:
        for domain in arena.state.domains.values():
            keys = {p.heldout_key for s in ("dev", "test") for d in domain.depths for p in domain.heldout(s, d)}
            sql = "SELECT text FROM problems WHERE valid AND domain = ?"
            texts = [r["text"] for r in arena.store.query(sql, [domain.name])]
            assert not any(domain.problem(t).heldout_key in keys for t in texts)
        assert not any(
            arena.state.domains[e.domain].is_heldout(arena.state.domains[e.domain].problem(e.text))
            for e in arena.state.bank.entries
        )


def test_wall_clock_only_in_telemetry_and_control(undisturbed: Path) -> None:
    year = str(time.gmtime().tm_year) + "-"
    store = Store(undisturbed / "run.db")
    for table in [r["name"] for r in store.query("SELECT name FROM sqlite_master WHERE type = 'table'")]:
        if table not in UNHASHED_TABLES and not table.startswith("posts_fts"):
            assert not any(year in str(v) for row in store.query(f"SELECT * FROM {table}") for v in row.values()), table


@pytest.mark.slow
def test_full_adapter_disk_is_one_error(undisturbed: Path, tmp_path: Path) -> None:
    """No file of this process may pass 1 MB, which the learner's state does: the write fails as on a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    command = [sys.executable, "run_arena.py", "run", TINY, f"run.folder={tmp_path}", "run.name=small"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    assert "learner.safetensors" in done.stderr and "resume" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list((tmp_path / "small").rglob("*.new"))
    with Arena.open(tmp_path / "small") as arena:
        play(arena)
    assert digest(tmp_path / "small") == digest(undisturbed)


def test_run_killed_during_creation(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.yaml").write_text("half a conf")
    (tmp_path / "half" / ".run.db.new").write_bytes(b"half a database")
    with start(tmp_path, "half", "generations=0") as arena:
        play(arena)
        assert arena.store.meta()["seed"] == "0"
