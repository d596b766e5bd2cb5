"""The interface to places that run islands: start an island, submit a generation, wait for a result.

`InlineWorkers` runs islands in this process, one after another; `arena.islands.ray_workers` runs them on Ray. The
coordinator (`arena.islands.coordinator`) uses this interface only.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from arena.islands.island import Island


@dataclass(frozen=True)
class Lost:
    """An island whose process or machine died. The coordinator restarts it or gives it up."""

    island: int
    why: str


class Workers(Protocol):
    """Places for islands. Calls come from one thread; an island gets no call before it is started or while it plays."""

    def start(self, island: int, config_yaml: str, package: bytes | None) -> None:
        """Make a place for this island, from its package or empty, replacing an earlier place of the same island.

        May return before the island is ready; later failures come out of `wait`. Raises ValueError or OSError with a
        one-line message for errors that another place would not fix (no cluster, another version).
        """

    def submit(self, island: int, generation: int, arrivals: bytes) -> None:
        """Play a generation (`Island.play`) in the background. A repeated call has no effect."""

    def wait(self) -> tuple[int, bytes] | Lost:
        """Block until an island has a result, (island, bytes of its Result), or is lost. Each submitted generation
        comes out once, as one or the other. Called only while a generation is submitted.

        Raises ValueError or OSError for an error that a restart would not fix.
        """

    def stop(self) -> None:
        """End all islands. Only generations in progress are lost."""


class InlineWorkers:
    """Islands in this process, each in its own folder under `folder` (default: a temporary folder)."""

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="ratchet-islands-") if folder is None else None
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.islands: dict[int, Island] = {}
        self.queue: list[tuple[int, int, bytes]] = []

    def start(self, island: int, config_yaml: str, package: bytes | None) -> None:
        self.end(island)
        self.islands[island] = Island(config_yaml, island, self.folder / str(island), package)

    def submit(self, island: int, generation: int, arrivals: bytes) -> None:
        self.queue.append((island, generation, arrivals))

    def wait(self) -> tuple[int, bytes] | Lost:
        island, generation, arrivals = self.queue.pop(0)
        return island, self.islands[island].play(generation, arrivals)

    def end(self, island: int) -> None:
        """Close one island and drop its submitted generations."""
        self.queue = [item for item in self.queue if item[0] != island]
        if island in self.islands:
            self.islands.pop(island).close()

    def stop(self) -> None:
        for island in list(self.islands):
            self.end(island)
        if self._temporary:
            self._temporary.cleanup()
