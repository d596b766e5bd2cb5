"""A run of about a second, for tests that need their own."""

from __future__ import annotations

from pathlib import Path

from arena.config.schema import load_config
from arena.run.state import Arena
from arena.run.store import Store

BRIEF = (
    "generations=2",
    "rounds.per_agent=3",
    "rounds.guesses=1",
    "measure.per_depth=0",
    "measure.final_per_depth=1",
    "measure.passes=1",
)


def brief(folder: Path, name: str, *more: str) -> Arena:
    return Arena.create(load_config("configs/tiny.yaml", [f"run.folder={folder}", f"run.name={name}", *BRIEF, *more]))


def digest(folder: Path) -> str:
    store = Store(folder / "run.db")
    found = store.digest()
    store.close()
    return found
