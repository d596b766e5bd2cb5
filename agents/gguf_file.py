"""Read GGUF files of Llama, Qwen2 and Qwen3, and convert them to Hugging Face folders.

GGUF is the format of llama.cpp: one file with settings, tokenizer and weights, which are often quantised
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Only this module imports the package gguf. Weights in
float32, float16 and bfloat16 are copied bit for bit. Quantised weights are dequantised in float32 and rounded to
bfloat16, with operations that give the same bits on every processor; the tensors are written in a fixed order. So the
digest of a converted model is the same everywhere. Left out: files in parts, mixtures of experts, vision, adapters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from agents.architectures import ARCHITECTURES, ModelConfig, RopeScaling, llama3_factors
from agents.atomic import sync
from agents.gguf_tokenizer import tokenizer_files
from agents.stored_file import check_file

NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
STORED = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
REFUSED = ("expert_count", "attention.scale", "logit_scale", "embedding_scale", "residual_scale")
"""Settings that change the forward pass and are not implemented, unless they are 0."""
FACTORS = "rope_freqs.weight"
"""The tensor in which files of Llama 3.1 and later store by what each rotary frequency is divided."""
MISSING = object()


class GGUFFile:
    """An open GGUF file: settings, tensors and tokenizer of one model.

    Raises:
        ValueError: the file is damaged, or of a model that is not supported; the message names the setting or tensor.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        check_file(path)
        try:
            self._reader = gguf.GGUFReader(path)
            self.settings = {name: field.contents() for name, field in self._reader.fields.items()}
        except OSError:
            raise
        except Exception as error:  # the package checks little: IndexError, KeyError, TypeError and others
            raise ValueError(f"it is no GGUF file, or is damaged or incomplete: {_short(error)}") from None
        self.architecture = self.setting("general.architecture", str)
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"architecture {self.architecture[:60]!r} is not supported: expected one of {', '.join(ARCHITECTURES)}"
            )
        if self.settings.get("split.count", 0) not in (0, 1):
            raise ValueError("it is one part of several: join them with `llama-gguf-split --merge`")
        self._tensors = {t.name: t for t in self._reader.tensors}
        self.config = self._read_config()
        self._check_tensors()

    def setting(self, name: str, kind: type, default: Any = MISSING) -> Any:
        """A setting of this type. Raises ValueError if it is missing without a default, or of another type."""
        found = self.settings.get(name, default)
        if found is MISSING:
            raise ValueError(f"it lacks the setting {name}")
        if type(found) is not kind and found is not default:
            raise ValueError(f"{name} should be of type {kind.__name__}, found {repr(found)[:60]}")
        return found

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Each weight by its Hugging Face name, in the order of `shapes`. One at a time is in memory."""
        for name in self.shapes():
            yield name, self._weight(name)

    def shapes(self) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Type and shape of each weight. Wider types come first, so that all of them are aligned in a file."""
        shapes = self.config.shapes()
        kinds = {name: self._kind(name) for name in shapes}
        return {name: (kinds[name], shapes[name]) for name in sorted(shapes, key=lambda n: (-kinds[n].itemsize, n))}

    def _arch(self, name: str, kind: type, default: Any = MISSING) -> Any:
        return self.setting(f"{self.architecture}.{name}", kind, default)

    def _read_config(self) -> ModelConfig:
        self._refuse()
        heads, width = self._arch("attention.head_count", int), self._arch("embedding_length", int)
        embedding = self._tensors.get("token_embd.weight")
        if embedding is None:
            raise ValueError("it lacks the tensor token_embd.weight")
        size = self._arch("attention.key_length", int, width // max(heads, 1))
        for name in ("attention.value_length", "rope.dimension_count"):
            if self._arch(name, int, size) != size:
                raise ValueError(f"{self.architecture}.{name} should equal the size of a head, {size}")
        tokenizer = "tokenizer.ggml."
        eos = self.setting(f"{tokenizer}eos_token_id", int, None)
        data = {
            "model_type": self.architecture,
            "vocab_size": int(embedding.shape[-1]),
            "hidden_size": width,
            "intermediate_size": self._arch("feed_forward_length", int),
            "num_hidden_layers": self._arch("block_count", int),
            "num_attention_heads": heads,
            "num_key_value_heads": self._arch("attention.head_count_kv", int, heads),
            "head_dim": size,
            "rms_norm_eps": _shortest(self._arch("attention.layer_norm_rms_epsilon", float)),
            "rope_theta": _shortest(self._arch("rope.freq_base", float, 10000.0)),
            "max_position_embeddings": self._arch("context_length", int),
            "tie_word_embeddings": "output.weight" not in self._tensors,
            "attention_bias": "blk.0.attn_q.bias" in self._tensors,
            "eos_token_id": eos,
            "pad_token_id": self.setting(f"{tokenizer}padding_token_id", int, None),
            "dtype": str(_kept(embedding.tensor_type)).removeprefix("torch."),
        }
        config = ModelConfig.from_hf(data)
        if FACTORS in self._tensors:
            scaling = find_scaling(config, torch.from_numpy(self._read_tensor(FACTORS)))
            config = ModelConfig.from_hf(data | {"rope_scaling": {"rope_type": "llama3", **vars(scaling)}})
        return config

    def _refuse(self) -> None:
        """Raise ValueError for settings that the forward pass does not implement."""
        arch = self.architecture
        for name in REFUSED:
            if value := self.settings.get(f"{arch}.{name}"):
                raise ValueError(f"{arch}.{name} {repr(value)[:60]} is not supported")
        if (kind := self.settings.get(f"{arch}.rope.scaling.type", "none")) != "none":
            raise ValueError(f"{arch}.rope.scaling.type {repr(kind)[:60]} is not supported: expected 'none'")
        window = self._arch("attention.sliding_window", int, 0)
        if 0 < window < self._arch("context_length", int):
            raise ValueError(f"sliding window attention ({arch}.attention.sliding_window {window}) is not supported")

    def _check_tensors(self) -> None:
        """Raise ValueError unless the tensors are those that the config requires."""
        shapes = self.config.shapes()
        self._stored = {hf_name(name): tensor for name, tensor in self._tensors.items() if name != FACTORS}
        for name, tensor in self._stored.items():
            if name not in shapes:
                raise ValueError(f"the weights contain {tensor.name[:100]}, which the forward pass does not use")
            if (found := tuple(int(n) for n in reversed(tensor.shape))) != shapes[name]:
                raise ValueError(f"{tensor.name} has shape {found}, expected {shapes[name]}")
        missing = [name for name in shapes if name not in self._stored]
        if missing:
            raise ValueError(f"the weights lack {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1)))

    def _kind(self, name: str) -> torch.dtype:
        return _kept(self._stored[name].tensor_type)

    def _weight(self, name: str) -> Tensor:
        kind = self._stored[name].tensor_type
        if kind == gguf.GGMLQuantizationType.BF16:
            raw = np.array(self._stored[name].data).view(np.int16)
            found = torch.from_numpy(raw).view(torch.bfloat16).reshape(self.config.shapes()[name])
        else:
            found = torch.from_numpy(self._read_tensor(self._stored[name].name)).to(_kept(kind))
        if self.architecture == "llama" and name.split(".")[-2] in ("q_proj", "k_proj"):
            found = unpermuted(found, self.config.head_dim)
        return found.contiguous()

    def _read_tensor(self, name: str) -> np.ndarray:
        """A tensor in float32, or in float16 if it is stored in that."""
        tensor = self._tensors[name]
        try:
            plain = tensor.tensor_type in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16)
            data = np.asarray(tensor.data)  # slices of a memory-mapped array are slow
            return np.array(data) if plain else gguf.dequantize(data, tensor.tensor_type)
        except NotImplementedError:
            raise ValueError(
                f"{name} holds {tensor.tensor_type.name} values, which the package gguf cannot dequantise"
            ) from None


def convert(path: Path, folder: Path) -> None:
    """Write a GGUF file as a Hugging Face folder, which must not exist.

    Raises:
        ValueError: the file is damaged or not supported; the message names what is wrong with it.
        OSError: a file cannot be read or written.
    """
    file = GGUFFile(path)
    files = tokenizer_files(file.settings)
    folder.mkdir(parents=True)
    for name, text in {"config.json": _json(file.config.to_hf()), **files}.items():
        (folder / name).write_text(text, encoding="utf-8")
        sync(folder / name)
    write_safetensors(folder / "model.safetensors", file.shapes(), file.weights())
    sync(folder)


def write_safetensors(
    path: Path, shapes: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], weights: Iterator[tuple[str, Tensor]]
) -> None:
    """Write tensors, one at a time in the order of `shapes`, so that models larger than the memory can be written.

    The format is that of https://github.com/huggingface/safetensors#format.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (kind, shape) in shapes.items():
        size = kind.itemsize * int(np.prod(shape, dtype=np.int64))
        header[name] = {"dtype": STORED[kind], "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "xb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in weights:
            file.write(tensor.view(torch.uint8).numpy().data)
    sync(path)


def hf_name(name: str) -> str:
    """The Hugging Face name of a tensor; its own name if it has none."""
    parts = name.split(".")
    if len(parts) == 2 and parts[0] in NAMES:
        return f"{NAMES[parts[0]]}.{parts[1]}"
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in LAYER_NAMES:
        return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.{parts[3]}"
    return name


def unpermuted(stored: Tensor, head_dim: int) -> Tensor:
    """The rows of a q or k projection [heads * head_dim, ...] in the order of Hugging Face.

    llama.cpp rotates neighbouring rows of a head in Llama, Hugging Face those half a head apart.
    """
    rows = stored.reshape(-1, head_dim // 2, 2, *stored.shape[1:])
    return rows.transpose(1, 2).reshape(stored.shape)


def find_scaling(config: ModelConfig, factors: Tensor) -> RopeScaling:
    """The rotary scaling of Llama 3.1 and later, from the factors [head_dim / 2] that a file stores in its place.

    Raises:
        ValueError: no such scaling has these factors.
    """
    scaling = RopeScaling(float(factors.max()), 1.0, 4.0, 8192)
    expected = llama3_factors(config, scaling)
    if factors.shape != expected.shape or not torch.allclose(factors, expected, rtol=1e-3):
        raise ValueError(f"{FACTORS} holds a rotary scaling that is not supported: expected that of Llama 3.1 or later")
    return scaling


def _kept(kind: gguf.GGMLQuantizationType) -> torch.dtype:
    """The type in which weights of this type are stored."""
    kinds = gguf.GGMLQuantizationType
    return {kinds.F32: torch.float32, kinds.F16: torch.float16}.get(kind, torch.bfloat16)


def _shortest(value: float) -> float:
    """The decimal number that was rounded to this float32: 1e-05 in place of 9.999999747378752e-06."""
    return float(str(np.float32(value)))


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _json(data: object) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
