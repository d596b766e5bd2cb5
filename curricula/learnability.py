"""How much a problem teaches, from the solve rate p of agents other than its author.

One function a payment rule, in one table; `arena` chooses by name. All are 0 when nobody or everybody solves, except
`inverse`, which is 0 when nobody solves and small when nearly everybody does.
"""

from __future__ import annotations

from collections.abc import Callable


def variance(p: float) -> float:
    """4p(1-p): the scaled variance of one attempt, greatest at p = 1/2."""
    return 4.0 * p * (1.0 - p)


def inverse(p: float) -> float:
    """1-p for p > 0, else 0: the harder the better, as long as somebody solves it (Zhao et al. 2025, Absolute Zero)."""
    return 1.0 - p if p > 0.0 else 0.0


RULES: dict[str, Callable[[float], float]] = {"variance": variance, "inverse": inverse}


def is_learnable(p: float) -> bool:
    """Some attempts succeed and some fail."""
    return 0.0 < p < 1.0
