"""Opens the engine that a config names, and its budget.

An engine's module is imported only when that engine is opened, so that its dependencies stay optional. A new built-in
engine is one file in agents/, one `open_` function here and one row of `arena.config.registries.ENGINES`.
"""

from __future__ import annotations

from pathlib import Path

from agents.checkpoint import BaseModel
from agents.engine import Engine, Metered, Resting
from agents.engine_routed import RoutedEngine
from agents.tokenizer import Tokenizer
from arena.config.registries import is_path, load
from arena.config.schema import Config
from arena.run.budget import Budget, spent_so_far
from arena.run.journal import Journal
from arena.run.store import Store


def make_engine(config: Config, base: BaseModel, tokenizer: Tokenizer, folder: Path) -> Engine:
    """Open the configured engine for a base model, which was loaded from `folder`.

    Raises ValueError if the engine is not installed or does not fit the model.
    """
    return _open(config, base, tokenizer, folder)


def connect(config: Config) -> Engine:
    """Open the configured engine of a remote model.

    Raises OSError or ValueError if the server does not answer, or not as it should.
    """
    return _open(config, None, None, None)


def _open(config: Config, base: BaseModel | None, tokenizer: Tokenizer | None, folder: Path | None) -> Engine:
    opens = config.engine.spec.open
    engine: Engine = (load(opens) if isinstance(opens, str) else opens)(config, base, tokenizer, folder)
    return engine


def open_torch(config: Config, base: BaseModel, tokenizer: Tokenizer, folder: Path) -> Engine:
    from agents.engine_torch import TorchEngine

    return TorchEngine(base, tokenizer, config.engine.max_rows)


def open_vllm(config: Config, base: BaseModel, tokenizer: Tokenizer, folder: Path) -> Engine:
    from agents.engine_vllm import VllmEngine, VllmOptions

    v = config.engine.vllm
    options = VllmOptions(config.engine.max_rows, v.adapters, v.dtype, v.cache_gb, v.eager, v.sleep, v.context)
    return VllmEngine(base, tokenizer, folder, options)


def open_openai(config: Config, base: None, tokenizer: None, folder: None) -> Engine:
    from agents.engine_openai import OpenAIEngine, Server

    return OpenAIEngine(Server(**config.engine.openai.model_dump()))


def engine_version(config: Config) -> str:
    """The version of the engine to record with a run: resuming needs the same.

    Raises ValueError if the engine is not installed.
    """
    version = config.engine.spec.version
    return str(load(version)()) if is_path(version) else version or config.engine.kind


def make_budget(config: Config, store: Store, engine: Engine, folder: Path) -> Budget:
    """The run's budget. It meters an engine whose completions are paid for, and journals them in the run folder.

    Raises ValueError naming the line if that journal is damaged.
    """
    engines = engine.engines if isinstance(engine, RoutedEngine) else {"": engine}
    metered = {name: one for name, one in engines.items() if isinstance(one, Metered)}
    journal = Journal(folder / "journal.jsonl", store.finished()) if metered else None
    prices = config.model_prices if config.population.others else None
    budget = Budget(config.limits, spent_so_far(store), journal, prices=prices)
    for name, one in metered.items():
        one.set_meter(budget.meter(name) if name else budget)
    return budget


def rest(engine: Engine) -> None:
    """Release the engine's memory until it is next called, if it supports that."""
    if isinstance(engine, Resting):
        engine.rest()


def close(engine: Engine) -> None:
    """Close an engine that holds a device or a process."""
    if isinstance(engine, Resting):
        engine.close()
