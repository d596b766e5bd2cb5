"""TODO."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.config.schema import Config
from arena.rounds.roles.voice import Voice, make_voice
from arena.run.paths import inside
from arena.run.store import Row, Store

FILES = ("adapter_config.json", "adapter_model.safetensors")


MOST_GENERATIONS = 12
MOST_AGENTS = 8
"""Of a generation; of more, the first in order of birth play."""


@dataclass(frozen=True)
class Player:
    """One agent as it was after a generation; `path` is its adapter below the run folder."""

    generation: int
    agent: str
    path: str
    digest: str

    @property
    def name(self) -> str:
        return f"g{self.generation:04d}/{self.agent}"


def find_teams(folder: Path, store: Store) -> tuple[dict[int, tuple[Player, ...]], list[str]]:
    """The players by generation whose adapters are there as they were recorded, and sentences on those that are not."""
    sql = (
        "SELECT c.generation, c.name, c.path, c.sha256 FROM checkpoints c JOIN agents a ON a.name = c.name"
        " ORDER BY c.generation, a.number"
    )
    by_generation: dict[int, list[dict[str, Any]]] = {}
    for row in store.query(sql):
        if inside(folder, row["path"]).is_dir():
            by_generation.setdefault(row["generation"], []).append(row)
    teams, damaged = dict[int, tuple[Player, ...]](), list[str]()
    for g in spread(list(by_generation), MOST_GENERATIONS):
        team = []
        for row in by_generation[g][:MOST_AGENTS]:
            place = inside(folder, row["path"])
            digest = file_digest(place / "adapter_model.safetensors")
            if digest == row["sha256"]:
                config = file_digest(place / "adapter_config.json")
                team.append(Player(g, row["name"], row["path"], f"{digest}/{config}"))
            else:
                damaged.append(f"The adapter {row['path']} is not as it was recorded and was left out.")
        if team:
            teams[g] = tuple(team)
    return teams, damaged


def spread(items: Sequence[int], most: int) -> list[int]:
    """At most `most` (2 or more) of the items: the first, the last and evenly spaced ones between."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def voice_of_run(config: Config, store: Store) -> Voice:
    """How a stored run's agents are spoken to, by the places it holds."""
    places = {r["name"]: r["place"] or 0 for r in store.query("SELECT name, place FROM agents")}
    return make_voice(config, lambda agent: places.get(agent, 0))


def there(store: Store, run: Path) -> dict[int, list[Row]]:
    """By generation, the checkpoints of agents whose files are in the run folder."""
    found: dict[int, list[Row]] = {}
    for row in store.query(
        "SELECT * FROM checkpoints WHERE name NOT IN ('learner', 'born', 'commons')"
        " AND name NOT LIKE 'commons-%' ORDER BY generation, rowid"
    ):
        if (inside(run, row["path"]) / FILES[1]).is_file():
            found.setdefault(row["generation"], []).append(row)
    return found
