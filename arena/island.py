"""An island: a run folder of its own, played a generation at a time by whoever holds it.

Left out: where it is held (`arena.workers`, `arena.islands`) and what becomes of what it gives (`arena.federation`).
"""

from __future__ import annotations

from pathlib import Path


class Island:
    """One open island. Close it, or use it as a context manager."""

    def __init__(self, config_yaml: str, index: int, folder: Path, package: bytes | None) -> None:
        """Open island `index` of the run that `config_yaml` describes, in `folder`, which is its own.

        With a package the folder is replaced by what is in it; without one, an island that lies there goes on, and
        where none does it is begun. Raises ValueError or OSError, in one line, as opening a run does.
        """
        raise NotImplementedError

    def play(self, generation: int, arrivals: bytes) -> bytes:
        """Play a generation with what reached it (bytes of an Arrivals); the bytes of its Result.

        0 is the birth of the population and its first measurement, 1 to `generations` are played in turn, the number
        after them is the final measurement. Asked again for the last one it finished, it gives the same Result; one
        that was half played goes on where it was. Raises ValueError for a generation that is not its turn, and for
        other arrivals than those it was begun with.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the folder and the engine."""
        raise NotImplementedError
