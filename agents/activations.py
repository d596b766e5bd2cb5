"""Memory of the activations that training keeps for its backward pass, and how much of it a micro-batch may take."""

from __future__ import annotations

import torch

from agents.architectures import ModelConfig

BUDGET = {"cpu": 1.5e9, "cuda": 6e9}
"""Bytes of activations of all micro-batches at work, by type of device."""
LEAST = 1024
"""Tokens of a micro-batch up to which memory does not make it smaller: products of fewer rows are slower. Beyond the
budget, layers are computed again in the backward pass instead (activation checkpointing)."""


def bytes_per_token(c: ModelConfig, rank: int, itemsize: int) -> int:
    """Bytes kept per token and layer: two norms with their inputs, q, k and v before and after rotation, the result of
    attention, gate and up and their product, and LoRA's low-rank products; summed over layers."""
    attention = c.head_dim * (3 * c.num_attention_heads + 3 * c.num_key_value_heads)
    low = 7 * rank
    return c.num_hidden_layers * itemsize * (4 * c.hidden_size + attention + 3 * c.intermediate_size + low)


def micro_batch(c: ModelConfig, rank: int, dtype: torch.dtype, device: torch.device, threads: int, most: int) -> int:
    """Number of tokens of a micro-batch: `most`, or what fits the budget of a thread."""
    fitting = BUDGET.get(device.type, BUDGET["cuda"]) / threads / bytes_per_token(c, rank, dtype.itemsize)
    return max(1, min(most, max(LEAST, int(fitting))))


def recomputes(c: ModelConfig, rank: int, dtype: torch.dtype, device: torch.device, threads: int, tokens: int) -> bool:
    """Whether the layers of a micro-batch of `tokens` tokens are computed again in the backward pass: if its
    activations are more than a quarter beyond the budget of a thread."""
    budget = BUDGET.get(device.type, BUDGET["cuda"]) / threads
    return tokens * bytes_per_token(c, rank, dtype.itemsize) > 1.25 * budget
