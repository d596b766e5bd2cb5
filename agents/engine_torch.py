"""The in-process torch engine: one batch mixes all agents' requests.

Requests are sorted by prompt length into micro-batches, rows are grouped by adapter and padded to the largest group,
and the prompts are padded on the left so that each step writes one column of a preallocated cache. Finished rows
leave the batch. Not guaranteed: bit-equal logits of one request in two different batches (they agree within 1e-4);
the same batch twice on the same machine and thread count is bit-equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agents.adapters import AdapterLayout, Adapters
from agents.checkpoint import BaseModel
from agents.engine import Completion, Request, counted_noise
from agents.model import KVCache, causal_mask, forward, rope_table
from agents.parallel import evenly, in_threads
from agents.tokenizer import Tokenizer

COMPACT_BELOW = 0.75  # rows leave when less than this share of the batch is still writing


class TorchEngine:
    """Generates with the base model and any of the adapters it was given."""

    def __init__(self, base: BaseModel, tokenizer: Tokenizer, max_rows: int = 384) -> None:
        self.base, self.tokenizer, self.max_rows = base, tokenizer, max_rows
        layout = AdapterLayout(base.config, rank=1, alpha=1.0)
        self.adapters = Adapters(base, layout, [], torch.zeros(0, layout.size))
        self._rope = rope_table(base.config, base.config.max_position_embeddings)

    def set_adapters(self, adapters: Adapters) -> None:
        self.adapters = adapters

    def count_tokens(self, text: str) -> int:
        return self.tokenizer.count(text)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions in the order of the requests. Raises ValueError for an empty or over-long prompt."""
        prompts = self.tokenizer.encode([r.prompt for r in requests])
        for request, ids in zip(requests, prompts, strict=True):
            if not ids or len(ids) + request.max_tokens > self.base.config.max_position_embeddings:
                raise ValueError(
                    f"request {request.key!r}: a prompt of {len(ids)} tokens and {request.max_tokens} new ones "
                    f"do not fit 1 to {self.base.config.max_position_embeddings} positions"
                )
        order = sorted(range(len(requests)), key=lambda i: (len(prompts[i]), requests[i].max_tokens, i))
        pieces = [
            [(i, requests[i], prompts[i]) for i in order[part]]
            for part in evenly(len(order), self.max_rows, torch.get_num_threads())
        ]
        done: dict[int, Completion] = {}
        for found in in_threads(self._generate, pieces):
            done.update(found)
        return [done[i] for i in range(len(requests))]

    @torch.no_grad()
    def _generate(self, items: list[tuple[int, Request, list[int]]]) -> dict[int, Completion]:
        batch = _Batch(items, self.tokenizer)
        config, width, steps = self.base.config, batch.width, batch.steps
        weights = self.adapters.weights(batch.adapters)
        cos, sin = self._rope
        cache = KVCache(config, batch.rows, width + steps)
        position = (torch.arange(width)[None] - (width - batch.lengths)[:, None]).clamp_min(0)
        mask = causal_mask(batch.lengths, width, left_padded=True)
        hidden_columns = (torch.arange(width + steps)[None] < (width - batch.lengths)[:, None])[:, None, None]
        pad = torch.zeros(batch.rows, 1, 1, width + steps).masked_fill_(hidden_columns, float("-inf"))
        logits = forward(
            weights, batch.tokens, cos[position][:, None], sin[position][:, None], mask, cache, 0, last_only=True
        )
        for step in range(steps):
            keep = batch.write(logits.flatten(0, 1), step)
            if keep is not None:
                if keep.numel() == 0:
                    break
                cache.select(keep, width + step)
                pad = pad[keep]
            if step + 1 == steps:
                break
            at = batch.lengths + step
            logits = forward(
                weights,
                batch.last_token.view(len(batch.adapters), -1, 1),
                cos[at][:, None, None],
                sin[at][:, None, None],
                pad[..., : width + step + 1],
                cache,
                width + step,
                last_only=True,
            )
        return batch.completions()


@dataclass
class _Written:
    """What one request has so far."""

    at: int
    request: Request
    prompt_tokens: int
    ids: list[int]
    logprob: float = 0.0
    finish: str = ""


class _Batch:
    """The rows of one micro-batch: a grid of adapters by rows, with padding rows that belong to no request."""

    def __init__(self, items: list[tuple[int, Request, list[int]]], tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        groups: dict[str | None, list[tuple[int, Request, list[int]]]] = {}
        for item in items:
            groups.setdefault(item[1].adapter, []).append(item)
        self.adapters = tuple(sorted(groups, key=lambda name: (name is not None, name or "")))
        height = max(map(len, groups.values()))
        self.width = max(len(ids) for _, _, ids in items)
        self.steps = max(r.max_tokens for _, r, _ in items)
        self.rows = len(self.adapters) * height
        self.cells: list[_Written | None] = []
        tokens = np.full((self.rows, self.width), tokenizer.pad, dtype=np.int64)
        lengths = np.ones(self.rows, dtype=np.int64)
        for name in self.adapters:
            for k in range(height):
                row = len(self.cells)
                if k >= len(groups[name]):
                    self.cells.append(None)
                    continue
                at, request, ids = groups[name][k]
                self.cells.append(_Written(at, request, len(ids), []))
                tokens[row, self.width - len(ids) :] = ids
                lengths[row] = len(ids)
        self.all_cells = [c for c in self.cells if c is not None]
        self.tokens = torch.from_numpy(tokens).view(len(self.adapters), height, self.width)
        self.lengths = torch.from_numpy(lengths)
        cells = [c.request if c else Request("", "", temperature=0.0) for c in self.cells]
        self.temperature = torch.tensor([r.temperature for r in cells], dtype=torch.float32)
        self.top_p = torch.tensor([r.top_p for r in cells], dtype=torch.float32)
        self.noise = torch.from_numpy(
            np.minimum(counted_noise([r.key for r in cells], self.steps), 1 - 2.0**-24).astype(np.float32)
        )
        self.last_token = torch.zeros(self.rows, dtype=torch.long)

    def write(self, logits: Tensor, step: int) -> Tensor | None:
        """Sample one token a row (logits (N, V)), record it, and return the rows to keep if the batch should shrink."""
        self.last_token, logprob = sample(logits, self.temperature, self.top_p, self.noise[:, step])
        tokens, logprobs = self.last_token.tolist(), logprob.tolist()
        active: list[int] = []
        for row, cell in enumerate(self.cells):
            if cell is None or cell.finish:
                continue
            token = tokens[row]
            cell.logprob += logprobs[row]
            if token == self.tokenizer.eos:
                cell.finish = "stop"
                continue
            cell.ids.append(token)
            if cell.request.stop and any(s in self.tokenizer.decode([cell.ids])[0] for s in cell.request.stop):
                cell.finish = "stop"
            elif step + 1 >= cell.request.max_tokens:
                cell.finish = "length"
            else:
                active.append(row)
        if not active:
            return torch.zeros(0, dtype=torch.long)
        return self._shrink(active)

    def _shrink(self, active: list[int]) -> Tensor | None:
        """Drop finished rows: the grid's height falls to its fullest adapter's number of active rows."""
        count, old = len(self.adapters), self.rows // len(self.adapters)
        by_group: list[list[int]] = [[] for _ in range(count)]
        for row in active:
            by_group[row // old].append(row)
        height = max(map(len, by_group))
        if height > COMPACT_BELOW * old:
            return None
        kept: list[int] = []
        cells: list[_Written | None] = []
        for group, rows in enumerate(by_group):
            filler = [group * old] * (height - len(rows))
            kept += rows + filler
            cells += [self.cells[r] for r in rows] + [None] * len(filler)
        keep = torch.tensor(kept)
        self.cells, self.rows = cells, len(cells)
        self.lengths, self.last_token = self.lengths[keep], self.last_token[keep]
        self.temperature, self.top_p, self.noise = self.temperature[keep], self.top_p[keep], self.noise[keep]
        return keep

    def completions(self) -> dict[int, Completion]:
        texts = self.tokenizer.decode([c.ids for c in self.all_cells])
        return {
            c.at: Completion(
                c.request.key,
                cut(text, c.request.stop),
                c.finish or "length",
                c.prompt_tokens,
                len(c.ids) + (c.finish == "stop" and not c.request.stop),
                c.logprob,
            )
            for c, text in zip(self.all_cells, texts, strict=True)
        }


def cut(text: str, stop: tuple[str, ...]) -> str:
    """The text up to the first stop string."""
    for s in stop:
        text = text.partition(s)[0]
    return text.strip()


def sample(logits: Tensor, temperature: Tensor, top_p: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """One token a row by inversion of the cumulative distribution, and its log-probability at temperature 1.

    logits (N, V), the rest (N,); temperature 0 is greedy; nucleus sampling (Holtzman et al. 2020) where top_p < 1.
    """
    logp = logits.log_softmax(-1)
    greedy = logits.argmax(-1)
    if bool((temperature > 0).any()):
        p = (logits / temperature.clamp_min(1e-6)[:, None]).softmax(-1)
        if bool((top_p < 1).any()):
            ordered, rank = p.sort(dim=-1, descending=True)
            before = ordered.cumsum(-1) - ordered
            p = p * torch.zeros_like(p).scatter_(1, rank, (before < top_p[:, None]).to(p.dtype))
        total = p.cumsum(-1)
        drawn = (total <= noise[:, None] * total[:, -1:]).sum(-1).clamp_max(logits.shape[1] - 1)
        chosen = torch.where(temperature > 0, drawn, greedy)
    else:
        chosen = greedy
    return chosen, logp.gather(1, chosen[:, None])[:, 0]
