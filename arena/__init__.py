"""Ratchet from Python: `from arena import Arena, load_config, play, analyze, parallel_env`.

    config = load_config("tiny", ["run.name=example"])
    with Arena.create(config) as arena:
        play(arena)
        print(analyze(arena.store, config)["heldout"])

Each name is imported when it is first used: `import arena` alone imports neither torch nor numpy. Layers:
docs/design.md. Everything else in the package may change between versions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arena.config.schema import load_config
    from arena.loop import play
    from arena.report.metrics.run_summary import analyze
    from arena.rounds.env import parallel_env
    from arena.run.state import Arena

__all__ = ["Arena", "analyze", "load_config", "parallel_env", "play"]
_MODULES = {
    "Arena": "arena.run.state",
    "analyze": "arena.report.metrics.run_summary",
    "load_config": "arena.config.schema",
    "parallel_env": "arena.rounds.env",
    "play": "arena.loop",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'arena' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
