"""The fused bfloat16 operations agree with torch's, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agents.attention import TorchOps
from agents.checkpoint import BaseModel
from arena.config.shipped import SEED_FOLDER

pytest.importorskip("numba")
from agents.half_ops import HalfOps

CONFIG = BaseModel.load(SEED_FOLDER).config


def both(call: Callable[[TorchOps, Tensor], Tensor], x: Tensor) -> None:
    """Compare values and gradients with those in float32."""
    found = []
    for ops, dtype in ((HalfOps(CONFIG), torch.bfloat16), (TorchOps(CONFIG, "cpu", torch.float32), torch.float32)):
        leaf = x.to(dtype).requires_grad_()
        y = call(ops, leaf)
        weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).bfloat16().to(dtype)
        found.append((y.detach().float(), torch.autograd.grad((y * weight).sum(), leaf)[0].float()))
    for ours, plain in zip(*found, strict=True):
        assert torch.allclose(ours, plain, atol=0.02, rtol=0.02)
        assert float((ours - plain).abs().mean()) < 0.004 * float(plain.abs().mean()) + 1e-6


@pytest.mark.parametrize("name", ["norm", "add", "sum", "swiglu", "rotate"])
def test_operation(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 32).bfloat16().float()
    weight, other = torch.rand(32).bfloat16().float(), torch.randn(7, 32).bfloat16().float()

    def call(ops: TorchOps, leaf: Tensor) -> Tensor:
        kind = leaf.dtype
        if name == "norm":
            return ops.add_norm(leaf, None, weight.to(kind), 1e-5)[1]
        if name == "add":
            return ops.add_norm(other.to(kind), leaf, weight.to(kind), 1e-5)[1]
        if name == "sum":
            return ops.add_norm(leaf, other.to(kind), weight.to(kind), 1e-5)[0]
        if name == "swiglu":
            return ops.swiglu(leaf)
        return ops.turn(leaf.view(7, -1, CONFIG.head_dim), torch.tensor([0, 3, 1, 7, 2, 500, 9])).flatten(1)

    both(call, torch.randn(7, 3 * CONFIG.head_dim).bfloat16().float() if name == "rotate" else x)


def test_inference_overwrites_the_sum() -> None:
    x, delta = torch.randn(3, 8).bfloat16(), torch.randn(3, 8).bfloat16()
    wanted = x + delta
    with torch.no_grad():
        total, _ = HalfOps(CONFIG).add_norm(x, delta, torch.ones(8).bfloat16(), 1e-5)
    assert torch.equal(total, wanted) and total.data_ptr() == x.data_ptr()


def test_sample_agrees() -> None:
    logits = 3 * torch.randn(6, 300).bfloat16()
    temperature, noise = torch.tensor([0.0, 1, 1, 0.5, 2, 1]), torch.rand(6)
    fused = HalfOps(CONFIG).sample(logits, temperature, None, noise)
    plain = TorchOps(CONFIG, "cpu", torch.bfloat16).sample(logits, temperature, None, noise)
    assert torch.equal(fused[0], plain[0]) and torch.allclose(fused[1], plain[1], atol=1e-4)
