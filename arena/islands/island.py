"""An island: a run folder of its own, played one generation per call.

It uses the loop of a single run (`arena.loop`), one generation at a time. Before a generation it records the last row
of each table and a digest of the arrivals. Its result is the rows added since and the files they name, so a result can
be produced again, and an interrupted generation resumes after its last finished phase.

Left out: where it runs (`arena.islands.workers`, `arena.islands.ray_workers`), what happens to its results
(`arena.islands.coordinator`), and limits and commands, which the coordinator handles. Not guaranteed: results of
generations before the last one, whose files may have been pruned.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from agents.atomic import write_atomically
from arena.config.schema import LimitsSection, make_config
from arena.islands.deltas import begun, increment, last_rows, mark, marks_of
from arena.loop import begin, end, play_generation
from arena.phases.migration import departing, departures
from arena.phases.records import silent
from arena.phases.turnover import ranking
from arena.run.control import Controls
from arena.run.fold import Generation
from arena.run.messages import Arrivals, Package, Result, SentAgent, SentPost, digest
from arena.run.paths import inside
from arena.run.receipts import ARENA
from arena.run.reconfigure import write_config
from arena.run.state import Arena


class Island:
    """One open island. Close it, or use it as a context manager."""

    def __init__(self, config_yaml: str, index: int, folder: Path, package: bytes | None) -> None:
        """Open island `index` of the run that `config_yaml` describes, in `folder`, which is its own.

        With a package, its contents replace the folder. Without one, an island in the folder is resumed, or a new one
        is created. Raises ValueError or OSError with a one-line message, as opening a run does.
        """
        config = make_config(yaml.safe_load(config_yaml))
        self.config = config.model_copy(update={"limits": LimitsSection(prices=config.limits.prices), "sinks": []})
        self.index, self.folder = index, folder
        if package is not None:
            unpack_folder(Package.from_bytes(package), index, folder)
        self.arena: Arena | None = None
        self._open()

    def _open(self) -> Arena:
        if self.arena is None:
            if (self.folder / "run.db").is_file():
                write_config(self.folder, self.config)
                self.arena = Arena.open(self.folder)
            else:
                self.arena = Arena.create(self.config, self.folder, self.index)
        return self.arena

    def play(self, generation: int, arrivals: bytes) -> bytes:
        """Play a generation with its arrivals (bytes of an Arrivals); the bytes of its Result.

        0 is the birth of the population and the first measurement, 1 to `generations` are played in order, the number
        after them is the final measurement, which may come early. A repeated call for the last finished generation
        returns the same Result; an interrupted generation resumes. Raises ValueError for a generation out of order and
        for arrivals that differ from those the generation was begun with.
        """
        arena, reached, sha = self._open(), Arrivals.from_bytes(arrivals), digest(arrivals)
        if (reached.island, reached.generation) != (self.index, generation):
            raise ValueError(
                f"island {self.index} is to play generation {generation} with what is for island {reached.island} in "
                f"generation {reached.generation}"
            )
        known = begun(arena.store)
        final = self.config.generations + 1
        if generation not in known:
            due = known[-1] + 1 if known else 0
            if generation not in {due, final if known else due} or (known and not self._is_done(arena, known[-1])):
                raise ValueError(f"island {self.index} is to play generation {generation}, and it is the turn of {due}")
            with arena.store.transaction():
                mark(arena.store, generation, last_rows(arena.store) if known else {"meta": -1}, sha)
        elif marks_of(arena.store, generation)[1] != sha:
            raise ValueError(f"generation {generation} of island {self.index} was begun with other arrivals")
        if not self._is_done(arena, generation):
            try:
                self._play(arena, generation, reached)
            except BaseException:
                self.close()  # what is in memory is half of something; it is read again
                raise
        return self._result(arena, generation, sha)

    def _play(self, arena: Arena, generation: int, reached: Arrivals) -> None:
        finished = arena.store.finished()
        controls = Controls(arena.store, silent, arena.forgotten)
        arena.arrivals = reached
        if generation == 0:
            begin(arena, finished, silent, controls)
        elif generation > self.config.generations:
            end(arena, finished, silent, controls)
        else:
            play_generation(arena, generation, finished, silent, controls)
        arena.arrivals = None

    def _is_done(self, arena: Arena, generation: int) -> bool:
        finished = arena.store.finished()
        if generation > self.config.generations:
            return any(phase == "final" for _, phase in finished)
        return (generation, "measure" if generation else "baseline") in finished

    def _result(self, arena: Arena, generation: int, sha: str) -> bytes:
        state = arena.state
        posts, agents = tuple[SentPost, ...](), tuple[SentAgent, ...]()
        if generation <= self.config.generations and self.config.cluster.departs(generation):
            state.generation = Generation(generation)
            posts, agents = departing(arena, *ranking(state))
            sql = "SELECT 1 FROM migrations WHERE direction = 'out' AND generation = ?"
            if not arena.store.query(sql, [generation]):
                with arena.store.transaction():
                    arena.store.insert({"migrations": departures(state, posts, agents)})
        rows = increment(arena.store, generation)
        marks, _ = marks_of(arena.store, generation)
        return Result(
            self.index, generation, sha, marks, rows, self._files(arena, generation), posts, agents
        ).to_bytes()

    def _files(self, arena: Arena, generation: int) -> dict[str, bytes]:
        """Files that the generation's rows name, and the keys of newborns. Raises ValueError if one is missing."""
        found: dict[str, bytes] = {}
        born = arena.store.query("SELECT name FROM agents WHERE born = ? ORDER BY number", [generation])
        names = [r["name"] for r in born]
        for name in [*names, *([] if generation else [ARENA])]:
            found[f"keys/{name}.pem"] = _read(arena.folder, f"keys/{name}.pem")
        for row in arena.store.rows("checkpoints", generation):
            at = inside(arena.folder, row["path"])
            files = [f"{row['path']}/{p.name}" for p in sorted(at.iterdir())] if at.is_dir() else [row["path"]]
            found |= {path: _read(arena.folder, path) for path in files}
        return found

    def close(self) -> None:
        """Release the folder and the engine."""
        if self.arena is not None:
            self.arena.close()
            self.arena = None

    def __enter__(self) -> Island:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unpack_folder(package: Package, index: int, folder: Path) -> None:
    """Replace `folder` by the contents of a package. Raises ValueError for a package of another island."""
    if package.island != index:
        raise ValueError(f"a package of island {package.island} was given to island {index}")
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for name, data in package.files.items():
        write_file(new, name, data)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Write one received file atomically; private keys with mode 0600."""
    path = inside(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.startswith("keys/"):
        path.parent.chmod(0o700)
        path.touch(mode=0o600)
    write_atomically(path, data)
    if name.startswith("keys/"):
        path.chmod(0o600)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ValueError(f"{folder / name} is gone, which the island is asked for: {error.strerror}") from None
