"""The transformers and PEFT sides: mixed-adapter generation, and agents that learn and generate one after another.

The only file of the arena that imports transformers or peft, used as their documentation says: SDPA attention, left
padding to generate, right padding to train, no dropout, AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from transformers.utils import logging

from agents.checkpoint import PROJECTIONS
from agents.learner import BETAS, EPSILON, Example
from arena.tools.bench import workload
from arena.tools.bench.timing import Work
from arena.tools.bench.workload import ALPHA, LEARNING_RATE, NEW_TOKENS, RANK, Batch, Size

BASE = "__base__"
MICRO_BATCH = 64
logging.set_verbosity_error()
logging.disable_progress_bar()


def load_model(folder: Path, dtype: str = "float32") -> Any:
    kind = getattr(torch, dtype)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=kind, attn_implementation="sdpa").eval()


def load_tokenizer(folder: Path) -> Any:
    return PreTrainedTokenizerFast.from_pretrained(folder, padding_side="left")


def load_adapters(folder: Path, adapters: dict[str, Path], trainable: bool = False, dtype: str = "float32") -> Any:
    """The model with all these PEFT folders loaded, none of them active."""
    (first, path), *others = adapters.items()
    model = PeftModel.from_pretrained(load_model(folder, dtype), path, adapter_name=first, is_trainable=trainable)
    for name, path in others:
        model.load_adapter(path, adapter_name=name, is_trainable=trainable)
    return model.eval()


def fresh_adapter(folder: Path) -> Any:
    """The model with one untrained adapter."""
    config = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules=list(PROJECTIONS))
    return get_peft_model(load_model(folder), config)


class StepGate(TrainerCallback):  # type: ignore[misc]
    """Calls `arrive` at the end of every step of a Trainer."""

    def __init__(self, arrive: Callable[[], None]) -> None:
        self.arrive = arrive

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.arrive()


class Generate:
    """`generate` for a whole batch: plain transformers without adapters, PEFT's mixed batch with them."""

    def __init__(self, folder: Path, adapters: dict[str, Path], dtype: str = "float32") -> None:
        self.tokenizer = load_tokenizer(folder)
        self.model = load_adapters(folder, adapters, dtype=dtype) if adapters else load_model(folder, dtype)
        self.mixed = bool(adapters)

    def run(self, batch: Batch) -> Work:
        options: dict[str, Any] = {"min_new_tokens": NEW_TOKENS, "max_new_tokens": NEW_TOKENS, "temperature": 1.0}
        if self.mixed:
            options["adapter_names"] = [name or BASE for name in batch.adapters]
        _, new, prompt_tokens = sample(self.model, self.tokenizer, batch.prompts, options)
        return Work(new, prompt_tokens)


@torch.no_grad()
def sample(
    model: Any, tokenizer: Any, prompts: Sequence[str], options: dict[str, Any]
) -> tuple[list[list[int]], int, int]:
    """Generated ids for each prompt (without end of text), number of generated tokens (with it), and prompt tokens."""
    encoded = tokenizer(list(prompts), padding=True, return_tensors="pt", return_token_type_ids=False)
    out = model.generate(**encoded, do_sample=True, top_k=0, pad_token_id=tokenizer.pad_token_id, **options)
    written = out[:, encoded["input_ids"].shape[1] :].tolist()
    tokenizer.batch_decode(written, skip_special_tokens=True)  # text out, as our engine gives it
    eos, new, rows = tokenizer.eos_token_id, 0, []
    for ids in written:
        end = ids.index(eos) if eos in ids else len(ids)
        new += min(end + 1, len(ids))
        rows.append(ids[:end])
    return rows, new, int(encoded["attention_mask"].sum())


class Agents:
    """A population in PEFT: all adapters in one model, one active at a time, with one optimiser each."""

    def __init__(self, folder: Path, adapters: dict[str, Path], dtype: str = "float32") -> None:
        self.tokenizer, self.model = load_tokenizer(folder), load_adapters(folder, adapters, True, dtype)
        self.optimisers: dict[str, torch.optim.AdamW] = {}
        self.parameters: dict[str, list[Tensor]] = {}
        for name in adapters:
            self.parameters[name] = [p for key, p in self.model.named_parameters() if f".{name}." in key]
            self.optimisers[name] = torch.optim.AdamW(
                self.parameters[name], lr=LEARNING_RATE, betas=BETAS, eps=EPSILON, weight_decay=0.0
            )

    def activate(self, name: str) -> None:
        self.model.set_adapter(name)

    def step(self, name: str, rows: list[tuple[list[int], list[int]]], micro_batch: int) -> int:
        """One optimiser step of the active agent on (prompt, completion) rows; trained tokens."""
        self.model.train()
        total = sum(len(completion) for _, completion in rows)
        rows = sorted(rows, key=lambda r: len(r[0]) + len(r[1]))
        for start in range(0, len(rows), micro_batch):
            part = rows[start : start + micro_batch]
            width = max(len(p) + len(c) for p, c in part)
            tokens = torch.full((len(part), width), self.tokenizer.pad_token_id)
            labels, mask = torch.full_like(tokens, -100), torch.zeros_like(tokens)
            for i, (prompt, completion) in enumerate(part):
                end = len(prompt) + len(completion)
                tokens[i, :end] = torch.tensor(prompt + completion)
                labels[i, len(prompt) : end] = torch.tensor(completion)
                mask[i, :end] = 1
            found = self.model(input_ids=tokens, attention_mask=mask, labels=labels, num_items_in_batch=total)
            found.loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters[name], 1.0)
        self.optimisers[name].step()
        self.optimisers[name].zero_grad(set_to_none=True)
        self.model.eval()
        return sum(len(p) + len(c) for p, c in rows)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


class Learn(Agents):
    """One adapter after another: all steps of the first, then of the next."""

    def __init__(
        self, folder: Path, adapters: dict[str, Path], examples: list[Example], batch: int, dtype: str = "float32"
    ) -> None:
        super().__init__(folder, adapters, dtype)
        self.batch, self.examples = batch, {n: [e for e in examples if e.agent == n] for n in adapters}

    def run(self) -> Work:
        tokens, eos = 0, self.tokenizer.eos_token_id
        for name, mine in self.examples.items():
            self.activate(name)
            prompts, completions = self.ids([str(e.prompt) for e in mine]), self.ids([e.completion for e in mine])
            rows = [(p, [*c, eos]) for p, c in zip(prompts, completions, strict=True)]
            for start in range(0, len(rows), self.batch):
                tokens += self.step(name, rows[start : start + self.batch], self.batch)
        return Work(tokens)


class Generations(Agents):
    """One agent after another proposes, attempts, and is updated once. `merged` merges its adapter into the model while
    it generates."""

    def __init__(self, folder: Path, adapters: dict[str, Path], merged: bool = False) -> None:
        super().__init__(folder, adapters)
        self.merged = merged

    def run(self, turn: int, size: Size) -> Work:
        tokens = prompt_tokens = 0
        eos, options = self.tokenizer.eos_token_id, {"max_new_tokens": 64, "temperature": 0.8}
        for name in self.optimisers:
            self.activate(name)
            wanted = workload.generation(name, turn, size)
            rows: list[tuple[list[int], list[int]]] = []
            if self.merged:
                self.model.merge_adapter([name])
            for asked in (wanted.propose, wanted.solve):
                prompts = [p for p in asked for _ in range(wanted.attempts)]
                written, new, read = sample(self.model, self.tokenizer, prompts, options)
                rows += [(p, [*w, eos]) for p, w in zip(self.ids(prompts), written, strict=True)]
                tokens, prompt_tokens = tokens + new, prompt_tokens + read
            if self.merged:
                self.model.unmerge_adapter()
            tokens += self.step(name, rows, MICRO_BATCH)
        return Work(tokens, prompt_tokens)
