"""The data type of the base weights."""

from __future__ import annotations

import platform
from dataclasses import replace

import pytest
import torch

from agents import checkpoint
from agents.architectures import MERGE_BELOW
from agents.checkpoint import multiplies_bfloat16, read_config, resolve_dtype
from arena.config.shipped import SEED_FOLDER

SMALL = read_config(SEED_FOLDER)
LARGE = replace(SMALL, num_hidden_layers=1 + MERGE_BELOW * SMALL.num_hidden_layers // SMALL.linear_parameters)


@pytest.mark.parametrize("supported", [True, False])
def test_auto_dtype(supported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, large models are bfloat16 where the processor multiplies it; the shipped model never is."""
    monkeypatch.setattr(checkpoint, "multiplies_bfloat16", lambda: supported)
    assert LARGE.linear_parameters > MERGE_BELOW >= SMALL.linear_parameters
    assert resolve_dtype("auto", SMALL, "cpu") == "float32"
    assert resolve_dtype("auto", LARGE, "cpu") == ("bfloat16" if supported else "float32")
    assert resolve_dtype("auto", replace(SMALL, dtype="float16"), "cuda:0") == "float16"
    for given in ("float32", "bfloat16", "float16"):
        assert resolve_dtype(given, LARGE, torch.device("cpu")) == given


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_bfloat16_by_processor(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only processors with bfloat16 products count: torch also emulates them on others, more slowly than float32."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    asked = {"x86_64": [(torch.cpu, "_is_avx512_bf16_supported"), (torch.cpu, "_is_amx_tile_supported")]}
    for owner, name in asked.get(machine, [(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")]):
        monkeypatch.setattr(owner, name, lambda: False)
    assert not multiplies_bfloat16()
    monkeypatch.setattr(owner, name, lambda: True)
    assert multiplies_bfloat16()
