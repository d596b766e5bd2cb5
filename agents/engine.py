"""The protocol of an engine: text in, text out, one call for the requests of all agents.

An engine does not interpret texts and does not loop over agents around a model call. The sampling noise of a request
depends on its `key` alone, so that its completion does not depend on the other requests of the batch. What an engine
can do is declared in `agents.engine_spec`. Left out: streaming.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from agents.adapters import Adapters
from agents.prompt import Prompt


@dataclass(frozen=True)
class Request:
    """A request for one completion. `adapter` None: the base model. Temperature 0: greedy.

    `mark`: text that ends a step; engines with hidden states estimate after each one whether the answer will be right,
    if the adapter has a value function. An estimate below `stop_below` ends the completion.
    """

    key: str
    prompt: Prompt
    adapter: str | None = None
    max_tokens: int = 64
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    min_tokens: int = 0  # the end of text is not sampled before this many tokens
    mark: str = ""
    stop_below: float = 0.0


@dataclass(frozen=True)
class Completion:
    """One completion. `finish` is "stop", "length" or, after an estimate below `stop_below`, "hopeless".

    `logprob` is the sum over the generated tokens (at temperature 1, before top-p); nan, stored as NULL, if the engine
    does not give it. `logprobs` are those of the single tokens, with that of the end token if it was generated; engines
    that train give them. `values` are the estimates that the answer will be right: before the first token and after
    each step that was ended by the request's mark; empty without a value function.
    """

    key: str
    text: str
    finish: str
    prompt_tokens: int
    generated_tokens: int
    logprob: float
    logprobs: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


class Engine(Protocol):
    """The interface of an engine."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions in the order of the requests."""

    def set_adapters(self, adapters: Adapters) -> None:
        """Use these adapters for all later calls."""

    def count_tokens(self, text: str) -> int:
        """Number of tokens of the text in a prompt."""


class Halted(Exception):
    """No more requests may be sent, because a limit of the run is reached. The message names it."""


class Meter(Protocol):
    """Accounting of paid completions: asked before each request, notified of each completion."""

    def found(self, key: str, digest: str) -> Completion | None:
        """A completion that was paid for earlier, with the same key and the same digest of the request; or None."""

    def admits(self, under_way: int) -> bool:
        """Whether one more request may be sent while `under_way` are unanswered."""

    def keep(self, digest: str, completion: Completion) -> None:
        """Record a completion."""

    def seconds_left(self) -> float | None:
        """Seconds until `admits` is false regardless of spending; None: no such limit."""

    def why(self) -> str:
        """Why no more requests are admitted."""


@runtime_checkable
class Metered(Protocol):
    """An engine whose completions are paid for one by one."""

    def set_meter(self, meter: Meter) -> None:
        """Use this meter from now on. `generate` raises Halted when it admits no more."""


@runtime_checkable
class Resting(Protocol):
    """An engine that holds a device or a process of its own."""

    def rest(self) -> None:
        """Release memory until the next call."""

    def close(self) -> None:
        """End the engine; it is not called again."""


def check_fit(requests: Sequence[Request], prompts: Sequence[Sequence[int]], positions: int) -> None:
    """Raises ValueError, naming the request, for a prompt (in token ids) that is empty or too long."""
    for request, ids in zip(requests, prompts, strict=True):
        if not ids or len(ids) + request.max_tokens > positions:
            raise ValueError(
                f"request {request.key!r}: a prompt of {len(ids)} tokens and {request.max_tokens} new ones "
                f"do not fit 1 to {positions} positions"
            )


def cut(text: str, stop: tuple[str, ...]) -> str:
    """The text up to the first stop string."""
    for s in stop:
        text = text.partition(s)[0]
    return text.strip()


def counted_noise(keys: Sequence[str], steps: int) -> NDArray[np.float64]:
    """Uniform noise in [0, 1), (len(keys), steps): entry (i, t) depends on keys[i] and t only.

    A SplitMix64 counter stream (Steele et al. 2014) a key, started at the key's SHA-256.
    """
    seeds = np.array([int.from_bytes(hashlib.sha256(k.encode()).digest()[:8], "little") for k in keys], dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = seeds[:, None] + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, steps + 1, dtype=np.uint64)[None]
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    noise: NDArray[np.float64] = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return noise
