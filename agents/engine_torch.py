"""The in-process torch engine: one batch mixes the requests of all agents.

Requests wait in the order of their adapters and take a row when another ends, so that the batch stays full. A prompt
that several requests share (the attempts at one problem) is computed once, and prompts are packed without padding. Rows
of agents with few and many requests are arranged in a few rectangles, each served by one product. Not guaranteed: equal
bits in the logits of a request in two different batches (they agree within 1e-4); the same batch twice on the same
machine and thread count is bit-equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.adapters import AdapterLayout, Adapters
from agents.checkpoint import BaseModel
from agents.engine import Completion, Request, check_fit, counted_noise, cut
from agents.fused_ops import make_ops
from agents.grouped_gemm import Segment, rectangles, segments_of
from agents.model import hidden, logits
from agents.packing import Packing
from agents.parallel import evenly, in_threads, workers
from agents.prefixes import Family
from agents.tokenizer import Tokenizer
from agents.value import estimate, features, numbers_of

ADMIT_AT = 0.25  # share of the rows that must be free before waiting requests take them
ADAPTERS = 64  # about so many have their weights in memory at a time, on each thread
COMPACT_BELOW = 0.9  # rows are arranged anew when less than this share of them is still writing


@dataclass(frozen=True)
class _Item:
    """One request on its way through: `at` is its place among the requests."""

    at: int
    request: Request
    ids: list[int]


class TorchEngine:
    """Generates with the base model and any of the adapters it was given."""

    def __init__(self, base: BaseModel, tokenizer: Tokenizer, max_rows: int = 96) -> None:
        self.base, self.tokenizer, self.max_rows = base, tokenizer, max_rows
        layout = AdapterLayout(base.config, rank=1, alpha=1.0)
        self.adapters = Adapters(base, layout, [], torch.zeros(0, layout.size, device=base.device))
        self.ops, self.device = make_ops(base.config, base.device, base.dtype), base.device
        self.stops = torch.tensor(sorted(tokenizer.stops), device=base.device)

    def set_adapters(self, adapters: Adapters) -> None:
        self.adapters = adapters

    def count_tokens(self, text: str) -> int:
        return self.tokenizer.count(text)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions in the order of the requests. Raises ValueError for an empty or over-long prompt, or an adapter
        that is not there."""
        prompts = self.tokenizer.encode_prompts([r.prompt for r in requests])
        check_fit(requests, prompts, self.base.config.max_position_embeddings)
        self.adapters.check({r.adapter for r in requests})
        items = [_Item(i, r, ids) for i, (r, ids) in enumerate(zip(requests, prompts, strict=True))]
        # prompts with a common prefix are neighbours where it is computed once; elsewhere those of equal length are
        items.sort(key=lambda i: (i.request.adapter or "", 0 if self.ops.shares else len(i.ids), i.ids))
        threads = workers(self.device)
        crowd = len({r.adapter for r in requests}) / ADAPTERS  # pieces so that not all stand in memory at once
        pieces = [items[part] for part in evenly(len(items), int(len(items) / max(1.0, crowd)) or 1, threads)]
        done: dict[int, Completion] = {}
        for found in in_threads(self._generate, pieces, threads):
            done.update(found)
        return [done[i] for i in range(len(requests))]

    @torch.no_grad()
    def _generate(self, items: list[_Item]) -> dict[int, Completion]:
        """One batch that is kept full: rows that end make room for the next requests."""
        batch = _Batch(items, self.tokenizer, self.max_rows)
        weights, ops = self.adapters.weights(batch.adapters), self.ops
        cache = ops.cache(batch.slots, max(len(i.ids) for i in items), batch.steps)
        while batch.left:
            new = batch.admit()
            if len(new):
                prompts = _Prompts(batch, new, ops.shares)
                packing = Packing([len(p) for p in prompts.ids], self.device, prompts.parents)
                cache.admit(packing, prompts.at[prompts.of], batch.slot_of[new])
                tokens = torch.tensor([i for p in prompts.ids for i in p], device=self.device)
                runs, last_runs = segments_of(prompts.tokens_by_adapter), segments_of(prompts.by_adapter)
                last = packing.last[torch.from_numpy(prompts.at).to(self.device)]
                states = hidden(weights, tokens, runs, cache.prefill, ops, last, last_runs)
                of = torch.from_numpy(prompts.of).to(self.device)
                self._value(batch, new, states, of)
                self._write(batch, new, logits(weights, states)[of])
            batch.arrange()
            if len(batch.rows):
                cache.rows(*batch.places())
                last = torch.from_numpy(batch.last_tokens()).to(self.device)
                states = hidden(weights, last, batch.runs, cache.decode, ops)
                self._value(batch, batch.rows, states)
                self._write(batch, batch.rows, logits(weights, states))
        return batch.completions()

    def _value(self, batch: _Batch, rows: NDArray[np.int64], states: Tensor, of: Tensor | None = None) -> None:
        """Record the value of each of these requests that begins or has just ended a step, and end hopeless ones.
        `states` [rows, width], or of other rows that `of` picks from."""
        heads = self.adapters.heads
        if heads is None or not batch.valued.any():
            return
        at = batch.due(rows)
        if not len(at):
            return
        picked = torch.from_numpy(at).to(self.device)
        x = states.index_select(0, picked if of is None else of[picked])
        own = [self.adapters.index[batch.adapters[g] or ""] for g in batch.group[rows[at]]]
        numbers = torch.tensor([batch.numbers(i) for i in rows[at]])
        batch.judge(rows[at], estimate(heads[own], features(x, numbers)).cpu().numpy())

    def _write(self, batch: _Batch, rows: NDArray[np.int64], scores: Tensor) -> None:
        """Sample and record a token of each of these requests; rows of -1 and finished ones are passed over."""
        young = np.nonzero(batch.min_tokens[rows] > batch.counts[rows])[0]
        if len(young):
            scores[torch.from_numpy(young).to(self.device)[:, None], self.stops] = float("-inf")
        step = np.minimum(batch.counts[rows], batch.steps - 1)
        temperature, noise = (
            torch.from_numpy(x).to(self.device) for x in (batch.temperature[rows], batch.noise[rows, step])
        )
        top_p = torch.from_numpy(batch.top_p[rows]).to(self.device) if batch.nucleus else None
        tokens, logprobs = self.ops.sample(scores, temperature, top_p, noise)
        batch.write(rows, tokens.cpu().numpy(), logprobs.cpu().numpy())


class _Batch:
    """Requests in the order of their adapters: what each has written, and which are rows at present.

    A request waits, then lies in a slot of the cache until it is done. `rows` are requests by index, -1 for padding.
    """

    def __init__(self, items: list[_Item], tokenizer: Tokenizer, max_rows: int) -> None:
        self.tokenizer, self.ends = tokenizer, np.array(sorted(tokenizer.stops))
        groups: dict[str | None, list[_Item]] = {}
        for item in items:
            groups.setdefault(item.request.adapter, []).append(item)
        # by size, so that neighbours make good rectangles
        self.adapters = sorted(groups, key=lambda name: (len(groups[name]), name or ""))
        self.items = [item for name in self.adapters for item in groups[name]]
        self.group = np.repeat(np.arange(len(self.adapters)), [len(groups[name]) for name in self.adapters])
        requests = [item.request for item in self.items]
        n, self.steps = len(items), max(r.max_tokens for r in requests)
        self.max_tokens = np.array([r.max_tokens for r in requests])
        self.min_tokens = np.array([r.min_tokens for r in requests])
        self.temperature = np.array([r.temperature for r in requests], dtype=np.float32)
        self.top_p = np.array([r.top_p for r in requests], dtype=np.float32)
        self.nucleus = bool((self.top_p < 1).any())
        self.noise = np.minimum(counted_noise([r.key for r in requests], self.steps), 1 - 2.0**-24).astype(np.float32)
        self.stops = np.array([bool(r.stop) for r in requests])
        # requests whose value is estimated, and the tokens that end their steps
        self.valued = np.array([bool(r.mark) and r.adapter is not None for r in requests])
        self.mark_of = np.array([r.mark for r in requests])
        self.marks = {m: np.array(sorted(tokenizer.containing(m))) for m in {r.mark for r in requests} - {""}}
        self.values: list[list[float]] = [[] for _ in requests]
        self.hopeless = np.zeros(n, dtype=bool)
        self.written = np.zeros((n, self.steps), dtype=np.int64)
        self.counts = np.zeros(n, dtype=np.int64)
        self.logprobs = np.zeros((n, self.steps), dtype=np.float32)
        self.ended = np.zeros(n, dtype=bool)  # by the end of text or a stop string
        self.done = np.zeros(n, dtype=bool)
        self.slot_of = np.full(n, -1)
        self.rows: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.runs: list[Segment] = []
        self.slots = min(max_rows, n)
        self.next, self.free, self.stale = 0, list(range(self.slots - 1, -1, -1)), True

    @property
    def left(self) -> bool:
        return not bool(self.done.all())

    def admit(self) -> NDArray[np.int64]:
        """The next requests, if there is room for enough of them; each gets a slot."""
        waiting = len(self.items) - self.next
        if waiting == 0 or len(self.free) < min(waiting, max(1, int(ADMIT_AT * self.slots))):
            return np.zeros(0, dtype=np.int64)
        new = np.arange(self.next, self.next + min(waiting, len(self.free)))
        for i in new:
            self.slot_of[i] = self.free.pop()
        self.next += len(new)
        self.stale = True
        return new

    def write(self, rows: NDArray[np.int64], tokens: NDArray[np.int64], logprobs: NDArray[np.float32]) -> None:
        live = np.nonzero((rows >= 0) & ~self.done[rows])[0]
        at, tokens, logprobs = rows[live], tokens[live], logprobs[live]
        self.written[at, self.counts[at]] = tokens
        self.logprobs[at, self.counts[at]] = logprobs
        self.counts[at] += 1
        self.ended[at] = (tokens[:, None] == self.ends).any(1)
        for i in at[self.stops[at] & ~self.ended[at]]:
            text = self.tokenizer.decode([self.written[i, : self.counts[i]].tolist()])[0]
            self.ended[i] = any(s in text for s in self.items[i].request.stop)
        self.done[at] = self.ended[at] | (self.counts[at] >= self.max_tokens[at])
        self.free += self.slot_of[at[self.done[at]]].tolist()

    def due(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The indices of rows whose request has written nothing or has just ended a step, and has a value."""
        counts, last = self.counts[rows], self.written[rows, self.counts[rows] - 1]
        ended = counts == 0
        for mark, tokens in self.marks.items():
            ended |= (self.mark_of[rows] == mark) & np.isin(last, tokens)
        return np.nonzero((rows >= 0) & ~self.done[rows] & self.valued[rows] & ended)[0]

    def numbers(self, i: int) -> list[float]:
        """What the value of a request depends on besides its hidden state (`agents.value`)."""
        return numbers_of(len(self.items[i].ids), self.logprobs_of(i), len(self.values[i]))

    def logprobs_of(self, i: int) -> list[float]:
        """Log-probabilities of the tokens that a request has written."""
        found: list[float] = self.logprobs[i, : self.counts[i]].tolist()
        return found

    def judge(self, requests: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Record values, and end requests that began and are below their limit."""
        for i, value in zip(requests, values.tolist(), strict=True):
            self.values[i].append(value)
            self.hopeless[i] = self.counts[i] > 0 and value < self.items[i].request.stop_below
        ended = requests[self.hopeless[requests]]
        self.done[ended] = True
        self.free += self.slot_of[ended].tolist()

    def arrange(self) -> None:
        """Lay out the rows in rectangles of neighbouring adapters, anew if enough has changed to pay for it."""
        active = np.nonzero(~self.done[: self.next])[0]
        if not self.stale and len(active) > COMPACT_BELOW * len(self.rows):
            return
        self.stale = False
        counts = np.bincount(self.group[active], minlength=len(self.adapters))
        heights = np.array(rectangles(counts.tolist()))
        starts, before = np.cumsum(heights) - heights, np.cumsum(counts) - counts
        self.rows = np.full(int(heights.sum()), -1, dtype=np.int64)
        self.rows[np.repeat(starts - before, counts) + np.arange(len(active))] = active
        self.runs = segments_of(heights.tolist())

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of each row its slot, -1 for padding and finished rows, and how many tokens it wrote before the last."""
        slots = np.where((self.rows >= 0) & ~self.done[self.rows], self.slot_of[self.rows], -1)
        return slots, self.counts[self.rows] - 1

    def last_tokens(self) -> NDArray[np.int64]:
        return self.written[self.rows, self.counts[self.rows] - 1]

    def completions(self) -> dict[int, Completion]:
        texts = self.tokenizer.decode([self.written[i, :n].tolist() for i, n in enumerate(self.counts)])
        return {
            item.at: Completion(
                item.request.key,
                cut(text, item.request.stop),
                "hopeless" if self.hopeless[i] else "stop" if self.ended[i] else "length",
                len(item.ids),
                int(self.counts[i]),
                math.fsum(self.logprobs_of(i)),
                tuple(self.logprobs_of(i)),
                tuple(self.values[i]),
            )
            for i, (item, text) in enumerate(zip(self.items, texts, strict=True))
        }


class _Prompts:
    """The different prompts of some requests, in the order of their adapters, with prefixes that they share.

    `of` [requests] is the number of each request's prompt, `at` [prompts] the index of its sequence in `ids`, which it
    shares with no other; `parents` as in `Packing`.
    """

    def __init__(self, batch: _Batch, new: NDArray[np.int64], share: bool) -> None:
        found: dict[tuple[int, tuple[int, ...]], int] = {}
        keys = [(int(batch.group[i]), tuple(batch.items[i].ids)) for i in new]
        self.of = np.array([found.setdefault(key, len(found)) for key in keys])
        by_group: dict[int, list[tuple[int, ...]]] = {}
        for group, ids in found:
            by_group.setdefault(group, []).append(ids)
        self.ids: list[Sequence[int]] = []
        self.parents: list[int] = []
        at: list[int] = []
        self.by_adapter = [0] * len(batch.adapters)
        self.tokens_by_adapter = [0] * len(batch.adapters)
        for group, prompts in by_group.items():
            family, first = Family(prompts, prompts, share), len(self.ids)
            self.ids += family.sequences
            self.parents += [first + p if p >= 0 else -1 for p in family.parents]
            at += [first + i for i in family.at]
            self.by_adapter[group] = len(prompts)
            self.tokens_by_adapter[group] = family.tokens
        self.at = np.array(at)
