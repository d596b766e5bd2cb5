"""Our side: the in-process engine and the learner, as a run uses them.

Each class builds everything first and offers `run(turn)`. Left out: the work of the arena around them (parsing,
checking, storing), which the other sides do not do either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from agents.adapters import AdapterLayout, Adapters
from agents.attention import TorchOps
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.learner import Example, Learner, LearnerConfig
from agents.objectives import Likelihood, Objective
from agents.tokenizer import Tokenizer
from arena.tools.bench import workload
from arena.tools.bench.timing import Work
from arena.tools.bench.workload import ALPHA, LEARNING_RATE, NEW_TOKENS, RANK, Batch, Size


class Generate:
    """One engine call for a whole batch, with any mixture of adapters."""

    def __init__(self, model: Path, adapters: Sequence[str], dtype: str = "auto") -> None:
        self.base, tokenizer = BaseModel.load(model, dtype), Tokenizer(model)
        self.layout = AdapterLayout(self.base.config, RANK, ALPHA)
        self.engine = TorchEngine(self.base, tokenizer)
        if adapters:
            self.adapters = Adapters(self.base, self.layout, adapters, workload.adapter_rows(self.layout, adapters))
            self.engine.set_adapters(self.adapters)

    def run(self, batch: Batch, turn: int) -> Work:
        requests = [
            Request(f"{turn}/{i}", prompt, adapter, NEW_TOKENS, min_tokens=NEW_TOKENS)
            for i, (prompt, adapter) in enumerate(zip(batch.prompts, batch.adapters, strict=True))
        ]
        found = self.engine.generate(requests)
        return Work(sum(c.generated_tokens for c in found), sum(c.prompt_tokens for c in found))


class Learn:
    """One sleep of all adapters."""

    def __init__(
        self,
        model: Path,
        adapters: Sequence[str],
        examples: list[Example],
        batch: int,
        dtype: str = "auto",
        objective: Objective | None = None,
    ) -> None:
        """With an objective, every second example is a failure, and all have log-probabilities from sampling."""
        self.base, tokenizer = BaseModel.load(model, dtype), Tokenizer(model)
        self.learner = population(self.base, tokenizer, adapters, batch, workload.NOISE, objective)
        self.examples = examples if objective is None else sampled(examples, tokenizer, objective)

    def run(self, turn: int) -> Work:
        reports = self.learner.sleep(self.examples, f"bench/{turn}")
        return Work(sum(r.tokens for r in reports))


class Generations:
    """Whole generations of a population: all proposals in one call, all attempts in one call, one update.

    With `alike`, agents that many places apart get the same prompts and the same noise, so that the mean work of an
    agent is the same in populations of any multiple of it."""

    def __init__(self, model: Path, adapters: Sequence[str], size: Size, alike: int | None = None) -> None:
        base, tokenizer = BaseModel.load(model), Tokenizer(model)
        self.size, self.works_as = size, {n: adapters[i % (alike or len(adapters))] for i, n in enumerate(adapters)}
        batch = (size.proposals + size.problems) * size.attempts
        self.learner = population(base, tokenizer, adapters, batch, 0.0)
        self.engine = TorchEngine(base, tokenizer)
        self.engine.set_adapters(self.learner.acting())

    def run(self, turn: int) -> Work:
        asked = [(name, alike, workload.generation(alike, turn, self.size)) for name, alike in self.works_as.items()]
        examples: list[Example] = []
        generated = prompts = 0
        for kind in ("propose", "solve"):
            requests = [
                Request(f"{turn}/{kind}/{alike}/{i}/{k}", prompt, name, 64, 0.8)
                for name, alike, wanted in asked
                for i, prompt in enumerate(getattr(wanted, kind))
                for k in range(wanted.attempts)
            ]
            found = self.engine.generate(requests)
            generated += sum(c.generated_tokens for c in found)
            prompts += sum(c.prompt_tokens for c in found)
            examples += [Example(str(r.adapter), r.prompt, c.text) for r, c in zip(requests, found, strict=True)]
        reports = self.learner.sleep(examples, f"bench/{turn}")
        self.engine.set_adapters(self.learner.acting())
        return Work(generated + sum(r.tokens for r in reports), prompts)


def sampled(examples: Sequence[Example], tokenizer: Tokenizer, objective: Objective) -> list[Example]:
    """The examples as attempts with made up log-probabilities; the advantage of every second one is negative if the
    objective takes that."""
    ids = tokenizer.encode_completions([e.prompt for e in examples], [e.completion for e in examples])
    return [
        replace(e, weight=-0.5 if objective.signed and i % 2 else 0.5, sampled=(-1.0,) * len(own))
        for i, (e, own) in enumerate(zip(examples, ids, strict=True))
    ]


def population(
    base: BaseModel,
    tokenizer: Tokenizer,
    names: Sequence[str],
    batch: int,
    noise: float,
    objective: Objective | None = None,
) -> Learner:
    """A learner with one adapter for each name."""
    learner = Learner(
        base, tokenizer, LearnerConfig(RANK, ALPHA, LEARNING_RATE, batch, objective=objective or Likelihood())
    )
    for name, row in zip(names, workload.adapter_rows(learner.layout, names, noise), strict=True):
        learner.add(name, row)
    return learner


def unfuse(side: Generate | Learn | Generations) -> None:
    """Let a side compute with torch's operations in place of the fused kernels."""
    for user in (getattr(side, "engine", None), getattr(side, "learner", None)):
        if user is not None:
            user.ops = TorchOps(user.ops.config, "cpu", torch.float32)


def profile(run: Callable[[], object]) -> str:
    """A table of the processor time of a run, by operation."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    with profiler(activities=[ProfilerActivity.CPU]) as found:
        run()
    return str(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=48))
