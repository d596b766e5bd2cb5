"""Sleep: fine-tune the LoRA adapters of all agents on the experience of a generation, in one batch.

The loss of a completion token is given by an objective (`agents.objectives`): weighted likelihood or a policy gradient.
Adapters are stacked over agents, so that one forward and one backward pass serve the population. Loss normalisation,
gradient clipping, AdamW moments (Loshchilov & Hutter 2019) and step counts are separate for each agent; agents without
examples in a step are not changed at all. Agents act with an exponential moving average of their trained weights. Left
out: full fine-tuning.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from agents.activations import micro_batch, recomputes
from agents.adapters import AdapterLayout, Adapters, save_tensors
from agents.architectures import MERGE_BELOW
from agents.checkpoint import BaseModel
from agents.examples import Example as Example  # its users also need the learner
from agents.examples import Row, make_rows, shared_tokens
from agents.fused_ops import make_ops
from agents.grouped_gemm import segments_of
from agents.memory import release_freed_memory
from agents.model import StackedWeights, hidden
from agents.objectives import Likelihood, Objective, TrainedTokens
from agents.packing import Packing
from agents.parallel import evenly, in_threads, workers
from agents.prefixes import Family
from agents.stored_file import check_file
from agents.tokenizer import Tokenizer
from agents.value import Outcome, features, fit_all, numbers_of, width
from agents.vocabulary import nll, nll_entropy

BETAS = (0.9, 0.98)
EPSILON = 1e-8
COLUMNS = 1 << 20  # parameters of an adapter that the optimiser updates at a time
STATE = ("trained", "acting", "first_moment", "second_moment", "steps")
OPTIMISER = STATE[2:]
VALUE = "value"  # heads of the value function (agents.value)
BASE_MODEL = ""  # instead of an agent's name: the base model without an adapter


@dataclass(frozen=True)
class SleepReport:
    """Statistics of an agent's sleep.

    `tokens` is the total length of prompts and completions; `loss` is that of the objective, a mean over steps: with
    `Likelihood` in nats per completion token.
    """

    agent: str
    examples: int
    tokens: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Score:
    """The likelihood of a completion: its negative log-probability given the prompt, including the end of text, and its
    length in tokens. nan and 0 if prompt and completion exceed the context."""

    nats: float
    tokens: int


@dataclass(frozen=True)
class LearnerConfig:
    rank: int = 32
    alpha: float = 64.0
    learning_rate: float = 2e-3
    batch: int = 32  # examples per agent and step
    clip: float = 1.0
    weight_decay: float = 0.0
    average: float = 0.95  # decay of the acting average per step
    tokens: int = 4096  # approximate size of a micro-batch; affects speed and memory only
    objective: Objective = field(default_factory=Likelihood)


class Learner:
    """The trained adapters of a population with their optimiser state and acting averages.

    `state` maps the names in `STATE` to tensors [agents, size] ("steps": [agents]), and `VALUE` to the heads of the
    value function (`agents.value`) [agents, width], in the order of `names`.
    """

    def __init__(self, base: BaseModel, tokenizer: Tokenizer, config: LearnerConfig) -> None:
        self.base, self.tokenizer, self.config = base, tokenizer, config
        self.layout = AdapterLayout(base.config, config.rank, config.alpha)
        self.ops = make_ops(base.config, base.device, base.dtype)
        self.names: list[str] = []
        self.device, self.threads = base.device, workers(base.device)
        self.state = {k: torch.zeros(0, self.layout.size, device=self.device) for k in STATE[:4]}
        self.state["steps"] = torch.zeros(0, device=self.device)
        self.state[VALUE] = torch.zeros(0, width(base.config.hidden_size), device=self.device)

    # -- population ----------------------------------------------------------------------------------------------

    def add(self, name: str, row: Tensor) -> None:
        """Add an agent with adapter `row` [size] and empty optimiser state. Raises ValueError if the name exists."""
        if name in self.names:
            raise ValueError(f"there already is an agent named {name!r}")
        self.names.append(name)
        zero = torch.zeros_like(row)
        head = torch.zeros(self.state[VALUE].shape[1])
        for key, value in zip((*STATE, VALUE), (row, row, zero, zero, torch.zeros(()), head), strict=True):
            self.state[key] = torch.cat([self.state[key], value[None].to(self.device)])

    def remove(self, name: str) -> None:
        keep = [i for i, n in enumerate(self.names) if n != name]
        self.names = [self.names[i] for i in keep]
        self.state = {k: v[keep] for k, v in self.state.items()}

    def replace(self, name: str, row: Tensor) -> None:
        """Replace the adapter of an agent by `row` [size] and reset its optimiser state."""
        at = self.names.index(name)
        for key in self.state:
            self.state[key][at] = row.to(self.device) if key in ("trained", "acting") else 0.0

    def copy(self, source: str, target: str, only: Sequence[str] = (*STATE, VALUE)) -> None:
        """Copy weights, optimiser state and value function from `source` to `target`; `only`: the entries of `state` to
        copy."""
        a, b = self.names.index(source), self.names.index(target)
        for key in only:
            self.state[key][b] = self.state[key][a]

    def remove_start(self, name: str, start: Tensor) -> None:
        """Remove the initial row `start` [size] from the acting average of an agent (bias correction, Kingma & Ba
        2015), so that it acts with what it learned, not with its initial weights."""
        at = self.names.index(name)
        left = self.config.average ** float(self.state["steps"][at])
        if left < 1.0:
            self.state["acting"][at] = (self.state["acting"][at] - left * start.to(self.device)) / (1.0 - left)

    def acting_row(self, name: str) -> Tensor:
        return self.state["acting"][self.names.index(name)]

    def acting(self) -> Adapters:
        """The acting adapters, copied, for an engine."""
        heads = self.state[VALUE].clone() if self.state[VALUE].any() else None
        return Adapters(self.base, self.layout, self.names, self.state["acting"].clone(), heads)

    # -- learning ------------------------------------------------------------------------------------------------

    def sleep(self, examples: Sequence[Example], seed: str) -> list[SleepReport]:
        """Train every agent on its examples for one epoch, in batches shuffled with `seed`.

        Examples without weight (without positive weight, if the objective takes no others) or longer than the context
        are skipped.

        Returns:
            One report per agent that has examples, in the order of `names`.

        Raises:
            ValueError: an example belongs to an unknown agent.
        """
        rows = self.rows(examples)
        if self.config.objective.kl:
            self._add_base(rows)
        present = [n for n in self.names if n in rows]
        for name in present:
            random.Random(f"{seed}/{name}").shuffle(rows[name])
        step_tokens = sum(r.length for n in present for r in rows[n]) / max(1, len(present)) / self.steps_of(rows)
        together = max(
            1, round(self.config.tokens / max(1.0, step_tokens))
        )  # number of agents whose steps fit one micro-batch
        threads = workers(self.device)
        shards = [present[part] for part in evenly(len(present), together, threads)]
        losses: dict[str, list[float]] = {n: [] for n in present}
        for found in in_threads(lambda shard: self._train({n: rows[n] for n in shard}), shards, threads):
            losses.update(found)
        return [
            SleepReport(
                n, len(rows[n]), sum(r.length for r in rows[n]), len(losses[n]), sum(losses[n]) / max(1, len(losses[n]))
            )
            for n in present
        ]

    def rows(self, examples: Sequence[Example]) -> dict[str, list[Row]]:
        """The examples that are trained on, by agent. Raises ValueError for an unknown agent."""
        context, signed = self.base.config.max_position_embeddings, self.config.objective.signed
        found: dict[str, list[Row]] = {}
        for agent, row in make_rows(self.tokenizer, examples, signed):
            if agent not in self.names:
                raise ValueError(f"an example names an unknown agent: {agent!r}")
            if row.weights.any() and row.length <= context:
                found.setdefault(agent, []).append(row)
        return found

    @torch.no_grad()
    def _add_base(self, rows: dict[str, list[Row]]) -> None:
        """Fill in the log-probabilities of all rows under the base model."""
        weights = self.acting().weights([None])
        for part in self._micro_batches([[row for own in rows.values() for row in own]]):
            nats = torch.split(self._nll(weights, part)[0], [row.learned for row in part[0]])
            for row, found in zip(part[0], nats, strict=True):
                row.base = -found.cpu().numpy()

    def steps_of(self, rows: dict[str, list[Row]]) -> int:
        """Number of optimiser steps: as many as the agent with the most examples needs."""
        return -(-max(map(len, rows.values()), default=0) // self.config.batch) or 1

    def _train(self, rows: dict[str, list[Row]]) -> dict[str, list[float]]:
        """Segment all steps of the given agents, in shared batches. Returns the losses of each agent per step."""
        steps = self.steps_of(rows)
        losses: dict[str, list[float]] = {n: [] for n in rows}
        for step in range(steps):
            # each agent's examples are spread over all steps, so that every batch has all agents
            batches = {n: r[len(r) * step // steps : len(r) * (step + 1) // steps] for n, r in rows.items()}
            for name, loss in self._step({n: b for n, b in batches.items() if b}).items():
                losses[name].append(loss)
        return losses

    def _step(self, batches: dict[str, list[Row]]) -> dict[str, float]:
        """Segment one optimiser step of the given agents. Returns their losses in nats per completion token."""
        names = list(batches)
        index = torch.tensor([self.names.index(n) for n in names], device=self.device)
        stack = self.layout.training(self.base, self.state["trained"][index])
        # normalised over all rows of an agent in this step, which may be in several micro-batches
        scale = self.config.objective.scale
        shares = [sum(scale(r.weights)[1] for r in batches[n]) for n in names]
        total, losses = torch.tensor(shares, device=self.device), torch.zeros(len(names), device=self.device)
        for part in self._micro_batches([batches[n] for n in names]):
            loss = self._loss(stack.weights(), part) / total  # (agents,)
            loss.sum().backward()  # type: ignore[no-untyped-call]
            losses += loss.detach()
        self._update(index, stack.gradient())
        if self.base.config.linear_parameters > MERGE_BELOW:
            release_freed_memory()
        return dict(zip(names, losses.tolist(), strict=True))

    def _micro_batches(self, batches: list[list[Row]]) -> Iterator[list[list[Row]]]:
        """Split the rows of all agents into parts of about `tokens` tokens, fewer if memory requires it.

        Without shared prefixes every part has rows of every agent, sorted by length. With them, rows with a common
        prefix stay together, and a part has few agents.
        """
        size = self.base.config, self.config.rank, self.base.dtype, self.device
        most = micro_batch(*size, self.threads, self.config.tokens)
        if not self.ops.shares:
            ordered = [sorted(rows, key=lambda r: r.length) for rows in batches]
            parts = max(1, round(sum(r.length for rows in ordered for r in rows) / most))
            for part in range(parts):
                yield [r[len(r) * part // parts : len(r) * (part + 1) // parts] for r in ordered]
            return
        ordered = [sorted(rows, key=lambda r: (r.prompt, r.length)) for rows in batches]
        costs = [
            [row.length - shared for row, shared in zip(rows, shared_tokens(rows), strict=True)] for rows in ordered
        ]
        total = sum(map(sum, costs))
        share, tokens = total / max(1, round(total / most)), 0
        found = [list[Row]() for _ in batches]
        for agent, rows in enumerate(ordered):
            for row, cost in zip(rows, costs[agent], strict=True):
                if tokens and tokens + cost / 2 > share:  # the part ends at the row boundary nearest to its share
                    yield found
                    found, tokens, cost = [list[Row]() for _ in batches], 0, row.length
                found[agent].append(row)
                tokens += cost
        yield found

    @torch.no_grad()
    def score(self, examples: Sequence[Example]) -> list[Score]:
        """Compute the likelihood of each completion under the acting weights of its agent.

        The agent `BASE_MODEL` stands for the base model. Weights of examples are ignored.

        Returns:
            One score per example, in order.

        Raises:
            ValueError: an example belongs to an unknown agent.
        """
        prompts = self.tokenizer.encode_prompts([e.prompt for e in examples])
        completions = self.tokenizer.encode_completions([e.prompt for e in examples], [e.completion for e in examples])
        rows: dict[str, list[Row]] = {}
        for i, (example, prompt, completion) in enumerate(zip(examples, prompts, completions, strict=True)):
            if len(prompt) + len(completion) <= self.base.config.max_position_embeddings:
                row = Row(prompt, completion, place=i)
                rows.setdefault(example.agent, []).append(row)
        scores = [Score(math.nan, 0)] * len(examples)
        if rows:
            weights = self.acting().weights([None if name == BASE_MODEL else name for name in rows])
            for part in self._micro_batches(list(rows.values())):
                each = [row for own in part for row in own]
                nats = torch.split(self._nll(weights, part)[0], [row.learned for row in each])
                for row, found in zip(each, nats, strict=True):
                    scores[row.place] = Score(float(found.double().sum()), row.learned)
        return scores

    def fit_values(self, outcomes: Sequence[Outcome], prior: float) -> int:
        """Fit the agents' value heads to outcomes, under their acting weights. Returns the number of tokens read.

        Texts longer than the context are left out. Raises ValueError for an unknown agent.
        """
        prompts = self.tokenizer.encode_prompts([o.prompt for o in outcomes])
        completions = self.tokenizer.encode_completions([o.prompt for o in outcomes], [o.completion for o in outcomes])
        rows: dict[str, list[Row]] = {}
        for i, (outcome, prompt, completion) in enumerate(zip(outcomes, prompts, completions, strict=True)):
            if outcome.agent not in self.names:
                raise ValueError(f"an outcome names an unknown agent: {outcome.agent!r}")
            if prompt and len(prompt) + len(completion) <= self.base.config.max_position_embeddings:
                rows.setdefault(outcome.agent, []).append(Row(prompt, completion, place=i))
        if not rows:
            return 0
        marks = {mark: self.tokenizer.containing(mark) for mark in {o.mark for o in outcomes}}
        found, right, weight, agent = list[Tensor](), list[bool](), list[float](), list[int]()
        for name, row, states, logprobs in self._read(rows):
            outcome = outcomes[row.place]
            steps = [j + 1 for j, token in enumerate(row.completion[:-1]) if token in marks[outcome.mark]]
            numbers = [numbers_of(len(row.prompt), logprobs[:at], n) for n, at in enumerate([0, *steps])]
            found.append(features(states[[0, *steps]], torch.tensor(numbers)))
            right += [outcome.right] * len(numbers)
            weight += [outcome.weight / len(numbers)] * len(numbers)  # the states of an attempt share one outcome
            agent += [self.names.index(name)] * len(numbers)
        known = torch.tensor(right), torch.tensor(weight), torch.tensor(agent)
        self.state[VALUE] = fit_all(self.state[VALUE], torch.cat(found), *known, prior)
        return sum(row.length for own in rows.values() for row in own)

    @torch.no_grad()
    def _read(self, rows: dict[str, list[Row]]) -> Iterator[tuple[str, Row, Tensor, list[float]]]:
        """Of each row under its agent's acting weights: the hidden states [learned, D] before its completion tokens,
        and the log-probabilities of these."""
        weights = self.acting().weights(list(rows))
        for part in self._micro_batches(list(rows.values())):
            states, targets = self._states(weights, part)
            logprobs = -nll(states, weights.head, targets)
            each = [(name, row) for name, own in zip(rows, part, strict=True) for row in own]
            sizes = [row.learned for _, row in each]
            apart = torch.split(states, sizes), torch.split(logprobs, sizes)
            for (name, row), own_states, own_logprobs in zip(each, *apart, strict=True):
                yield name, row, own_states, own_logprobs.tolist()

    def _loss(self, weights: StackedWeights, batch: list[list[Row]]) -> Tensor:
        """Sums [agents] of the scaled losses of the agents' tokens."""
        rows = [(agent, row) for agent, own in enumerate(batch) for row in own]
        objective = self.config.objective
        nats, entropy = self._nll(weights, batch, objective.entropy > 0)
        weight, sampled, base = (
            torch.from_numpy(np.concatenate([getattr(row, name) for _, row in rows])).to(self.device)
            for name in ("weights", "sampled", "base")
        )
        scales = [np.full(row.learned, objective.scale(row.weights)[0], dtype=np.float32) for _, row in rows]
        loss = objective.loss(TrainedTokens(-nats, sampled, base, weight, entropy))
        loss = loss * torch.from_numpy(np.concatenate(scales)).to(self.device)
        agent = torch.from_numpy(np.repeat([agent for agent, _ in rows], [row.learned for _, row in rows]))
        return torch.zeros(len(batch), device=self.device).index_add(0, agent.to(self.device), loss)

    def _nll(
        self, weights: StackedWeights, batch: list[list[Row]], entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Negative log-likelihood [learned tokens] of each completion token, in row order, and with `entropy` the
        entropy of its distribution."""
        states, targets = self._states(weights, batch)
        if entropy:
            return nll_entropy(states, weights.head, targets)
        return nll(states, weights.head, targets), None

    def _states(self, weights: StackedWeights, batch: list[list[Row]]) -> tuple[Tensor, Tensor]:
        """The last hidden states [learned tokens, width] before each completion token, in row order, and the tokens."""
        rows = [(agent, row) for agent, own in enumerate(batch) for row in own]
        families = [self._family(own) for own in batch]
        sequences = [ids for family in families for ids in family.sequences]
        parents, at_sequence = list[int](), list[int]()
        for family in families:
            first = len(parents)
            at_sequence += [first + i for i in family.at]
            parents += [first + p if p >= 0 else -1 for p in family.parents]
        packing = Packing([len(ids) for ids in sequences], self.device, parents)
        tokens = torch.tensor([i for ids in sequences for i in ids], device=self.device)
        # only positions that predict a completion token go through the last layer and the head
        learned = np.array([row.learned for _, row in rows])
        start = (packing.starts + packing.sizes)[at_sequence] - learned - 1
        places = np.repeat(start - (np.cumsum(learned) - learned), learned) + np.arange(learned.sum())
        at = torch.from_numpy(places).to(self.device)
        size = self.base.config, self.config.rank, self.base.dtype, self.device
        states = hidden(
            weights,
            tokens,
            segments_of([family.tokens for family in families]),
            lambda _, qkv: self.ops.attention(qkv, packing),
            self.ops,
            at,
            segments_of([sum(r.learned for r in own) for own in batch]),
            torch.is_grad_enabled() and recomputes(*size, self.threads, packing.total),
        )
        return states, tokens[at + 1]

    def _family(self, rows: list[Row]) -> Family:
        """The rows of one agent; prompts that begin alike share their prefix."""
        return Family([r.prompt + r.completion for r in rows], [r.prompt for r in rows], self.ops.shares)

    def _update(self, index: Tensor, gradient: Tensor) -> None:
        """Update the rows `index` [rows] and their acting averages by AdamW, given `gradient` [rows, size].

        Clipping and step counts are separate for each row.
        """
        c, state = self.config, self.state
        norm = gradient.norm(dim=1, keepdim=True)
        clip = (c.clip / norm.clamp_min(1e-12)).clamp_max(1.0)
        steps = state["steps"][index] + 1
        scale1, scale2 = (1 - b ** steps[:, None] for b in BETAS)
        for start in range(0, gradient.shape[1], COLUMNS):  # a part at a time, to save memory
            part = slice(start, start + COLUMNS)
            old = {key: state[key][:, part][index] for key in STATE[:4]}
            clipped = gradient[:, part] * clip
            first = old["first_moment"].lerp(clipped, 1 - BETAS[0])
            second = old["second_moment"].lerp(clipped.square(), 1 - BETAS[1])
            update = (first / scale1) / ((second / scale2).sqrt() + EPSILON)
            trained = old["trained"] * (1 - c.learning_rate * c.weight_decay) - c.learning_rate * update
            acting = old["acting"].lerp(trained, 1 - c.average)
            for key, value in zip(STATE, (trained, acting, first, second), strict=False):
                state[key][:, part].index_copy_(0, index, value)  # in place: other threads write other rows
        state["steps"].index_copy_(0, index, steps)

    # -- state ---------------------------------------------------------------------------------------------------

    def save(self, path: Path, previous: Path | None = None) -> str:
        """Write the state atomically as a safetensors file, or as a link to `previous` if that is equal. Returns its
        SHA-256."""
        return save_tensors({k: v.contiguous() for k, v in self.state.items()}, path, previous)

    def load(self, path: Path, names: Sequence[str]) -> None:
        """Restore a saved state for the agents `names`.

        Raises:
            ValueError: the file is damaged or does not match the agents or the layout; the message names it.
        """
        try:
            check_file(path)
            state = load_file(path)
        except (OSError, ValueError, SafetensorError) as error:
            raise ValueError(f"cannot read the learner state {path}: {error}") from None
        heads = len(names), width(self.base.config.hidden_size)
        state = {VALUE: torch.zeros(heads)} | state  # runs of before had none
        wanted = {k: (len(names), self.layout.size) for k in STATE[:4]} | {"steps": (len(names),), VALUE: heads}
        found = {k: tuple(v.shape) for k, v in state.items()}
        if found != wanted:
            raise ValueError(
                f"the learner state {path} does not fit: expected shapes {wanted}, found {str(found)[:500]}"
            )
        for key, value in state.items():
            if value.dtype != torch.float32 or not value.isfinite().all():
                raise ValueError(f"the learner state {path} is damaged: {key} has values that are not finite float32")
        self.names, self.state = list(names), {k: v.to(self.device) for k, v in state.items()}
