"""The coordinator (head): drives islands through generations, keeps a replica of each, and writes the combined run.

Islands advance at their own pace, at most one generation ahead of what is written, and synchronise where they exchange:
for that generation each waits for its sources. Arrivals are computed from the replicas, so they are the same whenever
they are requested. A lost island is restarted from its replica and plays the same generation with the same arrivals; if
it is lost too often (`cluster.restarts`), the run continues without it.

All state of the coordinator is in its folder: after a crash it continues from run.db and the replicas. A replica may be
ahead of run.db, which is written from it; an island that was ahead of its replica plays that generation again.

Left out: moving agents off an island that is given up. Not guaranteed: that a run that lost an island for good equals
one that did not.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from agents.engine import Halted
from arena.config.schema import Config
from arena.islands.merge import Union
from arena.islands.replica import Replica
from arena.islands.workers import Lost, Workers
from arena.phases.records import Listener, silent
from arena.phases.registry import replay
from arena.run.budget import Budget, spent_so_far
from arena.run.control import Controls, forget, forget_limit, note_limit
from arena.run.lock import hold
from arena.run.messages import Arrivals, Result, SentAgent, SentPost
from arena.run.store import Store


def federate(config: Config, folder: Path, workers: Workers, listen: Listener = silent) -> bool:
    """Play the run in `folder`, new or resumed, on `workers` until it ends or is stopped. Returns True if it has ended.
    `workers` are stopped in any case.

    `listen` receives ("done", ...) for each phase once its generation is written, ("control", ...) and ("limit", ...)
    as in `arena.loop.play`, and ("island", {"island", "state", "why"}) when an island is "lost", "started" again or
    "given up". Raises ValueError or OSError with a one-line message if no island can be played.
    """
    with Head(config, folder, workers, listen) as head:
        return drive(head)


def drive(head: Head) -> bool:
    """The same for an open coordinator."""
    try:
        return head.play()
    except Halted as halted:
        head.finish()
        head.stopped = str(halted)
        note_limit(head.store, head.stopped)
        head.listen("limit", {"line": head.stopped})
        return False


class Head:
    """The open coordinator of one run and its workers, which end with it. A context manager."""

    def __init__(self, config: Config, folder: Path, workers: Workers, listen: Listener = silent) -> None:
        try:
            self._open(config, folder, workers, listen)
        except BaseException:
            workers.stop()
            raise

    def _open(self, config: Config, folder: Path, workers: Workers, listen: Listener) -> None:
        self.config, self.folder, self.workers, self.listen = config, folder, workers, listen
        self.cluster, self.final = config.cluster, config.generations + 1
        self.stopped, self.leaving = "", False
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undo:
            undo.enter_context(hold(folder))
            self.store = _open(config, folder)
            undo.callback(self.store.close)
            self.union = Union(folder, config, self.store)
            self.forgotten = forget(self.store)
            forget_limit(self.store)
            n = self.cluster.islands
            self.replicas: list[Replica] = []
            for i in range(n):
                self.replicas.append(Replica(folder / "islands" / str(i), i, n, config.store))
                undo.callback(self.replicas[i].close)
            self.gone = self.union.lost()
            self._check()
            self._undo = undo.pop_all()
        self.busy: dict[int, int] = {}  # what each island is playing
        self.started: set[int] = set()
        self.losses = dict.fromkeys(range(n), 0)

    def __enter__(self) -> Head:
        return self

    def __exit__(self, *_: object) -> None:
        self.workers.stop()
        self._undo.close()

    def _check(self) -> None:
        """Raises ValueError if a replica is missing whose rows are in the run."""
        for replica in self.replicas:
            if replica.generation < 0 <= self.union.written and replica.index not in self.gone:
                raise ValueError(f"{replica.folder} is missing; island {replica.index} cannot continue without it")

    @property
    def living(self) -> list[int]:
        return [i for i in range(self.cluster.islands) if i not in self.gone]

    # -- the loop ------------------------------------------------------------------------------------------------

    def play(self) -> bool:
        """Play until the final measurement of every island is written. Raises Halted if a limit is met."""
        self.controls = Controls(self.store, lambda event, data: self.listen(event, data), self.forgotten)
        while True:
            self.write()
            if self.union.written >= self.final:
                return True
            if self._stops():
                self.finish()
                return False
            for i in self.living:
                self._send(i)
            assert self.busy, "islands wait for each other"
            self._receive()

    def finish(self) -> None:
        """Wait for the generations in progress, and write them."""
        while self.busy:
            self._receive()
        self.write()

    def leave(self) -> None:
        """Stop after the generations in progress, as the command `stop` does."""
        self.leaving = True

    def _stops(self) -> bool:
        if self.leaving:
            return True
        last = self.union.written
        if last >= 0:
            budget = self.budget()
            budget.check()
            if last < self.config.generations:
                budget.check_proposals(self.store)
        return self.controls.stops_before(min(last + 1, self.config.generations), "read")

    def budget(self) -> Budget:
        """The run's limits and what its written generations have cost."""
        return Budget(self.config.limits, spent_so_far(self.store))

    def _send(self, i: int) -> None:
        """Start an island's next generation if it is free and may continue."""
        if i in self.busy:
            return
        nxt = self._next(i)
        if nxt is None:
            return
        if i not in self.started:
            self._start(i)
        self.busy[i] = nxt
        self.workers.submit(i, nxt, self.arrivals(i, nxt).to_bytes())

    def _next(self, i: int) -> int | None:
        """The generation that this island plays next; None while it has to wait and after its last."""
        at, written = self.replicas[i].generation, self.union.written
        if at >= self.final:
            return None
        nxt = at + 1
        if self.config.limits.compute is not None and nxt:
            if at > written:  # whether there is another generation depends on what all have used
                return None
            if self._is_spent():
                return self.final
        if at > written + 1:
            return None
        if self.cluster.exchanges(nxt, self.config.generations):
            sources = [s for s in self.cluster.sources(i) if s not in self.gone]
            if any(not self.replicas[s].has(at) for s in sources):
                return None
        return nxt

    def _is_spent(self) -> bool:
        most = self.config.limits.compute
        return most is not None and self.union.written > 0 and self.store.compute() >= most

    def _start(self, i: int) -> None:
        self.workers.start(i, self.config.to_yaml(), self.replicas[i].package())
        self.started.add(i)

    def _receive(self) -> None:
        got = self.workers.wait()
        if isinstance(got, Lost):
            self._lose(got)
            return
        island, data = got
        self.busy.pop(island, None)
        self.replicas[island].apply(Result.from_bytes(data))

    def _lose(self, lost: Lost) -> None:
        i, nxt = lost.island, self.busy.pop(lost.island)
        self.losses[i] += 1
        self.listen("island", {"island": i, "state": "lost", "why": lost.why})
        if self.losses[i] <= self.cluster.restarts:
            self._start(i)
            self.busy[i] = nxt
            self.workers.submit(i, nxt, self.arrivals(i, nxt).to_bytes())
            self.listen("island", {"island": i, "state": "started", "why": ""})
            return
        if self.living == [i]:
            raise OSError(f"no island is left: island {i} was lost {self.losses[i]} times, at last: {lost.why}")
        self.gone[i] = nxt
        self.union.lose(i, nxt, lost.why)
        self.listen("island", {"island": i, "state": "given up", "why": lost.why})

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write every generation that all islands have finished."""
        while (g := self._due()) is not None:
            there = [r for r in self.replicas if r.has(g)]
            found = self.union.write(g, there)
            replay(self.listen, found)
            if self.cluster.islands == 1:
                _link(self.folder)

    def _due(self) -> int | None:
        """The next generation to write, if every island that continues has finished it."""
        written = self.union.written
        if written >= self.final:
            return None
        for g in dict.fromkeys((written + 1, self.final)):
            if all(self.replicas[i].has(g) for i in self.living):
                return g
        return None

    # -- exchange ------------------------------------------------------------------------------------------------

    def arrivals(self, i: int, generation: int) -> Arrivals:
        """Posts and agents that an island receives for a generation: the posts of all its sources, each once, and at
        most `cluster.agents` agents, starting with a different source each time."""
        if not self.cluster.exchanges(generation, self.config.generations):
            return Arrivals(i, generation)
        sources = [s for s in self.cluster.sources(i) if self.replicas[s].has(generation - 1)]
        turn = (generation - 1) // self.cluster.every % max(1, len(sources))
        parties = [p for s in sources[turn:] + sources[:turn] if (p := self.replicas[s].sent(generation - 1))]
        posts: dict[tuple[str, ...], SentPost] = {}
        for party in parties:
            for item in party.posts:
                signed = item.signed
                if not self.replicas[i].holds_post(signed.post.id):
                    posts.setdefault((signed.post.id, signed.public_key, signed.signature), item)
        agents: list[SentAgent] = []
        for rank in range(self.cluster.agents):
            agents += [p.agents[rank] for p in parties if rank < len(p.agents)]
        return Arrivals(i, generation, tuple(posts.values()), tuple(agents[: self.cluster.agents]))


def _open(config: Config, folder: Path) -> Store:
    """The coordinator's database; created with the config beside it if there is none."""
    if not (folder / "run.db").is_file():
        (folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
        partial = folder / ".run.db.new"
        partial.unlink(missing_ok=True)
        new = Store(partial, create=True)
        new.set_meta({"seed": str(config.seed)})
        new.close()
        partial.rename(folder / "run.db")
    return Store(folder / "run.db", upgrade=True)


def _link(folder: Path) -> None:
    """A single island's adapters are those of the run."""
    link = folder / "adapters"
    if not link.is_symlink() and not link.exists():
        link.symlink_to(Path("islands") / "0" / "adapters", target_is_directory=True)
