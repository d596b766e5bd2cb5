"""Inheritance of adapters: compute a newborn's flat row (agents/adapters.py) from the rows of its parents.

A module is one projection of one layer. Its A and B act together as (alpha/rank) B A and are inherited together.
Crossover takes each module from one parent, as PopuLoRA does. The average is the mean of the products B A of the
parents, not of their parameters: the mean of B times the mean of A differs from the mean of B A by their covariance.
The mean of n products has a rank of up to n * rank and is replaced by its best approximation of the adapter's rank
(Eckart & Young 1936). By that theorem, this is never further from the mean than the mean of the parameters, whether or
not the parents have a common ancestor. Hence there is one kind of average, and no rule about ancestry.

Left out: optimiser state, which a newborn does not inherit; parents of different ranks; weights per module.
Not guaranteed: that a child of two good parents is good. Modules that were trained together may not work separately.
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
NEGLIGIBLE = 1e-6  # relative to the largest singular value of a module; below the precision of float32 rows


def inherit(how: str, rows: Sequence[Tensor], layout: AdapterLayout, scale: float, seed: str) -> Tensor:
    """Compute a newborn's row [size].

    Args:
        how: "copy": the row of the best parent. "mutation": the same with noise (see `mutation`). "crossover": each
            module from one of the two best parents, then noise; with one parent, its own modules. "average": the mean
            of all parents.
        rows: rows [size] of the parents, best first. They are not modified.
        layout: layout of the rows.
        scale: standard deviation of the noise relative to that of each matrix.
        seed: seed of all draws.

    Raises:
        ValueError: `how` is unknown, there are no parents, or a row does not fit the layout.
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
    """A copy of the first row [size], that of the best parent."""
    return rows[0].clone()


def mutation(row: Tensor, layout: AdapterLayout, scale: float, seed: str) -> Tensor:
    """Add Gaussian noise to `row` [size], with `scale` times the standard deviation of each matrix.

    A and B of a module have separate standard deviations: A is initialised with large values and B with zeros, so that
    noise of a common scale would dominate B. A matrix of zeros therefore stays zero. The noise is drawn on the CPU, so
    that it is the same on every device.

    Raises:
        ValueError: `scale` is negative or not finite.
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
    """Take each module, A and B together, from one of two rows [size] with equal probability (PopuLoRA's crossover)."""
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
    """The row [size] whose modules are closest to the weighted mean of the parents' modules.

    Per module: the best approximation of rank r, in the Frobenius norm, of sum_i w_i (alpha/r) B_i A_i, by its singular
    value decomposition U S V' (Eckart & Young 1936), with A = sqrt(S r/alpha) V' and B = U sqrt(S r/alpha); in each row
    of A the entry of the largest magnitude is positive, which makes signs independent of the solver. Exact if the
    mean has at most rank r, as for equivalent parents. Computed in float64 on the CPU from the stacked factors, without
    forming their product: O((out + in) (n r)^2) per module.

    Unused directions get a freshly initialised row of A (drawn with `seed`) and a column of zeros in B: they have no
    effect yet, but can be trained. With zeros in both they would have no gradient.

    Args:
        rows: rows [size] of the parents.
        layout: layout of the rows.
        weights: weights of the parents, non-negative and not all zero; they are normalised (default: equal).
        seed: seed of the initialisation.

    Raises:
        ValueError: there are no rows, a row does not fit the layout, or the weights are invalid.
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
