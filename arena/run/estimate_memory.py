"""Estimates of peak memory of a run with its model in this process.

Counted from the sizes of the model, the adapters and the longest texts: base weights, adapters with their optimiser
state, and the larger of what generation and training need on top of them. Left out: memory that a GPU engine reserves
for itself (`engine.vllm.cache_gb`), and records of a generation.

Not guaranteed: the share that the allocator and a memory-mapped checkpoint add; `PROGRAM` and `SLACK` were measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agents.activations import bytes_per_token, micro_batch
from agents.architectures import MERGE_BELOW, ModelConfig
from agents.vocabulary import CHUNK, CHUNK_ABOVE

PROGRAM = 450e6
"""Bytes of the program and its libraries."""
STATES = 5
"""Copies of the adapters in float32: the four of the learner, and the engine's."""
STEP = 3
"""Further copies during a step: trained weights, their gradient, and what is computed from them."""
STACKED = 1.5
"""Stored numbers per adapter parameter where factors of several projections are stacked with zeros between them."""
SLACK = 1.1


@dataclass(frozen=True)
class Work:
    """Sizes of the work: agents, parameters and rank of an adapter, rows generated at a time, the longest text in
    tokens, tokens of the prompts that are read at a time, whether agents are trained, `sleep.tokens`, and threads."""

    agents: int
    adapter: int
    rank: int
    rows: float
    longest: float
    prompts: float
    trains: bool
    micro_batch: int
    threads: int


def parameters(c: ModelConfig) -> int:
    """Number of parameters of a checkpoint, a tied head counted once."""
    total = 0
    for shape in c.shapes().values():
        count = 1
        for n in shape:
            count *= n
        total += count
    return total


def memory(c: ModelConfig, dtype: torch.dtype, device: torch.device, work: Work) -> dict[str, float]:
    """Bytes by part: program, weights, adapters, and the peak of the work on top of them."""
    each = dtype.itemsize
    parts = {"program": PROGRAM, "weights": float(each * parameters(c))}
    parts["adapters"] = work.agents * work.adapter * 4.0 * STATES
    parts["work"] = max(generating(c, each, work), training(c, dtype, device, work) if work.trains else 0.0)
    return parts


def generating(c: ModelConfig, each: int, work: Work) -> float:
    """Key-value cache, stacked adapters, activations of the prompts that are read at a time, logits."""
    cache = work.rows * work.longest * 2 * c.num_hidden_layers * c.num_key_value_heads * c.head_dim * each
    heads = (c.num_attention_heads + 2 * c.num_key_value_heads) * c.head_dim
    prefill = work.prompts * (3 * c.intermediate_size + 3 * c.hidden_size + 3 * heads) * each
    logits = work.rows * c.vocab_size * (each + 8)
    return cache + stacked(c, each, work) + prefill + logits


def training(c: ModelConfig, dtype: torch.dtype, device: torch.device, work: Work) -> float:
    """Activations of the micro-batches of all threads, logits, stacked adapters and the optimiser's step."""
    tokens = micro_batch(c, work.rank, dtype, device, work.threads, work.micro_batch)
    logits = (CHUNK if c.vocab_size > CHUNK_ABOVE else tokens / 2) * c.vocab_size * (dtype.itemsize + 8)
    step = work.agents * work.adapter * 4.0 * STEP
    activations = tokens * bytes_per_token(c, work.rank, dtype.itemsize)
    return work.threads * (activations + logits) + step + stacked(c, dtype.itemsize, work)


def stacked(c: ModelConfig, each: int, work: Work) -> float:
    """The weights of all agents as the products take them: merged for small models, otherwise as factors."""
    if c.linear_parameters <= MERGE_BELOW:
        return float(work.agents * c.linear_parameters * each)
    return work.agents * work.adapter * STACKED * each


def words(parts: dict[str, float]) -> str:
    """One line, rounded to 0.1 GB."""
    total = PROGRAM + SLACK * (sum(parts.values()) - PROGRAM)
    named = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in parts.items())
    return f"memory: about {total / 1e9:.1f} GB ({named})"
