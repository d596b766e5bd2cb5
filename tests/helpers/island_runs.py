"""Small runs of several islands, and deaths for them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from arena.config.schema import Config, load_config
from arena.islands.coordinator import federate
from arena.islands.workers import InlineWorkers, Lost
from arena.run.store import Store

SMALL = (
    "population.agents=3",
    "rounds.per_agent=4",
    "measure.final_per_depth=1",
    "measure.passes=1",
    "turnover.every=0",
    "cluster.address=inline",
)


def config_of(folder: Path, *overrides: str) -> Config:
    given = [f"run.folder={folder.parent}", f"run.name={folder.name}", *SMALL, *overrides]
    return load_config("configs/tiny.yaml", given)


def digest(folder: Path) -> str:
    store = Store(folder / "run.db")
    try:
        return store.digest()
    finally:
        store.close()


class Mortal(InlineWorkers):
    """Islands that die when `deaths` says so: before they play a generation, in its middle, or with its result."""

    def __init__(self, deaths: dict[tuple[int, int], str]) -> None:
        super().__init__()
        self.deaths, self.died = dict(deaths), list[tuple[int, int, str]]()

    def wait(self) -> tuple[int, bytes] | Lost:
        island, generation, _ = self.queue[0]
        how = self.deaths.pop((island, generation), "")
        if how:
            self.died.append((island, generation, how))
            if how == "after":
                super().wait()
            if how == "middle":
                arena = self.islands[island].arena
                assert arena is not None
                real = arena.models.act
                arena.models.act = lambda: (_ for _ in ()).throw(Dead())  # type: ignore[method-assign,assignment]
                with suppress(Dead):
                    super().wait()
                arena.models.act = real  # type: ignore[method-assign]
            self.end(island)
            return Lost(island, f"died {how} generation {generation}")
        return super().wait()


class Dead(BaseException):
    """Nothing in the program may catch it."""


def play(folder: Path, *overrides: str, deaths: dict[tuple[int, int], str] | None = None) -> Mortal:
    """Play a run to its end; the workers, to ask what died."""
    workers = Mortal(deaths or {})
    assert federate(config_of(folder, *overrides), folder, workers)
    return workers
