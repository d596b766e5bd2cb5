"""A base model as it lies on disk: the weights of a Hugging Face folder, in one file or in shards.

Tensors are checked by name and shape before they are read, shard by shard, so that a checkpoint that does not fit is
refused in one line and no more than one shard stands in memory beside the model. Left out: pickled weights, placing
one model on several devices.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from agents.architectures import PROJECTIONS, ModelConfig, projection_path
from agents.hub import find_model, weight_files
from agents.json_file import read_object

__all__ = ["DTYPES", "FUSED", "PROJECTIONS", "BaseModel", "ModelConfig", "projection_path", "weights_digest"]

FUSED = {
    "qkv": ("q_proj", "k_proj", "v_proj"),
    "o": ("o_proj",),
    "gu": ("gate_proj", "up_proj"),
    "down": ("down_proj",),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


class BaseModel:
    """Frozen base weights, by Hugging Face name. All have one dtype and lie on one device."""

    def __init__(self, config: ModelConfig, weights: dict[str, Tensor]) -> None:
        self.config, self.weights = config, weights
        self._fused: dict[tuple[int, str], Tensor] = {}

    @staticmethod
    def load(name: str | Path, dtype: str = "auto", device: str | torch.device = "cpu") -> BaseModel:
        """Read a folder, or a model by its Hugging Face name.

        dtype "auto" is float32 on the CPU and what the checkpoint is stored in elsewhere. Raises ValueError, naming
        the file or tensor, if anything is missing, damaged, not supported or of the wrong shape.
        """
        folder = find_model(name)
        try:
            config = ModelConfig.from_hf(read_object(folder / "config.json"))
            weights = _read(folder, config, _dtype(dtype, config, torch.device(device)), str(device))
        except (OSError, ValueError, SafetensorError, RuntimeError) as error:  # of torch: more than fits the memory
            raise ValueError(f"cannot load a model from {folder}: {' '.join(str(error).split())[:500]}") from None
        return BaseModel(config, weights)

    @property
    def dtype(self) -> torch.dtype:
        return self.weights[EMBEDDING].dtype

    @property
    def device(self) -> torch.device:
        return self.weights[EMBEDDING].device

    def linear(self, layer: int, projection: str) -> Tensor:
        """(out, in)"""
        return self.weights[f"model.layers.{layer}.{projection_path(projection)}.weight"]

    def bias(self, layer: int, projection: str) -> Tensor | None:
        """(out,), or None where the projection has none."""
        return self.weights.get(f"model.layers.{layer}.{projection_path(projection)}.bias")

    def fused(self, layer: int, group: str) -> Tensor:
        """(sum of outs, in) of one fused group of projections.

        Frozen weights are fused once, and the projections become views of it, so that no copy is kept.
        """
        if (layer, group) in self._fused:
            return self._fused[layer, group]
        parts = [self.linear(layer, p) for p in FUSED[group]]
        fused = torch.cat(parts)
        if not fused.requires_grad:
            self._fused[layer, group] = fused
            names = [f"model.layers.{layer}.{projection_path(p)}.weight" for p in FUSED[group]]
            self.weights.update(zip(names, torch.split(fused, [len(p) for p in parts]), strict=True))
        return fused

    def fused_bias(self, layer: int, group: str) -> Tensor | None:
        """(sum of outs,), or None where the group has none."""
        biases = [b for p in FUSED[group] if (b := self.bias(layer, p)) is not None]
        return torch.cat(biases) if biases else None

    def norms(self, layer: int) -> tuple[Tensor, Tensor]:
        """(hidden_size,) weights of the norms before attention and before the feed-forward part."""
        prefix = f"model.layers.{layer}."
        return self.weights[f"{prefix}input_layernorm.weight"], self.weights[f"{prefix}post_attention_layernorm.weight"]

    def qk_norms(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """(head_dim,) weights of the norms over each head of q and of k, or None where there are none."""
        if not self.config.qk_norm:
            return None
        prefix = f"model.layers.{layer}.self_attn."
        return self.weights[f"{prefix}q_norm.weight"], self.weights[f"{prefix}k_norm.weight"]


def weights_digest(name: str | Path) -> str:
    """SHA-256 of a model's weights: of model.safetensors, or of the shards' digests in the order of their names.

    Raises ValueError, naming the file, if there are none.
    """
    digests = []
    folder = find_model(name)
    try:
        for path in weight_files(folder):
            with open(path, "rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the base model in {folder}: {error}") from None
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _dtype(wanted: str, config: ModelConfig, device: torch.device) -> torch.dtype:
    if wanted == "auto":
        wanted = "float32" if device.type == "cpu" else config.dtype
    if wanted not in DTYPES:
        raise ValueError(f"dtype {wanted!r} is not supported: expected auto, {', '.join(DTYPES)}")
    return DTYPES[wanted]


def _read(folder: Path, config: ModelConfig, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """Every tensor the config calls for, by name, in the config's order."""
    shapes, found = config.shapes(), dict[str, Tensor]()
    for path in weight_files(folder):
        with safe_open(path, framework="pt", device=device) as file:
            for name in file.keys():  # noqa: SIM118  not a dict
                if name in shapes:
                    shape = tuple(file.get_slice(name).get_shape())
                    if shape != shapes[name]:
                        raise ValueError(f"{name} in {path.name} has shape {shape}, expected {shapes[name]}")
                    found[name] = file.get_tensor(name).to(dtype)
                else:
                    _leave_out(name, file, found)
    missing = [name for name in shapes if name not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"the weights lack {missing[0]}{more}")
    weights = {name: found[name] for name in shapes}
    if config.tie_word_embeddings:
        weights[HEAD] = weights[EMBEDDING]
        if HEAD in found and not torch.equal(found[HEAD].to(dtype), weights[HEAD]):
            raise ValueError(f"tie_word_embeddings is true, but {HEAD} differs from {EMBEDDING}")
    return weights


def _leave_out(name: str, file: Any, found: dict[str, Tensor]) -> None:
    """A tensor the config does not call for: a tied head is compared later, what changes nothing is left out, and
    anything else raises ValueError."""
    if name == HEAD:
        found[name] = file.get_tensor(name)
    elif not name.endswith("rotary_emb.inv_freq") and not (name.endswith(".bias") and not file.get_tensor(name).any()):
        raise ValueError(f"the weights hold {name}, for which the forward pass has no place")
