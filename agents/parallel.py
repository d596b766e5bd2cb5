"""Run independent pieces of torch work on several threads.

The tensors of a small model are too small for parallelism within operations. Larger pieces (parts of an engine call,
agents of a sleep) are independent, so each runs on its own thread with single-threaded operations. The result of a
piece does not depend on its thread or on timing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def workers(device: torch.device) -> int:
    """Number of threads for work on a device: torch's setting on the CPU, 1 for a GPU."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def in_threads(function: Callable[[Piece], Result], pieces: Sequence[Piece], threads: int) -> list[Result]:
    """Compute `[function(p) for p in pieces]` on `threads` threads. A single piece uses all of them."""
    if threads == 1 or len(pieces) < 2:
        return [function(p) for p in pieces]
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(function, pieces))
    finally:
        torch.set_num_threads(threads)


def evenly(count: int, most: int, threads: int) -> list[slice]:
    """Split `range(count)` into slices of nearly equal length, at most `most`; their number is a multiple of `threads`
    if `count` allows."""
    if count == 0:
        return []
    parts = min(count, threads * -(-count // (threads * most)))
    return [slice(count * i // parts, count * (i + 1) // parts) for i in range(parts)]
