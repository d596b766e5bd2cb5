"""What may be changed of a run that has begun: its limits, how much of it is kept, where and how patiently its server
is asked, and where its islands are played.

Everything else is what makes it that run, and stays. What is changed is written into the run folder's `config.yaml`,
whole or not at all, so that the next time goes on with it too.
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
MAY = (
    *(f"limits.{name}" for name in LimitsSection.model_fields),
    *(f"store.{name}" for name in StoreSection.model_fields),
    *(f"engine.openai.{name}" for name in SERVER),
    *(f"cluster.{name}" for name in ISLANDS),
)


def amended(folder: Path, overrides: Sequence[str] = ()) -> Config:
    """The run's config with `overrides`. Raises ValueError for one of a key that may not change."""
    for override in overrides:
        key = override.partition("=")[0]
        if key not in MAY and not key.startswith("limits.prices."):
            near = difflib.get_close_matches(key, MAY, n=1, cutoff=0.75)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{key} cannot be changed in a run that has begun: it would not go on as it began. What can: limits.*, "
                f"store.* and {', '.join(MAY[-len(SERVER) - len(ISLANDS) :])}{hint}"
            )
    check_folder(folder)
    file = folder / "config.yaml"
    return make_config(read_yaml(file, "config"), overrides, str(file))


def write_config(folder: Path, config: Config) -> None:
    """Replace the run folder's config."""
    write_atomically(folder / "config.yaml", config.to_yaml())
