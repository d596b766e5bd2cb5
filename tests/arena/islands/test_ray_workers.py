"""Islands on Ray, on two nodes of one machine: processes, nodes and the driver die, and the run is the undisturbed one.

One cluster for the file: a node without CPUs for the head, two of one CPU each. `auto` finds it by RAY_ADDRESS.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from arena.config.schema import Config, load_config
from arena.config.shipped import ROOT
from arena.islands import ray_workers
from arena.islands.coordinator import federate
from arena.islands.ray_workers import RayWorkers
from arena.islands.workers import InlineWorkers, Lost
from arena.run.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.alone]
GIVEN = ("generations=3", "cluster.address=auto", "cluster.islands=2", "cluster.every=1", "rounds.per_agent=4")


def config(folder: Path, name: str, *more: str) -> Config:
    return load_config(ROOT / "configs" / "tiny.yaml", [f"run.folder={folder}", f"run.name={name}", *GIVEN, *more])


def digest(folder: Path) -> str:
    return Store(folder / "run.db").digest()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = made.address
    yield made
    ray.shutdown()
    made.shutdown()
    del os.environ["RAY_ADDRESS"]
    if before is not None:
        os.environ["RAY_ADDRESS"] = before


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run in one process, one island after another."""
    folder = tmp_path_factory.mktemp("calm")
    assert federate(config(folder, "calm"), folder / "calm", InlineWorkers())
    return folder / "calm"


@dataclass
class Disturbed:
    """Ray's workers, of which something happens when an island has begun a generation; each once."""

    inner: RayWorkers
    happens: dict[tuple[int, int], Callable[[], None]]
    lost: list[Lost] = field(default_factory=list)
    places: dict[tuple[int, int], str] = field(default_factory=dict)  # (island, generation): the node it came from

    def start(self, island: int, config_yaml: str, package: bytes | None) -> None:
        self.inner.start(island, config_yaml, package)

    def submit(self, island: int, generation: int, arrivals: bytes) -> None:
        self.inner.submit(island, generation, arrivals)
        if (island, generation) in self.happens:
            time.sleep(0.3)  # some of it is played
            self.happens.pop((island, generation))()

    def wait(self) -> tuple[int, bytes] | Lost:
        found = self.inner.wait()
        if isinstance(found, Lost):
            self.lost.append(found)
        else:
            generation = sum(i == found[0] for i, _ in self.places)
            self.places[found[0], generation] = self.inner.placed[found[0]].node
        return found

    def stop(self) -> None:
        self.inner.stop()


def pid(workers: RayWorkers, island: int) -> int:
    return int(workers.placed[island].where.rpartition(" ")[2])


def test_killed_process_lost_node_and_late_node(
    cluster: Any, calm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_workers, "TELL_S", 2.0)
    said, gone, joined = list[str](), list[str](), list[Any]()

    def say(line: str) -> None:
        """Add a node when the run reports that island 1 waits. Island 0 may still load its process."""
        if gone and not joined and "island 1" in line:
            said.append(line)
            joined.append(cluster.add_node(num_cpus=1))

    def kill_process() -> None:
        os.kill(pid(workers, 0), signal.SIGKILL)

    def lose_node() -> None:
        (node,) = [n for n in cluster.worker_nodes if n.node_id == workers.placed[1].node]
        cluster.remove_node(node, allow_graceful=False)
        gone.append(node.node_id)

    given = config(tmp_path, "disturbed")
    workers = RayWorkers(given, say)
    disturbed = Disturbed(workers, {(0, 1): kill_process, (1, 2): lose_node})
    assert federate(given, tmp_path / "disturbed", disturbed)
    assert [(at.island, at.why.partition(" (")[0]) for at in disturbed.lost] == [
        (0, "its process died"),
        (1, "its node is gone"),
    ]
    assert "island 1 waits for a node with 1 CPU free" in said[0]
    assert disturbed.places[1, 1] == gone[0] and disturbed.places[1, 3] == joined[0].node_id
    assert digest(tmp_path / "disturbed") == digest(calm)


def test_killed_driver_ends_islands_and_resumes(cluster: Any, calm: Path, tmp_path: Path) -> None:
    config(tmp_path, "driven")
    command = [sys.executable, str(ROOT / "run_arena.py")]
    given = [*GIVEN, f"run.folder={tmp_path}", "run.name=driven", "--quiet"]
    folder = tmp_path / "driven"
    with subprocess.Popen([*command, "run", str(ROOT / "configs" / "tiny.yaml"), *given], cwd=tmp_path) as driver:
        until(lambda: (folder / "run.db").is_file() and (1, "read") in Store(folder / "run.db").finished())
        driver.kill()
    actors = processes("Keeper")
    until(lambda: not [p for p in actors if Path(f"/proc/{p}").exists()])
    done = subprocess.run([*command, "resume", str(folder), "--quiet"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "raylet" not in done.stdout + done.stderr  # Ray's own lines stay out of the user's terminal
    assert digest(folder) == digest(calm)


def processes(name: str) -> list[int]:
    """Those of Ray's actors of this class, by the title that Ray gives them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"ray::{name}".encode()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def until(happened: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_benchmark_on_ray_equals_in_process(cluster: Any) -> None:
    from arena.tools.bench import islands as bench

    said: list[str] = []
    work = bench.Work(ROOT / "configs" / "tiny.yaml", 1, 1, (), 1, warm=0)
    found = bench.measure(1, True, said.append, work)
    assert found["overhead"]["same_digest"], said
    assert found["overhead"]["wire"]["result_bytes"] > found["overhead"]["wire"]["file_bytes"] > 0
    assert found["overhead"]["met"] is (found["overhead"]["ratio"] <= bench.MOST)
