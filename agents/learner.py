"""Sleep: a generation's experience becomes weights, for all agents in one batch.

Weighted likelihood (each example's tokens count `weight` times) on LoRA adapters, stacked over agents: one forward
and one backward serve the population. Loss normalisation, gradient clipping, AdamW moments (Loshchilov & Hutter 2019)
and step counts are each agent's own, and agents without examples in a step are left untouched to the bit. An
exponential moving average of each agent's weights is kept for acting. Left out: policy gradients, full-weight
training.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from agents.adapters import AdapterLayout, Adapters, save_tensors
from agents.checkpoint import BaseModel
from agents.model import causal_mask, forward, rope_table
from agents.parallel import evenly, in_threads
from agents.tokenizer import Tokenizer

BETAS = (0.9, 0.98)
EPSILON = 1e-8
STATE = ("trained", "acting", "first_moment", "second_moment", "steps")


@dataclass(frozen=True)
class Example:
    """One weighted training text of one agent; only the completion's tokens are learned."""

    agent: str
    prompt: str
    completion: str
    weight: float = 1.0


@dataclass(frozen=True)
class SleepReport:
    """One agent's sleep. `tokens` counts prompt and completion, each once; `loss` is nats a completion token."""

    agent: str
    examples: int
    tokens: int
    steps: int
    loss: float


@dataclass(frozen=True)
class LearnerConfig:
    rank: int = 32
    alpha: float = 64.0
    learning_rate: float = 2e-3
    batch: int = 32  # examples an agent and step
    clip: float = 1.0
    weight_decay: float = 0.0
    average: float = 0.95  # decay of the acting average, a step


@dataclass
class _Row:
    prompt: list[int]
    completion: list[int]
    weight: float

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.completion)


class Learner:
    """The trained adapters of a population, their optimiser state, and their acting averages."""

    def __init__(self, base: BaseModel, tokenizer: Tokenizer, config: LearnerConfig) -> None:
        self.base, self.tokenizer, self.config = base, tokenizer, config
        self.layout = AdapterLayout(base.config, config.rank, config.alpha)
        self.names: list[str] = []
        self.state = {k: torch.zeros(0, self.layout.size) for k in STATE[:4]} | {"steps": torch.zeros(0)}

    # -- population ----------------------------------------------------------------------------------------------

    def add(self, name: str, row: Tensor) -> None:
        """A new agent that starts from this flat adapter row, with empty optimiser state."""
        if name in self.names:
            raise ValueError(f"there already is an agent named {name!r}")
        self.names.append(name)
        zero = torch.zeros_like(row)
        for key, value in zip(STATE, (row, row, zero, zero, torch.zeros(())), strict=True):
            self.state[key] = torch.cat([self.state[key], value[None]])

    def remove(self, name: str) -> None:
        keep = [i for i, n in enumerate(self.names) if n != name]
        self.names = [self.names[i] for i in keep]
        self.state = {k: v[keep] for k, v in self.state.items()}

    def acting_row(self, name: str) -> Tensor:
        return self.state["acting"][self.names.index(name)]

    def acting(self) -> Adapters:
        """A copy of the acting adapters, for an engine."""
        return Adapters(self.base, self.layout, self.names, self.state["acting"].clone())

    # -- learning ------------------------------------------------------------------------------------------------

    def sleep(self, examples: Sequence[Example], seed: str) -> list[SleepReport]:
        """Train every agent once on its examples, in batches shuffled by `seed`."""
        prompts = self.tokenizer.encode([e.prompt for e in examples])
        completions = self.tokenizer.encode([e.completion for e in examples])
        rows: dict[str, list[_Row]] = {}
        for example, prompt, completion in zip(examples, prompts, completions, strict=True):
            if example.agent not in self.names:
                raise ValueError(f"an example names an unknown agent: {example.agent!r}")
            if example.weight > 0 and len(prompt) + len(completion) < self.base.config.max_position_embeddings:
                rows.setdefault(example.agent, []).append(
                    _Row(prompt, [*completion, self.tokenizer.eos], example.weight)
                )
        present = [n for n in self.names if n in rows]
        for name in present:
            random.Random(f"{seed}/{name}").shuffle(rows[name])
        shards = [present[part] for part in evenly(len(present), len(present), torch.get_num_threads())]
        losses: dict[str, list[float]] = {n: [] for n in present}
        for found in in_threads(lambda shard: self._train({n: rows[n] for n in shard}), shards):
            losses.update(found)
        return [
            SleepReport(
                n, len(rows[n]), sum(r.length for r in rows[n]), len(losses[n]), sum(losses[n]) / max(1, len(losses[n]))
            )
            for n in present
        ]

    def _train(self, rows: dict[str, list[_Row]]) -> dict[str, list[float]]:
        """All steps of some agents, in mixed batches; the losses of each agent's steps."""
        steps = -(-max(map(len, rows.values())) // self.config.batch)
        losses: dict[str, list[float]] = {n: [] for n in rows}
        for step in range(steps):
            # every agent spreads its examples over all steps, so that batches stay mixed to the end
            batches = {n: r[len(r) * step // steps : len(r) * (step + 1) // steps] for n, r in rows.items()}
            for name, loss in self._step({n: b for n, b in batches.items() if b}).items():
                losses[name].append(loss)
        return losses

    def _step(self, batches: dict[str, list[_Row]]) -> dict[str, float]:
        """One optimiser step of the named agents; returns their losses."""
        names = list(batches)
        index = torch.tensor([self.names.index(n) for n in names])
        flat = self.state["trained"][index]
        leaves = {k: v.detach().clone().requires_grad_(True) for k, v in self.layout.leaves(flat).items()}
        # normalise over all of an agent's tokens in this step, though its long and short rows run apart
        total = torch.tensor([sum(r.weight * len(r.completion) for r in batches[n]) for n in names])
        losses = torch.zeros(len(names))
        ordered = {n: sorted(b, key=lambda r: r.length) for n, b in batches.items()}
        for part in range(2):
            chunk = [
                ordered[n][len(ordered[n]) * part * 2 // 3 : [len(ordered[n]) * 2 // 3, None][part]] for n in names
            ]
            if any(chunk):
                loss = self._loss(leaves, chunk) / total  # (A,)
                loss.sum().backward()  # type: ignore[no-untyped-call]
                losses += loss.detach()
        empty = torch.zeros(())
        gradient = torch.cat(
            [(empty.expand(v.shape) if v.grad is None else v.grad).flatten(1) for v in leaves.values()], dim=1
        )
        self._update(index, gradient)
        return dict(zip(names, losses.tolist(), strict=True))

    def _loss(self, leaves: dict[tuple[int, str, str], Tensor], chunk: list[list[_Row]]) -> Tensor:
        """(A,) weighted negative log-likelihood sums of a ragged grid of rows."""
        height, width = max(map(len, chunk)), max(r.length for rows in chunk for r in rows)
        grid = np.full((len(chunk), height, width), self.tokenizer.pad, dtype=np.int64)
        weights = np.zeros(grid.shape, dtype=np.float32)
        real = np.ones(grid.shape[:2], dtype=np.int64)
        for a, rows in enumerate(chunk):
            for b, row in enumerate(rows):
                grid[a, b, : row.length] = row.prompt + row.completion
                weights[a, b, len(row.prompt) : row.length] = row.weight
                real[a, b] = row.length
        tokens, weight, lengths = (torch.from_numpy(x) for x in (grid, weights, real))
        cos, sin = rope_table(self.base.config, width)
        logits = forward(
            self.layout.stack(self.base, leaves),
            tokens,
            cos,
            sin,
            causal_mask(lengths.flatten(), width, left_padded=False),
        )
        nll = F.cross_entropy(logits[:, :, :-1].flatten(0, 2), tokens[:, :, 1:].flatten(), reduction="none")
        return (nll.view(len(chunk), height, width - 1) * weight[:, :, 1:]).sum((1, 2))

    def _update(self, index: Tensor, gradient: Tensor) -> None:
        """AdamW on the rows `index`, with each row's own clipping and step count; then the acting average."""
        c, state = self.config, self.state
        norm = gradient.norm(dim=1, keepdim=True)
        gradient = gradient * (c.clip / norm.clamp_min(1e-12)).clamp_max(1.0)
        steps = state["steps"][index] + 1
        first = state["first_moment"][index].lerp(gradient, 1 - BETAS[0])
        second = state["second_moment"][index].lerp(gradient.square(), 1 - BETAS[1])
        scale1, scale2 = (1 - b ** steps[:, None] for b in BETAS)
        update = (first / scale1) / ((second / scale2).sqrt() + EPSILON)
        trained = state["trained"][index] * (1 - c.learning_rate * c.weight_decay) - c.learning_rate * update
        acting = state["acting"][index].lerp(trained, 1 - c.average)
        for key, value in zip(STATE, (trained, acting, first, second, steps), strict=True):
            state[key].index_copy_(0, index, value)  # in place: other threads write other rows

    # -- state ---------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> str:
        """Write everything `load` needs, atomically; returns the file's SHA-256."""
        return save_tensors({k: v.contiguous() for k, v in self.state.items()}, path)

    def load(self, path: Path, names: Sequence[str]) -> None:
        """Restore a saved state for these agents. Raises ValueError, naming the file, if it is damaged or does not
        fit."""
        try:
            state = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"cannot read the learner state {path}: {error}") from None
        wanted = {k: (len(names), self.layout.size) for k in STATE[:4]} | {"steps": (len(names),)}
        found = {k: tuple(v.shape) for k, v in state.items()}
        if found != wanted:
            raise ValueError(f"the learner state {path} does not fit: expected shapes {wanted}, found {found}")
        self.names, self.state = list(names), state
