"""Shared fixtures: the shipped seed model, loaded once, and a small population of adapters that differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agents.adapters import AdapterLayout, Adapters
from agents.checkpoint import BaseModel
from agents.engine_torch import TorchEngine
from agents.tokenizer import Tokenizer
from arena.config.schema import load_config
from arena.config.shipped import SEED_FOLDER
from arena.loop import play
from arena.run.state import Arena


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base() -> BaseModel:
    return BaseModel.load(SEED_FOLDER)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer(SEED_FOLDER)


@pytest.fixture(scope="session")
def adapters(base: BaseModel) -> Adapters:
    """Three adapters with noise in A and B, so that each agent speaks differently."""
    layout = AdapterLayout(base.config, rank=8, alpha=16.0)
    generator = torch.Generator().manual_seed(1)
    rows = torch.stack([layout.fresh(n) for n in "abc"]) + 0.02 * torch.randn(3, layout.size, generator=generator)
    return Adapters(base, layout, ["a", "b", "c"], rows)


@pytest.fixture
def engine(base: BaseModel, tokenizer: Tokenizer, adapters: Adapters) -> TorchEngine:
    made = TorchEngine(base, tokenizer)
    made.set_adapters(adapters)
    return made


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of configs/tiny.yaml. Tests may read it, and open it to find nothing left to do."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Arena.create(load_config("configs/tiny.yaml", [f"run.folder={folder}", "run.name=calm"])) as arena:
        play(arena)
    return folder / "calm"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """The folder of a run of which nothing has been played."""
    from tests.helpers.screens import unplayed

    return unplayed(tmp_path)


@pytest.fixture
def made(empty: Path) -> Path:
    """The folder of a run made by hand: two agents, two generations, three problems, hostile text in all of it."""
    from tests.helpers.screens import by_hand

    return by_hand(empty)


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run under `review: gate` that was stopped after its second generation."""
    folder = tmp_path_factory.mktemp("stopped")
    given = [f"run.folder={folder}", "run.name=gated", "review=gate", "rounds.per_agent=14"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:

        def stop(event: str, data: dict[str, Any]) -> None:
            if event == "done" and (data["generation"], data["phase"]) == (2, "read"):
                arena.store.insert({"control": [{"kind": "stop"}]})

        assert not play(arena, stop)
    return folder / "gated"
