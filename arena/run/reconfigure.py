"""Config keys that can change after a run has begun: limits, retention, the server's address and retries, and where
islands are played.

All other keys determine the result of the run and stay. Changes are written into `config.yaml` of the run folder,
atomically, so that they stay in force.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from agents.atomic import write_atomically
from arena.config.schema import Config, LimitsSection, StoreSection, make_config, read_yaml
from arena.run.paths import check_folder

SERVER = ("url", "concurrency", "retries", "timeout_s")
ISLANDS = ("address", "gpus_per_island", "restarts")
CHANGEABLE = (
    *(f"limits.{name}" for name in LimitsSection.model_fields),
    *(f"store.{name}" for name in StoreSection.model_fields),
    *(f"engine.openai.{name}" for name in SERVER),
    *(f"cluster.{name}" for name in ISLANDS),
)


def reconfigured(folder: Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a run with `overrides`. Raises ValueError for a key that cannot change."""
    for override in overrides:
        key = override.partition("=")[0]
        if key not in CHANGEABLE and not key.startswith("limits.prices."):
            near = difflib.get_close_matches(key, CHANGEABLE, n=1, cutoff=0.75)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{key} cannot be changed in a run that has begun, because it changes the result. "
                f"Keys that can: limits.*, store.* and {', '.join(CHANGEABLE[-len(SERVER) - len(ISLANDS) :])}{hint}"
            )
    check_folder(folder)
    file = folder / "config.yaml"
    return make_config(read_yaml(file, "config"), overrides, str(file))


def write_config(folder: Path, config: Config) -> None:
    """Write the config of a run folder, atomically."""
    write_atomically(folder / "config.yaml", config.to_yaml())
