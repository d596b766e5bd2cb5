"""What an engine can do, known before it is loaded.

The program asks these properties instead of the engine's name, so that a new engine needs one `EngineSpec` and no
other change. Left out: the engine's interface itself (`agents.engine.Engine`), so that this module needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EngineSpec:
    """One kind of engine.

    name: the value of `engine.kind` for built-in engines; a label for others.
    open: function `(config, base, tokenizer, folder) -> Engine`, or its import path `module:function`. `base`,
        `tokenizer` and `folder` are None where `has_weights` is false.
    has_weights: the base model is a folder on this machine; the program loads it.
    trains: adapters can be trained for it. Needs `has_weights`.
    structured: replies can be constrained to a JSON schema.
    in_process: it computes in this process with the learner's own torch operations, so that texts repeat exactly.
    section: the section of `engine` in the config that holds its options: "openai", "vllm", or "" for `options`.
    version: a version to record with the run, or the import path of a function that returns it and raises ValueError
        if the engine is not installed. Resuming a run needs the same version. Empty: `name`.
    """

    name: str
    open: Callable[..., Any] | str
    has_weights: bool = True
    trains: bool = False
    structured: bool = False
    in_process: bool = False
    section: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        if self.trains and not self.has_weights:
            raise ValueError(f"engine {self.name!r} trains adapters, so has_weights must be true")

    @property
    def remote(self) -> bool:
        """A server holds the base model; only its name is known here."""
        return not self.has_weights
