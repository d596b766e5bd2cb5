"""The matrix limit of our own runs: the recorded products, and the operations that the same tokens need at least.

Recording starts before our side is built, so that weights that it merges or packs are known as weights.
"""

from __future__ import annotations

from pathlib import Path

import torch

from agents.adapters import AdapterLayout
from agents.checkpoint import EMBEDDING, BaseModel
from agents.learner import Example
from arena.tools.bench import ours
from arena.tools.bench.flops import forward
from arena.tools.bench.roofline import Recorder, Replay
from arena.tools.bench.timing import Side, Work
from arena.tools.bench.workload import Batch

LIMIT = "matrix limit"


def generating(model: Path, names: list[str], first: Batch, second: Batch, dtype: str = "auto") -> tuple[Side, str]:
    """The limit for generating the second batch after the first, and a note on it."""
    recorder = Recorder()
    with one_thread(), recorder:
        engine = ours.Generate(model, names, dtype)
        recorder.weights(*weights_of(engine.base, [engine.adapters.flat] if names else []))
        engine.run(first, 0)
        recorder.start()
        work = engine.run(second, 1)
    return replaying(recorder, work), note(recorder, generation_flops(engine.layout, work, len(second.prompts)))


def learning(
    model: Path, names: list[str], examples: list[Example], batch: int, dtype: str = "auto"
) -> tuple[Side, str]:
    """The limit for a second sleep, forward and backward, and a note on it."""
    recorder = Recorder()
    with one_thread(), recorder:
        learn = ours.Learn(model, names, examples, batch, dtype)
        rows = [learn.learner.state["trained"], learn.learner.state["acting"]]
        recorder.weights(*weights_of(learn.base, rows))
        learn.run(0)
        recorder.start()
        work = learn.run(1)
    learned = sum(len(ids) + 1 for ids in learn.learner.tokenizer.encode([e.completion for e in examples]))
    return replaying(recorder, work), note(recorder, learning_flops(learn.learner.layout, work.tokens, learned))


def replaying(recorder: Recorder, work: Work) -> Side:
    replay = Replay(recorder.products)

    def run(_: int) -> Work:
        replay.run()
        return work

    return Side(LIMIT, run)


def weights_of(base: BaseModel, more: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The arguments of `Recorder.weights`: (weights, embedding)."""
    return [w for name, w in base.weights.items() if name != EMBEDDING] + more, base.weights[EMBEDDING]


def generation_flops(layout: AdapterLayout, work: Work, prompts: int) -> int:
    """Operations of the base model's products without padding. Of a prompt, only the last token goes through all of
    the last layer; the last generated tokens are not read."""
    read = work.prompt_tokens + work.tokens - prompts
    return forward(layout, read, work.tokens, 0).base


def learning_flops(layout: AdapterLayout, tokens: int, learned: int) -> int:
    """The same for a forward and a backward pass with a frozen base, of which `learned` tokens are predicted."""
    return 2 * forward(layout, tokens, learned, 0).base


def note(recorder: Recorder, needed: int) -> str:
    return (
        f"matrix limit: {len(recorder.products):,} products of our own run, {recorder.flops / 1e9:.1f} GFLOP "
        f"({needed / 1e9:.1f} would do without padding, merging and shared prefixes); attention's left out"
    )


class one_thread:
    """Context with one torch thread, so that a recorder sees every operation."""

    def __enter__(self) -> None:
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._threads)
