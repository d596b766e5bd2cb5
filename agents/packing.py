"""Index tensors for token sequences that are concatenated without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Sequences that are padded to one width: their tokens are `rows` [tokens] of the packed tensor (None: all), and
    `cells` [tokens] of the flattened grid [count, width]."""

    count: int
    width: int
    cells: Tensor
    rows: Tensor


class Packing:
    """Sequences of `lengths` tokens, concatenated without padding.

    Args:
        lengths: number of tokens of each sequence.
        device: of the index tensors.
        parents: index of the sequence that each one continues, -1 for none (default). A parent has no parent, and its
            sequences follow it without a gap.
    """

    def __init__(
        self, lengths: Sequence[int], device: torch.device | str = "cpu", parents: Sequence[int] | None = None
    ) -> None:
        self.lengths, self.device = list(lengths), device
        sizes = np.array(self.lengths, dtype=np.int64)
        self.sizes, self.starts = sizes, np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self.count, self.total = len(sizes), int(sizes.sum())
        self.parents = np.full(self.count, -1) if parents is None else np.array(parents, dtype=np.int64)
        self.before = np.where(self.parents >= 0, sizes[self.parents], 0) if self.count else sizes  # prefix tokens
        self.width = int((sizes + self.before).max(initial=0))  # the longest sequence with its prefix
        places = np.arange(self.total) - np.repeat(self.starts, sizes)
        # [T] position of each token in its sequence, its prefix included
        self.positions = torch.from_numpy(places + np.repeat(self.before, sizes)).to(device)
        self.last = torch.from_numpy(self.starts + sizes - 1).to(device)  # [count] index of each last token
        prefixes = np.unique(self.parents[self.parents >= 0])
        self.shared = len(prefixes) > 0
        rest = np.setdiff1d(np.arange(self.count), prefixes)
        self.grids = [self._grid(which, places) for which in (prefixes, rest) if len(which)]
        self.families = [self._family(int(p)) for p in prefixes]

    def _grid(self, which: np.ndarray, places: np.ndarray) -> Grid:
        rows = np.concatenate([np.arange(s, s + n) for s, n in zip(self.starts[which], self.sizes[which], strict=True)])
        width = int(self.sizes[which].max())
        cells = places[rows] + np.repeat(np.arange(len(which)), self.sizes[which]) * width
        return Grid(len(which), width, *(torch.from_numpy(x).to(self.device) for x in (cells, rows)))

    def _family(self, parent: int) -> tuple[slice, slice]:
        """The rows of a prefix, and those of the sequences that continue it."""
        last = int(np.nonzero(self.parents == parent)[0][-1])
        stop = int(self.starts[parent] + self.sizes[parent])
        return slice(int(self.starts[parent]), stop), slice(stop, int(self.starts[last] + self.sizes[last]))


def to_grid(x: Tensor, grid: Grid) -> Tensor:
    """[T, heads, E] packed -> [N, heads, width, E], padded with zeros on the right."""
    if len(grid.rows) != len(x):
        x = x.index_select(0, grid.rows)
    cells = x.new_zeros(grid.count * grid.width, *x.shape[1:]).index_copy(0, grid.cells, x)
    return cells.view(grid.count, grid.width, *x.shape[1:]).transpose(1, 2)


def from_grid(cells: Tensor, grid: Grid) -> Tensor:
    """[N, heads, width, E] -> [T, heads * E] packed, of a grid of all sequences."""
    n, h, s, e = cells.shape
    return cells.transpose(1, 2).reshape(n * s, h * e).index_select(0, grid.cells)
