"""`Ops` with fused CPU kernels, for float32 models. Only this module checks whether numba is installed.

Norms, gates and attention are fused in forward and backward passes; nucleus sampling uses torch.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.architectures import ModelConfig
from agents.attention import Cache, Ops, TorchOps
from agents.packing import Packing

try:
    from agents import kernels
except ModuleNotFoundError:  # numba is optional; the torch operations are equivalent but slower
    kernels = None  # type: ignore[assignment]


def kernel_version() -> str:
    """The version of numba, which compiles the fused kernels; "none" if it is not installed."""
    return "none" if kernels is None else importlib.metadata.version("numba")


def make_ops(config: ModelConfig, device: torch.device | str, dtype: torch.dtype) -> Ops:
    """The fastest available operations for this device and dtype."""
    if kernels is not None and torch.device(device).type == "cpu":
        if dtype == torch.float32:
            return FusedOps(config)
        if dtype == torch.bfloat16:
            from agents.half_ops import HalfOps

            return HalfOps(config)
    return TorchOps(config, device, dtype)


class FusedOps(TorchOps):
    """Fused kernels where they apply, torch operations elsewhere."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, "cpu", torch.float32)

    def add_norm(self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        if torch.is_grad_enabled():
            if weight.requires_grad:
                return super().add_norm(x, delta, weight, eps)
            both: tuple[Tensor, Tensor] = _AddNorm.apply(x, delta, weight, eps)  # type: ignore[no-untyped-call]
            return both
        y = torch.empty_like(x)
        if delta is None:
            kernels.rms_norm(x.numpy(), weight.numpy(), np.float32(eps), y.numpy())
        else:
            kernels.add_rms_norm(x.numpy(), delta.numpy(), weight.numpy(), np.float32(eps), y.numpy())
        return x, y

    def swiglu(self, gate_up: Tensor) -> Tensor:
        if torch.is_grad_enabled() and gate_up.requires_grad:
            out: Tensor = _Swiglu.apply(gate_up)  # type: ignore[no-untyped-call]
            return out
        return _swiglu(gate_up)

    def attention(self, qkv: Tensor, packing: Packing) -> Tensor:
        if self.shares:
            return super().attention(qkv, packing)
        self._grow(packing.width)
        if torch.is_grad_enabled() and qkv.requires_grad:
            out: Tensor = _Attention.apply(qkv, packing, self)  # type: ignore[no-untyped-call]
            return out
        return self.causal_packed(qkv, packing)

    def causal_packed(self, qkv: Tensor, packing: Packing) -> Tensor:
        c = self.config
        out = torch.empty(packing.total, c.num_attention_heads * c.head_dim)
        shape = (packing.count, c.num_key_value_heads, packing.width, c.head_dim)
        keys, values = np.empty((*shape[:2], shape[3], shape[2]), np.float32), np.empty(shape, np.float32)
        places = np.arange(packing.count)
        kernels.prefill(
            qkv.detach().numpy(),
            packing.starts,
            packing.sizes,
            places,
            *self.tables(),
            keys,
            values,
            False,
            out.numpy(),
        )
        return out

    def tables(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """cos and sin, each [positions, E/2]."""
        return self.cos.numpy(), self.sin.numpy()

    def cache(self, slots: int, width: int, steps: int) -> Cache:
        if self.shares:
            return super().cache(slots, width, steps)
        self._grow(width + steps)
        return FusedCache(self, slots, width, steps)

    def sample(self, logits: Tensor, temperature: Tensor, top_p: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor]:
        if top_p is not None:
            return super().sample(logits, temperature, top_p, noise)
        tokens, logprobs = torch.empty(len(logits), dtype=torch.long), torch.empty(len(logits))
        kernels.sample(logits.numpy(), temperature.numpy(), noise.numpy(), tokens.numpy(), logprobs.numpy())
        return tokens, logprobs


class FusedCache:
    """Key-value cache that stores each prompt once for all slots that continue it, and generated tokens per slot.

    Entries are never moved.
    """

    def __init__(self, ops: FusedOps, slots: int, width: int, steps: int) -> None:
        c = ops.config
        g, e, layers = c.num_key_value_heads, c.head_dim, range(c.num_hidden_layers)
        self.last_layer, self.width = c.num_hidden_layers - 1, c.num_attention_heads * e
        self.tables = ops.tables()
        self.keys = [np.empty((slots, g, e, width), np.float32) for _ in layers]
        self.values = [np.empty((slots, g, width, e), np.float32) for _ in layers]
        self.own_keys = [np.empty((slots, g, e, steps), np.float32) for _ in layers]
        self.own_values = [np.empty((slots, g, steps, e), np.float32) for _ in layers]
        self.place_of = np.full(slots, -1)
        self.length_of = np.zeros(slots, np.int64)

    def admit(self, prompts: Packing, prompt_of: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        self.place_of[slots] = -1
        free = np.setdiff1d(np.arange(len(self.place_of)), self.place_of)
        self.prompts, self.places = prompts, free[: prompts.count]  # there are never more prompts in use than slots
        self.place_of[slots] = self.places[prompt_of]
        self.length_of[slots] = prompts.sizes[prompt_of]

    def prefill(self, layer: int, qkv: Tensor) -> Tensor:
        p, only_last = self.prompts, layer == self.last_layer
        out = torch.empty(p.count if only_last else p.total, self.width)
        store = self.keys[layer], self.values[layer]
        kernels.prefill(qkv.numpy(), p.starts, p.sizes, self.places, *self.tables, *store, only_last, out.numpy())
        return out

    def rows(self, slots: NDArray[np.int64], steps: NDArray[np.int64]) -> None:
        self.slots, self.steps = slots, steps

    def decode(self, layer: int, qkv: Tensor) -> Tensor:
        out = torch.empty(len(self.slots), self.width)
        rows = self.slots, self.steps, self.place_of, self.length_of
        store = self.keys[layer], self.values[layer], self.own_keys[layer], self.own_values[layer]
        kernels.decode(qkv.numpy(), *rows, *self.tables, *store, out.numpy())
        return out


def _swiglu(gate_up: Tensor) -> Tensor:
    out = torch.empty(gate_up.shape[0], gate_up.shape[1] // 2)
    kernels.swiglu(gate_up.detach().numpy(), out.numpy())
    return out


class _Swiglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        return _swiglu(gate_up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        out = torch.empty_like(gate_up)
        kernels.swiglu_backward(gate_up.detach().numpy(), grad.contiguous().numpy(), out.numpy())
        return out


class _AddNorm(torch.autograd.Function):
    """(x + delta, its RMS norm) with a frozen norm weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        total = x.clone() if delta is None else x + delta
        ctx.save_for_backward(total, weight)
        ctx.eps, ctx.added = np.float32(eps), delta is not None
        y = torch.empty_like(total)
        kernels.rms_norm(total.numpy(), weight.numpy(), ctx.eps, y.numpy())
        return total, y

    @staticmethod
    def backward(ctx: Any, grad_x: Tensor, grad_y: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        out = torch.empty_like(x)
        grads = grad_x.contiguous().numpy(), grad_y.contiguous().numpy()
        kernels.rms_norm_backward(x.detach().numpy(), weight.numpy(), ctx.eps, *grads, out.numpy())
        return out, out if ctx.added else None, None, None


class _Attention(torch.autograd.Function):
    """Rotary causal attention within packed sequences."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, packing: Packing, ops: FusedOps) -> Tensor:
        ctx.save_for_backward(qkv)
        ctx.packing, ctx.ops = packing, ops
        return ops.causal_packed(qkv, packing)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (qkv,), p, ops = ctx.saved_tensors, ctx.packing, ctx.ops
        out = torch.empty_like(qkv)
        groups = ops.config.num_key_value_heads
        grad_ = grad.contiguous().numpy()
        kernels.attention_backward(qkv.detach().numpy(), p.starts, p.sizes, *ops.tables(), groups, grad_, out.numpy())
        return out, None, None
