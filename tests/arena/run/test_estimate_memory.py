"""Estimated memory counts what a run holds, and a dry run of a large model does little work."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from agents.checkpoint import BaseModel, read_config
from agents.engine_torch import TorchEngine
from agents.learner import Learner
from agents.tokenizer import Tokenizer
from arena.config.schema import load_config
from arena.config.shipped import SEED_FOLDER
from arena.run import estimate
from arena.run.estimate_memory import Work, memory, parameters, words

C = read_config(SEED_FOLDER)
LARGE = replace(C, num_hidden_layers=30, hidden_size=576, intermediate_size=1536, vocab_size=49152)
WORK = Work(4, 2_000_000, 8, 24, 400.0, 3000.0, True, 4096, 2)
BF16, CPU = torch.bfloat16, torch.device("cpu")


def test_tied_head_counts_once() -> None:
    weights = BaseModel.load(SEED_FOLDER).weights
    assert parameters(C) == sum({w.data_ptr(): w.numel() for w in weights.values()}.values())


@pytest.mark.parametrize(
    "change",
    [{"agents": 8}, {"rows": 96}, {"longest": 4000.0}, {"prompts": 90000.0}, {"adapter": 9_000_000}, {"threads": 3}],
)
def test_more_work_needs_more(change: dict[str, int]) -> None:
    """Each size counts where it decides: long prompts in generation, threads in training."""
    idle = replace(WORK, trains="threads" in change)
    before, after = (sum(memory(LARGE, BF16, CPU, w).values()) for w in (idle, replace(idle, **change)))
    if "threads" in change:  # the budget of activations is shared; adapters and logits are each thread's
        assert after >= before
    else:
        assert after > before


def test_sleep_tokens_count() -> None:
    small, large = (sum(memory(LARGE, BF16, CPU, replace(WORK, micro_batch=n)).values()) for n in (256, 1024))
    assert large > 1.2 * small
    assert "weights" in words(memory(LARGE, BF16, CPU, WORK))


def test_large_models_are_measured_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    base, tokenizer = BaseModel.load(SEED_FOLDER), Tokenizer(SEED_FOLDER)
    config, asked = load_config("tiny"), list[int]()
    generate, sleep = TorchEngine.generate, Learner.sleep
    monkeypatch.setattr(TorchEngine, "generate", lambda self, r: asked.append(len(r)) or generate(self, r))
    monkeypatch.setattr(Learner, "sleep", lambda self, e, seed: asked.append(len(e)) or sleep(self, e, seed))
    speed, _ = estimate.calibrate(config, base, tokenizer, [estimate.BARE_PAIR])
    assert asked == [1, 1, config.engine.max_rows, 1, config.population.agents * config.sleep.batch]
    assert min(speed.read, speed.write, speed.train) > 0
    asked.clear()
    monkeypatch.setattr(estimate, "OPERATIONS", 2.0 * base.config.linear_parameters * 24)
    estimate.calibrate(config, base, tokenizer, [estimate.BARE_PAIR])
    threads = config.engine.threads
    assert asked == [1, 1, estimate.ROWS * threads, 1, estimate.LEARNED * threads]
