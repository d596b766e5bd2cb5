"""Validate an adapter from an untrusted source, given as the bytes of a PEFT safetensors file.

Not guaranteed: how it behaves. A hostile adapter can make an agent write harmful text, which is checked like any other.
"""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from agents.adapters import AdapterLayout
from agents.checkpoint import projection_path
from agents.stored_file import find_substitute


def read_adapter(layout: AdapterLayout, data: bytes) -> Tensor:
    """Read an adapter of exactly this layout. Returns its flat row [size], in float32.

    Raises:
        ValueError: the bytes are not a safetensors file; a tensor is missing, unknown, of another shape, not float32
            or not finite. The message names the tensor.
    """
    if len(data) > 8 * layout.size + (1 << 20):
        raise ValueError(f"an adapter here has {4 * layout.size:,} bytes of weights, this file has {len(data):,}")
    if wrong := find_substitute(data[:200]):
        raise ValueError(f"it is {wrong}")
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"no safetensors file: {error}") from None
    row = torch.zeros(layout.size)
    for (layer, projection, side), (offset, shape) in layout.slots.items():
        name = f"base_model.model.model.layers.{layer}.{projection_path(projection)}.lora_{side}.weight"
        tensor = tensors.pop(name, None)
        if tensor is None:
            raise ValueError(f"it lacks {name}")
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise ValueError(
                f"{name} should be float32 of shape {shape}, it is {str(tensor.dtype).removeprefix('torch.')} of "
                f"{tuple(tensor.shape)}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds values that are not finite")
        row[offset : offset + tensor.numel()] = tensor.flatten()
    if tensors:
        raise ValueError(f"it holds {sorted(tensors)[0][:80]!r}, which no adapter here has")
    return row
