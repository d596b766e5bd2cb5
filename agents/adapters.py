"""LoRA adapters of a population, stacked: one flat row of parameters per agent (Hu et al. 2021).

A row holds, for every layer and projection, A [rank, in] and B [out, rank], in a fixed order. The effective weight is
W + (alpha / rank) B A. Rows are stacked to one tensor [agents, size], so that averaging, copying, clipping and
optimiser steps are single operations over the population, and agents without updates can be left out by row index.
Adapters are saved and loaded as PEFT folders.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from agents.architectures import MERGE_BELOW
from agents.atomic import replacing, write_atomically
from agents.checkpoint import FUSED, PROJECTIONS, BaseModel, ModelConfig, projection_path
from agents.model import Factored, Linear, Merged, StackedWeights
from agents.peft_folder import check_base, read_peft, record_base

Leaves = dict[tuple[int, str, str], Tensor]


class AdapterLayout:
    """Positions of the matrices of an adapter in its flat row.

    `slots[layer, projection, side]` is (offset, shape) with side "A" or "B"; `size` is the length of a row.

    Raises:
        ValueError: the rank is less than 1.
    """

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
        """A new row [size] for `seed`: A as in PEFT (Kaiming, a = sqrt 5), B zero. Acts as the base model."""
        key = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") >> 1
        generator = torch.Generator().manual_seed(key)
        row = torch.zeros(self.size)
        for (_, _, side), (offset, shape) in self.slots.items():
            if side == "A":
                bound = 1.0 / math.sqrt(shape[1])
                values = torch.rand(shape, generator=generator) * 2 * bound - bound
                row[offset : offset + values.numel()] = values.flatten()
        return row

    def leaves(self, flat: Tensor) -> Leaves:
        """Views [agents, *shape] of `flat` [agents, size], by (layer, projection, side).

        One split, whose gradient is one concatenation: each slice of its own would have a gradient as large as `flat`.
        """
        parts = torch.split(flat, [a * b for _, (a, b) in self.slots.values()], dim=1)
        return {key: part.view(-1, *shape) for (key, (_, shape)), part in zip(self.slots.items(), parts, strict=True)}

    def merged(self, base: BaseModel, flat: Tensor) -> StackedWeights:
        """Compute W + scale B A for each agent, from `flat` [agents, size]. Not differentiable."""
        leaves = self.leaves(flat.to(base.dtype))
        linears: list[dict[str, Linear]] = [
            {g: Merged(self.merge(base, leaves, layer, g)) for g in FUSED}
            for layer in range(self.config.num_hidden_layers)
        ]
        return StackedWeights(base, linears)

    def merge(self, base: BaseModel, leaves: Leaves, layer: int, group: str) -> Tensor:
        """The merged matrices [agents, in, out] of one fused group of projections."""
        shared = base.fused(layer, group).t()
        out = shared.new_empty(len(leaves[layer, FUSED[group][0], "A"]), *shared.shape)
        at = 0
        for p in FUSED[group]:
            a, b = leaves[layer, p, "A"], leaves[layer, p, "B"]
            width = b.shape[1]
            torch.baddbmm(
                shared[None, :, at : at + width],
                a.transpose(1, 2),
                b.transpose(1, 2),
                alpha=self.scale,
                out=out[:, :, at : at + width],
            )
            at += width
        return out

    def unmerge(self, leaves: Leaves, layer: int, group: str, grad: Tensor, out: Leaves) -> None:
        """Backward pass of `merge`: write the gradients of A and B to `out`, given `grad` [agents, in, out]."""
        at = 0
        for p in FUSED[group]:
            a, b = leaves[layer, p, "A"], leaves[layer, p, "B"]
            part = grad[:, :, at : at + b.shape[1]].to(a.dtype)
            at += b.shape[1]
            torch.bmm(b.transpose(1, 2), part.transpose(1, 2), out=out[layer, p, "A"]).mul_(self.scale)
            torch.bmm(part.transpose(1, 2), a.transpose(1, 2), out=out[layer, p, "B"]).mul_(self.scale)

    def factored(self, base: BaseModel, leaves: Leaves) -> StackedWeights:
        """The shared matrices with each agent's A and B as separate factors. Differentiable in the leaves."""
        linears: list[dict[str, Linear]] = []
        for layer in range(self.config.num_hidden_layers):
            fused: dict[str, Linear] = {}
            for group, members in FUSED.items():
                shared = base.fused(layer, group).t()
                down = torch.cat([leaves[layer, p, "A"] for p in members], dim=1).transpose(1, 2) * self.scale
                up = block_diagonal([leaves[layer, p, "B"].transpose(1, 2) for p in members])
                fused[group] = Factored(shared, down.to(base.dtype), up.to(base.dtype))
            linears.append(fused)
        return StackedWeights(base, linears)

    def training(self, base: BaseModel, flat: Tensor) -> TrainingStack:
        """Prepare adapters [agents, size] for training, merged or factored depending on the size of the base model."""
        return (MergedTraining if is_small(base) else FactoredTraining)(self, base, flat)

    def save_peft(
        self, row: Tensor, folder: Path, base_name: str, base_digest: str = "", previous: Path | None = None
    ) -> str:
        """Write an adapter `row` [size] as a PEFT folder. Returns the SHA-256 of the weights file.

        The digest of the base weights is recorded too, if it is given. Weights equal to those in the PEFT folder
        `previous` become a link to them.
        """
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
        if base_digest:
            record_base(folder, base_name, base_digest)
        name = "adapter_model.safetensors"
        return save_tensors(tensors, folder / name, previous / name if previous else None)

    def load_peft(self, folder: Path, base_digest: str = "") -> Tensor:
        """Read a PEFT folder with plain LoRA of this rank and alpha. Returns a row [size].

        Projections that are missing from the folder are initialised as in `fresh`. If the digest of the base weights is
        given, the adapter must not record another one.

        Raises:
            ValueError: the folder is damaged, does not match this layout or belongs to another base model; the message
                names it.
        """
        if base_digest:
            check_base(folder, base_digest)
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


def block_diagonal(blocks: Sequence[Tensor]) -> Tensor:
    """Matrices [agents, rank, out] on the diagonal of one [agents, sum of ranks, sum of outs] with zeros elsewhere."""
    if len(blocks) == 1:
        return blocks[0].contiguous()
    out = blocks[0].new_zeros(len(blocks[0]), sum(b.shape[1] for b in blocks), sum(b.shape[2] for b in blocks))
    row = column = 0
    for block in blocks:
        out[:, row : row + block.shape[1], column : column + block.shape[2]] = block
        row, column = row + block.shape[1], column + block.shape[2]
    return out


def save_tensors(tensors: dict[str, Tensor], path: Path, previous: Path | None = None) -> str:
    """Write a safetensors file atomically. Returns its SHA-256. Raises OSError if that fails.

    If it equals the file `previous`, both become links to the same data, where the file system has hard links.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as new:
            save_file({name: tensor.cpu() for name, tensor in tensors.items()}, new)
            with open(new, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if previous is not None and previous.is_file() and filecmp.cmp(previous, new, shallow=False):
                link_instead(new, previous)
        return digest
    except SafetensorError as error:  # safetensors reports a full disk this way
        raise OSError(f"cannot write {path}: {error}") from None


def link_instead(path: Path, equal: Path) -> None:
    """Replace a file by a hard link to an equal one. Leaves it if the file system has none."""
    link = path.with_name(f"{path.name}.link")
    link.unlink(missing_ok=True)
    try:
        os.link(equal, link)
    except OSError:
        return
    os.replace(link, path)


class Adapters:
    """The acting adapters of a population by name, for an engine. `flat` is [agents, size], in the order of `names`.

    `heads` [agents, width] are their value functions (`agents.value`), None before any was fitted.
    """

    def __init__(
        self, base: BaseModel, layout: AdapterLayout, names: Sequence[str], flat: Tensor, heads: Tensor | None = None
    ) -> None:
        if flat.shape != (len(names), layout.size):
            raise ValueError(f"adapters should have shape {(len(names), layout.size)}, got {tuple(flat.shape)}")
        self.base, self.layout, self.names, self.flat, self.heads = base, layout, list(names), flat, heads
        self.index = {name: i for i, name in enumerate(self.names)}

    def check(self, names: Iterable[str | None]) -> None:
        """Raise ValueError for a name that is neither an adapter nor None."""
        for name in names:
            if name is not None and name not in self.index:
                raise ValueError(f"no adapter named {name!r}: there are {', '.join(self.names) or 'none'}")

    @torch.no_grad()
    def weights(self, names: Sequence[str | None]) -> StackedWeights:
        """Inference weights of these adapters in this order; None is the base model without an adapter."""
        self.check(names)
        if all(n is None for n in names) and len(names) == 1:
            return StackedWeights.of_base(self.base)
        zero = torch.zeros(1, self.layout.size, device=self.flat.device)
        rows = torch.cat([zero if n is None else self.flat[self.index[n]][None] for n in names])
        if is_small(self.base):
            return self.layout.merged(self.base, rows)
        return self.layout.factored(self.base, self.layout.leaves(rows))


class TrainingStack(Protocol):
    """Adapters under training, whose gradients accumulate over several backward passes."""

    def weights(self) -> StackedWeights:
        """The weights for one forward pass."""

    def gradient(self) -> Tensor:
        """The gradient [agents, size] accumulated by the backward passes so far."""


class FactoredTraining:
    """Backpropagates directly to A and B."""

    def __init__(self, layout: AdapterLayout, base: BaseModel, flat: Tensor) -> None:
        self.layout, self.base, self.flat = layout, base, flat.detach().requires_grad_()

    def weights(self) -> StackedWeights:
        return self.layout.factored(self.base, self.layout.leaves(self.flat))

    def gradient(self) -> Tensor:
        return torch.zeros_like(self.flat) if self.flat.grad is None else self.flat.grad


class MergedTraining:
    """Accumulates gradients in the merged matrices, and propagates them to A and B once, in `gradient`."""

    def __init__(self, layout: AdapterLayout, base: BaseModel, flat: Tensor) -> None:
        self.layout, self.base, self.flat = layout, base, flat.detach()
        with torch.no_grad():
            self.stacked = layout.merged(base, self.flat)
        self.matrices: dict[tuple[int, str], Tensor] = {}
        for i, layer in enumerate(self.stacked.layers):
            for group, linear in layer.linear.items():
                self.matrices[i, group] = linear.weight.requires_grad_()

    def weights(self) -> StackedWeights:
        return self.stacked

    @torch.no_grad()
    def gradient(self) -> Tensor:
        out = torch.zeros_like(self.flat)
        leaves, targets = self.layout.leaves(self.flat), self.layout.leaves(out)
        for (layer, group), matrix in self.matrices.items():
            if matrix.grad is not None:
                self.layout.unmerge(leaves, layer, group, matrix.grad, targets)
        return out


def is_small(base: BaseModel) -> bool:
    """Whether merged matrices per agent are affordable. They replace three products by one."""
    return base.config.linear_parameters <= MERGE_BELOW
