"""A finished run, as the metrics and series of experiments take it.

Left out: the metrics themselves (`run_metrics`, `culture_metrics`, `series`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from arena.config.culture import LibrarySection
from arena.run.store import Store


@dataclass(frozen=True)
class FinishedRun:
    """A run that was played to its end: its store, its main domain's name, its last generation, and its library's
    config, for the generations in which that burns and is given back."""

    store: Store
    main: str
    last: int
    library: LibrarySection = field(default_factory=LibrarySection)

    @staticmethod
    def read(store: Store, main: str, library: LibrarySection | None = None) -> FinishedRun:
        """Raises ValueError if the run has not been measured to its end."""
        last = store.query("SELECT MAX(generation) AS g FROM phases WHERE phase = 'final'")[0]["g"]
        if last is None:
            raise ValueError(f"{store.path} has no phase 'final': the run is not finished")
        return FinishedRun(store, main, int(last), library or LibrarySection())

    def number(self, sql: str, parameters: Sequence[object] = ()) -> float | None:
        """The one value of a query."""
        value = next(iter(self.store.query(sql, list(parameters))[0].values()))
        return None if value is None else float(value)


Metric = Callable[[FinishedRun], float | None]
Points = list[tuple[int, float]]
"""A series: (generation, value), without the generations that have no value."""


def difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
