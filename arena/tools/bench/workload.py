"""The work of the benchmarks, drawn from fixed seeds: prompts, adapters, training examples and whole generations.

The texts come from the seed model's school and the list-programs domain, so that all sides do the work of a run. The
work is the same for all sides; nothing here is timed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.adapters import AdapterLayout
from agents.learner import Example
from curricula.list_programs import ListPrograms, random_program
from curricula.list_school import SeedData

RANK, ALPHA = 16, 32.0
LEARNING_RATE = 1e-4  # low, so that the agents' texts stay comparable on all sides from turn to turn
PROMPT_TOKENS, NEW_TOKENS = 64, 48
NOISE = 0.01


@dataclass(frozen=True)
class Size:
    """The amounts of work."""

    prompts: int = 256
    adapters: int = 32
    learners: int = 16
    examples: int = 64
    batch: int = 16
    proposals: int = 6  # prompts, each asked four times
    problems: int = 24
    attempts: int = 4
    scaling: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)


QUICK = Size(64, 8, 4, 16, 8, 2, 6, 4, (1, 2, 4, 8))


@dataclass(frozen=True)
class Batch:
    """Prompts and the adapter for each; None is the base model."""

    prompts: list[str]
    adapters: list[str | None]


@dataclass(frozen=True)
class Generation:
    """The prompts of one agent in a generation; each prompt of both lists is sampled `attempts` times."""

    propose: list[str]
    solve: list[str]
    attempts: int


def names(count: int) -> list[str]:
    return [f"agent{i:02d}" for i in range(count)]


def fixed_prompts(count: int, turn: int) -> list[str]:
    """Prompts of exactly 64 words, each one token of the seed model's tokenizer: school texts one after another."""
    rng, school = random.Random(f"bench/prompts/{turn}"), SeedData()
    found = []
    for _ in range(count):
        words: list[str] = []
        while len(words) < PROMPT_TOKENS:
            example = school.draw(rng)
            words += f"{example.prompt} {example.completion}".split()
        found.append(" ".join(words[:PROMPT_TOKENS]))
    return found


def ragged(count: int, adapters: Sequence[str]) -> list[str | None]:
    """The adapter of each of `count` prompts: uneven shares (at least one each), in shuffled order."""
    if count < len(adapters):
        raise ValueError(f"{count} prompts do not reach {len(adapters)} adapters")
    rng = random.Random(f"bench/ragged/{count}/{len(adapters)}")
    # with 256 prompts over 32 adapters: 1 to some 20 rows each
    shares = [min(rng.expovariate(1.0), 2.2) for _ in adapters]
    chosen: list[str | None] = [*adapters, *rng.choices(adapters, shares, k=count - len(adapters))]
    rng.shuffle(chosen)
    return chosen


def adapter_rows(layout: AdapterLayout, adapters: Sequence[str], noise: float = NOISE) -> Tensor:
    """Fresh adapters (agents, size), with noise so that they differ; without noise all equal the base model."""
    generator = torch.Generator().manual_seed(7)
    rows = torch.stack([layout.fresh(f"bench/{name}") for name in adapters])
    return rows + noise * torch.randn(rows.shape, generator=generator)


def learn_examples(adapters: Sequence[str], each: int) -> list[Example]:
    """School examples for every adapter, in the order of the adapters."""
    school = SeedData()
    found = []
    for name in adapters:
        rng = random.Random(f"bench/learn/{name}")
        drawn = [school.draw(rng) for _ in range(each)]
        found += [Example(name, d.prompt, d.completion) for d in drawn]
    return found


def generation(name: str, turn: int, size: Size) -> Generation:
    """Proposals, three quarters of them variations of a parent, and problems of depth 1 to 6, of one agent."""
    rng, domain = random.Random(f"bench/generation/{name}/{turn}"), ListPrograms()
    parents = [None if i % 4 == 0 else " ".join(random_program(rng, rng.randint(1, 6))) for i in range(size.proposals)]
    problems = [domain.random_problem(rng, 1 + i % 6) for i in range(size.problems)]
    return Generation(
        [domain.propose_prompt(p) for p in parents], [domain.solve_prompt(p, ()) for p in problems], size.attempts
    )
