"""Training examples, and how they become token ids with a weight for each learned token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from agents.prefixes import LEAST, common
from agents.prompt import Prompt
from agents.tokenizer import Tokenizer


@dataclass(frozen=True)
class Example:
    """A weighted training example of an agent. Only the tokens of the completion are trained on.

    weight: weight of its tokens, or their advantage where the objective takes signed weights.
    spans: (start, stop, weight) of characters of the completion; tokens that end there have that weight instead. They
        do not overlap, and the end token has `weight`.
    sampled: log-probabilities of the completion's tokens when the agent sampled it, with that of the end token if it
        was sampled; empty for other texts. They are left out of account if the text has another number of tokens now
        (a tokenizer may encode a text in other tokens than were sampled).
    """

    agent: str
    prompt: Prompt
    completion: str
    weight: float = 1.0
    spans: tuple[tuple[int, int, float], ...] = ()
    sampled: tuple[float, ...] = ()


_NONE = np.zeros(0, dtype=np.float32)


@dataclass
class Row:
    """An example as token ids. `weights`, `sampled` and `base` [learned] belong to the learned tokens
    (`agents.objectives.TrainedTokens`)."""

    prompt: list[int]
    completion: list[int]
    weights: np.ndarray = field(default_factory=lambda: _NONE)
    sampled: np.ndarray = field(default_factory=lambda: _NONE)
    base: np.ndarray = field(default_factory=lambda: _NONE)
    place: int = 0  # index among the scored texts

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.completion)

    @property
    def learned(self) -> int:
        """Number of completion tokens with a preceding token: without a prompt, all but the first."""
        return min(len(self.completion), self.length - 1)


def make_rows(tokenizer: Tokenizer, examples: Sequence[Example], signed: bool) -> Iterator[tuple[str, Row]]:
    """(agent, row) of each example, in order. Unless weights are `signed`, those below 0 are 0."""
    prompts = tokenizer.encode_prompts([e.prompt for e in examples])
    completions = tokenizer.encode_completions([e.prompt for e in examples], [e.completion for e in examples])
    spanned = [e for e in examples if e.spans]
    ends = tokenizer.completion_ends([e.prompt for e in spanned], [e.completion for e in spanned]) if spanned else []
    ends_of = iter(ends)
    for example, prompt, completion in zip(examples, prompts, completions, strict=True):
        weights = np.full(len(completion), example.weight, dtype=np.float32)
        if example.spans:
            at = np.array(next(ends_of))
            for start, stop, weight in example.spans:
                weights[(at > start) & (at <= stop)] = weight
        sampled = np.full(len(completion), np.nan, dtype=np.float32)
        if example.sampled and len(completion) - len(example.sampled) in (0, 1):
            sampled[: len(example.sampled)] = example.sampled
            weights[len(example.sampled) :] = 0.0  # a text that ran out of tokens has no end
        if not signed:
            weights = weights.clip(min=0.0)
        row = Row(prompt, completion)
        row.weights, row.sampled = weights[-row.learned :], sampled[-row.learned :]
        row.base = np.zeros(row.learned, dtype=np.float32)
        yield example.agent, row


def shared_tokens(rows: Sequence[Row]) -> list[int]:
    """Number of tokens that each row probably shares with the row before it."""
    alike = [min(common(a.prompt, b.prompt), len(b.prompt) - 1) for a, b in pairwise(rows)]
    return [0, *(n if n >= LEAST else 0 for n in alike)] if rows else []
