"""The agents of a stored run, loaded outside of it: by the tournament of the report, by `eval` and by `play`.

Finding them needs the database alone; `RunModels` imports torch when it is made. Nothing is written to the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents.stored_file import find_substitute
from arena.config.population import MAIN
from arena.config.schema import Config
from arena.rounds.roles.voice import Voice, make_voice
from arena.run.adapters import FILES, stored_adapters
from arena.run.paths import inside
from arena.run.store import Row, Store

if TYPE_CHECKING:  # imported when models are loaded
    from agents.checkpoint import BaseModel
    from agents.engine import Engine
    from agents.tokenizer import Tokenizer

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


def find_teams(folder: Path, store: Store, config: Config) -> tuple[dict[int, tuple[Player, ...]], list[str]]:
    """The players by generation whose adapters are there as they were recorded, and sentences on those that are not."""
    stored = stored_adapters(folder, store, config)
    lost = stored.lost()
    teams, damaged = dict[int, tuple[Player, ...]](), [f"{lost[0].upper()}{lost[1:]}."] if lost else []
    for g in spread(list(stored.there), MOST_GENERATIONS):
        team = []
        for row in stored.there[g][:MOST_AGENTS]:
            place = inside(folder, row["path"])
            digest = file_digest(place / "adapter_model.safetensors")
            if digest == row["sha256"]:
                config_digest = file_digest(place / "adapter_config.json")
                team.append(Player(g, row["name"], row["path"], f"{digest}/{config_digest}"))
            else:
                damaged.append(f"The adapter {row['path']} is not as it was recorded and was left out.")
        if team:
            teams[g] = tuple(team)
    return teams, damaged


def checked_path(folder: Path, row: Row) -> str:
    """The folder of an adapter below the run's. Raises ValueError if its weights differ from those the run wrote."""
    path: str = row["path"]
    weights = inside(folder, path) / FILES[1]
    sha = file_digest(weights)
    if sha != row["sha256"]:
        found = find_substitute(weights.read_bytes()[:200])
        what = found or f"not what the run wrote: SHA-256 {sha}, stored {row['sha256']}"
        raise ValueError(f"{weights} is {what}")
    return path


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


class RunModels:
    """The engine of a stored run, for its agents to speak with outside of it. Close it with `arena.run.engines.close`.

    `base` and `tokenizer` are None where a server holds the model.
    """

    def __init__(self, folder: Path, store: Store, config: Config) -> None:
        """Raises ValueError or OSError for a base model or a server that is not as the run had it."""
        from arena.run.engines import connect, make_engine
        from arena.run.state import base_digest, load_base, model_folder, pinned

        self.folder, self.config, self.meta = folder, config, store.meta()
        self.base: BaseModel | None = None
        self.tokenizer: Tokenizer | None = None
        if config.engine.spec.remote:
            self.engine: Engine = connect(config)
            return
        meta = self.meta
        ran_with, here = meta.get("base model"), base_digest(config)
        if ran_with not in (None, here):
            raise ValueError(f"{folder} was run with base model {ran_with}, here it is {here}")
        self.base, self.tokenizer = load_base(pinned(config, meta))
        self.engine = make_engine(config, self.base, self.tokenizer, model_folder(config))

    def join(self, agents: Sequence[str], models: Mapping[str, str]) -> None:
        """Open the other models of these agents too, so that requests for an agent reach its model. `models`: the model
        of each agent of a mixed population.

        Raises ValueError or OSError for a model or a server that is not as the run had it.
        """
        from agents.engine_routed import RoutedEngine
        from arena.run.state import load_others, other_versions, pinned

        config = pinned(self.config, self.meta)
        names = [n for n in config.population.others if n in {models.get(a) for a in agents}]
        for key, value in other_versions(config, names).items():
            if self.meta.get(key, value) != value:
                raise ValueError(f"{self.folder} was run with {key} {self.meta[key]}, here it is {value}")
        if names:
            engines = {MAIN: self.engine, **load_others(config, names)}
            self.engine = RoutedEngine(engines, lambda agent: models.get(agent, MAIN))

    def use(self, adapters: Mapping[str, str]) -> None:
        """Give the engine these adapters: PEFT folders below the run's, by the names that requests use for them.

        Raises ValueError or OSError for one that is missing, damaged or of another shape.
        """
        import torch

        from agents.adapters import AdapterLayout, Adapters

        if not adapters:
            return
        assert self.base is not None, "adapters for a model behind a server"
        layout = AdapterLayout(self.base.config, self.config.sleep.rank, self.config.sleep.alpha)
        rows = [layout.load_peft(inside(self.folder, path)).to(self.base.device) for path in adapters.values()]
        self.engine.set_adapters(Adapters(self.base, layout, list(adapters), torch.stack(rows)))


@contextmanager
def run_threads(config: Config) -> Iterator[None]:
    """Torch with the run's number of threads, on which texts may depend in the last bit; put back afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(config.engine.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
