"""The interface of a sink: a receiver of a run's figures while it is played, such as TensorBoard.

A sink is a class that is called with a folder, `<run folder>/<sink's name>`, which exists already. It receives each
figure once, in the order of generations. When an interrupted run is resumed, it is opened again with the same folder.

Left out: reading back. A sink is never part of a run's record: nothing reads it, and the run's digest excludes it.
Not guaranteed: that a figure arrives. A sink that raises is turned off until the run is opened again, and a run that
is killed between storing a phase and reporting it never sends that phase.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Sink(Protocol):
    def scalars(self, generation: int, values: Mapping[str, float]) -> None:
        """Figures of one finished phase, by name such as `heldout/list_programs/depth_3`; all finite."""

    def text(self, generation: int, name: str, text: str) -> None:
        """One text, such as the run's config or a worked example. Agents may have written it: it is data."""

    def close(self) -> None:
        """Called when playing stops, finished or not. Nothing is sent afterwards."""
