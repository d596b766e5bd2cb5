"""The input of every section of the report: one run, opened for reading, with its analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.config.schema import Config
from arena.report.figures.figure import Section
from arena.run.store import Store


@dataclass(frozen=True)
class Source:
    """`analysis` is what `arena.report.metrics.run_summary.analyze` gives for the run in `folder`."""

    folder: Path
    store: Store
    config: Config
    analysis: dict[str, Any]


Builder = Callable[[Source], Section]
