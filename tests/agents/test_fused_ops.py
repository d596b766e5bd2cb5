"""The fused kernels are equivalent to the torch operations, forward and backward."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.architectures import ModelConfig
from agents.attention import TorchOps
from agents.checkpoint import BaseModel
from agents.fused_ops import FusedOps, make_ops
from agents.half_ops import HalfOps
from agents.packing import Packing
from arena.config.shipped import ROOT

kernels = pytest.importorskip("agents.kernels")
SHAPES = [(4, 2, 32), (4, 4, 16), (6, 2, 8), (3, 1, 8)]  # query heads, key-value heads, head size


def both(heads: int = 4, groups: int = 2, size: int = 32) -> tuple[ModelConfig, TorchOps, FusedOps]:
    config = ModelConfig(11, heads * size, 40, 1, heads, groups, head_dim=size)
    return config, TorchOps(config, "cpu", torch.float32), FusedOps(config)


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lengths", [[1], [1, 2, 5, 17, 40, 33, 3, 8], [64, 63]])
def test_attention_equals_torch(shape: tuple[int, int, int], lengths: list[int]) -> None:
    heads, groups, size = shape
    _, plain, fused = both(*shape)
    packing, found = Packing(lengths), []
    for ops in (plain, fused):
        qkv = random(packing.total, (heads + 2 * groups) * size, scale=2.0).requires_grad_()
        out = ops.attention(qkv, packing)
        found.append((out.detach(), *torch.autograd.grad(out, qkv, random(packing.total, heads * size, seed=1))))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_cached_decoding_equals_torch(shape: tuple[int, int, int]) -> None:
    heads, groups, size = shape
    _, plain, fused = both(*shape)
    packing, prompt_of = Packing([3, 1, 7]), np.array([0, 2, 2, 1])
    caches = [ops.cache(5, 9, 6) for ops in (plain, fused)]
    width = (heads + 2 * groups) * size
    with torch.no_grad():
        for cache in caches:
            cache.admit(packing, prompt_of, np.array([4, 0, 1, 3]))
        first = [c.prefill(0, random(packing.total, width)) for c in caches]
        assert torch.allclose(first[0][packing.last], first[1], atol=2e-5)
        for step in range(4):
            if step == 2:  # slot 1 ends and is reused for another prompt
                for cache in caches:
                    cache.admit(Packing([2]), np.array([0]), np.array([1]))
                    cache.prefill(0, random(2, width, seed=9))
            slots, steps = np.array([0, 4, -1, 1, 3]), np.array([step, step, 0, step % 2, step])
            found = []
            for cache in caches:
                cache.rows(slots, steps)
                found.append(cache.decode(0, random(5, width, seed=step)))
            assert torch.allclose(*found, atol=2e-5)


def test_norms_and_gates_equal_torch() -> None:
    _, plain, fused = both()
    found = []
    for ops in (plain, fused):
        x, delta = (random(50, 128, seed=s).requires_grad_() for s in (0, 1))
        gate_up = random(50, 640, seed=2, scale=4.0).requires_grad_()
        total, y = ops.add_norm(x, delta, random(128, seed=3), 1e-5)
        alone, z = ops.add_norm(x, None, random(128, seed=3), 1e-5)
        gated = ops.swiglu(gate_up)
        loss = (y * random(50, 128, seed=4)).sum() + total.square().sum() + (z * alone).sum() + gated.square().sum()
        found.append([total, y, z, gated, *torch.autograd.grad(loss, (x, delta, gate_up))])
        with torch.no_grad():
            _, again = ops.add_norm(x.detach().clone(), delta.detach(), random(128, seed=3), 1e-5)
            found[-1] += [again, ops.swiglu(gate_up)]
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5 * float(b.detach().abs().max()))


def test_exponential_accuracy() -> None:
    x = np.linspace(-69, 0, 100_001, dtype=np.float32)
    out, bits = x.copy(), np.empty(len(x), np.int32)
    total = kernels.exp_sum(out, bits, len(x), np.float32(0))
    exact = np.exp(x.astype(np.float64))
    # near zero the error of the polynomial; far from zero that of x * log2(e) in float32
    assert np.abs(out / exact - 1)[x > -1].max() < 5e-7 and np.abs(out / exact - 1).max() < 1e-5
    assert total == pytest.approx(exact.sum(), rel=1e-4)
    extreme = np.array([-1e30, -200.0, 0.0], dtype=np.float32)
    kernels.exp_sum(extreme, bits, 3, np.float32(0))
    assert extreme[2] == 1 and 0 <= extreme[0] < 1e-30 and extreme[1] < 1e-30


@pytest.mark.parametrize("spread", [0.1, 3.0, 30.0])
def test_sampling_equals_torch(spread: float) -> None:
    _, plain, fused = both()
    logits, noise = random(2000, 113, scale=spread), torch.rand(2000, generator=torch.Generator().manual_seed(5))
    temperature = torch.rand(2000, generator=torch.Generator().manual_seed(6)) * 2
    temperature[::7], temperature[::5] = 0.0, 1.0
    a, b = (ops.sample(logits, temperature, None, noise) for ops in (plain, fused))
    assert (a[0] != b[0]).sum() <= 2  # rounding at the boundary between two tokens
    same = a[0] == b[0]
    assert torch.allclose(a[1][same], b[1][same], atol=1e-4)
    masked = logits.clone()
    masked[:, 3:] = float("-inf")
    assert set(fused.sample(masked, temperature, None, noise)[0].tolist()) <= {0, 1, 2}


def test_other_dtypes_use_torch(base: BaseModel) -> None:
    assert type(make_ops(base.config, "cpu", torch.float32)) is FusedOps
    assert type(make_ops(base.config, "cpu", torch.bfloat16)) is HalfOps
    assert type(make_ops(base.config, "cpu", torch.float16)) is TorchOps
    assert type(make_ops(base.config, "meta", torch.float32)) is TorchOps


def answers() -> str:
    """A digest of the outputs of all kernels for fixed inputs."""
    draw, single = np.random.default_rng(0), np.float32
    lengths = draw.integers(1, 50, 40)
    starts, total = np.cumsum(lengths) - lengths, int(lengths.sum())

    def normal(*shape: int) -> np.ndarray:
        return draw.standard_normal(shape).astype(single)

    qkv, tables = normal(total, 256), (normal(512, 16), normal(512, 16))
    keys, values, out = np.zeros((40, 2, 32, 50), single), np.zeros((40, 2, 50, 32), single), normal(total, 128)
    kernels.prefill(qkv, starts, lengths, np.arange(40), *tables, keys, values, False, out)
    own = normal(40, 2, 32, 30), normal(40, 2, 30, 32)
    rows, steps, written = np.arange(40), draw.integers(0, 30, 40), normal(40, 128)
    kernels.decode(qkv[:40].copy(), rows, steps, rows, lengths, *tables, keys, values, *own, written)
    back, x, delta, weight, y = (
        np.zeros_like(qkv),
        normal(total, 128),
        normal(total, 128),
        normal(128),
        normal(total, 128),
    )
    kernels.attention_backward(qkv, starts, lengths, *tables, 2, normal(total, 128), back)
    kernels.add_rms_norm(x, delta, weight, single(1e-5), y)
    gate_up, gated, gate_back = normal(total, 640), normal(total, 320), normal(total, 640)
    kernels.swiglu(gate_up, gated)
    kernels.swiglu_backward(gate_up, gated.copy(), gate_back)
    tokens, logprobs = np.zeros(500, np.int64), normal(500)
    uniform = draw.random((2, 500)).astype(single)
    kernels.sample(normal(500, 113), uniform[0], uniform[1], tokens, logprobs)
    found = (out, keys, values, *own, written, back, x, y, gated, gate_back, tokens, logprobs)
    return hashlib.sha256(b"".join(a.tobytes() for a in found)).hexdigest()


@pytest.mark.slow
def test_cached_kernels_are_bit_identical(tmp_path: Path) -> None:
    """Otherwise the first run on a machine would differ from the second."""
    command = [sys.executable, "-c", "from tests.agents.test_fused_ops import answers; print(answers())"]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    found = [subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT) for _ in range(2)]
    assert list(tmp_path.rglob("*.nbc")), found[0].stderr
    assert found[0].stdout == found[1].stdout and len(found[0].stdout.strip()) == 64, found[1].stderr
