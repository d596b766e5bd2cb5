"""Tiny models with random weights as GGUF files, written as llama.cpp's converter writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers

TINY = {"vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 256, "bos_token_id": None}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "llama": {"rope_parameters": {"rope_theta": 100000.0}},
    "llama_tied": {"model_type": "llama", "tie_word_embeddings": True, "rms_norm_eps": 1e-5},
    "qwen2": {"rms_norm_eps": 1e-6, "rope_parameters": {"rope_theta": 1e6}},
    "qwen3": {"head_dim": 128, "rms_norm_eps": 1e-6, "tie_word_embeddings": True},
    "qwen3_narrow": {"head_dim": 32, "rms_norm_eps": 1e-6},
}
"""Settings of the models by name, in the words of transformers."""
READ = [name for name in MODELS if name != "qwen3_narrow"]
"""Those that transformers reads: it takes heads of Qwen3 for 128 wide, whatever the file says."""


def make_model(name: str) -> Any:
    """A model of transformers with noise in every weight, so that an omitted or permuted one is detected."""
    settings = TINY | {"model_type": name.split("_")[0]} | MODELS[name]
    config = transformers.AutoConfig.for_model(**settings)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * (0.2 if parameter.dim() == 1 else 0.05))
    return model.eval()


def write_gguf(
    path: Path,
    model: Any,
    kind: str = "F32",
    tokenizer: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    tensors: dict[str, np.ndarray] | None = None,
) -> Path:
    """Write a model of transformers. Matrices are stored as `kind`, vectors in float32.

    Args:
        path: the file.
        model: the model.
        kind: a type of `gguf.GGMLQuantizationType`.
        tokenizer: settings below tokenizer.ggml (default: a byte-level tokenizer of letters), or {} for none.
        settings: further settings by their whole name; None removes one.
        tensors: further tensors by their name.
    """
    c, quantized = model.config, gguf.GGMLQuantizationType[kind]
    arch = c.model_type
    writer = gguf.GGUFWriter(path, arch)
    found = {
        f"{arch}.block_count": c.num_hidden_layers,
        f"{arch}.context_length": c.max_position_embeddings,
        f"{arch}.embedding_length": c.hidden_size,
        f"{arch}.feed_forward_length": c.intermediate_size,
        f"{arch}.attention.head_count": c.num_attention_heads,
        f"{arch}.attention.head_count_kv": c.num_key_value_heads,
        f"{arch}.attention.layer_norm_rms_epsilon": float(c.rms_norm_eps),
        f"{arch}.rope.freq_base": float(c.rope_parameters["rope_theta"]),
    }
    if getattr(c, "head_dim", None):
        found |= {f"{arch}.attention.key_length": c.head_dim, f"{arch}.attention.value_length": c.head_dim}
    found |= {f"tokenizer.ggml.{k}": v for k, v in (letters() if tokenizer is None else tokenizer).items()}
    for name, value in (found | (settings or {})).items():
        _add(writer, name, value)
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, arch.upper()), c.num_hidden_layers)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        data = weight.numpy()
        if arch == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = c.num_attention_heads if "q_proj" in name else c.num_key_value_heads
            data = (
                data.reshape(heads, 2, data.shape[0] // heads // 2, *data.shape[1:]).swapaxes(1, 2).reshape(data.shape)
            )
        stored = quantized if data.ndim == 2 else gguf.GGMLQuantizationType.F32
        raw = gguf.quants.quantize(np.ascontiguousarray(data), stored)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), raw, raw_dtype=stored)
    for name, data in (tensors or {}).items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def letters() -> dict[str, Any]:
    """A byte-level tokenizer with single characters and two merges."""
    tokens = ["<|endoftext|>", *map(chr, range(33, 125)), "Ġ", "he", "Ġhe"]
    return {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": tokens,
        "token_type": [3] + [1] * (len(tokens) - 1),
        "merges": ["h e", "Ġ he"],
        "eos_token_id": 0,
    }


def _add(writer: gguf.GGUFWriter, name: str, value: Any) -> None:
    adders = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string, bool: writer.add_bool}
    if isinstance(value, list):
        writer.add_array(name, value)
    elif value is not None:
        adders[type(value)](name, value)
