"""A base model as it lies on disk: a Hugging Face folder's config and weights.

Left out: downloading, other families than Llama, sharded checkpoints.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
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


def inverse_frequencies(config: ModelConfig) -> Tensor:
    """(head_dim / 2,) radians a position of each pair of the rotary embedding (Su et al. 2021)."""
    return 1.0 / config.rope_theta ** (torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim)


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
