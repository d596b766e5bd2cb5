"""Read config.json of a Llama, Qwen2 or Qwen3 checkpoint: tensor shapes and rotary frequencies.

The architectures differ slightly: Qwen2 has biases on q, k and v; Qwen3 normalises each head of q and k and specifies
its head size independently of the width; Llama 3.1 and later scale their rotary frequencies. Unsupported settings that
affect the forward pass raise an error that names them; they are never ignored. Left out: mixtures of experts, vision,
quantised weights, sliding windows, and other types of rotary scaling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
MERGE_BELOW = 4_000_000
"""Linear parameters of a small model: matrices are merged per agent, and `auto` is float32 on the CPU."""
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
MOST_LAYERS, MOST = 2000, 100_000_000
"""Maximum number of layers, and maximum of any other size, to reject absurd configs before memory is allocated."""


@dataclass(frozen=True)
class RopeScaling:
    """Rotary scaling of Llama 3.1, rope_type "llama3": long wavelengths are stretched, short ones are kept."""

    factor: float
    """Factor that stretches wavelengths above original_max_position_embeddings / low_freq_factor."""
    low_freq_factor: float
    high_freq_factor: float
    """Wavelengths below original_max_position_embeddings / high_freq_factor are kept; between, interpolated."""
    original_max_position_embeddings: int
    """Context length before scaling."""


@dataclass(frozen=True)
class ModelConfig:
    """The fields of a Hugging Face config that the forward pass uses."""

    vocab_size: int
    """Rows of embedding and head; may exceed the number of ids of the tokenizer."""
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    """Heads of k and v, each shared by num_attention_heads / num_key_value_heads heads of q."""
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    max_position_embeddings: int = 512
    """Maximum length of prompt and completion together, in tokens."""
    tie_word_embeddings: bool = False
    """Whether the head shares its weights with the embedding."""
    model_type: str = "llama"
    """"llama", "qwen2" or "qwen3"."""
    head_dim: int = 0
    """Size of a head; 0 means hidden_size / num_attention_heads. In Qwen3, num_attention_heads * head_dim may differ
    from hidden_size."""
    attention_bias: bool = False
    """Whether q, k and v have biases (always in Qwen2). Other projections never do."""
    qk_norm: bool = False
    """Whether each head of q and k is RMS-normalised before rotation (Qwen3)."""
    rope_scaling: RopeScaling | None = None
    """None: rotary frequencies are not scaled."""
    eos_token_ids: tuple[int, ...] = ()
    """End-of-text ids in config.json; generation_config.json may list more (agents/tokenizer.py)."""
    pad_token_id: int | None = None
    dtype: str = "float32"
    """Data type of the stored weights."""

    def __post_init__(self) -> None:
        if self.head_dim == 0:
            object.__setattr__(self, "head_dim", self.hidden_size // self.num_attention_heads)

    def shape(self, projection: str) -> tuple[int, int]:
        """Shape (out, in) of the weight of a projection."""
        q, kv = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        return {
            "q_proj": (q, self.hidden_size),
            "k_proj": (kv, self.hidden_size),
            "v_proj": (kv, self.hidden_size),
            "o_proj": (self.hidden_size, q),
            "gate_proj": (self.intermediate_size, self.hidden_size),
            "up_proj": (self.intermediate_size, self.hidden_size),
            "down_proj": (self.hidden_size, self.intermediate_size),
        }[projection]

    @property
    def linear_parameters(self) -> int:
        """Number of parameters of the projections of all layers."""
        return self.num_hidden_layers * sum(out * width for out, width in map(self.shape, PROJECTIONS))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor of the checkpoint, by Hugging Face name, without a tied head."""
        width = (self.hidden_size,)
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocab_size, self.hidden_size)}
        for layer in range(self.num_hidden_layers):
            prefix = f"model.layers.{layer}."
            for projection in PROJECTIONS:
                path = prefix + projection_path(projection)
                found[f"{path}.weight"] = self.shape(projection)
                if self.attention_bias and projection in ("q_proj", "k_proj", "v_proj"):
                    found[f"{path}.bias"] = self.shape(projection)[:1]
            if self.qk_norm:
                for name in ("q_norm", "k_norm"):
                    found[f"{prefix}self_attn.{name}.weight"] = (self.head_dim,)
            for name in ("input_layernorm", "post_attention_layernorm"):
                found[f"{prefix}{name}.weight"] = width
        found["model.norm.weight"] = width
        if not self.tie_word_embeddings:
            found["lm_head.weight"] = (self.vocab_size, self.hidden_size)
        return found

    def to_hf(self) -> dict[str, object]:
        """The content of config.json; `from_hf` converts it back to an equal config."""
        data: dict[str, object] = {
            "architectures": [ARCHITECTURES[self.model_type]],
            "model_type": self.model_type,
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
            "attention_bias": self.attention_bias,
            "mlp_bias": False,
            "bos_token_id": None,
            "eos_token_id": _one_or_many(self.eos_token_ids),
            "pad_token_id": self.pad_token_id,
            "dtype": self.dtype,
        }
        if self.rope_scaling:
            data["rope_scaling"] = {"rope_type": "llama3", **vars(self.rope_scaling)}
        return data

    @staticmethod
    def from_hf(data: dict[str, Any]) -> ModelConfig:
        """Convert the content of a Hugging Face config.json.

        Raises:
            ValueError: a key is missing, out of range or not supported; the message names it.
        """
        model_type = data.get("model_type") if isinstance(data, dict) else None
        if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
            raise ValueError(
                f"model_type {repr(model_type)[:60]} is not supported: expected one of {', '.join(ARCHITECTURES)}"
            )
        for key in SIZES:
            _check_size(key, data.get(key))
        for key in ("num_key_value_heads", "head_dim", "max_position_embeddings", "original_max_position_embeddings"):
            if data.get(key) is not None:
                _check_size(key, data[key])
        try:
            return ModelConfig._read(data, model_type)
        except (TypeError, AttributeError, OverflowError, LookupError) as error:
            raise ValueError(f"config.json has a value of the wrong type: {error}") from None

    @staticmethod
    def _read(data: dict[str, Any], model_type: str) -> ModelConfig:
        """Convert like `from_hf`, after the sizes were checked."""
        _refuse(data, model_type)
        heads = data["num_attention_heads"]
        positions = data.get("max_position_embeddings") or (2048 if model_type == "llama" else 32768)
        theta, scaling = _rope(data, positions)
        config = ModelConfig(
            **{key: data[key] for key in SIZES},
            num_key_value_heads=data.get("num_key_value_heads") or heads,
            rms_norm_eps=data.get("rms_norm_eps", 1e-6),
            rope_theta=theta,
            max_position_embeddings=positions,
            tie_word_embeddings=bool(data.get("tie_word_embeddings", False)),
            model_type=model_type,
            head_dim=data.get("head_dim") or (128 if model_type == "qwen3" else 0),
            attention_bias=model_type == "qwen2" or bool(data.get("attention_bias", False)),
            qk_norm=model_type == "qwen3",
            rope_scaling=scaling,
            eos_token_ids=token_ids(data.get("eos_token_id")),
            pad_token_id=data.get("pad_token_id"),
            dtype=str(data.get("dtype") or data.get("torch_dtype") or "float32").removeprefix("torch."),
        )
        if heads % config.num_key_value_heads:
            raise ValueError(f"{heads} attention heads cannot share {config.num_key_value_heads} key-value heads")
        return config


def projection_path(projection: str) -> str:
    return ("mlp." if projection in ("gate_proj", "up_proj", "down_proj") else "self_attn.") + projection


def inverse_frequencies(config: ModelConfig) -> Tensor:
    """Rotary frequencies [head_dim / 2], in radians per position (Su et al. 2021), scaled if configured.

    Computed in float32 like transformers does, so that angles are bit-identical.
    """
    inverse = 1.0 / config.rope_theta ** (torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim)
    return inverse if config.rope_scaling is None else _stretched(inverse, config.rope_scaling)


def llama3_factors(config: ModelConfig, scaling: RopeScaling) -> Tensor:
    """By what this scaling divides each rotary frequency [head_dim / 2] of a model."""
    inverse = inverse_frequencies(replace(config, rope_scaling=None))
    return inverse / _stretched(inverse, scaling)


def _stretched(inverse: Tensor, s: RopeScaling) -> Tensor:
    """Scaled rotary frequencies."""
    longest = s.original_max_position_embeddings / s.low_freq_factor
    shortest = s.original_max_position_embeddings / s.high_freq_factor
    wavelength = 2 * math.pi / inverse
    kept = (s.original_max_position_embeddings / wavelength - s.low_freq_factor) / (
        s.high_freq_factor - s.low_freq_factor
    )
    blended = (1 - kept) * inverse / s.factor + kept * inverse
    stretched = torch.where(wavelength > longest, inverse / s.factor, blended)
    return torch.where(wavelength < shortest, inverse, stretched)


def token_ids(value: Any) -> tuple[int, ...]:
    """The ids in an eos_token_id setting: one id, a list of ids, or None. Raises ValueError for anything else."""
    found = tuple(value) if isinstance(value, list) else () if value is None else (value,)
    if not all(type(i) is int and i >= 0 for i in found):
        raise ValueError(f"eos_token_id should be a token's number or a list of them, found {repr(value)[:60]}")
    return found


def _check_size(key: str, value: object) -> None:
    """Raise ValueError unless a size is an integer in a plausible range."""
    most = MOST_LAYERS if key == "num_hidden_layers" else MOST
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{key} should be a whole number from 1 to {most:,}, found {repr(value)[:60]}")


def _one_or_many(ids: tuple[int, ...]) -> object:
    return None if not ids else ids[0] if len(ids) == 1 else list(ids)


def _refuse(data: dict[str, Any], model_type: str) -> None:
    """Raise ValueError for settings that the forward pass does not implement."""
    if data.get("hidden_act", "silu") != "silu":
        raise ValueError(f"hidden_act {data['hidden_act']!r} is not supported: expected 'silu'")
    if data.get("quantization_config"):
        method = data["quantization_config"].get("quant_method", "unnamed")
        raise ValueError(f"quantised weights ({method}) are not supported: take the model in bfloat16 or float32")
    if data.get("mlp_bias"):
        raise ValueError("mlp_bias true is not supported")
    if data.get("partial_rotary_factor", 1.0) not in (None, 1.0):
        raise ValueError(f"partial_rotary_factor {data['partial_rotary_factor']!r} is not supported: expected 1.0")
    window = data.get("sliding_window") if model_type != "llama" and data.get("use_sliding_window") else None
    layers, from_layer = data["num_hidden_layers"], data.get("max_window_layers", 28)
    types = data.get("layer_types") or ["sliding_attention" if i >= from_layer else "" for i in range(layers)]
    # a window of at least the context length has no effect
    if window is not None and "sliding_attention" in types and window < data.get("max_position_embeddings", 32768):
        raise ValueError(f"sliding window attention (sliding_window {window}) is not supported")


def _rope(data: dict[str, Any], positions: int) -> tuple[float, RopeScaling | None]:
    """Base and scaling of the rotary frequencies, from either config layout of transformers."""
    rope: dict[str, Any] = data.get("rope_scaling") or data.get("rope_parameters") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if any(isinstance(value, dict) for value in rope.values()):
        raise ValueError(f"rotary settings that differ from layer to layer are not supported: {', '.join(rope)}")
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise ValueError(f"partial_rotary_factor {rope['partial_rotary_factor']!r} is not supported: expected 1.0")
    theta = float(rope.get("rope_theta") or data.get("rope_theta") or 10000.0)
    if kind in ("default", None):
        return theta, None
    if kind != "llama3":
        raise ValueError(f"rope_type {kind!r} is not supported: expected 'default' or 'llama3'")
    missing = [key for key in ("factor", "low_freq_factor", "high_freq_factor") if key not in rope]
    if missing:
        raise ValueError(f"rope_type 'llama3' lacks {', '.join(missing)}")
    known = data.get("original_max_position_embeddings") or rope.get("original_max_position_embeddings") or positions
    return theta, RopeScaling(rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"], known)
