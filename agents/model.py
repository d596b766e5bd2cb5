"""A Llama whose weights carry an agent axis: the population is a batch dimension.

`BaseModel` holds one set of Hugging Face Llama weights; `StackedWeights` holds, for A agents, the linear weights with
each agent's LoRA delta added in (A, in, out). One `bmm` per projection then serves every agent at once, and no loop
over agents stands around a model call. Materialising W + BA costs A copies of the linear weights and saves the two
small products per projection, which is the better trade while the model is small (rank >= in/6 or a few million
parameters).

Left out: factored LoRA for large models, other families than Llama, sharding. Shapes in names and comments: A agents,
R rows an agent, S tokens in this call, T cached tokens, D model width, H query heads, G key-value heads, E head size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from agents.checkpoint import FUSED, BaseModel, ModelConfig


class StackedWeights:
    """Linear weights of A agents, each (A, out, in), with shared embeddings and norms."""

    def __init__(self, base: BaseModel, linears: list[dict[str, Tensor]]) -> None:
        self.config = base.config
        self.linears = linears
        self.embed = base.weights["model.embed_tokens.weight"]
        self.head = base.weights["lm_head.weight"]
        self.final_norm = base.weights["model.norm.weight"]
        self.norms = [
            (
                base.weights[f"model.layers.{i}.input_layernorm.weight"],
                base.weights[f"model.layers.{i}.post_attention_layernorm.weight"],
            )
            for i in range(base.config.num_hidden_layers)
        ]

    @staticmethod
    def of_base(base: BaseModel) -> StackedWeights:
        """The base model as a population of one (A = 1)."""
        layers = range(base.config.num_hidden_layers)
        return StackedWeights(base, [{g: base.fused(i, g)[None] for g in FUSED} for i in layers])

    def for_inference(self) -> StackedWeights:
        """The same weights laid out (A, in, out) in memory, which `bmm` reads fastest; shapes stay (A, out, in)."""
        out = object.__new__(StackedWeights)
        out.__dict__.update(self.__dict__)
        out.linears = [
            {g: w.transpose(1, 2).contiguous().transpose(1, 2) for g, w in layer.items()} for layer in self.linears
        ]
        return out


def rope_table(config: ModelConfig, length: int) -> tuple[Tensor, Tensor]:
    """cos and sin, each (length, E), in Hugging Face's half-rotation layout."""
    inv = 1.0 / config.rope_theta ** (torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim)
    angle = torch.arange(length, dtype=torch.float32)[:, None] * inv[None]
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021) of x (..., S, E) with cos and sin broadcastable to it."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin


class KVCache:
    """Preallocated keys and values of N rows: per layer (N, G, T, E). Column t of every row is written at once."""

    def __init__(self, config: ModelConfig, rows: int, length: int) -> None:
        shape = (rows, config.num_key_value_heads, length, config.head_dim)
        self.keys = [torch.empty(shape) for _ in range(config.num_hidden_layers)]
        self.values = [torch.empty(shape) for _ in range(config.num_hidden_layers)]

    def select(self, rows: Tensor, used: int) -> None:
        """Keep only `rows` (a 1-d index) and copy their first `used` columns."""
        for store in (self.keys, self.values):
            for i, old in enumerate(store):
                new = torch.empty((len(rows), *old.shape[1:]))
                new[:, :, :used] = old[rows, :, :used]
                store[i] = new


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Grouped-query attention: q (N, H, S, E), k and v (N, G, T, E), additive mask (N, 1, S, T) -> (N, S, H*E)."""
    n, h, s, e = q.shape
    g = k.shape[1]
    if s == 1:
        scores = torch.matmul(q.reshape(n, g, h // g, e), k.transpose(2, 3)) * e**-0.5 + mask
        return torch.matmul(scores.softmax(-1), v).reshape(n, 1, h * e)
    k, v = (x.repeat_interleave(h // g, dim=1) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(n, s, h * e)


def forward(
    weights: StackedWeights,
    tokens: Tensor,
    cos: Tensor,
    sin: Tensor,
    mask: Tensor,
    cache: KVCache | None = None,
    start: int = 0,
    last_only: bool = False,
) -> Tensor:
    """Logits of a mixed batch.

    tokens (A, R, S); cos, sin (A*R, 1, S, E) or broadcastable; mask (A*R, 1, S, start+S), 0 where visible and -inf
    else. With a cache, columns start..start+S are written. Returns (A, R, S, V), or (A, R, V) of the last token.
    """
    c = weights.config
    a, r, s = tokens.shape
    n, e, h, g = a * r, c.head_dim, c.num_attention_heads, c.num_key_value_heads
    x = F.embedding(tokens.reshape(a, r * s), weights.embed)  # (A, R*S, D)
    for i, (linear, (norm_in, norm_mid)) in enumerate(zip(weights.linears, weights.norms, strict=True)):
        y = F.rms_norm(x, (c.hidden_size,), norm_in, c.rms_norm_eps)
        qkv = torch.bmm(y, linear["qkv"].transpose(1, 2)).view(n, s, h + 2 * g, e).transpose(1, 2)
        qk = rotate(qkv[:, : h + g], cos, sin)
        q, k, v = qk[:, :h], qk[:, h:], qkv[:, h + g :]
        if cache is not None:
            cache.keys[i][:, :, start : start + s] = k
            cache.values[i][:, :, start : start + s] = v
            k, v = cache.keys[i][:, :, : start + s], cache.values[i][:, :, : start + s]
        x = x + torch.bmm(attend(q, k, v, mask).view(a, r * s, h * e), linear["o"].transpose(1, 2))
        y = F.rms_norm(x, (c.hidden_size,), norm_mid, c.rms_norm_eps)
        gate, up = torch.bmm(y, linear["gu"].transpose(1, 2)).chunk(2, dim=-1)
        x = x + torch.bmm(F.silu(gate) * up, linear["down"].transpose(1, 2))
    x = x.view(a, r, s, -1)
    if last_only:
        x = x[:, :, -1]
    return F.linear(F.rms_norm(x, (c.hidden_size,), weights.final_norm, c.rms_norm_eps), weights.head)


def causal_mask(lengths: Tensor, width: int, left_padded: bool) -> Tensor:
    """Additive mask (N, 1, width, width) for rows of `lengths` tokens, padded on the given side.

    A padding query sees itself, so that no row of the softmax is empty.
    """
    column = torch.arange(width)
    real = column[None] >= (width - lengths)[:, None] if left_padded else column[None] < lengths[:, None]
    visible = real[:, None, :] & (column[None, :] <= column[:, None])[None]
    visible = visible | torch.eye(width, dtype=torch.bool)[None]
    mask = torch.zeros(len(lengths), 1, width, width)
    return mask.masked_fill_(~visible[:, None], float("-inf"))
