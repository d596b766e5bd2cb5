"""Products of ragged groups: each agent's rows times that agent's matrix, without a loop over agents.

Rows of all agents lie in one tensor, agent after agent. A `Run` is a rectangle of that tensor: `count` neighbouring
agents with `height` rows each, which one `bmm` serves. Equal groups are one run, ragged ones a few (`rectangles` finds
them), and long groups of one agent a run each. Left out: reordering rows, which is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

RUN_COST = 8  # what one more bmm a projection costs, in rows


@dataclass(frozen=True)
class Run:
    """Rows start to start + count * height, of agents first to first + count."""

    first: int
    count: int
    start: int
    height: int

    @property
    def stop(self) -> int:
        return self.start + self.count * self.height


def runs_of(heights: Sequence[int]) -> list[Run]:
    """Runs for agents with these numbers of rows; neighbours with equal numbers share one. Zeros take no run."""
    runs: list[Run] = []
    start = 0
    for agent, height in enumerate(heights):
        last = runs[-1] if runs else None
        if last and last.height == height and last.first + last.count == agent:
            runs[-1] = Run(last.first, last.count + 1, last.start, height)
        elif height:
            runs.append(Run(agent, 1, start, height))
        start += height
    return runs


def rectangles(counts: Sequence[int], run_cost: int = RUN_COST) -> list[int]:
    """Heights, each at least its count, that `runs_of` turns into the cheapest runs: rows plus `run_cost` a run.

    Dynamic programming over where a run ends; counts that are sorted beforehand give the least padding. Agents
    without rows keep none and end a run.
    """
    n = len(counts)
    best = [0.0] + [float("inf")] * n
    cut = [0] * (n + 1)
    for end in range(1, n + 1):
        if counts[end - 1] == 0:
            best[end], cut[end] = best[end - 1], end - 1
            continue
        height = 0
        for start in range(end - 1, -1, -1):
            if counts[start] == 0:
                break
            height = max(height, counts[start])
            cost = best[start] + height * (end - start) + run_cost
            if cost < best[end]:
                best[end], cut[end] = cost, start
    heights = [0] * n
    end = n
    while end:
        start = cut[end]
        heights[start:end] = [max(counts[start:end])] * (end - start)
        end = start
    return heights


def grouped_mm(x: Tensor, weights: Tensor, runs: Sequence[Run]) -> Tensor:
    """(T, in) times (agents, in, out) by group -> (T, out); differentiable in both. Every row must lie in a run."""
    if torch.is_grad_enabled() and (x.requires_grad or weights.requires_grad):
        out: Tensor = _GroupedMM.apply(x, weights, runs)  # type: ignore[no-untyped-call]
        return out
    return _product(x, weights, runs)


def _product(x: Tensor, weights: Tensor, runs: Sequence[Run]) -> Tensor:
    if len(runs) == 1:
        (r,) = runs
        return torch.bmm(x.view(r.count, r.height, -1), weights[r.first : r.first + r.count]).view(x.shape[0], -1)
    y = x.new_empty(x.shape[0], weights.shape[2])
    sizes = [r.count * r.height for r in runs]
    for r, rows, target in zip(runs, torch.split(x, sizes), torch.split(y, sizes), strict=True):
        if r.count == 1:
            torch.mm(rows, weights[r.first], out=target)
        else:
            mats = weights[r.first : r.first + r.count]
            torch.bmm(rows.view(r.count, r.height, -1), mats, out=target.view(r.count, r.height, -1))
    return y


class _GroupedMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, runs: Sequence[Run]) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.runs = runs
        return _product(x, weights, runs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weights = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x = _product(grad, weights.transpose(1, 2), ctx.runs) if ctx.needs_input_grad[0] else None
        grad_w = None
        if ctx.needs_input_grad[1]:
            covered = sum(r.count for r in ctx.runs) == weights.shape[0]
            grad_w = (torch.empty_like if covered else torch.zeros_like)(weights)
            for r in ctx.runs:
                a = x[r.start : r.stop].view(r.count, r.height, -1).transpose(1, 2)
                b = grad[r.start : r.stop].view(r.count, r.height, -1)
                torch.bmm(a, b, out=grad_w[r.first : r.first + r.count])
        return grad_x, grad_w, None
