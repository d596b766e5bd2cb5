"""Causal attention on the CPU where packed sequences may continue a shared prefix.

Attention to the prefix and to the sequence itself are two calls of torch's fused attention. Their results are merged by
their log-sum-exps, and the backward pass calls the fused backward of each part with the merged result, both exact (as
in ring attention, Liu et al. 2023). Probabilities are never stored. Query heads that share a key-value head are rows
of one product. The backward pass is computed in float32: torch's bfloat16 kernel takes four to ten times as long.
Left out: other devices.

Shapes: T tokens, H query heads, G key-value heads, E head size, N sequences, S their longest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agents.packing import Packing, to_grid

flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def attend(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> Tensor:
    """Causal attention of rotated q [T, H, E], k and v [T, G, E]. Returns [T, H, E]; differentiable."""
    out: Tensor = _Attend.apply(q, k, v, packing)  # type: ignore[no-untyped-call]
    return out


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> Tensor:
        out, sums = torch.empty_like(q), q.new_empty(q.shape[:2], dtype=torch.float32)
        for grid in packing.grids:
            own, total = flash(*(to_grid(x, grid) for x in (q, k, v)), 0.0, True)
            out.index_copy_(0, grid.rows, own.transpose(1, 2).flatten(0, 1).index_select(0, grid.cells))
            sums.index_copy_(0, grid.rows, total.transpose(1, 2).flatten(0, 1).index_select(0, grid.cells))
        for prefix, rows in packing.families:
            part, total = flash(folded(q[rows], k.shape[1]), heads(k[prefix]), heads(v[prefix]), 0.0, False)
            part, total = unfolded(part, q.shape[1]), unfolded(total[..., None], q.shape[1])
            own = sums[rows][..., None]
            both = torch.logaddexp(own, total)
            out[rows] = out[rows] * (own - both).exp() + part * (total - both).exp()
            sums[rows] = both[..., 0]
        ctx.packing = packing
        ctx.save_for_backward(q, k, v, out, sums)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, out, sums = ctx.saved_tensors
        grads = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        for grid in ctx.packing.grids:
            inputs = [to_grid(x, grid).float() for x in (grad, q, k, v, out, sums[..., None])]
            parts = flash_backward(*inputs[:-1], inputs[-1][..., 0], 0.0, True)
            for whole, part in zip(grads, (part.to(q.dtype) for part in parts), strict=True):
                whole.index_copy_(0, grid.rows, part.transpose(1, 2).flatten(0, 1).index_select(0, grid.cells))
        for prefix, rows in ctx.packing.families:
            g = k.shape[1]
            upstream, queries, result = (folded(x[rows], g).float() for x in (grad, q, out))
            total = folded(sums[rows][..., None], g)[..., 0]
            part_q, part_k, part_v = flash_backward(
                upstream, queries, heads(k[prefix]).float(), heads(v[prefix]).float(), result, total, 0.0, False
            )
            grads[0][rows] += unfolded(part_q, q.shape[1])
            grads[1][prefix] += part_k[0].transpose(0, 1)
            grads[2][prefix] += part_v[0].transpose(0, 1)
        return *grads, None


def heads(x: Tensor) -> Tensor:
    """[S, heads, E] -> [1, heads, S, E]."""
    return x.transpose(0, 1)[None]


def folded(x: Tensor, groups: int) -> Tensor:
    """[S, H, E] -> [1, G, H / G * S, E]: the query heads of a key-value head as rows."""
    s, h, e = x.shape
    return x.transpose(0, 1).reshape(1, groups, h // groups * s, e)


def unfolded(x: Tensor, count: int) -> Tensor:
    """[1, G, H / G * S, E] -> [S, H, E], for `count` = H query heads."""
    return x.reshape(count, -1, x.shape[-1]).transpose(0, 1)
