"""The head: it drives islands through their generations, keeps a replica of each, and writes the one run of them all.

Interface; see docs/islands.md.
"""

from __future__ import annotations

from pathlib import Path

from arena.config import Config
from arena.loop import Listener, silent
from arena.workers import Workers


def federate(config: Config, folder: Path, workers: Workers, listen: Listener = silent) -> bool:
    """Play the run in `folder` (as `config` says, new or begun) on `workers` to its end, or until it is stopped; True
    if it came to its end. `workers` are stopped in any case.

    Listeners are told ("done", ...) of each phase once its generation is written, ("control", ...) and ("limit", ...)
    as in `arena.loop.play`, and ("island", {"island", "state", "why"}) of each one that is lost, started again or given
    up. Raises ValueError or OSError, in one line, if no island can be played.
    """
    raise NotImplementedError
