"""A model folder with a LoRA adapter merged into its weights: W + (alpha / rank) B A (Hu et al. 2021).

Agents of a run that names `model.adapter` begin from the merged model, whatever the engine. The folder is kept in the
model cache under the digests of base and adapter. Products are computed in float64 and rounded once to the stored type,
so that the weights are the same on every machine except where a value lies on the border of two (never seen).
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from agents.adapters import AdapterLayout
from agents.checkpoint import projection_path, read_config, weights_digest
from agents.hub import weight_files
from agents.json_file import read_object
from agents.model_cache import Say, cache_folder, file_digest, quiet, store

VERSION = 1
"""Version of the merge; if other weights are written for the same files, it has to change."""
SHIPPED = Path(__file__).parent / "warm"
"""Adapters that ship with Ratchet, a folder each, by the name of their model."""


def adapter_folder(name: str) -> Path:
    """The folder of an adapter: one that ships with Ratchet, by name, or a path."""
    return SHIPPED / name if name and (SHIPPED / name / "adapter_config.json").is_file() else Path(name)


def merged_folder(base: Path, adapter: Path, say: Say = quiet) -> Path:
    """The folder of a model with an adapter merged, which is made at the first call.

    Raises:
        ValueError: base or adapter is missing or damaged, or they do not fit each other; the message names the folder.
        OSError: the cache cannot be written.
    """
    try:
        digest = file_digest(adapter / "adapter_model.safetensors")
    except OSError as error:
        shipped = ", ".join(sorted(p.name for p in SHIPPED.iterdir())) if SHIPPED.is_dir() else "none"
        raise ValueError(
            f"there is no adapter in {adapter} ({error.strerror}); those that ship with Ratchet: {shipped}"
        ) from None
    key = hashlib.sha256(f"{weights_digest(base)}/{digest}".encode()).hexdigest()
    folder = cache_folder() / "models" / f"merged{VERSION}-{key[:32]}"
    store(folder, lambda new: _merge(base, adapter, new), say)
    return folder


def _merge(base: Path, adapter: Path, new: Path) -> None:
    config = read_config(base)
    settings = read_object(adapter / "adapter_config.json")
    rank, alpha = settings.get("r"), settings.get("lora_alpha")
    if type(rank) is not int or not isinstance(alpha, int | float):
        raise ValueError(f"{adapter / 'adapter_config.json'} lacks a rank r and a lora_alpha")
    layout = AdapterLayout(config, rank, float(alpha))
    leaves = layout.leaves(layout.load_peft(adapter, weights_digest(base))[None].double())
    deltas = {
        f"model.layers.{layer}.{projection_path(projection)}.weight": layout.scale
        * (leaves[layer, projection, "B"] @ a)[0]
        for (layer, projection, side), a in leaves.items()
        if side == "A"
    }
    new.mkdir(parents=True)
    sources = weight_files(base)
    for path in base.iterdir():
        if path.is_file() and path not in sources:
            shutil.copyfile(path, new / path.name)
    for path in sources:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        for name in deltas.keys() & tensors.keys():
            tensors[name] = (tensors[name].double() + deltas[name]).to(tensors[name].dtype)
        save_file({name: t.contiguous() for name, t in tensors.items()}, new / path.name, {"format": "pt"})
