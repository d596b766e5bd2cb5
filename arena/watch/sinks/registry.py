"""The sinks of a config. Built-in ones are rows of `arena.config.registries.SINKS`; others are named by import path
(docs/sinks.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from arena.config.registries import find_sink
from arena.watch.sinks.sink import Sink


def load_sinks(names: Sequence[str]) -> dict[str, Callable[[Path], Sink]]:
    """Classes of these sinks by the name of their folder. Raises ValueError if one needs a package that is not
    installed, naming it."""
    return {name.replace(":", "."): find_sink(name) for name in names}
