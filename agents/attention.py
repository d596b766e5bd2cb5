"""The parts of the forward pass other than matrix products, in torch: norms, gates, rotary embedding, attention, cache.

Works on any device and dtype and is differentiable. Engine and learner use it where the fused kernels of
`agents.fused_ops` do not apply. Sequences are packed; attention pads them to a grid, as torch's fused attention
requires.

Shapes: T tokens, D model width, F feed-forward width, H query heads, G key-value heads, E head size, N rows, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from agents.architectures import ModelConfig, inverse_frequencies


class Packing:
    """Index tensors for sequences of `lengths` tokens, concatenated without padding."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.lengths = list(lengths)
        sizes = np.array(self.lengths, dtype=np.int64)
        self.sizes, self.starts = sizes, np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self.count, self.width, self.total = len(sizes), int(sizes.max(initial=0)), int(sizes.sum())
        places = np.arange(self.total) - np.repeat(self.starts, sizes)
        self.positions = torch.from_numpy(places).to(device)  # [T] position of each token in its sequence
        cells = places + np.repeat(np.arange(self.count), sizes) * self.width
        self.cells = torch.from_numpy(cells).to(device)  # [T] index of each token in a grid [count, width]
        self.last = torch.from_numpy(self.starts + sizes - 1).to(device)  # [count] index of each last token


class Cache(Protocol):
    """Key-value cache with one slot per running completion: its prompt and its generated tokens."""

    def admit(self, prompts: Packing, prompt_of: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        """Set the prompts that `prefill` stores; slots[i] continues prompt prompt_of[i]."""

    def prefill(self, layer: int, qkv: Tensor) -> Tensor:
        """Store one layer of the admitted prompts. Returns their causal attention [T, H E]; in the last layer it may be
        that of the last tokens only, [prompts, H E]."""

    def rows(self, slots: NDArray[np.int64], steps: NDArray[np.int64]) -> None:
        """Set the rows that `decode` handles: a slot and its number of generated tokens. Slot -1 is a padding row."""

    def decode(self, layer: int, qkv: Tensor) -> Tensor:
        """Store one token per row and attend to all tokens of its slot. Returns [rows, H E]."""


class Ops(Protocol):
    """All operations of a forward pass except matrix products."""

    def add_norm(self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """(x + delta, its RMS norm), all [T, D]. May overwrite `x` if no gradient is needed."""

    def swiglu(self, gate_up: Tensor) -> Tensor:
        """silu(gate) * up: [T, 2F] -> [T, F]."""

    def attention(self, qkv: Tensor, packing: Packing) -> Tensor:
        """Causal attention within each packed sequence, [T, (H + 2G) E] -> [T, H E]. Differentiable, not cached."""

    def cache(self, slots: int, width: int, steps: int) -> Cache:
        """An empty cache of `slots` slots for prompts of up to `width` tokens and `steps` generated tokens."""

    def sample(self, logits: Tensor, temperature: Tensor, top_p: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor]:
        """See `sample` below."""


def rope_table(inverse: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """cos and sin, each [length, E/2], of the rotary embedding, given inverse frequencies [E/2]."""
    angle = torch.arange(length, dtype=torch.float32)[:, None] * inverse[None]
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021) in Hugging Face's half-rotation layout.

    Args:
        x: [..., E].
        cos, sin: [..., E/2].

    Returns:
        [..., E].
    """
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class TorchOps:
    """`Ops` in torch, for one model config, device and dtype."""

    def __init__(self, config: ModelConfig, device: torch.device | str, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, torch.device(device), dtype
        self.length, self._growing = 0, Lock()
        self._grow(512)

    def _grow(self, length: int) -> None:
        """Extend the rotary tables to at least `length` positions; they are not computed for the whole context at once.

        Threads share the tables. Tables only grow, and `length` is set after they are replaced.
        """
        with self._growing:
            if length > self.length:
                longer = max(length, 2 * self.length)
                tables = rope_table(inverse_frequencies(self.config), longer)
                self.cos, self.sin = (t.to(self.device) for t in tables)
                self.length = longer

    def add_norm(self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        x = x if delta is None else x + delta
        return x, F.rms_norm(x, (x.shape[-1],), weight, eps)

    def swiglu(self, gate_up: Tensor) -> Tensor:
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up

    def split(self, qkv: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split [T, (H + 2G) E] into q [T, H, E] and k [T, G, E], rotated to `positions` [T], and v [T, G, E]."""
        c = self.config
        h, g = c.num_attention_heads, c.num_key_value_heads
        heads = qkv.view(-1, h + 2 * g, c.head_dim)
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        turned = rotate(heads[:, : h + g].float(), cos, sin).to(qkv.dtype)
        return turned[:, :h], turned[:, h:], heads[:, h + g :]

    def attention(self, qkv: Tensor, packing: Packing) -> Tensor:
        self._grow(packing.width)
        grids = [to_grid(x, packing) for x in self.split(qkv, packing.positions)]
        return from_grid(self.causal(*grids), packing)

    def causal(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention of grids [N, heads, S, E], padded on the right, where the causal mask hides the padding."""
        repeat = q.shape[1] // k.shape[1]
        k, v = (x.repeat_interleave(repeat, dim=1) if repeat > 1 else x for x in (k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def cache(self, slots: int, width: int, steps: int) -> Cache:
        self._grow(width + steps)
        return TorchCache(self, slots, width + steps)

    def sample(self, logits: Tensor, temperature: Tensor, top_p: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor]:
        return sample(logits.float(), temperature, top_p, noise)


def to_grid(x: Tensor, packing: Packing) -> Tensor:
    """[T, heads, E] packed -> [N, heads, width, E], padded with zeros on the right."""
    grid = x.new_zeros(packing.count * packing.width, *x.shape[1:]).index_copy(0, packing.cells, x)
    return grid.view(packing.count, packing.width, *x.shape[1:]).transpose(1, 2)


def from_grid(grid: Tensor, packing: Packing) -> Tensor:
    """[N, heads, width, E] -> [T, heads * E] packed."""
    n, h, s, e = grid.shape
    return grid.transpose(1, 2).reshape(n * s, h * e).index_select(0, packing.cells)


class TorchCache:
    """Keys and values [slots, G, length, E] per layer, by position: the prompt of a slot, then its generated tokens.

    Attention runs over all slots, which avoids gathering; the results of slots without a row are discarded.
    """

    def __init__(self, ops: TorchOps, slots: int, length: int) -> None:
        c = ops.config
        self.ops, self.count, self.groups = ops, slots, c.num_key_value_heads
        shape = (slots, self.groups, length, c.head_dim)
        layers = range(c.num_hidden_layers)
        self.keys = [torch.zeros(shape, device=ops.device, dtype=ops.dtype) for _ in layers]
        self.values = [torch.zeros(shape, device=ops.device, dtype=ops.dtype) for _ in layers]
        self.length_of = torch.zeros(slots, dtype=torch.long, device=ops.device)

    def admit(self, prompts: Packing, prompt_of: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        self.prompts = prompts
        self.prompt_of, self.new = (torch.from_numpy(x).to(self.ops.device) for x in (prompt_of, slots))
        self.length_of[self.new] = torch.from_numpy(prompts.sizes[prompt_of]).to(self.ops.device)

    def prefill(self, layer: int, qkv: Tensor) -> Tensor:
        q, k, v = (to_grid(x, self.prompts) for x in self.ops.split(qkv, self.prompts.positions))
        for store, x in ((self.keys[layer], k), (self.values[layer], v)):
            store[self.new, :, : self.prompts.width] = x[self.prompt_of]
        return from_grid(self.ops.causal(q, k, v), self.prompts)

    def rows(self, slots: NDArray[np.int64], steps: NDArray[np.int64]) -> None:
        device = self.ops.device
        real = np.nonzero(slots >= 0)[0]
        self.real, self.slots = torch.from_numpy(real).to(device), torch.from_numpy(slots[real]).to(device)
        self.places = self.length_of[self.slots] + torch.from_numpy(steps[real]).to(device)
        self.total = len(slots)
        seen = torch.zeros(self.count, dtype=torch.long, device=device).index_copy(0, self.slots, self.places)
        self.used = int(seen.max()) + 1
        self.visible = (torch.arange(self.used, device=device)[None] <= seen[:, None])[:, None, None]

    def decode(self, layer: int, qkv: Tensor) -> Tensor:
        q, k, v = self.ops.split(qkv.index_select(0, self.real), self.places)
        keys, values = self.keys[layer], self.values[layer]
        keys[self.slots, :, self.places], values[self.slots, :, self.places] = k, v
        _, h, e = q.shape
        queries = q.new_zeros(self.count, h, e).index_copy(0, self.slots, q)
        done = F.scaled_dot_product_attention(
            queries.view(self.count, self.groups, h // self.groups, e),
            keys[:, :, : self.used],
            values[:, :, : self.used],
            attn_mask=self.visible,
        ).reshape(self.count, h * e)
        return qkv.new_zeros(self.total, h * e).index_copy(0, self.real, done.index_select(0, self.slots))


def sample(logits: Tensor, temperature: Tensor, top_p: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Sample one token per row by inverting the cumulative distribution.

    Args:
        logits: [N, V].
        temperature: [N]; 0 selects the most probable token.
        top_p: [N] or None; nucleus sampling (Holtzman et al. 2020) where it is below 1.
        noise: [N], uniform in [0, 1).

    Returns:
        Token ids [N], and their log-probabilities [N] at temperature 1, without top-p.
    """
    logp = logits.log_softmax(-1)
    chosen = logits.argmax(-1)
    if bool((temperature > 0).any()):
        p = (logits / temperature.clamp_min(1e-6)[:, None]).softmax(-1)
        if top_p is not None and bool((top_p < 1).any()):
            ordered, rank = p.sort(dim=-1, descending=True)
            before = ordered.cumsum(-1) - ordered
            p = p * torch.zeros_like(p).scatter_(1, rank, (before < top_p[:, None]).to(p.dtype))
        total = p.cumsum(-1)
        drawn = (total <= noise[:, None] * total[:, -1:]).sum(-1).clamp_max(logits.shape[1] - 1)
        chosen = torch.where(temperature > 0, drawn, chosen)
    return chosen, logp.gather(1, chosen[:, None])[:, 0]
