"""Grouped matrix products equal a loop over agents, forward and backward, with little padding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.grouped_gemm import SEGMENT_COST, grouped_mm, rectangles, segments_of

counts = st.lists(st.integers(0, 20), min_size=1, max_size=24)


@given(counts)
def test_segments_cover_all_rows(heights: list[int]) -> None:
    runs = segments_of(heights)
    rows = [(r.first + i // r.height, r.start + i) for r in runs for i in range(r.count * r.height)]
    assert rows == [(a, i) for i, a in enumerate(a for a, h in enumerate(heights) for _ in range(h))]


@given(counts)
def test_rectangles_cost(found: list[int]) -> None:
    """Padded heights fit every row and cost no more than no padding or full padding."""
    heights = rectangles(found)
    assert all(h >= c and (h == 0) == (c == 0) for h, c in zip(heights, found, strict=True))
    cost = sum(heights) + SEGMENT_COST * len(segments_of(heights))
    assert cost <= sum(found) + SEGMENT_COST * sum(c > 0 for c in found)
    if all(found):
        assert cost <= max(found) * len(found) + SEGMENT_COST


@pytest.mark.parametrize("heights", [[3, 3, 3], [1, 1, 5, 5, 2], [0, 4, 0, 0, 4, 4, 0], [7]])
def test_grouped_mm_equals_loop(heights: list[int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(sum(heights), 6, requires_grad=True)
    w = torch.randn(len(heights), 6, 5, requires_grad=True)
    y = grouped_mm(x, w, segments_of(heights))
    loop = torch.cat([rows @ w[a] for a, rows in enumerate(x.split(heights))])
    assert torch.allclose(y, loop, atol=1e-5)
    upstream = torch.randn_like(y)
    ours, theirs = torch.autograd.grad(y, (x, w), upstream), torch.autograd.grad(loop, (x, w), upstream)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_write_contiguous_memory(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products into transposed memory are a thousand times slower in bfloat16; LoRA weights are transposed views."""
    written = []

    def recording(plain: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def call(a: torch.Tensor, b: torch.Tensor, **options: torch.Tensor) -> torch.Tensor:
            written.append(plain(a, b, **options))
            return written[-1]

        return call

    monkeypatch.setattr(torch, "mm", recording(torch.mm))
    monkeypatch.setattr(torch, "bmm", recording(torch.bmm))
    torch.manual_seed(0)
    heights = [2, 2, 3, 0, 4]
    x = torch.randn(sum(heights), 6).to(dtype).requires_grad_()
    rows = torch.randn(len(heights), 5, 6)  # as stored: [agents, out, in]
    w = rows.to(dtype).transpose(1, 2).requires_grad_()
    y = grouped_mm(x, w, segments_of(heights))
    grads = torch.autograd.grad(y, (x, w), torch.ones_like(y))
    assert len(written) == 3 * 3
    assert all(out.is_contiguous() for out in (*written, *grads))
    loop = torch.cat([part @ rows[a].to(dtype).t() for a, part in enumerate(x.detach().split(heights))])
    assert torch.allclose(y.detach(), loop, atol=1e-5 if dtype == torch.float32 else 0.05)
