"""Independent pieces of torch work on several cores.

The tensors of a small model are too small to split: two threads inside each operation gain little. Whole pieces (the
parts of one engine call, the agents of one sleep) are independent, so each runs on a thread of its own with
single-threaded operations. What a piece computes does not depend on which thread takes it, or when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def workers(device: torch.device) -> int:
    """Threads that pieces of work on this device are spread over: those torch is set to use, and one for a GPU."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def in_threads(function: Callable[[Piece], Result], pieces: Sequence[Piece], threads: int) -> list[Result]:
    """`[function(p) for p in pieces]`, on so many threads. One piece uses all that torch is set to use by itself."""
    if threads == 1 or len(pieces) < 2:
        return [function(p) for p in pieces]
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(function, pieces))
    finally:
        torch.set_num_threads(threads)


def evenly(count: int, most: int, threads: int) -> list[slice]:
    """Slices of `range(count)` of nearly equal length, at most `most` long, their number a multiple of `threads`."""
    if count == 0:
        return []
    parts = min(count, threads * -(-count // (threads * most)))
    return [slice(count * i // parts, count * (i + 1) // parts) for i in range(parts)]
