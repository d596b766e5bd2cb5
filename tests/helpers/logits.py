"""Logits of whole texts, to compare our models with other implementations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.attention import Ops, TorchOps
from agents.grouped_gemm import segments_of
from agents.model import StackedWeights, hidden, logits
from agents.packing import Packing


def full_logits(weights: StackedWeights, rows: Sequence[Sequence[int]], ops: Ops | None = None) -> list[Tensor]:
    """Logits (length, V) at every position of each row of ids, all rows of the first agent."""
    ops = ops or TorchOps(weights.config, weights.embed.device, weights.embed.dtype)
    packing = Packing([len(r) for r in rows], weights.embed.device)
    tokens = torch.tensor([i for r in rows for i in r], device=weights.embed.device)
    states = hidden(weights, tokens, segments_of([len(tokens)]), lambda _, qkv: ops.attention(qkv, packing), ops)
    return list(torch.split(logits(weights, states), packing.lengths))
