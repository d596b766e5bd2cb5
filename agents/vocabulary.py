"""Cross-entropy over a large vocabulary without storing the logits.

Logits of some tokens at a time are computed, and the gradient of the states with them, since the gradient of a token's
loss is a multiple of it that is known only later (as in Liger Kernel, Hsu et al. 2024). Memory is CHUNK x vocabulary,
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
    out: Tensor = _Nll.apply(states, head, targets)  # type: ignore[no-untyped-call]
    return out


class _Nll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        found = states.new_empty(len(states), dtype=torch.float32)
        grads = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        for start in range(0, len(states), CHUNK):
            part, wanted = states[start : start + CHUNK], targets[start : start + CHUNK, None]
            scores = F.linear(part, head).float()
            total = scores.logsumexp(-1, keepdim=True)
            found[start : start + CHUNK] = (total - scores.gather(1, wanted))[:, 0]
            if grads is not None:
                chances = scores.sub_(total).exp_()
                chances.scatter_add_(1, wanted, chances.new_full(wanted.shape, -1.0))
                grads[start : start + CHUNK] = chances.to(head.dtype) @ head
        if grads is not None:
            ctx.save_for_backward(grads)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (grads,) = ctx.saved_tensors
        return grads * grad[:, None].to(grads.dtype), None, None
