"""Which engine a config names: the one place that chooses.

An engine's module is imported only when it is asked for, so that its dependencies stay optional.
"""

from __future__ import annotations

from agents.checkpoint import BaseModel
from agents.engine import Engine
from agents.tokenizer import Tokenizer
from arena.config import Config


def make_engine(config: Config, base: BaseModel, tokenizer: Tokenizer) -> Engine:
    """The configured engine, on the base model of this run."""
    from agents.engine_torch import TorchEngine

    return TorchEngine(base, tokenizer, config.engine.max_rows)


def connect(config: Config) -> Engine:
    """The engine of a model that a server holds. Raises OSError or ValueError if it does not answer as it should."""
    from agents.engine_openai import OpenAIEngine, Server

    return OpenAIEngine(Server(**config.engine.openai.model_dump()))


def engine_version(config: Config) -> str:
    """What speaks, as far as a run depends on it."""
    return config.engine.kind
