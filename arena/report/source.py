"""The input of every section of the report: one run, opened for reading, with its analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arena.config.schema import Config
from arena.report.figures.figure import Section
from arena.run.faults import Faults
from arena.run.store import Store

REPORT = "report"
"""Folder of the report in a run's folder."""


@dataclass(frozen=True)
class Source:
    """`analysis` is what `arena.report.metrics.run_summary.analyze` gives for the run in `folder`.

    `out` is the folder of the report (None: `report` in the run's folder). `faults` collects or raises what fails by a
    fault of the program.
    """

    folder: Path
    store: Store
    config: Config
    analysis: dict[str, Any]
    out: Path | None = None
    faults: Faults = field(default_factory=Faults)

    @property
    def report(self) -> Path:
        """The folder that the report is written into. Nothing else is written."""
        return self.out or self.folder / REPORT


Builder = Callable[[Source], Section]
