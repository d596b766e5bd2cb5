"""Faults of the machine: full, read-only and locked files, clock jumps, killed workers.

Each test checks the message to the user, and that the resumed run equals the undisturbed one.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import arena.loop as loop
import arena.run.store as store_module
from arena.loop import play
from arena.run.state import Arena
from arena.run.store import Store
from arena.watch.live import Progress
from arena.watch.queries import open_run, read_only
from tests.helpers.brief_runs import brief, digest

# -- locked -----------------------------------------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program has the database locked until it is killed."""
    command = [sys.executable, "-c", HOLD, str(database)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_locked_database(calm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing waits for the lock, then fails in one line."""
    folder = tmp_path / "locked"
    with brief(tmp_path, "locked") as arena:
        with held(folder / "run.db") as other:
            letting_go = threading.Timer(0.3, other.kill)
            began = time.monotonic()
            letting_go.start()
            with arena.store.transaction():
                pass
            assert time.monotonic() - began >= 0.2  # it waited
            letting_go.join()

        def lock(event: str, data: dict[str, Any]) -> None:
            if event == "phase" and (data["generation"], data["phase"]) == (1, "grade"):
                stack.enter_context(held(folder / "run.db"))
                arena.store.db.execute("PRAGMA busy_timeout = 50")

        with contextlib.ExitStack() as stack, pytest.raises(OSError, match=r"cannot write .*: another program has it"):
            play(arena, lock)
        assert (1, "solve") in arena.store.finished() and (1, "grade") not in arena.store.finished()
    with Arena.open(folder) as arena:
        play(arena)
    assert digest(folder) == calm
    monkeypatch.setattr(store_module, "PATIENCE", 0.1)
    with sqlite3.connect(folder / "run.db", isolation_level=None) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=r"cannot open .*: another program has it locked"):
            Store(folder / "run.db")
        db.execute("ROLLBACK")
    db.close()


# -- full and read-only ------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.3 MB, which holds an empty run; skipped where this user may not mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if mounted("mount", "-t", "tmpfs", "-o", "size=1300k", "tmpfs", str(disk)):
        pytest.skip("no file system can be mounted here")
    try:
        yield disk
    finally:
        assert mounted("umount", "-l", str(disk)) == 0


def mounted(*command: str) -> int:
    try:
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode
    except FileNotFoundError:
        return 127


def test_full_then_read_only_disk(calm: str, small: Path) -> None:
    folder = small / "filling"
    arena = brief(small, "filling")
    with arena, pytest.raises(OSError, match=r"cannot write|No space left"):
        play(arena)
    assert not list(folder.rglob("*.new"))
    for _ in range(2):  # it is as full as it was
        with pytest.raises(OSError, match=r"cannot (open|write)|No space left"), Arena.open(folder) as arena:
            play(arena)
    assert mounted("mount", "-o", "remount,size=100m", str(small)) == 0
    with Arena.open(folder) as arena:
        assert (0, "birth") in arena.store.finished() and (2, "measure") not in arena.store.finished()
        play(arena)
    assert digest(folder) == calm
    assert mounted("mount", "-o", "remount,ro", str(small)) == 0
    with pytest.raises(OSError, match=r"^cannot write .*filling: Read-only file system$"):
        Arena.open(folder)
    assert digest(folder) == calm  # reading works, although SQLite cannot create its files beside it
    with read_only(open_run(folder).database) as db:
        assert db.execute("SELECT COUNT(*) FROM phases").fetchone()[0] == 19


def test_database_becomes_read_only(calm: str, tmp_path: Path) -> None:
    with brief(tmp_path, "shut") as arena:

        def shut(event: str, data: dict[str, Any]) -> None:
            if event == "phase" and (data["generation"], data["phase"]) == (2, "post"):
                arena.store.db.execute("PRAGMA query_only = 1")  # SQLite answers as it does for a disk

        with pytest.raises(OSError, match=r"cannot write .*run\.db: attempt to write a readonly database"):
            play(arena, shut)
    with Arena.open(tmp_path / "shut") as arena:
        play(arena)
    assert digest(tmp_path / "shut") == calm


# -- clocks ------------------------------------------------------------------------------------------------------------


def test_clock_jumps_change_nothing(calm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back to 1970, ahead by decades, at every look: both the wall clock and the one that should never jump."""
    rng = random.Random(5)

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=rng.randrange(40_000))

    monkeypatch.setattr(loop, "datetime", Jumping)
    for clock in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: rng.uniform(-1e9, 1e9))
    from rich.console import Console

    with (
        (tmp_path / "said").open("w") as said,
        brief(tmp_path, "jumping", "limits.seconds=1e12") as arena,
        Progress(arena.config, Console(file=said), arena.store, plain=True) as progress,
    ):
        assert play(arena, progress)
    monkeypatch.undo()
    assert digest(tmp_path / "jumping") == calm


# -- workers -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc")
def test_killed_sandbox_workers_cost_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel does when memory runs out: SIGKILL to a child, at any moment."""
    from arena.config.schema import make_config
    from arena.run.state import make_domains
    from tests.helpers.openai_server import Server
    from tests.helpers.scripted_agents import PERSONAS, ScriptedAgents

    def config(url: str, name: str) -> Any:
        return make_config(
            {
                "run": {"folder": str(tmp_path), "name": name},
                "generations": 6,
                "domains": {"python_programs": {"share": 1.0}},
                "population": {"agents": 3},
                "engine": {"kind": "openai", "openai": {"url": url, "model": "seed", "api": "chat"}},
                "prompts": {"style": "chat", "personas": list(PERSONAS)[:2]},
                "rounds": {"per_agent": 4, "attempts": 1, "max_tokens": 600},
                "turnover": {"every": 0},
                "measure": {"per_depth": 0, "final_per_depth": 1, "passes": 1},
            }
        )

    def hunt(over: threading.Event, kills: list[int]) -> None:
        rng, children = random.Random(0), Path(f"/proc/self/task/{os.getpid()}/children")
        while not over.wait(rng.uniform(0.02, 0.2)):
            for pid in children.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
                    kills.append(int(pid))

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found, kills, over = dict[str, str](), list[int](), threading.Event()
    hunter = threading.Thread(target=hunt, args=(over, kills))
    for name in ("calm", "hunted"):
        domains = make_domains(config("http://127.0.0.1:1/v1", name))
        with Server(ScriptedAgents(domains)) as server, Arena.create(config(server.url, name)) as arena:
            if name == "hunted":
                hunter.start()
            try:
                play(arena)
            finally:
                if name == "hunted":
                    over.set()
                    hunter.join()
            arena.store.set_meta({"base": "a server on another port"})
        found[name] = digest(tmp_path / name)
    assert len(set(kills)) >= 3
    assert found["hunted"] == found["calm"]
