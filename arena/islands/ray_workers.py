"""Islands on Ray: each one an actor, on whatever node has room. The only file that imports ray.

`RayWorkers` implements `arena.islands.workers.Workers`: it starts islands, submits their work, and reports lost ones;
the coordinator (`arena.islands.coordinator`) decides what is played, stored and repeated. An actor receives everything
as bytes (`arena.run.messages`) and keeps its run folder in a temporary folder of its node, so that no disk is shared.
Calls run at most once, and Ray restarts nothing by itself (`max_restarts=0`): the coordinator restarts a lost island
from its replica.

A node must have the coordinator's versions of Ratchet's own files, Python, torch and the rest
(`arena.run.state.versions`). At the start, a node that differs ends the run with a one-line error; a node that joins
later and differs is not used.

Not guarded: access to the cluster. Anyone who can join it can run code on it (docs/scaling.md).
"""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from arena.config.schema import Config, make_config
from arena.islands.host import TemporaryHome, differences, fingerprint
from arena.islands.island import Island
from arena.islands.workers import Lost

try:
    # Read as Ray is imported, or by what it starts: none of its lines on the terminal, islands as urgent as the run.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray
    from ray.exceptions import ActorUnavailableError, ObjectLostError, OutOfMemoryError, RayActorError, RayError
except ModuleNotFoundError as missing:
    raise ValueError(
        f"islands on Ray need a package that is not installed ({missing.name}): pip install .[ray]"
    ) from None

TICK_S = 0.5
"""Maximum seconds of one wait for finished work."""
TELL_S = 20.0
"""Seconds after which an island without a running process is reported as waiting."""
PATIENCE_S = 600.0
"""Seconds after which it is lost."""
LEAVE_S = 5.0
"""Seconds that islands get to clean up."""
GONE = "its node is gone"
START = "ray start --head --disable-usage-stats"
Say = Callable[[str], None]


# -- on a node -------------------------------------------------------------------------------------------------------


class Keeper:
    """The process of one island, run as a Ray actor. Bytes in, bytes out."""

    def __init__(self, index: int, config_yaml: str, package: bytes | None) -> None:
        self.index, self.config_yaml, self.package = index, config_yaml, package
        self.home: TemporaryHome | None = None
        self.island: Island | None = None

    def about(self) -> bytes:
        """JSON: this node, and the versions that must be equal."""
        context = ray.get_runtime_context()
        found = {"host": platform.node(), "node": context.get_node_id(), "pid": os.getpid()}
        return json.dumps(found | {"versions": fingerprint(make_config(yaml.safe_load(self.config_yaml)))}).encode()

    def play(self, generation: int, arrivals: bytes) -> bytes:
        """One generation; a repeated call returns the same bytes (`Island.play`)."""
        if self.island is None:
            self.home = TemporaryHome(self.index)
            self.island = Island(self.config_yaml, self.index, self.home.path / "run", self.package)
            self.package = None
        return self.island.play(generation, arrivals)

    def leave(self) -> None:
        """Close the island and remove its folder."""
        if self.island is not None:
            self.island.close()
        if self.home is not None:
            self.home.remove()


# -- on the head -----------------------------------------------------------------------------------------------------


@dataclass
class Placed:
    """One island's actor as the coordinator knows it."""

    actor: Any
    config_yaml: str
    package: Any  # held until its node is known to be fit
    about: Any  # what `about` will give; None once it has
    began: float
    node: str = ""  # its id
    where: str = "no node yet"
    told: bool = False
    job: tuple[int, Any] | None = None  # what is to be played, as soon as its node is known to be fit
    result: Any = None  # what `play` will give


class RayWorkers:
    """`arena.islands.workers.Workers` as actors of one Ray cluster. `say` is told in plain lines who waits, and which
    node is passed over.

    Raises ValueError if there is no cluster, or one of another Ray or Python.
    """

    def __init__(self, config: Config, say: Say, patience: float = PATIENCE_S) -> None:
        self.config, self.say, self.patience = config, say, patience
        self.placed: dict[int, Placed] = {}
        self.unfit: dict[str, str] = {}  # by the node's id: why nothing is played on it
        self.head = fingerprint(config)
        self.connected = connect(config)
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        wanted = config.engine.device == "cuda" or there.get("GPU", 0) > 0
        self.gpus = config.cluster.gpus_per_island if wanted else 0
        self.cpus = config.engine.threads
        self.played = False

    # -- Workers ---------------------------------------------------------------------------------------------------

    def start(self, island: int, config_yaml: str, package: bytes | None) -> None:
        """Request a place for an island; one that gets none in time comes out of `wait` as lost."""
        self.drop(island)
        self._place(island, config_yaml, None if package is None else ray.put(package))

    def submit(self, island: int, generation: int, arrivals: bytes) -> None:
        """Play a generation on an island as soon as its process is ready."""
        placed = self.placed[island]
        if placed.job is not None or placed.result is not None:
            return
        placed.job = (generation, ray.put(arrivals))
        self._send(placed)

    def wait(self) -> tuple[int, bytes] | Lost:
        """The next result, or an island that is lost.

        Raises ValueError where a node differs at the beginning and for an island's own; OSError where a server that all
        islands need is gone.
        """
        while True:
            asked = {ref: i for i, p in sorted(self.placed.items()) for ref in (p.about, p.result) if ref is not None}
            assert asked, "no island has anything to do"
            ready, _ = ray.wait(list(asked), num_returns=1, timeout=TICK_S)
            found = self._answered(asked[ready[0]], ready[0]) if ready else self._without_room()
            if found is not None:
                return found

    def stop(self) -> None:
        """End all islands; and the connection, if it was made here."""
        leaving = [p.actor.leave.remote() for p in self.placed.values() if p.about is None and p.result is None]
        if leaving:
            ray.wait(leaving, num_returns=len(leaving), timeout=LEAVE_S)
        for island in list(self.placed):
            self.drop(island)
        if self.connected:
            self.connected = False
            ray.shutdown()

    # --------------------------------------------------------------------------------------------------------------

    def drop(self, island: int) -> None:
        """End an island's process, whatever it is doing."""
        placed = self.placed.pop(island, None)
        if placed is not None:
            ray.kill(placed.actor, no_restart=True)

    def _place(self, island: int, config_yaml: str, package: Any) -> None:
        options: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": self.gpus, "scheduling_strategy": "SPREAD"}
        options |= {"max_restarts": 0, "max_task_retries": 0}
        if self.unfit:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self.unfit))})"}
        actor: Any = ray.remote(Keeper).options(**options).remote(island, config_yaml, package)
        self.placed[island] = Placed(actor, config_yaml, package, actor.about.remote(), time.monotonic())

    def _place_again(self, island: int, placed: Placed) -> None:
        """Replace an actor whose island has not started."""
        self._place(island, placed.config_yaml, placed.package)
        self.placed[island].job, self.placed[island].began = placed.job, placed.began

    def _waited(self, placed: Placed) -> float:
        return time.monotonic() - placed.began

    def _send(self, placed: Placed) -> None:
        if placed.about is None and placed.job is not None:
            placed.result, placed.job = placed.actor.play.remote(*placed.job), None

    def _answered(self, island: int, ref: Any) -> tuple[int, bytes] | Lost | None:
        placed = self.placed[island]
        try:
            content: bytes = ray.get(ref)
        except RayError as error:
            self.drop(island)
            why = reason(error)
            if ref == placed.about and why == GONE and self._waited(placed) < self.patience:
                self._place_again(island, placed)  # Ray still counted on a node that was gone already
                return None
            cause = getattr(error, "cause", None)
            if isinstance(cause, ValueError) or (isinstance(cause, OSError) and self.config.engine.spec.remote):
                raise type(cause)(f"island {island} on {placed.where}: {cause}") from None
            return Lost(island, f"{why} ({placed.where})")
        if ref == placed.about:
            self._met(island, placed, json.loads(content))
            return None
        placed.result, self.played = None, True
        return island, content

    def _met(self, island: int, placed: Placed, about: dict[str, Any]) -> None:
        """An island's process runs: compare its node's versions."""
        placed.about, placed.node = None, about["node"]
        placed.where = f"node {about['host']}, process {about['pid']}"
        wrong = differences(self.head, about["versions"])
        if not wrong:
            placed.package = None
            self._send(placed)
            return
        line = f"node {about['host']} is not like this one: {wrong}; install the same there"
        if not self.played:
            raise ValueError(line)
        self.say(f"{line}; it is passed over")
        self.unfit[placed.node] = line
        self.drop(island)
        self._place_again(island, placed)

    def _without_room(self) -> Lost | None:
        """Report islands that wait long for a node; one that has waited too long is lost."""
        needs = f"{self.cpus} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")
        for island, placed in sorted(self.placed.items()):
            waited = self._waited(placed)
            if placed.about is None:
                continue
            if waited > self.patience:
                self.drop(island)
                return Lost(island, f"no node with {needs} free took it in {self.patience:.0f} s")
            if waited > TELL_S and not placed.told:
                placed.told = True
                self.say(f"island {island} waits for a node with {needs} free, or for its process to load")
        return None


def reason(error: RayError) -> str:
    """Why a call failed, in one line."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return f"{type(cause).__name__}: {' '.join(str(cause).split())}"
    told = " ".join(str(error).split())
    if isinstance(error, ActorUnavailableError | ObjectLostError) or "node has died" in told or "node died" in told:
        return GONE
    if isinstance(error, OutOfMemoryError) or "out-of-memory" in told or "low memory" in told:
        return "its process was ended, as its node was short of memory"
    if isinstance(error, RayActorError) and "worker process has died" in told:
        return "its process died"
    return f"{type(error).__name__}: {told[:300]}"


def connect(config: Config) -> bool:
    """Join the cluster that the config names, or start one. Returns False if this process is in one already.

    Raises ValueError if there is none, or one of another Ray or Python.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
    with signals_kept():
        if config.cluster.address == "local":
            cpus = max(os.cpu_count() or 1, config.cluster.islands * config.engine.threads)
            ray.init(address="local", num_cpus=cpus, **quiet)
            return True
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:
            raise ValueError(
                f"cluster.address is auto, but no Ray cluster is found from here: start one with `{START}`, "
                "set RAY_ADDRESS to where one is, or use cluster.address=local"
            ) from None
        except RuntimeError as error:  # Ray compares its own version and Python's
            raise ValueError(f"this process cannot join the Ray cluster: {' '.join(str(error).split())}") from None
    return True


@contextmanager
def signals_kept() -> Iterator[None]:
    """Restore the SIGTERM handler that Ray replaces."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
