"""The parts of the forward pass other than matrix products, in torch: norms, gates, rotary embedding, attention, cache.

Works on any device and dtype and is differentiable. Engine and learner use it where the fused kernels of
`agents.fused_ops` do not apply. Sequences are packed; attention pads them to a grid, as torch's fused attention
requires.

Shapes: T tokens, D model width, F feed-forward width, H query heads, G key-value heads, E head size, N rows, V
vocabulary.
"""

from __future__ import annotations

from threading import Lock
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from agents.architectures import MERGE_BELOW, ModelConfig, inverse_frequencies
from agents.packing import Packing, from_grid, to_grid
from agents.prefix_attention import attend

SHARE_ABOVE = MERGE_BELOW
"""Linear parameters of a model above which prompts share prefixes."""


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
    """All operations of a forward pass except matrix products. `shares`: whether packed sequences may have parents."""

    shares: bool

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
        # whether packed sequences may share prefixes; small models have short prompts
        self.shares = self.device.type == "cpu" and config.linear_parameters > SHARE_ABOVE
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
        turned = self.turn(heads[:, : h + g], positions)
        return turned[:, :h], turned[:, h:], heads[:, h + g :]

    def turn(self, heads: Tensor, positions: Tensor) -> Tensor:
        """Rotate heads [T, heads, E] to `positions` [T]."""
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        return rotate(heads.float(), cos, sin).to(heads.dtype)

    def attention(self, qkv: Tensor, packing: Packing) -> Tensor:
        self._grow(packing.width)
        return self.causal(*self.split(qkv, packing.positions), packing)

    def causal(self, q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> Tensor:
        """Causal attention of rotated q [T, H, E], k and v [T, G, E]: [T, H E]."""
        if self.shares:
            return attend(q, k, v, packing).flatten(1)
        (grid,), repeat = packing.grids, q.shape[1] // k.shape[1]
        q, k, v = (to_grid(x, grid) for x in (q, k, v))  # the causal mask hides the padding on the right
        k, v = (x.repeat_interleave(repeat, dim=1) if repeat > 1 else x for x in (k, v))
        return from_grid(F.scaled_dot_product_attention(q, k, v, is_causal=True), grid)

    def cache(self, slots: int, width: int, steps: int) -> Cache:
        self._grow(width + steps)
        return TorchCache(self, slots, width + steps)

    def sample(self, logits: Tensor, temperature: Tensor, top_p: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor]:
        return sample(logits.float(), temperature, top_p, noise)


class TorchCache:
    """Keys [slots, G, E, length] and values [slots, G, length, E] per layer, by position: the prompt of a slot with its
    prefix, then its generated tokens.

    Attention runs over all slots, which avoids gathering; the results of slots without a row are discarded. It is
    written as two products, which on the CPU are faster than torch's fused attention with one query.
    """

    def __init__(self, ops: TorchOps, slots: int, length: int) -> None:
        c = ops.config
        self.ops, self.count, self.groups = ops, slots, c.num_key_value_heads
        heads, layers = (slots, self.groups), range(c.num_hidden_layers)
        self.keys = [torch.zeros(*heads, c.head_dim, length, device=ops.device, dtype=ops.dtype) for _ in layers]
        self.values = [torch.zeros(*heads, length, c.head_dim, device=ops.device, dtype=ops.dtype) for _ in layers]
        self.length_of = torch.zeros(slots, dtype=torch.long, device=ops.device)

    def admit(self, prompts: Packing, prompt_of: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        self.prompts, device = prompts, self.ops.device
        before, sizes = prompts.before[prompt_of][:, None], prompts.sizes[prompt_of][:, None]
        parents, starts = prompts.parents[prompt_of][:, None], prompts.starts[prompt_of][:, None]
        self.width = int((before + sizes).max())
        places = np.arange(self.width)[None]  # the row of each position of each prompt; places past its end are hidden
        rows = np.where(places < before, prompts.starts[parents] + places, starts + places - before)
        self.source = torch.from_numpy(np.minimum(rows, prompts.total - 1).ravel()).to(device)
        self.new = torch.from_numpy(slots).to(device)
        self.length_of[self.new] = torch.from_numpy((before + sizes)[:, 0]).to(device)

    def prefill(self, layer: int, qkv: Tensor) -> Tensor:
        q, k, v = self.ops.split(qkv, self.prompts.positions)
        k_, v_ = (x.index_select(0, self.source).view(-1, self.width, *x.shape[1:]) for x in (k, v))
        self.keys[layer][self.new, :, :, : self.width] = k_.permute(0, 2, 3, 1)
        self.values[layer][self.new, :, : self.width] = v_.transpose(1, 2)
        return self.ops.causal(q, k, v, self.prompts)

    def rows(self, slots: NDArray[np.int64], steps: NDArray[np.int64]) -> None:
        device = self.ops.device
        real = np.nonzero(slots >= 0)[0]
        self.real, self.slots = torch.from_numpy(real).to(device), torch.from_numpy(slots[real]).to(device)
        self.places = self.length_of[self.slots] + torch.from_numpy(steps[real]).to(device)
        self.total = len(slots)
        seen = torch.zeros(self.count, dtype=torch.long, device=device).index_copy(0, self.slots, self.places)
        self.used = int(seen.max()) + 1
        hidden = torch.arange(self.used, device=device)[None] > seen[:, None]
        self.mask = torch.zeros(hidden.shape, device=device).masked_fill(hidden, float("-inf"))[:, None, None]

    def decode(self, layer: int, qkv: Tensor) -> Tensor:
        q, k, v = self.ops.split(qkv.index_select(0, self.real), self.places)
        keys, values = self.keys[layer], self.values[layer]
        keys[self.slots, :, :, self.places], values[self.slots, :, self.places] = k, v
        _, h, e = q.shape
        queries = q.new_zeros(self.count, h, e).index_copy(0, self.slots, q)
        queries = queries.view(self.count * self.groups, h // self.groups, e)
        scores = torch.bmm(queries, keys.flatten(0, 1)[:, :, : self.used]).float() * e**-0.5
        scores = scores.view(self.count, self.groups, -1, self.used) + self.mask
        chances = scores.softmax(-1).to(q.dtype).view(*queries.shape[:2], self.used)
        done = torch.bmm(chances, values.flatten(0, 1)[:, : self.used]).view(self.count, h * e)
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
            ordered, rank = most_probable(p, float(top_p.max()))
            before = ordered.cumsum(-1) - ordered
            p = p * torch.zeros_like(p).scatter_(1, rank, (before < top_p[:, None]).to(p.dtype))
        total = p.cumsum(-1)
        drawn = (total <= noise[:, None] * total[:, -1:]).sum(-1).clamp_max(logits.shape[1] - 1)
        chosen = torch.where(temperature > 0, drawn, chosen)
    return chosen, logp.gather(1, chosen[:, None])[:, 0]


FEW = 1024
"""Tokens that almost always hold a nucleus."""


def most_probable(p: Tensor, mass: float) -> tuple[Tensor, Tensor]:
    """The most probable tokens of each row and their ids, in falling order: `FEW` of them if these hold more than
    `mass` in every row, otherwise all."""
    if mass < 1 and p.shape[-1] > 4 * FEW:
        ordered, rank = p.topk(FEW)
        if bool((ordered.sum(-1) > mass).all()):
            return ordered, rank
    return p.sort(dim=-1, descending=True)
