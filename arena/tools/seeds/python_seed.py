"""Trains a seed model for python_programs from scratch, on synthetic functions (curricula/python_school.py).

The recipe is that of `arena/tools/seeds/list_seed.py`, with a byte-level tokenizer trained on the school's texts, which
can encode any text. Examples are drawn before training; every pass shuffles them anew. Training is deterministic for
one thread count on the CPU. Sizes range from minutes on one core to one for a GPU."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as HFTokenizer

from agents.atomic import write_atomically
from agents.tokenizer import EOS, PAD, Tokenizer
from arena.tools.seeds.list_seed import Recipe, Row, fit
from arena.tools.seeds.python_card import measure_skills, write_card
from curricula.list_school import SeedExample
from curricula.python_school import pool

SIZES = {
    "tiny": Recipe(batch=32, hidden_size=128, intermediate_size=320, layers=4, heads=4, kv_heads=2),
    "small": Recipe(batch=32, hidden_size=256, intermediate_size=704, layers=6, heads=8, kv_heads=4, muon_lr=0.01),
    "25m": Recipe(batch=128, hidden_size=512, intermediate_size=1408, layers=8, heads=8, kv_heads=4, muon_lr=0.01),
    "60m": Recipe(batch=128, hidden_size=768, intermediate_size=2048, layers=9, heads=12, kv_heads=4, muon_lr=0.01),
}
"""Recipes by size: 0.8, 4.7, 24 and 57 million weights."""
STEPS = {"tiny": 1500, "small": 3000, "25m": 10_000, "60m": 20_000}
POOL = {"tiny": 20_000, "small": 60_000, "25m": 400_000, "60m": 800_000}
"""Examples drawn before training, by size."""
MAX_POSITIONS = 8192
"""Fits the longest problem even if every character takes several tokens. Training uses up to LONGEST."""
LONGEST = 640
"""Tokens of the longest training example; longer ones are left out."""
VOCABULARY = 512
QUOTED = "[A-Za-z0-9](?=[A-Za-z0-9]*')"
"""Letters in a string literal: each is its own token, because string operations work on letters."""
SHOWN = 4000
"""Examples for training the tokenizer."""


def recipe_of(size: str, steps: int | None, seed: int) -> Recipe:
    """The recipe of a size. Raises ValueError, naming all sizes, for an unknown one."""
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    return replace(SIZES[size], steps=steps or STEPS[size], seed=seed, max_positions=MAX_POSITIONS)


def write_tokenizer(folder: Path, examples: Sequence[SeedExample]) -> None:
    """Write a byte-level tokenizer.json, which transformers loads too."""
    tokenizer = HFTokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    quoted = pre_tokenizers.Split(Regex(QUOTED), "isolated")
    split = [digits, quoted, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((f"{e.prompt} {e.completion}" for e in examples[:SHOWN]), trainer)
    write_atomically(folder / "tokenizer.json", tokenizer.to_str(pretty=True).encode())
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": EOS,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
    }
    write_atomically(folder / "tokenizer_config.json", json.dumps(settings, indent=1).encode())


def train(recipe: Recipe, most: int, folder: Path, device: str, report: Callable[[str], None]) -> int:
    """Write a tokenizer and a model trained on at most `most` examples; returns the number of examples."""
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    # no more than needed: a short training uses each example once
    examples = pool(min(most, recipe.steps * recipe.batch), recipe.seed)
    report(f"{len(examples)} examples in {time.monotonic() - started:.0f} s")
    write_tokenizer(folder, examples)
    tokenizer = Tokenizer(folder)
    asked, said = [e.prompt for e in examples], [e.completion for e in examples]
    rows = zip(tokenizer.encode(asked), tokenizer.encode_completions(asked, said), strict=True)
    data = [Row(p, c) for p, c in rows if len(p) + len(c) <= LONGEST]
    fit(recipe, tokenizer, shuffled_batches(data, recipe.batch, recipe.seed), folder, report, device)
    return len(data)


def make(
    size: str, folder: Path, steps: int | None, seed: int, threads: int, device: str, report: Callable[[str], None]
) -> list[str]:
    """Train, measure and document a model; returns the measured skills as lines."""
    recipe = recipe_of(size, steps, seed)
    torch.set_num_threads(threads)
    count = train(recipe, POOL[size], folder, device, report)
    skills = measure_skills(folder, device)
    write_card(folder, size, recipe, count, skills)
    return [f"{task:<36}{skill:.2f}" for task, skill in skills.items()]


def shuffled_batches(data: Sequence[Row], batch: int, seed: int) -> Callable[[int], list[Row]]:
    """Batches by step: passes over all examples, each in a different order."""

    def rows(step: int) -> list[Row]:
        return [data[i] for i in (order(at) for at in range(step * batch, (step + 1) * batch))]

    orders: dict[int, list[int]] = {}

    def order(at: int) -> int:
        turn, place = divmod(at, len(data))
        if turn not in orders:
            orders.clear()
            orders[turn] = random.Random(f"ratchet/python_seed/{seed}/{turn}").sample(range(len(data)), len(data))
        return orders[turn][place]

    return rows
