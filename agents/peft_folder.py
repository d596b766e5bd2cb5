"""Read a PEFT folder and check that it is plain LoRA that matches the adapters of a population.

PEFT supports more than the plain LoRA implemented here: other ranks and scales, patterns of them, DoRA, trained
embeddings and biases. Settings that would change the forward pass raise an error that names them. A folder may contain
a subset of the projections; the others then act as in the base model.

The file base_model.json beside an adapter records the digest of the base weights that it was trained on. PEFT ignores
the file; a further key in adapter_config.json would make it advise a newer version.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from agents.atomic import write_atomically
from agents.json_file import read_object
from agents.stored_file import check_file

PLAIN: dict[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none", None),
    "use_dora": (False, None),
    "use_rslora": (False, None),
    "use_qalora": (False, None),
    "use_bdlora": (False, None),
    "alora_invocation_tokens": (None,),
    "arrow_config": (None,),
    "kasa_config": (None,),
    "init_lora_weights": (True, False, None, "gaussian", "eva"),  # other values also change the base weights
    "fan_in_fan_out": (False, None),
    "lora_bias": (False, None),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "modules_to_save": ([], None),
    "layer_replication": ([], None),
    "trainable_token_indices": ([], {}, None),
    "target_parameters": ([], None),
}
BASE_FILE = "base_model.json"
SHORTEST_DIGEST = 16
"""Hexadecimal digits of a digest that suffice to compare it; runs record that many."""


def record_base(folder: Path, name: str, digest: str) -> None:
    """Record beside an adapter that it was trained on a base model of this name whose weights have this digest.

    Raises:
        OSError: the file cannot be written.
    """
    write_atomically(folder / BASE_FILE, json.dumps({"name": name, "sha256": digest}, indent=1) + "\n")


def check_base(folder: Path, digest: str) -> None:
    """Check that an adapter belongs to the base model whose weights have this SHA-256. One without a record does.

    Raises:
        ValueError: it was trained on another model, or the record is damaged; the message has both digests.
    """
    try:
        found = read_object(folder / BASE_FILE)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the adapter in {folder}: {error}") from None
    recorded = found.get("sha256")
    if not isinstance(recorded, str) or len(recorded) < SHORTEST_DIGEST:
        raise ValueError(f"{folder / BASE_FILE} lacks a digest of at least {SHORTEST_DIGEST} digits")
    if not digest.startswith(recorded):
        raise ValueError(
            f"the adapter in {folder} was trained on {str(found.get('name', 'a base model'))[:100]} with the weights "
            f"{recorded[:64]}, the base model here has {digest}"
        )


def read_peft(folder: Path, rank: int, alpha: float, known: Collection[str]) -> dict[str, Tensor]:
    """Read the tensors of a PEFT folder, by name.

    Args:
        folder: the PEFT folder.
        rank, alpha: required LoRA settings.
        known: names of the tensors that it may contain.

    Raises:
        ValueError: the folder is damaged, or is not plain LoRA of this rank and alpha; the message says what differs.
    """
    file = folder / "adapter_model.safetensors"
    try:
        config: dict[str, Any] = read_object(folder / "adapter_config.json")
        check_file(file)
        tensors: dict[str, Tensor] = load_file(file)
    except SafetensorError as error:
        raise ValueError(f"cannot read the adapter in {folder}: {file.name} is damaged: {error}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the adapter in {folder}: {error}") from None
    for key, values in PLAIN.items():
        if key in config and config[key] not in values:
            raise ValueError(f"the adapter in {folder} is not plain LoRA: {key} is {repr(config[key])[:100]}")
    for key, wanted in (("r", rank), ("lora_alpha", alpha)):
        if config.get(key) != wanted:
            found = repr(config.get(key))[:100]
            raise ValueError(f"the adapter in {folder} does not fit: {key} is {found}, expected {wanted:g}")
    for name, tensor in tensors.items():
        if name not in known:
            raise ValueError(
                f"the adapter in {folder} does not fit: it holds {name[:200]!r}, which no adapter here has"
            )
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise ValueError(f"the adapter in {folder} is damaged: {name} has values that are not finite floats")
    targets = config.get("target_modules") if not config.get("layers_to_transform") else None
    for name in sorted(known):
        if isinstance(targets, list) and name.split(".")[-3] in targets and name not in tensors:
            raise ValueError(f"the adapter in {folder} does not fit: it lacks {name}")
    return tensors
