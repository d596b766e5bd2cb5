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

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FUSED = {
    "qkv": ("q_proj", "k_proj", "v_proj"),
    "o": ("o_proj",),
    "gu": ("gate_proj", "up_proj"),
    "down": ("down_proj",),
}


@dataclass(frozen=True)
class ModelConfig:
    """The fields of a Hugging Face LlamaConfig that the forward pass uses."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    max_position_embeddings: int = 512
    tie_word_embeddings: bool = False

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    def shape(self, projection: str) -> tuple[int, int]:
        """(out, in) of one projection's weight."""
        kv = self.num_key_value_heads * self.head_dim
        return {
            "q_proj": (self.hidden_size, self.hidden_size),
            "k_proj": (kv, self.hidden_size),
            "v_proj": (kv, self.hidden_size),
            "o_proj": (self.hidden_size, self.hidden_size),
            "gate_proj": (self.intermediate_size, self.hidden_size),
            "up_proj": (self.intermediate_size, self.hidden_size),
            "down_proj": (self.hidden_size, self.intermediate_size),
        }[projection]

    def to_hf(self) -> dict[str, object]:
        """The config.json of the Hugging Face folder."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "max_position_embeddings": self.max_position_embeddings,
            "tie_word_embeddings": self.tie_word_embeddings,
            "attention_bias": False,
            "mlp_bias": False,
            "bos_token_id": None,
            "eos_token_id": 1,
            "pad_token_id": 0,
            "dtype": "float32",
        }

    @staticmethod
    def from_hf(data: dict[str, object]) -> ModelConfig:
        """Read a Hugging Face config. Raises ValueError for another architecture."""
        if data.get("model_type") != "llama":
            raise ValueError(f"model_type {data.get('model_type')!r} is not supported: expected 'llama'")
        rope = data.get("rope_parameters") or {}
        values = {f: data[f] for f in ModelConfig.__dataclass_fields__ if f in data}
        if isinstance(rope, dict) and "rope_theta" in rope:
            values["rope_theta"] = rope["rope_theta"]
        return ModelConfig(**values)  # type: ignore[arg-type]


def projection_path(projection: str) -> str:
    return ("mlp." if projection in ("gate_proj", "up_proj", "down_proj") else "self_attn.") + projection


class BaseModel:
    """Frozen base weights, by Hugging Face name."""

    def __init__(self, config: ModelConfig, weights: dict[str, Tensor]) -> None:
        self.config, self.weights = config, weights

    @staticmethod
    def load(folder: str | Path) -> BaseModel:
        """Read config.json and model.safetensors. Raises ValueError, naming the file, if either is missing or
        damaged."""
        folder = Path(folder)
        try:
            config = ModelConfig.from_hf(json.loads((folder / "config.json").read_text()))
            weights = load_file(folder / "model.safetensors")
        except (OSError, json.JSONDecodeError, SafetensorError) as error:
            raise ValueError(f"cannot load a model from {folder}: {error}") from None
        if config.tie_word_embeddings:
            weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])
        return BaseModel(config, {k: v.float() for k, v in weights.items()})

    def linear(self, layer: int, projection: str) -> Tensor:
        """(out, in)"""
        return self.weights[f"model.layers.{layer}.{projection_path(projection)}.weight"]

    def fused(self, layer: int, group: str) -> Tensor:
        """(sum of outs, in) of one fused group of projections."""
        return torch.cat([self.linear(layer, p) for p in FUSED[group]])


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
