"""The matrix limit of our own runs: what is recorded, and what the same tokens would need at least.

Recorded from the building of our side on, so that weights it merges or packs beforehand are known as weights.
"""

from __future__ import annotations

from pathlib import Path

import torch

from agents.checkpoint import PROJECTIONS, BaseModel
from agents.learner import Example
from arena.tools.bench import ours
from arena.tools.bench.roofline import Recorder, Replay
from arena.tools.bench.timing import Side, Work
from arena.tools.bench.workload import PROMPT_TOKENS, Batch

LIMIT = "matrix limit"


def generating(model: Path, names: list[str], first: Batch, second: Batch) -> tuple[Side, str]:
    """The limit of generating the second batch after the first, and a note on it."""
    recorder = Recorder()
    with one_thread(), recorder:
        engine = ours.Generate(model, names)
        recorder.weights(*weights_of(engine.base, [engine.adapters.flat] if names else []))
        engine.run(first, 0)
        recorder.start()
        work = engine.run(second, 1)
    return replaying(recorder, work), note(recorder, generation_flops(engine.base, work))


def learning(model: Path, names: list[str], examples: list[Example], batch: int) -> tuple[Side, str]:
    """The limit of a second sleep, forward and backward, and a note on it."""
    recorder = Recorder()
    with one_thread(), recorder:
        learn = ours.Learn(model, names, examples, batch)
        rows = [learn.learner.state["trained"], learn.learner.state["acting"]]
        recorder.weights(*weights_of(learn.base, rows))
        learn.run(0)
        recorder.start()
        work = learn.run(1)
    learned = sum(len(ids) + 1 for ids in learn.learner.tokenizer.encode([e.completion for e in examples]))
    return replaying(recorder, work), note(recorder, learning_flops(learn.base, work.tokens, learned))


def replaying(recorder: Recorder, work: Work) -> Side:
    replay = Replay(recorder.products)

    def run(_: int) -> Work:
        replay.run()
        return work

    return Side(LIMIT, run)


def weights_of(base: BaseModel, more: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """(weights, embedding), as the recorder wants them."""
    embedding = "model.embed_tokens.weight"
    return [w for name, w in base.weights.items() if name != embedding] + more, base.weights[embedding]


def projection_size(base: BaseModel) -> int:
    return sum(base.linear(i, p).numel() for i in range(base.config.num_hidden_layers) for p in PROJECTIONS)


def generation_flops(base: BaseModel, work: Work) -> int:
    """What the products take without padding: every token through the projections, but those of a prompt before its
    last only up to the last layer's keys and values; new tokens through the head."""
    prompts = work.prompt_tokens // PROMPT_TOKENS
    read = work.prompt_tokens + work.tokens - prompts  # the last new ones are not read
    unused = after_attention(base) * (work.prompt_tokens - prompts)
    return 2 * (projection_size(base) * read - unused + base.weights["lm_head.weight"].numel() * work.tokens)


def learning_flops(base: BaseModel, tokens: int, learned: int) -> int:
    """Forward, and backward to the activations, without padding: what a frozen base costs; LoRA's own left out.
    Tokens that predict nothing that is learned need no more of the last layer than keys and values."""
    unused = after_attention(base) * (tokens - learned)
    return 2 * 2 * (projection_size(base) * tokens - unused + base.weights["lm_head.weight"].numel() * learned)


def after_attention(base: BaseModel) -> int:
    """Size of the last layer's projections that come after its attention."""
    last = base.config.num_hidden_layers - 1
    return sum(base.linear(last, p).numel() for p in ("o_proj", "gate_proj", "up_proj", "down_proj"))


def note(recorder: Recorder, needed: int) -> str:
    return (
        f"matrix limit: {len(recorder.products):,} products of our own run, {recorder.flops / 1e9:.1f} GFLOP "
        f"({needed / 1e9:.1f} would do without padding and merging); attention's left out"
    )


class one_thread:
    """Torch on one thread, so that a recorder sees everything."""

    def __enter__(self) -> None:
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._threads)
