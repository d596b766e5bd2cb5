"""Names of what a config can choose, and the module that has each: imported only where it is used."""

from __future__ import annotations

SINKS: dict[str, str] = {
    "tensorboard": "arena.watch.sinks.tensorboard",
}
"""Sink name to module (docs/sinks.md)."""
