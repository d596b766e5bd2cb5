"""`Ops` for bfloat16 models on the CPU: fused kernels for norms, gates and rotary positions, torch's attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents import half_kernels as kernels
from agents.architectures import ModelConfig
from agents.attention import TorchOps
from agents.kernels import sample


def bits(x: Tensor) -> NDArray[np.uint16]:
    """The bits of a bfloat16 tensor, as an array on the same memory."""
    found: NDArray[np.uint16] = x.detach().view(torch.uint16).numpy()
    return found


class HalfOps(TorchOps):
    """Fused kernels where they apply, torch operations elsewhere. Differentiable."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, "cpu", torch.bfloat16)

    def add_norm(self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        if torch.is_grad_enabled():
            if weight.requires_grad:
                return super().add_norm(x, delta, weight, eps)
            both: tuple[Tensor, Tensor] = _AddNorm.apply(x, delta, weight, eps)  # type: ignore[no-untyped-call]
            return both
        return _add_norm(x, delta, weight, eps, x)

    def swiglu(self, gate_up: Tensor) -> Tensor:
        out: Tensor = _Swiglu.apply(gate_up)  # type: ignore[no-untyped-call]
        return out

    def sample(self, logits: Tensor, temperature: Tensor, top_p: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor]:
        if top_p is not None:
            return super().sample(logits, temperature, top_p, noise)
        tokens, logprobs = torch.empty(len(logits), dtype=torch.long), torch.empty(len(logits))
        sample(*(x.numpy() for x in (logits.float(), temperature, noise, tokens, logprobs)))
        return tokens, logprobs

    def turn(self, heads: Tensor, positions: Tensor) -> Tensor:
        turned: Tensor = _Rotate.apply(heads, positions, self.cos, self.sin)  # type: ignore[no-untyped-call]
        return turned


def _add_norm(x: Tensor, delta: Tensor | None, weight: Tensor, eps: float, total: Tensor) -> tuple[Tensor, Tensor]:
    """(x + delta, its RMS norm); the sum is written to `total`."""
    y = torch.empty_like(x)
    added = x if delta is None else delta
    inputs = bits(x), bits(added), delta is not None, weight.float().numpy(), np.float32(eps)
    kernels.add_rms_norm(*inputs, bits(total), bits(y))
    return (x if delta is None else total), y


class _AddNorm(torch.autograd.Function):
    """(x + delta, its RMS norm) with a frozen norm weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        total = torch.empty_like(x) if delta is not None else x.clone()
        _, y = _add_norm(x, delta, weight, eps, total)
        ctx.save_for_backward(total, weight)
        ctx.eps, ctx.added = np.float32(eps), delta is not None
        return total, y

    @staticmethod
    def backward(ctx: Any, grad_x: Tensor, grad_y: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        out = torch.empty_like(x)
        grads = bits(grad_x.contiguous()), bits(grad_y.contiguous())
        kernels.rms_norm_backward(bits(x), weight.float().numpy(), ctx.eps, *grads, bits(out))
        return out, out if ctx.added else None, None, None


class _Swiglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        out = gate_up.new_empty(gate_up.shape[0], gate_up.shape[1] // 2)
        kernels.swiglu(bits(gate_up), bits(out))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        out = torch.empty_like(gate_up)
        kernels.swiglu_backward(bits(gate_up), bits(grad.contiguous()), bits(out))
        return out


class _Rotate(torch.autograd.Function):
    """Rotary embedding of [T, heads, E]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.tables = positions, cos, sin
        return _rotate(x, positions, cos, sin, 1.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        positions, cos, sin = ctx.tables
        return _rotate(grad, positions, cos, sin, -1.0), None, None, None


def _rotate(x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, sign: float) -> Tensor:
    out = x.new_empty(x.shape)
    kernels.rotate(bits(x), positions.numpy(), cos.numpy(), sin.numpy(), np.float32(sign), bits(out))
    return out
