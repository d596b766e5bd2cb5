"""Cross-entropy and entropy over a large vocabulary without storing the logits.

Logits of some tokens at a time are computed, and the gradients of the states with them, since the gradient of a token's
loss is a multiple of them that is known only later (as in Liger Kernel, Hsu et al. 2024). Memory is CHUNK x vocabulary,
not tokens x vocabulary, and nothing is computed twice.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 128
"""Tokens whose logits are in memory at a time."""
CHUNK_ABOVE = 8192
"""Vocabulary from which logits are computed in chunks; smaller ones are faster at once."""


def nll(states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood [T], float32, of token ids `targets` [T], given states [T, D] and the head [V, D].

    Differentiable in the states, and below CHUNK_ABOVE also in the head.
    """
    if head.shape[0] <= CHUNK_ABOVE or head.requires_grad:
        return F.cross_entropy(F.linear(states, head).float(), targets, reduction="none")
    out: Tensor = _Chunked.apply(states, head, targets, False)[0]  # type: ignore[no-untyped-call]
    return out


def nll_entropy(states: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The negative log-likelihoods [T] and, in nats, the entropies [T] of the distributions, float32; as `nll`."""
    if head.shape[0] <= CHUNK_ABOVE or head.requires_grad:
        logp = F.linear(states, head).float().log_softmax(-1)
        return -logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(-1)
    out: tuple[Tensor, Tensor] = _Chunked.apply(states, head, targets, True)  # type: ignore[no-untyped-call]
    return out


class _Chunked(torch.autograd.Function):
    """(nll, entropy); the entropy, and its gradient, are zero unless asked for."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, head: Tensor, targets: Tensor, entropy: bool) -> tuple[Tensor, Tensor]:
        found = states.new_empty(len(states), dtype=torch.float32)
        spread = states.new_zeros(len(states), dtype=torch.float32)
        differentiable = ctx.needs_input_grad[0]
        grads = torch.empty_like(states) if differentiable else None
        spread_grads = torch.empty_like(states) if differentiable and entropy else None
        for start in range(0, len(states), CHUNK):
            rows = slice(start, start + CHUNK)
            part, wanted = states[rows], targets[rows, None]
            scores = F.linear(part, head).float()
            total = scores.logsumexp(-1, keepdim=True)
            found[rows] = (total - scores.gather(1, wanted))[:, 0]
            if grads is None and not entropy:
                continue
            scores.sub_(total)
            chances = scores.exp() if entropy else scores.exp_()
            if entropy:
                own = -(chances * scores).sum(-1, keepdim=True)
                spread[rows] = own[:, 0]
                if spread_grads is not None:  # dH / dlogit = -p (log p + H)
                    spread_grads[rows] = -(chances * (scores + own)).to(head.dtype) @ head
            if grads is not None:
                chances.scatter_add_(1, wanted, chances.new_full(wanted.shape, -1.0))
                grads[rows] = chances.to(head.dtype) @ head
        if grads is not None:
            ctx.save_for_backward(grads, spread_grads)
        return found, spread

    @staticmethod
    def backward(ctx: Any, grad: Tensor, spread_grad: Tensor) -> tuple[Tensor, None, None, None]:
        grads, spread_grads = ctx.saved_tensors
        out = grads * grad[:, None].to(grads.dtype)
        if spread_grads is not None:
            out = out + spread_grads * spread_grad[:, None].to(grads.dtype)
        return out, None, None, None
