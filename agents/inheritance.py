"""How a newborn's adapter comes from its parents': one flat row (agents/adapters.py) from one or several.

A module here is one projection of one layer: its A and B act together as (alpha/rank) B A and are kept together.
Crossover takes each module whole from one parent, as PopuLoRA does. The average is the mean of what the parents do,
not of their parameters: the mean of B times the mean of A is not the mean of BA, and is off by their covariance. The
mean of n products has a rank of up to n * rank; what is kept is its best approximation of the adapter's rank (Eckart &
Young 1936), which by that theorem is never further from the mean than the mean of the parameters is, whether the
parents share an ancestor or not. So there is one average, and no rule about ancestry.

Left out: optimiser state, which a newborn starts without; parents of different ranks; weighing a module by what it is
good for. Not guaranteed: that a child of two good parents is good. Modules that learned together may not work apart.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import random
from collections.abc import Sequence

import torch
from torch import Tensor

from agents.adapters import AdapterLayout

HOW = ("copy", "mutation", "crossover", "average")
NEGLIGIBLE = 1e-6  # of a module's largest singular value: float32 rows hold no more


def inherit(how: str, rows: Sequence[Tensor], layout: AdapterLayout, scale: float, seed: str) -> Tensor:
    """(size,) A newborn's row from its parents' `rows`, each (size,), the best first.

    `copy`: the best parent's. `mutation`: the same with noise of `scale` (see `mutation`). `crossover`: each module
    from one of the two best, then noise of `scale`; of a single parent its own modules. `average`: the mean of all.
    Randomness is keyed by `seed`; no row is changed. Raises ValueError for an unknown `how`, no parents, or a row that
    does not fit the layout.
    """
    if how not in HOW:
        near = difflib.get_close_matches(how, HOW, 1)
        meant = f", did you mean {near[0]}?" if near else ""
        raise ValueError(f"inheritance by {how!r} is not known: there are {', '.join(HOW)}{meant}")
    _check(rows, layout)
    if how == "copy":
        return copy(rows)
    if how == "mutation":
        return mutation(rows[0], layout, scale, seed)
    if how == "crossover":
        child = crossover(rows[0], rows[1 if len(rows) > 1 else 0], layout, f"{seed}/modules")
        return mutation(child, layout, scale, f"{seed}/noise")
    return average(rows, layout, seed=seed)


def copy(rows: Sequence[Tensor]) -> Tensor:
    """(size,) The best parent's row: a copy of the first."""
    return rows[0].clone()


def mutation(row: Tensor, layout: AdapterLayout, scale: float, seed: str) -> Tensor:
    """(size,) `row` with Gaussian noise whose standard deviation is `scale` times that of the matrix it falls on.

    A and B of a module are scaled each by its own, because A starts large and B at 0: one scale for both would drown
    B. A matrix of zeros therefore stays so. The noise is drawn on the CPU, the same for any device.
    """
    if not (math.isfinite(scale) and scale >= 0):
        raise ValueError(f"the scale of a mutation must be a number from 0: {scale!r}")
    generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") >> 1)
    noise = torch.randn(layout.size, generator=generator).to(row)
    child = row.clone()
    for offset, shape in layout.slots.values():
        at = slice(offset, offset + shape[0] * shape[1])
        child[at] += noise[at] * (scale * row[at].std(correction=0))
    return child


def crossover(a: Tensor, b: Tensor, layout: AdapterLayout, seed: str) -> Tensor:
    """(size,) Each module whole, its A and its B, from one of two parents with even odds (PopuLoRA's crossover)."""
    _check((a, b), layout)
    rng = random.Random(seed)
    child = a.clone()
    for module in _modules(layout):
        if rng.random() < 0.5:
            for side in "AB":
                offset, shape = layout.slots[*module, side]
                child[offset : offset + shape[0] * shape[1]] = b[offset : offset + shape[0] * shape[1]]
    return child


def average(
    rows: Sequence[Tensor], layout: AdapterLayout, weights: Sequence[float] | None = None, seed: str = "average"
) -> Tensor:
    """(size,) The row of this rank whose modules act most like the (weighted) mean of the parents' modules.

    Per module: the best approximation of rank r, in the Frobenius norm, of sum_i w_i (alpha/r) B_i A_i, by its singular
    value decomposition U S V' (Eckart & Young 1936), with A = sqrt(S r/alpha) V' and B = U sqrt(S r/alpha); in each row
    of A the entry of the largest magnitude is positive, so the signs are no accident of the solver. Exact where the
    mean has no more than rank r, as for parents that act alike. Computed in float64 on the CPU from the stacked
    factors, whose product is never formed: O((out + in) (n r)^2) a module.

    Directions that the mean does not use get a row of A as at birth (keyed by `seed`) and a column of zeros in B: they
    do nothing yet, and can learn. Zeros in both would have no gradient and stay so.

    `weights` are shares of the parents, at least 0 and not all 0; they are normalised; None: equal. Raises ValueError
    if they are not that.
    """
    _check(rows, layout)
    given = [1.0] * len(rows) if weights is None else list(weights)
    if len(given) != len(rows) or not all(math.isfinite(w) and w >= 0 for w in given) or not sum(given) > 0:
        raise ValueError(f"an average of {len(rows)} rows needs as many weights from 0, not all 0: {given!r}")
    shares = torch.tensor(given, dtype=torch.float64) / sum(given)
    leaves = layout.leaves(torch.stack([row.detach() for row in rows]).cpu().double())
    child = layout.fresh(seed).double()
    mine = layout.leaves(child[None])
    for module in _modules(layout):
        a, b = leaves[*module, "A"], leaves[*module, "B"]  # (n, r, in), (n, out, r)
        tall = (b * shares[:, None, None]).permute(1, 0, 2).flatten(1)  # (out, n r)
        wide = a.flatten(0, 1)  # (n r, in)
        left, upper = torch.linalg.qr(tall)
        right, lower = torch.linalg.qr(wide.t())
        u, s, vt = torch.linalg.svd(upper @ lower.t())
        used = min(layout.rank, int((s > NEGLIGIBLE * s[0]).sum()))
        new_b, new_a = left @ u[:, :used], vt[:used] @ right.t()
        sign = torch.gather(new_a, 1, new_a.abs().argmax(1, keepdim=True)).sign()
        root = s[:used].sqrt()
        mine[*module, "A"][0, :used] = new_a * sign * root[:, None]
        mine[*module, "B"][0, :, :used] = new_b * sign.t() * root
    return child.to(rows[0])


def _modules(layout: AdapterLayout) -> list[tuple[int, str]]:
    return [(layer, projection) for layer, projection, side in layout.slots if side == "A"]


def _check(rows: Sequence[Tensor], layout: AdapterLayout) -> None:
    if not rows:
        raise ValueError("a newborn that inherits weights needs at least one parent's row")
    for row in rows:
        if row.shape != (layout.size,):
            raise ValueError(f"a parent's row should have shape {(layout.size,)}, got {tuple(row.shape)}")
