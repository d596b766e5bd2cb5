"""Config keys that can change after a run has begun: its length, limits, retention, sinks, the server's address and
retries, and where islands are played. docs/configs.md ("What may change in a run") says the same for users.

All other keys determine the records of the run and stay. Changes are written into `config.yaml` of the run folder,
atomically, so that they stay in force, and into table `control`, so that it is known since when.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.atomic import write_atomically
from arena.config.overrides import flat
from arena.config.schema import Config, make_config, read_yaml
from arena.run.paths import check_folder
from arena.run.store import Store

SERVER = ("url", "concurrency", "retries", "timeout_s")
ISLANDS = ("address", "gpus_per_island", "restarts")
SECTIONS = ("limits", "store")
CHANGEABLE = (
    "generations",
    "sinks",
    *(f"engine.openai.{name}" for name in SERVER),
    *(f"cluster.{name}" for name in ISLANDS),
)
"""Keys that can change, besides all keys of SECTIONS."""
WHERE = "docs/configs.md, What may change in a run"
REASONS = {
    "run": "a run keeps its name, and its folder is where it lies: move or copy the folder itself",
    "seed": "it determines the hidden words and every sample of all generations",
    "model": "the adapters of a run fit one base model",
    "engine": "another engine, or another size of its batches, generates other texts",
    "cluster": "islands and their exchanges determine which posts an agent reads",
    "review": "decisions are records, and whether they are awaited determines which posts agents read",
    "measure": "measurements of one run are compared between generations",
}
"""Why a key cannot change, by its section."""
OTHERWISE = "it determines what is recorded, and all generations of a run are played with one config"
CHANGED = "config"
"""The kind of rows of table `control` that record a changed key."""


def reconfigured(folder: Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a run with `overrides`. Raises ValueError for a key that cannot change; one that keeps its value is
    no change."""
    check_folder(folder)
    file = folder / "config.yaml"
    stored = make_config(read_yaml(file, "config"), (), str(file))
    if not overrides:
        return stored
    wanted = make_config(read_yaml(file, "config"), overrides, str(file))
    for key, (then, now) in changes(stored, wanted).items():
        section = key.partition(".")[0]
        if key not in CHANGEABLE and section not in SECTIONS and not of_other_model(key):
            raise ValueError(
                f"{key} of {folder} is {_shown(then)} and cannot become {_shown(now)}, because "
                f"{REASONS.get(section, OTHERWISE)}; start another run with it. What can change: "
                f"{', '.join(f'{name}.*' for name in SECTIONS)}, {', '.join(CHANGEABLE)} ({WHERE})"
            )
    return wanted


def changes(stored: Config, wanted: Config) -> dict[str, tuple[Any, Any]]:
    """The stored and the wanted value of each dotted key in which two configs differ."""
    then, now = (flat(config.model_dump(mode="json")) for config in (stored, wanted))
    return {k: (then.get(k), now.get(k)) for k in {**then, **now} if then.get(k) != now.get(k)}


def of_other_model(key: str) -> bool:
    """Whether a key is the server's address or the price of one model of a mixed population."""
    section, _, rest = key.removeprefix("population.models.").partition(".")
    changeable = (*(f"engine.openai.{name}" for name in SERVER), "prices", "prices.prompt", "prices.generated")
    return key.startswith("population.models.") and bool(section) and rest in changeable


def write_config(folder: Path, config: Config) -> None:
    """Write the config of a run folder, atomically."""
    write_atomically(folder / "config.yaml", config.to_yaml())


def note_changes(store: Store, stored: Config, wanted: Config) -> None:
    """Record in table `control` which keys change after the last generation that has begun."""
    found = changes(stored, wanted)
    if found:
        at = store.query("SELECT MAX(generation) AS g FROM phases")[0]["g"] or 0
        rows = [
            {"kind": CHANGED, "subject": key, "value": json.dumps(now), "note": json.dumps(then), "taken": at}
            for key, (then, now) in found.items()
        ]
        with store.transaction():
            store.insert({"control": rows})


def values_over_time(store: Store, config: Config, key: str) -> list[tuple[int, Any]]:
    """The values of a key, each with the first generation at whose end it was in force; the first is from 0 on."""
    sql = "SELECT taken, value, note FROM control WHERE kind = ? AND subject = ? ORDER BY seq"
    rows = store.query(sql, [CHANGED, key])
    if not rows:
        return [(0, flat(config.model_dump(mode="json"))[key])]
    return [(0, json.loads(rows[0]["note"])), *((r["taken"], json.loads(r["value"])) for r in rows)]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
