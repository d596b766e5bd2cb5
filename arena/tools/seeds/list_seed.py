"""Trains the seed models: the default base model of small arenas from scratch, and a second one from it.

The number of steps is fixed, and training is deterministic for one thread count; it takes minutes on two cores.
Matrices are trained with Muon (Jordan et al. 2024, torch.optim), the rest with AdamW, with learning rates that decay
linearly to 5 %. Writes a Hugging Face Llama folder: config.json, model.safetensors, tokenizer.json,
tokenizer_config.json, and a model card with the recipe and the measured skills."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer as HFTokenizer
from tokenizers import models, pre_tokenizers
from torch import Tensor

from agents.adapters import save_tensors
from agents.atomic import write_atomically
from agents.attention import Ops
from agents.checkpoint import PROJECTIONS, BaseModel, ModelConfig, projection_path
from agents.fused_ops import make_ops
from agents.grouped_gemm import segments_of
from agents.model import StackedWeights, hidden, logits
from agents.packing import Packing
from agents.tokenizer import EOS, PAD, UNK, Tokenizer
from arena.config.shipped import SEED_FOLDERS
from arena.tools.seeds.list_card import measure_skills, write_card
from curricula.list_school import DIGITS, WORDS, SeedData


@dataclass(frozen=True)
class Recipe:
    steps: int = 2200
    batch: int = 64
    muon_lr: float = 0.02
    adamw_lr: float = 3e-3
    warmup: int = 50
    final_fraction: float = 0.05
    seed: int = 0
    hidden_size: int = 128
    intermediate_size: int = 320
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    max_positions: int = 256
    naming: float = 0.0
    """Share of the examples that teach the operations of long programs (`curricula.list_school.SeedData`)."""
    start: str = ""
    """Shipped model that training begins from (`SEED_FOLDERS`). Empty: from random weights."""


RECIPES = {
    "lists": Recipe(),
    "long": Recipe(steps=400, muon_lr=0.01, adamw_lr=1.5e-3, naming=0.06, start="seed"),
}
"""The models that ship with Ratchet: agents/seed, and agents/seed_long, which is taught to find its place in longer
programs."""


def write_tokenizer(folder: Path) -> None:
    """Write a word-level tokenizer.json, which transformers loads too."""
    vocabulary = {word: i for i, word in enumerate((PAD, EOS, UNK, *WORDS))}
    tokenizer = HFTokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    tokenizer.add_special_tokens([PAD, EOS, UNK])
    write_atomically(folder / "tokenizer.json", tokenizer.to_str(pretty=True).encode())
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": EOS,
        "unk_token": UNK,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
    }
    write_atomically(folder / "tokenizer_config.json", json.dumps(settings, indent=1).encode())


def initial_weights(config: ModelConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """Normal matrices of standard deviation in^-1/2 (smaller for the outputs of a block), unit embeddings, small
    head."""

    def normal(shape: tuple[int, int], std: float) -> Tensor:
        return torch.randn(shape, generator=generator) * std

    d = config.hidden_size
    weights = {
        "model.embed_tokens.weight": normal((config.vocab_size, d), 1.0),
        "lm_head.weight": normal((config.vocab_size, d), 0.02),
        "model.norm.weight": torch.ones(d),
    }
    for i in range(config.num_hidden_layers):
        prefix = f"model.layers.{i}."
        weights[prefix + "input_layernorm.weight"] = torch.ones(d)
        weights[prefix + "post_attention_layernorm.weight"] = torch.ones(d)
        for p in PROJECTIONS:
            shape = config.shape(p)
            std = shape[1] ** -0.5 * (0.3 if p in ("o_proj", "down_proj") else 1.0)
            weights[prefix + projection_path(p) + ".weight"] = normal(shape, std)
    return weights


@dataclass(frozen=True)
class Row:
    """Token ids of a prompt and of its completion, and which ids are not trained on."""

    prompt: list[int]
    completion: list[int]
    unlearned: frozenset[int] = frozenset()

    @property
    def learned(self) -> list[bool]:
        return [False] * len(self.prompt) + [i not in self.unlearned for i in self.completion]


def batch_loss(weights: StackedWeights, ops: Ops, rows: Sequence[Row]) -> tuple[Tensor, int]:
    """Mean negative log-likelihood of the learned tokens, and the number of processed tokens."""
    device = weights.embed.device
    packing = Packing([len(r.prompt) + len(r.completion) for r in rows], device)
    tokens = torch.tensor([i for r in rows for i in r.prompt + r.completion], device=device)
    runs = segments_of([packing.total])
    states = hidden(weights, tokens, runs, lambda _, qkv: ops.attention(qkv, packing), ops)
    learned = torch.tensor([flag for r in rows for flag in r.learned], device=device)
    at = learned.nonzero()[:, 0]
    return F.cross_entropy(logits(weights, states[at - 1]), tokens[at]), packing.total


def train(recipe: Recipe, folder: Path, report: Callable[[str], None] = print) -> BaseModel:
    """Train and write the model, its config and tokenizer. `report` is called with progress lines."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    tokenizer = Tokenizer(folder)
    data, rng = SeedData(recipe.naming), random.Random(f"ratchet/seed/{recipe.seed}")

    digits = frozenset(i for [i] in tokenizer.encode(sorted(DIGITS)))
    unlearned = {frozenset(): frozenset(), DIGITS: digits}

    def rows(step: int) -> list[Row]:
        examples = [data.draw(rng) for _ in range(recipe.batch)]
        prompts = tokenizer.encode([e.prompt for e in examples])
        completions = [[*ids, tokenizer.eos] for ids in tokenizer.encode([e.completion for e in examples])]
        return [Row(p, c, unlearned[e.unlearned]) for e, p, c in zip(examples, prompts, completions, strict=True)]

    return fit(recipe, tokenizer, rows, folder, report)


def fit(
    recipe: Recipe,
    tokenizer: Tokenizer,
    rows: Callable[[int], list[Row]],
    folder: Path,
    report: Callable[[str], None],
    device: str = "cpu",
) -> BaseModel:
    """Train a model on `rows(step)`, from scratch or from `recipe.start`, and write its weights and config. On a GPU,
    products are computed in bfloat16, and weights stay float32."""
    config = ModelConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        max_position_embeddings=recipe.max_positions,
        eos_token_ids=(tokenizer.eos,),
        pad_token_id=tokenizer.pad,
    )
    if recipe.start:
        weights = BaseModel.load(SEED_FOLDERS[recipe.start]).weights
    else:
        weights = initial_weights(config, torch.Generator().manual_seed(recipe.seed))
    weights = {name: tensor.to(device).requires_grad_(True) for name, tensor in weights.items()}
    base = BaseModel(config, weights)
    ops = make_ops(config, base.device, base.dtype)
    matrices = [w for n, w in weights.items() if w.dim() == 2 and ".layers." in n]
    others = [w for n, w in weights.items() if not (w.dim() == 2 and ".layers." in n)]
    optimizers = [
        torch.optim.Muon(matrices, lr=recipe.muon_lr, weight_decay=0.0),
        torch.optim.AdamW(others, lr=recipe.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    rates = [recipe.muon_lr, recipe.adamw_lr]
    started, tokens = time.monotonic(), 0
    for step in range(recipe.steps):
        fraction = step / recipe.steps
        factor = min(1.0, (step + 1) / recipe.warmup) * (1 - (1 - recipe.final_fraction) * fraction)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
        with torch.autocast(base.device.type, torch.bfloat16, enabled=base.device.type != "cpu"):
            loss, count = batch_loss(StackedWeights.of_base(base), ops, rows(step))
        loss.backward()  # type: ignore[no-untyped-call]
        tokens += count
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
            seconds = time.monotonic() - started
            done = f"step {step + 1}/{recipe.steps}  loss {float(loss.detach()):.4f}"
            report(f"{done}  {tokens / seconds:,.0f} tokens/s  {seconds:.0f} s")
    trained = {n: w.detach().cpu().contiguous() for n, w in weights.items()}
    save_tensors(trained, folder / "model.safetensors")
    write_atomically(folder / "config.json", json.dumps(config.to_hf(), indent=1).encode())
    return BaseModel(config, trained)


def make(recipe: Recipe, folder: Path, threads: int, report: Callable[[str], None]) -> list[str]:
    """Train, measure and document the seed model; returns the measured skills as lines."""
    torch.set_num_threads(threads)
    train(recipe, folder, report)
    skills = measure_skills(folder)
    write_card(folder, recipe, recipe.start, recipe.naming, skills)
    return [f"{task:<36}{skill:.2f}" for task, skill in skills.items()]
