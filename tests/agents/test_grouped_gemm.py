"""Grouped matrix products equal a loop over agents, forward and backward, with little padding."""

from __future__ import annotations

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
