"""Load the weights of a base model from a Hugging Face folder, in one safetensors file or in shards.

Names and shapes are checked before tensors are read, one shard at a time, so that a mismatch gives a one-line error and
at most one shard is in memory in addition to the model. Every tensor is checked once for values that are not finite.
Left out: pickled weights, distributing a model over devices.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from agents.architectures import MERGE_BELOW, PROJECTIONS, ModelConfig, projection_path
from agents.hub import find_model, weight_files
from agents.json_file import read_object
from agents.model_cache import file_digest
from agents.stored_file import check_file

__all__ = [
    "DTYPES",
    "FUSED",
    "MERGE_BELOW",
    "PROJECTIONS",
    "BaseModel",
    "ModelConfig",
    "projection_path",
    "weights_digest",
]

FUSED = {
    "qkv": ("q_proj", "k_proj", "v_proj"),
    "o": ("o_proj",),
    "gu": ("gate_proj", "up_proj"),
    "down": ("down_proj",),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FLOATS = ("F64", "F32", "F16", "BF16")
"""Data types of stored weights, in the words of safetensors."""
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


class BaseModel:
    """Frozen base weights by Hugging Face name, all of one dtype and on one device."""

    def __init__(self, config: ModelConfig, weights: dict[str, Tensor]) -> None:
        self.config, self.weights = config, weights
        self._fused: dict[tuple[int, str], Tensor] = {}

    @staticmethod
    def load(name: str | Path, dtype: str = "auto", device: str | torch.device = "cpu") -> BaseModel:
        """Load a model.

        Args:
            name: a folder or a Hugging Face name.
            dtype: "auto", "float32", "bfloat16" or "float16"; "auto" as in `resolve_dtype`.
            device: the device to load to.

        Raises:
            ValueError: something is missing, damaged, not supported or of the wrong shape; the message names the file
                or tensor.
        """
        folder = find_model(name)
        try:
            config = ModelConfig.from_hf(read_object(folder / "config.json"))
            weights = _read(folder, config, DTYPES[resolve_dtype(dtype, config, device)], str(device))
        except (
            OSError,
            ValueError,
            SafetensorError,
            RuntimeError,
        ) as error:  # torch, out of memory
            raise ValueError(f"cannot load a model from {folder}: {' '.join(str(error).split())[:500]}") from None
        return BaseModel(config, weights)

    @property
    def dtype(self) -> torch.dtype:
        return self.weights[EMBEDDING].dtype

    @property
    def device(self) -> torch.device:
        return self.weights[EMBEDDING].device

    def linear(self, layer: int, projection: str) -> Tensor:
        """The weight [out, in] of a projection."""
        return self.weights[f"model.layers.{layer}.{projection_path(projection)}.weight"]

    def bias(self, layer: int, projection: str) -> Tensor | None:
        """The bias [out] of a projection, or None."""
        return self.weights.get(f"model.layers.{layer}.{projection_path(projection)}.bias")

    def fused(self, layer: int, group: str) -> Tensor:
        """The concatenated weights [sum of outs, in] of a group of projections (see `FUSED`).

        Frozen weights are concatenated once, and the projections become views of the result, so that there is no copy.
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
        """The concatenated biases [sum of outs] of a group, or None."""
        biases = [b for p in FUSED[group] if (b := self.bias(layer, p)) is not None]
        return torch.cat(biases) if biases else None

    def norms(self, layer: int) -> tuple[Tensor, Tensor]:
        """Norm weights [hidden_size] before attention and before the feed-forward block."""
        prefix = f"model.layers.{layer}."
        return self.weights[f"{prefix}input_layernorm.weight"], self.weights[f"{prefix}post_attention_layernorm.weight"]

    def qk_norms(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """Norm weights [head_dim] of the heads of q and k, or None."""
        if not self.config.qk_norm:
            return None
        prefix = f"model.layers.{layer}.self_attn."
        return self.weights[f"{prefix}q_norm.weight"], self.weights[f"{prefix}k_norm.weight"]


def weights_digest(name: str | Path) -> str:
    """SHA-256 of a model's weights: of model.safetensors, or of the digests of the shards in order of their names.

    Raises:
        ValueError: there are no weights; the message names the file.
    """
    digests = []
    folder = find_model(name)
    try:
        for path in weight_files(folder):
            check_file(path)
            digests.append(file_digest(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the base model in {folder}: {error}") from None
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def read_config(folder: Path) -> ModelConfig:
    """The config of the model in a folder. Raises ValueError, naming it, if it is damaged or not supported."""
    try:
        return ModelConfig.from_hf(read_object(folder / "config.json"))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot load a model from {folder}: {error}") from None


def resolve_dtype(wanted: str, config: ModelConfig, device: str | torch.device) -> str:
    """The data type that `wanted` means for this model, device and processor.

    "auto" is the type of the checkpoint on a GPU. On the CPU it is bfloat16 if the processor multiplies it and the
    model has more than `MERGE_BELOW` linear parameters, otherwise float32.

    Raises ValueError for a type that is not supported.
    """
    if wanted == "auto":
        large = config.linear_parameters > MERGE_BELOW
        on_cpu = "bfloat16" if large and multiplies_bfloat16() else "float32"
        wanted = on_cpu if torch.device(device).type == "cpu" else config.dtype
    if wanted not in DTYPES:
        raise ValueError(f"dtype {wanted!r} is not supported: expected auto, {', '.join(DTYPES)}")
    return wanted


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products: AVX512-BF16, AMX, or those of ARM."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _read(folder: Path, config: ModelConfig, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """Read the tensors that the config requires, by name, in the order of the config."""
    shapes, found = config.shapes(), dict[str, Tensor]()
    for path in weight_files(folder):
        check_file(path)
        try:
            with safe_open(path, framework="pt", device=device) as file:
                _read_file(path.name, file, shapes, dtype, found)
        except SafetensorError as error:
            raise ValueError(
                f"{path.name} is damaged or incomplete, fetch it again: it has {path.stat().st_size:,} bytes ({error})"
            ) from None
    missing = [name for name in shapes if name not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"the weights lack {missing[0]}{more}{_listed(folder, missing[0])}")
    weights = {name: found[name] for name in shapes}
    if config.tie_word_embeddings:
        weights[HEAD] = weights[EMBEDDING]
        if HEAD in found and not torch.equal(found[HEAD].to(dtype), weights[HEAD]):
            raise ValueError(f"tie_word_embeddings is true, but {HEAD} differs from {EMBEDDING}")
    return weights


def _read_file(
    where: str, file: Any, shapes: dict[str, tuple[int, ...]], dtype: torch.dtype, found: dict[str, Tensor]
) -> None:
    """Read the tensors of one file, named `where`, into `found`."""
    for name in file.keys():  # noqa: SIM118  not a dict
        if name not in shapes:
            _leave_out(name, file, found)
            continue
        kind, shape = file.get_slice(name).get_dtype(), tuple(file.get_slice(name).get_shape())
        if shape != shapes[name]:
            raise ValueError(f"{name} in {where} has shape {shape}, expected {shapes[name]}")
        if kind not in FLOATS:
            raise ValueError(
                f"{name} in {where} holds {kind} values, expected one of {', '.join(FLOATS)}: quantized weights are "
                "not supported"
            )
        stored = file.get_tensor(name)
        found[name] = stored.to(dtype)
        if not is_finite(found[name]):
            if is_finite(stored):
                wanted = str(dtype).removeprefix("torch.")
                raise ValueError(f"{name} in {where} has values beyond {wanted}: use model.dtype=float32")
            raise ValueError(f"{name} in {where} has values that are NaN or infinite: the weights are damaged")


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite numbers, found in one pass without a copy."""
    if not tensor.numel():
        return True
    lowest, highest = torch.aminmax(tensor)
    return bool(torch.isfinite(lowest) and torch.isfinite(highest))


def _listed(folder: Path, name: str) -> str:
    """The file in which the index lists a tensor, in words; empty if there is no index, or it does not list it."""
    index = folder / "model.safetensors.index.json"
    found = read_object(index)["weight_map"].get(name) if len(weight_files(folder)) > 1 else None
    return f", which {index.name} lists in {found}" if found else ""


def _leave_out(name: str, file: Any, found: dict[str, Tensor]) -> None:
    """Handle a tensor that the config does not require: a tied head is kept for comparison, tensors without effect are
    skipped, and any other tensor raises ValueError."""
    if name == HEAD:
        found[name] = file.get_tensor(name)
    elif not name.endswith("rotary_emb.inv_freq") and not (name.endswith(".bias") and not file.get_tensor(name).any()):
        raise ValueError(f"the weights contain {name}, which the forward pass does not use")
