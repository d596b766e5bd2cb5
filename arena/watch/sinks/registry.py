"""The sinks by name. A new sink is one file with a function `open_sink` and one line here (docs/sinks.md)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import cast

from arena.config.registries import SINKS
from arena.watch.sinks.sink import SinkFile


def load_sinks(names: Sequence[str]) -> dict[str, SinkFile]:
    """The modules of these sinks. Raises ValueError if one needs a package that is not installed, naming it."""
    return {name: cast(SinkFile, importlib.import_module(SINKS[name])) for name in names}
