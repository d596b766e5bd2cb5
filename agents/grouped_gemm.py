"""Grouped matrix products: the rows of each agent times that agent's matrix, without a loop over agents.

The rows of all agents are concatenated in agent order. A `Segment` is a part of this tensor with `count` adjacent
agents that have `height` rows each; it needs one `bmm`. Groups of equal size form one segment, groups of different
sizes a few (`rectangles` chooses the padding). Left out: reordering rows, which is up to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SEGMENT_COST = 8  # cost of one more bmm per projection, in rows


@dataclass(frozen=True)
class Segment:
    """Rows start to start + count * height, which belong to agents first to first + count."""

    first: int
    count: int
    start: int
    height: int

    @property
    def stop(self) -> int:
        return self.start + self.count * self.height


def segments_of(heights: Sequence[int]) -> list[Segment]:
    """Segments for agents with these numbers of rows. Adjacent equal numbers share one; zeros have none."""
    segments: list[Segment] = []
    start = 0
    for agent, height in enumerate(heights):
        last = segments[-1] if segments else None
        if last and last.height == height and last.first + last.count == agent:
            segments[-1] = Segment(last.first, last.count + 1, last.start, height)
        elif height:
            segments.append(Segment(agent, 1, start, height))
        start += height
    return segments


def rectangles(counts: Sequence[int], segment_cost: int = SEGMENT_COST) -> list[int]:
    """Choose padded numbers of rows that minimise the cost of the segments: their rows, plus `segment_cost` for each.

    Dynamic programming over the ends of segments. Sorted counts need the least padding. Agents without rows get none
    and end a segment.

    Args:
        counts: number of rows of each agent.
        segment_cost: cost of a segment, in rows.

    Returns:
        Numbers of rows for `segments_of`, each at least its count.
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
            cost = best[start] + height * (end - start) + segment_cost
            if cost < best[end]:
                best[end], cut[end] = cost, start
    heights = [0] * n
    end = n
    while end:
        start = cut[end]
        heights[start:end] = [max(counts[start:end])] * (end - start)
        end = start
    return heights


def grouped_mm(x: Tensor, weights: Tensor, segments: Sequence[Segment]) -> Tensor:
    """Multiply the rows of each agent by its matrix. Differentiable in both.

    Args:
        x: [T, in], rows in agent order.
        weights: [agents, in, out].
        segments: segments that cover all rows of `x`.

    Returns:
        [T, out].
    """
    if torch.is_grad_enabled() and (x.requires_grad or weights.requires_grad):
        out: Tensor = _GroupedMM.apply(x, weights, segments)  # type: ignore[no-untyped-call]
        return out
    return _product(x, weights, segments)


def _product(x: Tensor, weights: Tensor, segments: Sequence[Segment]) -> Tensor:
    if len(segments) == 1:
        (r,) = segments
        return torch.bmm(x.view(r.count, r.height, -1), weights[r.first : r.first + r.count]).view(x.shape[0], -1)
    y = x.new_empty(x.shape[0], weights.shape[2])
    sizes = [r.count * r.height for r in segments]
    for r, rows, target in zip(segments, torch.split(x, sizes), torch.split(y, sizes), strict=True):
        if r.count == 1:
            torch.mm(rows, weights[r.first], out=target)
        else:
            mats = weights[r.first : r.first + r.count]
            torch.bmm(rows.view(r.count, r.height, -1), mats, out=target.view(r.count, r.height, -1))
    return y


def low_rank_linear(x: Tensor, weight: Tensor, down: Tensor, up: Tensor, segments: Sequence[Segment]) -> Tensor:
    """x weight + x down[a] up[a], with a the agent of each row. Differentiable in x, down and up.

    Args:
        x: [T, in], rows in agent order.
        weight: [in, out], frozen.
        down, up: [agents, in, rank] and [agents, rank, out].
        segments: segments that cover all rows of `x`.

    Returns:
        [T, out].
    """
    if torch.is_grad_enabled() and (x.requires_grad or down.requires_grad or up.requires_grad):
        out: Tensor = _LowRank.apply(x, weight, down, up, segments)  # type: ignore[no-untyped-call]
        return out
    return _add_product(x @ weight, _product(x, down, segments), up, segments)


def _add_product(y: Tensor, x: Tensor, weights: Tensor, segments: Sequence[Segment]) -> Tensor:
    """y += the rows x of each agent times its matrix, in place. Returns y."""
    for r in segments:
        rows, target = (t[r.start : r.stop].view(r.count, r.height, -1) for t in (x, y))
        torch.baddbmm(target, rows, weights[r.first : r.first + r.count], out=target)
    return y


class _LowRank(torch.autograd.Function):
    """Stores x and its product with `down`, and writes all gradients to contiguous memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, down: Tensor, up: Tensor, segments: Sequence[Segment]) -> Tensor:
        low = _product(x, down, segments)
        ctx.save_for_backward(x, weight, down, up, low)
        ctx.segments = segments
        return _add_product(x @ weight, low, up, segments)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor, Tensor, None]:
        x, weight, down, up, low = ctx.saved_tensors
        grad, segments = grad.contiguous(), ctx.segments
        grad_low = _product(grad, up.transpose(1, 2), segments)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _add_product(grad @ weight.t(), grad_low, down.transpose(1, 2), segments)
        return grad_x, None, _gradient(x, grad_low, down, segments), _gradient(low, grad, up, segments), None


def _gradient(x: Tensor, grad: Tensor, weights: Tensor, segments: Sequence[Segment]) -> Tensor:
    """The gradient of the matrices in `_product(x, weights, segments)`, given that of the result."""
    covered = sum(r.count for r in segments) == weights.shape[0]
    # contiguous, because bmm into transposed bfloat16 memory is about a thousand times slower
    out = (weights.new_empty if covered else weights.new_zeros)(weights.shape)
    for r in segments:
        a = x[r.start : r.stop].view(r.count, r.height, -1).transpose(1, 2)
        b = grad[r.start : r.stop].view(r.count, r.height, -1)
        torch.bmm(a, b, out=out[r.first : r.first + r.count])
    return out


class _GroupedMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, segments: Sequence[Segment]) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.segments = segments
        return _product(x, weights, segments)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weights = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x = _product(grad, weights.transpose(1, 2), ctx.segments) if ctx.needs_input_grad[0] else None
        grad_w = _gradient(x, grad, weights, ctx.segments) if ctx.needs_input_grad[1] else None
        return grad_x, grad_w, None
