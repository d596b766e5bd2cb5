"""Which engine a config names: the one place that chooses.

An engine's module is imported only when it is asked for, so that its dependencies stay optional.
"""

from __future__ import annotations

from agents.checkpoint import BaseModel
from agents.engine import Engine
from agents.tokenizer import Tokenizer
from arena.config import Config


def make_engine(config: Config, base: BaseModel, tokenizer: Tokenizer) -> Engine:
    """The configured engine."""
    from agents.engine_torch import TorchEngine

    return TorchEngine(base, tokenizer, config.engine.max_rows)
