"""Which engine a config names: the one place that chooses.

An engine's module is imported only when it is asked for, so that its dependencies stay optional.
"""

from __future__ import annotations

from pathlib import Path

from agents.checkpoint import BaseModel
from agents.engine import Engine, Metered, Resting
from agents.tokenizer import Tokenizer
from arena.config.schema import Config
from arena.run.budget import Budget, spent_so_far
from arena.run.journal import Journal
from arena.run.store import Store


def make_engine(config: Config, base: BaseModel, tokenizer: Tokenizer, model: Path) -> Engine:
    """The configured engine for the base model that lies in `model`. Raises ValueError if it is not installed."""
    if config.engine.kind == "vllm":
        from agents.engine_vllm import VllmEngine, VllmOptions

        v = config.engine.vllm
        return VllmEngine(
            base,
            tokenizer,
            model,
            VllmOptions(config.engine.max_rows, v.adapters, v.dtype, v.cache_gb, v.eager, v.sleep, v.context),
        )
    from agents.engine_torch import TorchEngine

    return TorchEngine(base, tokenizer, config.engine.max_rows)


def connect(config: Config) -> Engine:
    """The engine of a model that a server holds. Raises OSError or ValueError if it does not answer as it should."""
    from agents.engine_openai import OpenAIEngine, Server

    return OpenAIEngine(Server(**config.engine.openai.model_dump()))


def engine_version(config: Config) -> str:
    """The engine's kind and, where it is another project's, its version. Raises ValueError if it is not installed."""
    if config.engine.kind == "vllm":
        from agents.engine_vllm import installed

        return installed()
    return config.engine.kind


def make_budget(config: Config, store: Store, engine: Engine, folder: Path) -> Budget:
    """The run's budget; it meters an engine whose completions cost something, and keeps them in the run folder.

    Raises ValueError naming the line if the journal there is damaged.
    """
    if not isinstance(engine, Metered):
        return Budget(config.limits, spent_so_far(store))
    budget = Budget(config.limits, spent_so_far(store), Journal(folder / "journal.jsonl", store.finished()))
    engine.set_meter(budget)
    return budget


def rest(engine: Engine) -> None:
    """Let an engine that can do so give back its memory until it is next called."""
    if isinstance(engine, Resting):
        engine.rest()


def close(engine: Engine) -> None:
    """End an engine that holds more than memory."""
    if isinstance(engine, Resting):
        engine.close()
