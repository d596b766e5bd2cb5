"""The operations and bytes that generating and learning need at least, counted from the shapes.

Counted for factored adapters, whichever form an engine chooses: padding, merging and recomputing are not necessary and
are not counted, which is why torch's flop counter, which counts what is run, only checks these numbers in tests. Left
out as negligible: norms, gates, rotary positions, sampling, the optimiser, and embedding look-ups.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.adapters import AdapterLayout
from agents.attention import Cache, Ops
from agents.checkpoint import EMBEDDING, PROJECTIONS


@dataclass(frozen=True)
class Operations:
    """Operations of a forward pass: products with the base's matrices, with the adapters', and inside attention."""

    base: int
    adapters: int
    attention: int

    @property
    def generating(self) -> int:
        return self.base + self.adapters + self.attention

    @property
    def training(self) -> int:
        """Forward and backward. The base's matrices are frozen and need only the gradient of their input; the others
        need the gradients of both factors."""
        return 2 * self.base + 3 * self.adapters + 3 * self.attention


def forward(layout: AdapterLayout, tokens: int, wanted: int, pairs: int) -> Operations:
    """Operations of a pass over `tokens` tokens that attend to `pairs` tokens in all. Only `wanted` tokens are computed
    after the last layer's attention. Two operations a multiply-add."""
    c, base, adapters = layout.config, 0, 0
    for projection in PROJECTIONS:
        out, width = c.shape(projection)
        first = projection in ("q_proj", "k_proj", "v_proj")
        times = tokens * c.num_hidden_layers if first else tokens * (c.num_hidden_layers - 1) + wanted
        base += 2 * out * width * times
        adapters += 2 * layout.rank * (out + width) * times
    base += 2 * c.hidden_size * c.vocab_size * wanted
    return Operations(base, adapters, 4 * c.num_attention_heads * c.head_dim * pairs * c.num_hidden_layers)


def step_bytes(layout: AdapterLayout, adapters: int, seen: int, item: int) -> int:
    """Bytes that one decoding step reads: the base once, `adapters` adapters, and the keys and values of the `seen`
    positions that its rows attend to, at `item` bytes a number."""
    c = layout.config
    shapes = {name: shape for name, shape in c.shapes().items() if name != EMBEDDING or c.tie_word_embeddings}
    base = sum(int(np.prod(shape)) for shape in shapes.values())
    cached = 2 * c.num_hidden_layers * c.num_key_value_heads * c.head_dim * seen
    return item * (base + adapters * layout.size + cached)


class DecodeClock:
    """`Ops` that time the decoding steps of an engine, without its prompts, and count what they need.

    Requires prompts of one length and the same number of rows for every adapter.
    """

    def __init__(
        self, ops: Ops, layout: AdapterLayout, prompt: int, per_adapter: int, item: int, sync: Callable[[], None]
    ) -> None:
        self.ops, self.layout, self.prompt, self.per_adapter, self.item = ops, layout, prompt, per_adapter, item
        self.sync, self.since = sync, -1.0
        self.seconds, self.noted = 0.0, list[tuple[int, int]]()  # for each step: rows, and positions they attend to

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name)

    def cache(self, slots: int, width: int, steps: int) -> _ClockedCache:
        return _ClockedCache(self.ops.cache(slots, width, steps), self)

    def pause(self) -> None:
        """Stop the clock: prompts are read, or the call has ended."""
        if self.since >= 0:
            self.sync()
            self.seconds, self.since = self.seconds + time.perf_counter() - self.since, -1.0

    def step(self, slots: NDArray[np.int64], written: NDArray[np.int64]) -> None:
        """Start a step of these slots (-1: no row), each with `written` tokens after its prompt."""
        if self.since < 0:
            self.sync()
            self.since = time.perf_counter()
        real = slots >= 0
        self.noted.append((int(real.sum()), int((self.prompt + written[real] + 1).sum())))

    @property
    def read(self) -> int:
        """Bytes that all steps need to read."""
        return sum(step_bytes(self.layout, -(-rows // self.per_adapter), seen, self.item) for rows, seen in self.noted)

    @property
    def flops(self) -> int:
        return sum(forward(self.layout, rows, rows, seen).generating for rows, seen in self.noted)


class _ClockedCache:
    def __init__(self, cache: Cache, clock: DecodeClock) -> None:
        self.inner, self.clock = cache, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def admit(self, *given: Any) -> None:
        self.clock.pause()
        self.inner.admit(*given)

    def rows(self, slots: NDArray[np.int64], written: NDArray[np.int64]) -> None:
        self.clock.step(slots, written)
        self.inner.rows(slots, written)
