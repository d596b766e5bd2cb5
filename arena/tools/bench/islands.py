"""The cost of Ray for one island, and the gain from more islands: the same run in process and on Ray, in turns.

Overhead: one island. In process is `arena.loop.play`; on Ray is `arena.islands.coordinator.federate` with one actor on
this machine. Timed from the end of generation 0 to the end of the run, so that starting Ray, importing, loading and
compiling count on neither side; they are reported separately. Ray runs only during its own turns.

Scaling: an equal population on each island, one thread an island, on as many Ray nodes of this machine as there are
islands, each with one CPU by Ray's count. All islands begin generation 1 at once; timed until the coordinator has
written the last one. Efficiency is the rate over n times the rate of one island. On a machine with fewer cores than
islands, it describes those cores, not as many machines.

Also reported: bytes sent by kind, and the coordinator's own work as rows a processor second.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from arena.config.schema import Config, load_config
from arena.islands.coordinator import federate
from arena.islands.ray_workers import RayWorkers
from arena.islands.workers import Lost, Workers
from arena.loop import play
from arena.run.messages import Result
from arena.run.state import Arena
from arena.run.store import Store

MOST = 1.10
"""Target: seconds of play on Ray over those in process, at most."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Work:
    """The run to play: a config, shortened."""

    config: Path = Path("configs/quickstart.yaml")
    generations: int = 6
    turns: int = 5
    islands: tuple[int, ...] = (1, 2, 4)
    scaling: int = 3
    """Generations in a turn of scaling."""
    warm: int = 1
    """Warm-up generations in process; Ray's processes are new in every turn."""


FULL = Work()
QUICK = Work(Path("configs/tiny.yaml"), 2, 1, (1, 2), 2)


@dataclass
class Counted:
    """Workers with counters: the bytes sent, and when. `together` delays generation 1 until all islands have played
    generation 0."""

    inner: Workers
    islands: int
    together: bool = False
    began: float = field(default_factory=time.perf_counter)
    born: float = 0.0
    written: dict[int, float] = field(default_factory=dict)  # when the last result of each generation was written
    sent: dict[str, int] = field(default_factory=lambda: {"packages": 0, "arrivals": 0})
    results: list[bytes] = field(default_factory=list)
    cpu: float = 0.0  # processor seconds from generation 0 to the end, of this process and Ray's on this machine
    busy: float = 0.0  # seconds of the coordinator's own work since generation 0
    work: float = 0.0  # processor seconds of it
    _held: list[tuple[int, int, bytes]] = field(default_factory=list)
    _left: float = 0.0
    _used: float = 0.0
    _zeros: int = 0
    _last: int = 0

    def start(self, island: int, config_yaml: str, package: bytes | None) -> None:
        self.sent["packages"] += len(package or b"")
        self.inner.start(island, config_yaml, package)

    def submit(self, island: int, generation: int, arrivals: bytes) -> None:
        self.sent["arrivals"] += len(arrivals)
        if self.together and generation == 1 and self._zeros < self.islands:
            self._held.append((island, generation, arrivals))
        else:
            self.inner.submit(island, generation, arrivals)

    def wait(self) -> tuple[int, bytes] | Lost:
        self._mark()
        if self._held and self._zeros == self.islands:
            self.born, self.cpu = time.perf_counter(), -processor_seconds()
            for item in self._held:
                self.inner.submit(*item)
            self._held.clear()
        found = self.inner.wait()
        if isinstance(found, Lost):
            raise RuntimeError(f"an island was lost while measuring: {found.why}")
        self.results.append(found[1])
        self._last = len(self.results)
        if self._zeros < self.islands:
            self._zeros += 1
            self.born, self.cpu = time.perf_counter(), -processor_seconds()
        self._left, self._used = time.perf_counter(), time.thread_time()
        return found

    def stop(self) -> None:
        self._mark()
        self.cpu += processor_seconds()
        self.inner.stop()

    def _mark(self) -> None:
        """Note that the coordinator has written the last result of `wait`."""
        now = time.perf_counter()
        if self._left and self._zeros == self.islands:
            self.busy += now - self._left
            self.work += time.thread_time() - self._used
        self._left = 0.0
        self.written[self._last] = now

    def read(self) -> list[Result]:
        return [Result.from_bytes(data) for data in self.results]


def measure(repeats: int, quick: bool, say: Say, work: Work | None = None) -> dict[str, Any]:
    """Measure and print both parts, and return them as `--json` stores them."""
    work = work or (QUICK if quick else replace(FULL, turns=repeats))
    with tempfile.TemporaryDirectory(prefix="bench-islands-") as folder:
        overhead = one_island(work, Path(folder), say)
        scaling = more_islands(work, Path(folder), say)
    return {"overhead": overhead, "scaling": scaling, "aimed": {"most": MOST}}


def one_island(work: Work, folder: Path, say: Say) -> dict[str, Any]:
    """Seconds of play in process and on Ray, in turns."""
    say(f"islands: {work.config}, {work.generations} generations, in process and on Ray, {work.turns} turns each")
    ours, rays, starts, counted, digests = [], [], [], None, set[str]()
    cpus: list[float] = []
    if work.warm:
        in_process(load_config(work.config, [f"run.folder={folder}", "run.name=warm", f"generations={work.warm}"]))
    for turn in range(work.turns):
        given = [f"run.folder={folder}", f"generations={work.generations}"]
        alone = in_process(load_config(work.config, [*given, f"run.name=alone{turn}"]))
        cluster = ["cluster.address=local", f"run.name=ray{turn}"]
        watched, digest = on_ray(load_config(work.config, [*given, *cluster]), False, say)
        digests |= {alone[1], digest}
        seconds = watched.written[len(watched.results)] - watched.born
        ours.append(alone[0])
        cpus.append(watched.cpu / alone[2])
        rays.append(seconds)
        starts.append(watched.born - watched.began)
        counted = watched
        say(f"  turn {turn + 1}: in process {alone[0]:.1f} s, on Ray {seconds:.1f} s, {seconds / alone[0]:.3f}; by"
            f" processor seconds {watched.cpu / alone[2]:.3f}")  # fmt: skip
    assert counted is not None
    ratios = [r / o for r, o in zip(rays, ours, strict=True)]
    ratio = statistics.median(ratios)
    say(f"  on Ray, before generation 1: {statistics.median(starts):.1f} s to start it, load, and play generation 0")
    say(f"  by processor seconds, all of Ray's processes counted: {statistics.median(cpus):.3f} ({min(cpus):.3f} to"
        f" {max(cpus):.3f})")  # fmt: skip
    say(f"  digests: {'all equal' if len(digests) == 1 else 'DIFFERENT'}")
    say(f"  target: at most {MOST:.2f} times the seconds in process: {ratio:.3f} ({min(ratios):.3f} to"
        f" {max(ratios):.3f}), {'reached' if ratio <= MOST else 'MISSED'}")  # fmt: skip
    return {
        "generations": work.generations, "in_process_s": ours, "on_ray_s": rays, "start_s": starts, "ratio": ratio,
        "ratios": ratios, "same_digest": len(digests) == 1, "met": ratio <= MOST, "cpu_ratios": cpus,
        "wire": wire(counted, work.generations, say),
    }  # fmt: skip


def more_islands(work: Work, folder: Path, say: Say) -> list[dict[str, Any]]:
    """Agent generations a second for each number of islands."""
    cores = os.cpu_count() or 1
    found: list[dict[str, Any]] = []
    say(f"scaling: {work.config}, {work.scaling} generations, one thread and one Ray node an island, {cores} cores")
    for n in work.islands:
        given = [
            f"run.folder={folder}", f"run.name=many{n}", f"generations={work.scaling}", "engine.threads=1",
            "cluster.address=auto", f"cluster.islands={n}", "cluster.every=1",
        ]  # fmt: skip
        with fake_nodes(n):
            config = load_config(work.config, given)
            watched, _ = on_ray(config, True, say)
        seconds = watched.written[n * (work.scaling + 1)] - watched.born
        rate = n * config.population.agents * work.scaling / seconds
        first = found[0]["rate"] * n / found[0]["islands"] if found else rate
        cpu = watched.cpu / (n * config.population.agents * work.scaling)
        found.append({"islands": n, "seconds": seconds, "rate": rate, "efficiency": rate / first, "cpu_s": cpu})
        say(f"  {n} islands: {seconds:.1f} s, {rate:.2f} agents' generations a second, efficiency {rate / first:.2f};"
            f" {cpu:.2f} processor seconds each"
            + (f"; {n} islands share {cores} cores" if n > cores else ""))  # fmt: skip
        found[-1]["wire"] = wire(watched, work.scaling, say)
    return found


def in_process(config: Config) -> tuple[float, str, float]:
    """(seconds after generation 0, digest, processor seconds after generation 0)."""
    born = cpu = 0.0

    def listen(event: str, data: dict[str, Any]) -> None:
        nonlocal born, cpu
        if event == "done" and data["phase"] == "baseline":
            born, cpu = time.perf_counter(), processor_seconds()

    with Arena.create(config) as arena:
        play(arena, listen)
        seconds, used = time.perf_counter() - born, processor_seconds() - cpu
        return seconds, arena.store.digest(), used


def on_ray(config: Config, together: bool, say: Say) -> tuple[Counted, str]:
    """The counters of a run on Ray, and its digest."""
    began = time.perf_counter()
    watched = Counted(RayWorkers(config, say), config.cluster.islands, together, began)
    folder = Path(config.run.folder) / config.run.name
    federate(config, folder, watched)
    return watched, Store(folder / "run.db").digest()


def processor_seconds() -> float:
    """Processor seconds of this process and of its living descendants, Ray's included."""
    parents, used = dict[int, int](), dict[int, float]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        pid = int(path.parent.name)
        parents[pid], used[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    total = 0.0
    for pid, seconds in used.items():
        at = pid
        while at not in (os.getpid(), 0) and at in parents:
            at = parents[at]
        total += seconds if at == os.getpid() else 0.0
    return total


@contextmanager
def fake_nodes(count: int) -> Iterator[None]:
    """A Ray cluster on this machine: `count` nodes of one CPU each, and one without CPUs for the coordinator."""
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    before = os.environ.get("RAY_ADDRESS")
    try:
        os.environ["RAY_ADDRESS"] = cluster.address
        for _ in range(count):
            cluster.add_node(num_cpus=1)
        yield
    finally:
        del os.environ["RAY_ADDRESS"]
        if before is not None:
            os.environ["RAY_ADDRESS"] = before
        cluster.shutdown()


def wire(watched: Counted, generations: int, say: Say) -> dict[str, Any]:
    """Bytes sent to and from the islands, by generation and island, and the work of the coordinator."""
    read = watched.read()
    ours = [i for i, r in enumerate(read) if 0 < r.generation <= generations]
    later = [r for r in read if r.generation]
    files = sum(len(b) for i in ours for b in read[i].files.values())
    rows = sum(sum(read[i].counts.values()) for i in ours)
    each, count, written = sum(len(watched.results[i]) for i in ours) / len(ours), len(ours), len(later)
    rate = sum(sum(r.counts.values()) for r in later) / watched.work if watched.work else 0.0
    say(f"    a generation of an island: {each / 2**20:.2f} MiB, of which files {files / count / 2**20:.2f};"
        f" {rows / count:,.0f} rows;"
        f" arrivals {watched.sent['arrivals'] / len(read) / 2**10:.1f} KiB")  # fmt: skip
    say(
        f"    the coordinator's own work: {watched.busy / written:.3f} s a result,"
        f" {watched.work / written:.3f} processor seconds; {rate:,.0f} rows a processor second"
    )
    return {
        "result_bytes": each, "file_bytes": files / count, "rows": rows / count, "writer_s": watched.busy / written,
        "writer_cpu_s": watched.work / written,
        "writer_rows_a_second": rate, "arrivals_bytes": watched.sent["arrivals"] / len(read),
    }  # fmt: skip
