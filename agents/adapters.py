"""LoRA adapters of a whole population, stacked: one flat row of parameters per agent (Hu et al. 2021).

A row holds, for every layer and projection, A (rank, in) and B (out, rank), in a fixed order; W + (alpha/rank) B A
acts. Rows are stacked to one tensor (agents, parameters), so that averaging, copying, clipping and optimiser steps
are single operations over the population, and absent agents are left alone by a row mask. Adapters are written and
read as PEFT folders.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from agents.checkpoint import FUSED, PROJECTIONS, BaseModel, ModelConfig, projection_path
from agents.model import StackedWeights
from agents.peft_folder import read_peft


class AdapterLayout:
    """Where each matrix of an adapter lies in its flat row."""

    def __init__(self, config: ModelConfig, rank: int, alpha: float) -> None:
        if rank < 1:
            raise ValueError(f"adapter rank must be at least 1, got {rank}")
        self.config, self.rank, self.scale, self.alpha = config, rank, alpha / rank, alpha
        self.slots: dict[tuple[int, str, str], tuple[int, tuple[int, int]]] = {}
        offset = 0
        for layer in range(config.num_hidden_layers):
            for projection in PROJECTIONS:
                out, width = config.shape(projection)
                for side, shape in (("A", (rank, width)), ("B", (out, rank))):
                    self.slots[layer, projection, side] = (offset, shape)
                    offset += shape[0] * shape[1]
        self.size = offset

    def fresh(self, seed: str) -> Tensor:
        """(size,) A uniform as in PEFT (Kaiming, a = sqrt 5), B zero: the base model, unchanged. Keyed by `seed`."""
        key = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") >> 1
        generator = torch.Generator().manual_seed(key)
        row = torch.zeros(self.size)
        for (_, _, side), (offset, shape) in self.slots.items():
            if side == "A":
                bound = 1.0 / math.sqrt(shape[1])
                values = torch.rand(shape, generator=generator) * 2 * bound - bound
                row[offset : offset + values.numel()] = values.flatten()
        return row

    def leaves(self, flat: Tensor) -> dict[tuple[int, str, str], Tensor]:
        """Views (agents, *shape) into flat (agents, size), by (layer, projection, side)."""
        return {
            key: flat[:, offset : offset + shape[0] * shape[1]].view(-1, *shape)
            for key, (offset, shape) in self.slots.items()
        }

    def stack(self, base: BaseModel, leaves: dict[tuple[int, str, str], Tensor]) -> StackedWeights:
        """Each agent's weights, differentiable in the leaves."""
        linears = []
        for layer in range(self.config.num_hidden_layers):
            fused = {}
            for group, members in FUSED.items():
                delta = torch.cat([torch.bmm(leaves[layer, p, "B"], leaves[layer, p, "A"]) for p in members], dim=1)
                fused[group] = base.fused(layer, group)[None] + self.scale * delta
            linears.append(fused)
        return StackedWeights(base, linears)

    def save_peft(self, row: Tensor, folder: Path, base_name: str) -> str:
        """Write one agent's adapter as a PEFT folder, atomically; returns the SHA-256 of its weights file."""
        tensors = {}
        for (layer, projection, side), (offset, shape) in self.slots.items():
            name = f"base_model.model.model.layers.{layer}.{projection_path(projection)}.lora_{side}.weight"
            tensors[name] = row[offset : offset + shape[0] * shape[1]].view(shape).clone()
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base_name,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": list(PROJECTIONS),
            "inference_mode": True,
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "adapter_config.json", json.dumps(config, indent=1).encode())
        return save_tensors(tensors, folder / "adapter_model.safetensors")

    def load_peft(self, folder: Path) -> Tensor:
        """Read a PEFT folder that `save_peft` or PEFT wrote: plain LoRA of this rank and alpha. A projection the
        folder does not hold starts afresh. Raises ValueError naming the folder if it does not fit."""
        names = {
            key: f"base_model.model.model.layers.{key[0]}.{projection_path(key[1])}.lora_{key[2]}.weight"
            for key in self.slots
        }
        tensors = read_peft(folder, self.rank, self.alpha, set(names.values()))
        held = {key[:2] for key, name in names.items() if name in tensors}
        row = self.fresh("not in the folder")
        for key, (offset, shape) in self.slots.items():
            if key[:2] not in held:
                continue
            name = names[key]
            if name not in tensors or tuple(tensors[name].shape) != shape:
                raise ValueError(f"the adapter in {folder} does not fit: {name} should have shape {shape}")
            row[offset : offset + shape[0] * shape[1]] = tensors[name].float().flatten()
        return row


def write_atomically(path: Path, data: bytes) -> None:
    """Temporary name, sync, rename: a reader sees the old file or the new one, whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def save_tensors(tensors: dict[str, Tensor], path: Path) -> str:
    """Write safetensors atomically; returns the file's SHA-256."""
    temporary = path.with_name(f".{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        save_file(tensors, temporary)
        with open(temporary, "rb+") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except SafetensorError as error:  # the library wraps a full disk
        temporary.unlink(missing_ok=True)
        raise OSError(f"cannot write {path}: {error}") from None
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return digest


class Adapters:
    """The acting adapters of a population by name; what an engine is given."""

    def __init__(self, base: BaseModel, layout: AdapterLayout, names: Sequence[str], flat: Tensor) -> None:
        if flat.shape != (len(names), layout.size):
            raise ValueError(f"adapters should have shape {(len(names), layout.size)}, got {tuple(flat.shape)}")
        self.base, self.layout, self.names, self.flat = base, layout, list(names), flat
        self.index = {name: i for i, name in enumerate(self.names)}
        self._weights: dict[tuple[str | None, ...], StackedWeights] = {}

    @torch.no_grad()
    def weights(self, names: tuple[str | None, ...]) -> StackedWeights:
        """Inference weights for these adapters in this order; None is the bare base model. Kept for the next call."""
        if names not in self._weights:
            for name in names:
                if name is not None and name not in self.index:
                    raise ValueError(f"no adapter named {name!r}: there are {', '.join(self.names) or 'none'}")
            rows = [torch.zeros(self.layout.size) if n is None else self.flat[self.index[n]] for n in names]
            stacked = self.layout.stack(self.base, self.layout.leaves(torch.stack(rows)))
            self._weights = {names: stacked.for_inference()}
        return self._weights[names]
