"""The chaos test itself: where it kills, how it locates kills, and that it finds faults."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from arena.phases.order import LOOP
from arena.run.store import Store
from arena.tools.chaos.events import OPENING, PLACES, Track, lines_of
from arena.tools.chaos.plan import OPENINGS, SHARES, Timing, aim
from arena.tools.chaos.run import chaos
from arena.tools.chaos.verdict import adapters, judge, posts
from tests.helpers.brief_runs import brief
from tests.helpers.crashes import Crash, play_through

ORDER = [(0, "birth"), (0, "baseline"), *((g, p) for g in (1, 2, 3) for p in LOOP), (3, "final")]
TIMINGS = {at: Timing(0.1, 0.01, 0.001, 2 if at[1] == "sleep" else 0) for at in ORDER}


def aims(seed: int, n: int) -> list[tuple[str, str]]:
    """(phase, moment) of kills that each land where they are aimed."""
    rng, kills, at, found = random.Random(seed), Counter[str](), 0, []
    for _ in range(n):
        target = aim(rng, ORDER[at:], TIMINGS, kills, 0.5)
        found.append((target.phase, target.moment))
        kills[target.phase] += 1
        most = {"playing": 0.1, "storing": 0.01, "committing": 0.001, "renaming": 0.0004, OPENING: 0.5}[target.moment]
        assert 0 <= target.delay <= most
        if target.moment != OPENING:
            at = ORDER.index((target.generation, target.phase))
        if at == len(ORDER) - 1:
            at = 0
    return found


def test_kills_cover_phases_and_moments() -> None:
    found = aims(0, 400)
    phases, moments = Counter(p for p, _ in found), Counter(m for _, m in found)
    assert set(phases) == {OPENING, *(p for _, p in ORDER)}
    assert min(phases.values()) >= 10
    assert 0.5 * OPENINGS < moments[OPENING] / 400 < 2 * OPENINGS
    assert moments["storing"] >= 50 and moments["committing"] >= 50
    assert {p for p, m in found if m == "renaming"} == {"sleep"}  # no other phase here renames a file
    assert set(moments) == {OPENING, *SHARES}


def test_plan_depends_on_the_seed_only() -> None:
    assert aims(3, 50) == aims(3, 50) != aims(4, 50)


def test_kill_is_located_by_the_last_event() -> None:
    track, places = Track(), []
    told = "rename/made/phase 1 sleep/rename/begin/commit/post ab/done 1 sleep/phase 1 turnover/begin/post cd"
    for line in told.split("/"):
        track.take(line)
        places.append(track.place)
    assert places == [
        *("opening", "between", "playing", "renaming", "storing", "committing", "committing", "between"),
        *("playing", "storing", "storing"),
    ]
    assert set(places) == set(PLACES)
    assert track.stored == [(1, "sleep")] and track.played == [(1, "sleep"), (1, "turnover")]
    assert track.posts == ["ab"]  # the other one was not reported as stored
    assert lines_of(b"begin\ncomm") == (["begin"], b"comm")
    for nonsense in ("", "phase 1", "done x sleep", "hello"):
        with pytest.raises(ValueError):
            track.take(nonsense)


@pytest.fixture
def copy(undisturbed: Path, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed, tmp_path / "killed")
    return tmp_path / "killed"


def test_equal_run_has_no_faults(undisturbed: Path, copy: Path) -> None:
    verdict = judge(undisturbed, copy, posts(Store(copy / "run.db")))
    assert verdict.passed and verdict.said == []


def test_faults_are_counted_and_named(undisturbed: Path, copy: Path) -> None:
    with sqlite3.connect(copy / "run.db") as db:
        for trigger in ("posts_no_update", "posts_no_delete", "posts_no_replace"):
            db.execute(f"DROP TRIGGER {trigger}")
        post = db.execute("SELECT id FROM posts ORDER BY seq DESC LIMIT 1").fetchone()[0]
        db.execute("DELETE FROM posts WHERE id = ?", [post])
        columns = [row[1] for row in db.execute("PRAGMA table_info(attempts)")]
        others = ", ".join(c for c in columns if c != "id")
        db.execute(f"INSERT INTO attempts (id, {others}) SELECT id || 'x', {others} FROM attempts LIMIT 2")
    learner = copy / "adapters" / "g0003" / "learner.safetensors"
    learner.write_bytes(learner.read_bytes()[:-1])
    (copy / "keys" / ".ada-x1").write_text("half a key")
    shutil.rmtree(copy / "adapters" / "g0002")
    verdict = judge(undisturbed, copy, {"told"}, phases_lost=3)
    assert (verdict.differences, verdict.posts_lost, verdict.attempts_twice, verdict.phases_lost) == (1, 2, 2, 3)
    assert verdict.log_broken >= 1 and verdict.files_wrong > 2 and not verdict.passed
    said = "\n".join(verdict.said)
    for words in (
        "digest",
        f"post {post} is lost",
        "post told is lost",
        "keys/.ada-x1 was left over",
        "g0003/learner.safetensors differs from its row",
        "adapters/g0002/learner.safetensors is missing",
    ):
        assert words in said


def test_completions_counted_twice(undisturbed: Path, copy: Path) -> None:
    with sqlite3.connect(copy / "run.db") as db:
        db.execute("UPDATE phases SET requests = requests + 7 WHERE generation = 2 AND phase = 'solve'")
    assert judge(undisturbed, copy, ()).attempts_twice == 7


def test_kill_after_last_measure_leaves_no_adapters(tmp_path: Path) -> None:
    """Adapters of old generations are pruned on resume."""
    died = []

    def die(event: str, data: dict[str, object]) -> None:
        if event == "done" and (data["generation"], data["phase"]) == (3, "measure"):
            died.append(adapters(tmp_path / "dies"))
            raise Crash

    play_through(brief(tmp_path, "dies", "generations=3"), die)
    assert {name.split("/")[1] for name in died[0]} == {"g0001", "g0002", "g0003"}
    assert {name.split("/")[1] for name in adapters(tmp_path / "dies")} == {"g0002", "g0003"}


def test_unsuitable_configs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"engine\.kind torch"):
        chaos("configs/openai.yaml", 1)
    (tmp_path / "there").write_text("")
    with pytest.raises(ValueError, match="is not empty"):
        chaos("configs/tiny.yaml", 1, folder=tmp_path)


@pytest.mark.slow
def test_killed_runs_equal_the_undisturbed_one(tmp_path: Path) -> None:
    """A small bout of `run_arena.py chaos --kills 200`, whose table is in docs/survival.md."""
    command = [sys.executable, "run_arena.py", "chaos", "--kills", "12", "--json", "--folder", str(tmp_path / "chaos")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == sum(n for at in found["kills_by_phase"].values() for n in at.values()) == 12
    assert found["runs"] >= 1 and 1 <= found["resumes"] <= 12
    for name in ("differences", "posts_lost", "phases_lost", "attempts_twice", "log_broken", "files_wrong"):
        assert found[name] == 0
    assert len([n for n in found["kills_by_phase"].values() if n]) >= 3
    assert "12 of 12 kills" in done.stderr
