"""Where islands are played, as the head sees it: start one, give it a generation, wait for whoever is done.

`InlineWorkers` plays them in this process, one after another; `arena.islands.ray_workers` on Ray. The head
(`arena.islands.coordinator`) knows nothing else of either.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from arena.islands.island import Island


@dataclass(frozen=True)
class Lost:
    """An island that is no more: its process or machine died. The head starts it again, or gives it up."""

    island: int
    why: str


class Workers(Protocol):
    """Places for islands. Calls come from one thread; nothing is asked of an island before it was started, nor while
    it plays."""

    def start(self, island: int, config_yaml: str, package: bytes | None) -> None:
        """Make a place for this island, from its package or from nothing, in place of an earlier one if there was one.

        May return before the island is ready; what fails later comes out of `wait`. Raises ValueError or OSError, in
        one line, for what no other place would mend (no cluster, another version).
        """

    def submit(self, island: int, generation: int, arrivals: bytes) -> None:
        """Let it play a generation (`Island.play`), and return at once. Asked twice, it is played once."""

    def wait(self) -> tuple[int, bytes] | Lost:
        """Block until some island is done: (island, the bytes of its Result); or until one is lost. Each submitted
        generation comes out once, as one or the other. Only called while something is submitted.

        Raises ValueError or OSError for a mistake that starting again would not mend.
        """

    def stop(self) -> None:
        """End all of them. Nothing is lost by it but what is being played."""


class InlineWorkers:
    """Islands in this process, each in a folder of its own under `folder` (a temporary one if left out)."""

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
        """Close one island and forget what it was asked."""
        self.queue = [item for item in self.queue if item[0] != island]
        if island in self.islands:
            self.islands.pop(island).close()

    def stop(self) -> None:
        for island in list(self.islands):
            self.end(island)
        if self._temporary:
            self._temporary.cleanup()
