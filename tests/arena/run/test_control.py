"""Pause, resume and stop: they work as documented and leave no trace in the records of a run."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import arena.run.control as control
from arena.config.schema import load_config
from arena.loop import play
from arena.run.state import Arena
from arena.run.store import Store
from arena.watch.commands import RunControl, is_open, run_status
from arena.watch.queries import open_run, read_only
from tests.helpers.crashes import Crash

TINY = "configs/tiny.yaml"


class Script:
    """A listener that sends commands when given phases are done, and records the control events."""

    def __init__(self, arena: Arena, script: dict[tuple[int, str], list[str]], crash: tuple[int, str] | None = None):
        self.arena, self.script, self.crash, self.events = arena, script, crash, list[dict[str, Any]]()

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        if event == "control":
            self.events.append(data)
        if event == "done":
            at = (data["generation"], data["phase"])
            for command in self.script.pop(at, []):
                ask(self.arena.store, command)
            if at == self.crash:
                raise Crash


def ask(store: Store, command: str) -> None:
    store.insert({"control": [{"kind": command, "made": "now"}]})


def start(folder: Path, name: str, *overrides: str) -> Arena:
    return Arena.create(load_config(TINY, [f"run.folder={folder}", f"run.name={name}", *overrides]))


def digest(folder: Path) -> str:
    return Store(folder / "run.db").digest()


def commands(store: Store) -> list[tuple[str, int | None]]:
    return [(r["kind"], r["taken"]) for r in store.query("SELECT kind, taken FROM control ORDER BY seq")]


def last_phase(store: Store) -> tuple[int, str]:
    row = store.query("SELECT generation, phase FROM phases ORDER BY rowid DESC LIMIT 1")[0]
    return row["generation"], row["phase"]


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Actions for the polls of a paused run, one each; a poll without an action fails."""
    plan: list[Callable[[], None]] = []
    monkeypatch.setattr(control.time, "sleep", lambda seconds: plan.pop(0)())
    return plan


def test_paused_run_waits(undisturbed: Path, tmp_path: Path, polls: list[Callable[[], None]]) -> None:
    """It reports the pause once, and its digest does not change."""
    with start(tmp_path, "paused") as arena:
        listener = Script(arena, {(1, "solve"): ["pause"]})
        seen = []
        polls += [lambda: seen.append(last_phase(arena.store))] * 3 + [lambda: ask(arena.store, "resume")]
        assert play(arena, listener)
        assert seen == [(1, "solve")] * 3 and not polls
        assert [(e["state"], e["phase"], e["generation"]) for e in listener.events] == [
            ("paused", "grade", 1),
            ("running", "grade", 1),
        ]
        assert commands(arena.store) == [("pause", 1), ("resume", 1)]
    assert digest(tmp_path / "paused") == digest(undisturbed)


def test_stopped_run_can_be_resumed(undisturbed: Path, tmp_path: Path) -> None:
    """It ends after the generation in progress, and the resumed run has the same digest."""
    with start(tmp_path, "stopped") as arena:
        listener = Script(arena, {(2, "propose"): ["stop"]})
        assert not play(arena, listener)
        assert last_phase(arena.store) == (2, "measure") and [e["state"] for e in listener.events] == ["stopping"]
    with Arena.open(tmp_path / "stopped") as arena:
        assert arena.forgotten is None  # the stop was taken: it has done its work
        assert play(arena)
    assert digest(tmp_path / "stopped") == digest(undisturbed)


@pytest.mark.parametrize(("asked", "ends"), [((0, "birth"), (0, "baseline")), ((3, "measure"), (3, "measure"))])
def test_stop_before_first_and_after_last(asked: tuple[int, str], ends: tuple[int, str], tmp_path: Path) -> None:
    with start(tmp_path, "early") as arena:
        assert not play(arena, Script(arena, {asked: ["stop"]}))
        assert last_phase(arena.store) == ends


def test_last_command_counts(tmp_path: Path, polls: list[Callable[[], None]]) -> None:
    with start(tmp_path, "changed", "generations=2") as arena:
        listener = Script(arena, {(1, "read"): ["stop"], (1, "propose"): ["resume"], (1, "solve"): ["pause", "resume"]})
        assert play(arena, listener)
        assert [e["state"] for e in listener.events] == ["stopping", "running"]
    with start(tmp_path, "both", "generations=2") as arena:
        polls.append(lambda: ask(arena.store, "stop"))
        listener = Script(arena, {(1, "read"): ["pause"]})
        assert not play(arena, listener)  # a paused run that is to stop plays its generation to the end
        assert last_phase(arena.store) == (1, "measure") and [e["state"] for e in listener.events] == [
            "paused",
            "stopping",
        ]


def test_old_commands_are_cancelled_and_reported(tmp_path: Path) -> None:
    """Commands from before the run was opened do not count, and a listener learns of them."""
    with start(tmp_path, "left", "generations=2") as arena, pytest.raises(Crash):
        play(arena, Script(arena, {}, crash=(1, "post")))
    for command in ("pause", "stop"):
        with Store(tmp_path / "left" / "run.db").db.conn as db:
            db.execute("INSERT INTO control (kind) VALUES (?)", [command])
        with Arena.open(tmp_path / "left") as arena:
            assert arena.forgotten == command
        with Arena.open(tmp_path / "left") as arena:
            assert arena.forgotten is None  # once
    with Store(tmp_path / "left" / "run.db").db.conn as db:
        db.execute("INSERT INTO control (kind) VALUES ('pause')")
    with Arena.open(tmp_path / "left") as arena:
        listener = Script(arena, {})
        assert play(arena, listener)
        assert listener.events == [{"state": "running", "forgotten": "pause"}]
        assert commands(arena.store)[-1] == ("resume", 1)


def test_killed_while_paused_resumes_unpaused(
    undisturbed: Path, tmp_path: Path, polls: list[Callable[[], None]]
) -> None:
    def die() -> None:
        raise Crash

    with start(tmp_path, "dead") as arena, pytest.raises(Crash):
        polls.append(die)
        play(arena, Script(arena, {(2, "grade"): ["pause"]}))
    with Arena.open(tmp_path / "dead") as arena:
        assert arena.forgotten == "pause" and play(arena)
    assert digest(tmp_path / "dead") == digest(undisturbed)


def test_lock_is_seen_without_taking_it(undisturbed: Path, tmp_path: Path) -> None:
    assert not is_open(undisturbed) and not is_open(tmp_path)
    with Arena.open(undisturbed):
        assert is_open(undisturbed)
    assert not is_open(undisturbed)
    with open(undisturbed / ".lock", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # somebody looks at this very moment, and lets go while the run is opened
        looks = iter(range(100))

        def let_go(seconds: float) -> None:
            if next(looks) == 1:
                fcntl.flock(file, fcntl.LOCK_UN)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("arena.run.lock.time.sleep", let_go)
            with Arena.open(undisturbed):
                assert is_open(undisturbed)


def test_commands_without_a_playing_run(undisturbed: Path, tmp_path: Path) -> None:
    control = RunControl(open_run(undisturbed))
    with pytest.raises(ValueError, match="is finished: there is nothing to pause"):
        control.command("pause")
    with pytest.raises(ValueError, match="unknown command 'puase'; did you mean 'pause'"):
        control.command("puase")
    with start(tmp_path, "idle", "generations=1") as arena:
        assert not play(arena, Script(arena, {(0, "birth"): ["stop"]}))
        control = RunControl(open_run(tmp_path / "idle"))
        assert control.command("pause") == "will pause after the current phase"
        assert control.command("pause") == "it will already pause after the current phase"
    with pytest.raises(ValueError, match=r"no process is running idle, so there is nothing to stop; .*resume .*idle"):
        control.command("stop")
    (tmp_path / "idle" / "run.db").unlink()
    with pytest.raises(ValueError, match="no run database"):
        open_run(tmp_path / "idle")


@pytest.mark.slow
def test_control_of_another_process(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "real"
    command = [sys.executable, "run_arena.py", "run", TINY, f"run.folder={tmp_path}", "run.name=real", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: (folder / "run.db").exists() and is_open(folder), process)
        control = RunControl(open_run(folder))
        control.command("pause")
        until(lambda: state(folder) == "paused", process)
        at = last_of(folder)
        said = subprocess.run(
            [sys.executable, "run_arena.py", "control", str(folder), "pause"], capture_output=True, text=True
        )
        assert said.returncode == 0 and "it is already paused" in said.stdout  # it had time enough to go on
        assert last_of(folder) == at and process.poll() is None
        control.command("resume")
        control.command("stop")
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert (
        "PAUSED before" in out
        and f"stopped, as asked; resume with: {sys.executable} run_arena.py resume {folder}" in out
    )
    assert last_of(folder)[1] in ("baseline", "measure") and state(folder) == "idle"
    done = subprocess.run(
        [sys.executable, "run_arena.py", "resume", str(folder), "--quiet"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert digest(folder) == digest(undisturbed)
    said = subprocess.run(
        [sys.executable, "run_arena.py", "control", str(folder), "stop"], capture_output=True, text=True
    )
    assert said.returncode == 2 and "is finished: there is nothing to stop" in said.stderr


def until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not true():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def state(folder: Path) -> str:
    with read_only(folder / "run.db") as db:
        return run_status(db, folder).state


def last_of(folder: Path) -> tuple[int, str]:
    with read_only(folder / "run.db") as db:
        found: tuple[int, str] = db.execute(
            "SELECT generation, phase FROM phases ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
        return found
