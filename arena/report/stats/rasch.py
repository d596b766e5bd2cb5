"""A Rasch model: abilities of agents and difficulties of problems on one scale of log-odds.

P(correct) = 1 / (1 + exp(difficulty - ability)) (Rasch 1960). Both have normal priors of mean 0; `fit` finds the mode
of the posterior (MAP) by Newton's method, and standard errors from the curvature there (Laplace approximation). The
priors keep agents that are always correct, and problems that are never solved, finite; their standard errors are wide.

The scale is relative: adding one number to all abilities and difficulties changes no prediction. The origin is the mean
difficulty of the items of `fit`, so values of different runs compare only as far as their items are the same.

Left out: guessing and discrimination (the 2 and 3 parameter models), and tests of fit. Not guaranteed: that one number
per problem is enough, as an agent may be better at some kinds than at others; or that trials are independent, as
attempts of one agent at one problem are not quite.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

P = TypeVar("P", bound=Hashable)
I = TypeVar("I", bound=Hashable)  # noqa: E741
T = TypeVar("T", bound=Hashable)
Array = NDArray[Any]
Index = NDArray[np.int64]

PRIOR = 3.0
"""Standard deviation of both priors, in logits: 95 % of them within about 6, from 0.2 % to 99.8 % against the mean."""
STEPS, CLOSE = 100, 1e-9
BLOCK = 2048
"""Persons whose rows of the matrix of persons and items are held at a time."""


@dataclass(frozen=True)
class Estimate:
    """In logits, from `n` trials."""

    value: float
    se: float
    n: int


@dataclass(frozen=True)
class Fit(Generic[P, I]):
    """Abilities by person, difficulties by item, in sorted order, and what errors of means are made from."""

    abilities: dict[P, Estimate]
    difficulties: dict[I, Estimate]
    information: Information

    def mean_ability(self, persons: Iterable[P]) -> Estimate:
        """The mean of some abilities; its error accounts for the items that they share."""
        chosen = set(persons)
        share_P = np.array([float(p in chosen) for p in self.abilities]) / len(chosen)
        found = [self.abilities[p] for p in self.abilities if p in chosen]
        value = sum(e.value for e in found) / len(found)
        return Estimate(value, self.information.error_of(share_P), sum(e.n for e in found))


class Information:
    """Information of the trials (sorted by person) at the given abilities and difficulties: minus the posterior's
    curvature. Persons are many and items few, so abilities are eliminated, in blocks of persons, which leaves a matrix
    of items."""

    def __init__(self, weight: Array, at_p: Index, at_i: Index, persons: int, items: int, precision: float) -> None:
        self.weight, self.at_p, self.at_i, self.items = weight, at_p, at_i, items
        self.curvature_P: Array = np.bincount(at_p, weight, persons) + precision
        self.left_II: Array = np.diag(np.bincount(at_i, weight, items) + precision)
        for rows, block in self._blocks():
            self.left_II -= block.T @ (block / self.curvature_P[rows, None])

    def solve(self, slope_P: Array, slope_I: Array) -> tuple[Array, Array]:
        """Newton's step."""
        through = self.weight * (slope_P / self.curvature_P)[self.at_p]
        step_I: Array = np.linalg.solve(self.left_II, slope_I + np.bincount(self.at_i, through, self.items))
        back_P = np.bincount(self.at_p, self.weight * step_I[self.at_i], len(slope_P))
        return (slope_P + back_P) / self.curvature_P, step_I

    @cached_property
    def covariance_II(self) -> Array:
        found: Array = np.linalg.inv(self.left_II)
        return found

    def person_errors(self) -> Array:
        """Standard errors of abilities, measured from the mean difficulty."""
        squared = 1 / self.curvature_P
        for rows, block in self._blocks():
            through_PI = block / self.curvature_P[rows, None] - 1 / self.items
            squared[rows] += ((through_PI @ self.covariance_II) * through_PI).sum(1)
        found: Array = np.sqrt(squared)
        return found

    def item_errors(self) -> Array:
        """Standard errors of difficulties, measured from their mean."""
        rows = self.covariance_II.mean(1)
        found: Array = np.sqrt(np.maximum(np.diag(self.covariance_II) - 2 * rows + rows.mean(), 0.0))
        return found

    def error_of(self, share_P: Array) -> float:
        """Standard error of a weighted mean of abilities, measured from the mean difficulty."""
        alone_P = share_P / self.curvature_P
        through_I = np.bincount(self.at_i, alone_P[self.at_p] * self.weight, self.items) - 1 / self.items
        return float(np.sqrt(share_P @ alone_P + through_I @ self.covariance_II @ through_I))

    def _blocks(self) -> Iterator[tuple[slice, Array]]:
        for start in range(0, len(self.curvature_P), BLOCK):
            rows = slice(start, min(start + BLOCK, len(self.curvature_P)))
            here = slice(*np.searchsorted(self.at_p, (rows.start, rows.stop)))
            block = np.zeros((rows.stop - rows.start, self.items))
            block[self.at_p[here] - rows.start, self.at_i[here]] = self.weight[here]
            yield rows, block


def fit(trials: Iterable[tuple[P, I, int, int]], prior: float = PRIOR) -> Fit[P, I]:
    """Abilities and difficulties from (person, item, right, n) trials, in any order; equal pairs add up. Raises
    ValueError without trials, or for invalid counts."""
    counts = _counted(trials)
    if not counts:
        raise ValueError("a Rasch model needs trials")
    persons, items = sorted({p for p, _ in counts}, key=repr), sorted({i for _, i in counts}, key=repr)
    number_p, number_i = {p: k for k, p in enumerate(persons)}, {i: k for k, i in enumerate(items)}
    table = sorted((number_p[p], number_i[i], right, n) for (p, i), (right, n) in counts.items())
    at_p, at_i = np.array([row[:2] for row in table], dtype=np.int64).T
    right, n = np.array([row[2:] for row in table], dtype=np.float64).T
    precision = 1.0 / prior**2
    ability, difficulty = np.zeros(len(persons)), np.zeros(len(items))

    def posterior(ability: Array, difficulty: Array) -> float:
        x = ability[at_p] - difficulty[at_i]
        likelihood = float((right * x - n * np.logaddexp(0.0, x)).sum())
        return likelihood - 0.5 * precision * float((ability**2).sum() + (difficulty**2).sum())

    def expected() -> tuple[Array, Information]:
        chance = _logistic(ability[at_p] - difficulty[at_i])
        weight = n * chance * (1 - chance)
        return n * chance, Information(weight, at_p, at_i, len(persons), len(items), precision)

    best = posterior(ability, difficulty)
    for _ in range(STEPS):
        hoped, information = expected()
        slope_P = np.bincount(at_p, right - hoped, len(persons)) - precision * ability
        slope_I = np.bincount(at_i, hoped - right, len(items)) - precision * difficulty
        step_P, step_I = information.solve(slope_P, slope_I)
        size = 1.0
        while (new := posterior(ability + size * step_P, difficulty + size * step_I)) < best and size > 1e-6:
            size /= 2  # the posterior is concave, but a full step may overshoot
        ability, difficulty, best = ability + size * step_P, difficulty + size * step_I, max(new, best)
        if size * max(np.abs(step_P).max(), np.abs(step_I).max()) < CLOSE:
            break
    information = expected()[1]
    origin = difficulty.mean()
    return Fit(
        _estimates(persons, ability - origin, information.person_errors(), np.bincount(at_p, n)),
        _estimates(items, difficulty - origin, information.item_errors(), np.bincount(at_i, n)),
        information,
    )


def difficulties(
    trials: Iterable[tuple[P, I, int, int]],
    abilities: Mapping[P, float],
    groups: Mapping[I, Hashable],
    prior: float = PRIOR,
) -> dict[I, Estimate]:
    """Each item's difficulty from (person, item, right, n) trials by persons whose ability is known and taken as exact.

    With few trials the prior matters. So that it does not pull hard and easy items alike towards 0, the items of a
    group have a prior of their own, whose mean is fitted with them (a hierarchical model; that mean has the prior of
    mean 0): the trials determine the mean of a group, and the prior only pulls its items together. Errors are those of
    an item if its group's mean were known. Raises KeyError for a person without ability or an item without a group.
    """
    counts = _counted(trials)
    items = sorted({i for _, i in counts}, key=repr)
    if not items:
        return {}
    number = {i: k for k, i in enumerate(items)}
    keys = sorted(counts, key=repr)
    at_i = np.array([number[i] for _, i in keys])
    ability = np.array([abilities[p] for p, _ in keys])
    right, n = np.array([counts[k] for k in keys], dtype=np.float64).T
    group = {g: k for k, g in enumerate(dict.fromkeys(groups[i] for i in items))}
    at_g = np.array([group[groups[i]] for i in items])
    size_g = np.bincount(at_g)
    precision, m = 1.0 / prior**2, len(items)
    found, mean = np.zeros(m), np.zeros(len(group))

    def posterior(found: Array, mean: Array) -> float:
        x = ability - found[at_i]
        likelihood = float((right * x - n * np.logaddexp(0.0, x)).sum())
        return likelihood - 0.5 * precision * float(((found - mean[at_g]) ** 2).sum() + (mean**2).sum())

    def step() -> tuple[Array, Array, Array]:
        """Newton's step, and the curvature of each item; the items eliminated, groups are alone."""
        chance = _logistic(ability - found[at_i])
        curvature: Array = np.bincount(at_i, n * chance * (1 - chance), m) + precision
        away = found - mean[at_g]
        slope = np.bincount(at_i, n * chance - right, m) - precision * away
        pull_g = precision * (np.bincount(at_g, away + slope / curvature) - mean)
        stiff_g = precision * (size_g + 1 - np.bincount(at_g, precision / curvature))
        step_g = pull_g / stiff_g
        return (slope + precision * step_g[at_g]) / curvature, step_g, curvature

    best = posterior(found, mean)
    for _ in range(STEPS):
        step_i, step_g, _ = step()
        size = 1.0
        while (new := posterior(found + size * step_i, mean + size * step_g)) < best and size > 1e-6:
            size /= 2
        found, mean, best = found + size * step_i, mean + size * step_g, max(new, best)
        if size * max(np.abs(step_i).max(), np.abs(step_g).max()) < CLOSE:
            break
    return _estimates(items, found, step()[2] ** -0.5, np.bincount(at_i, n))


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of the items of which these are a sample, with its standard error; `n` counts items.

    Shrunken estimates vary less than the true values: the variance of the items is the variance of the estimates plus
    the mean squared error of one. Raises ValueError without estimates.
    """
    n = len(estimates)
    if not n:
        raise ValueError("a mean needs estimates")
    value = sum(e.value for e in estimates) / n
    spread = sum((e.value - value) ** 2 for e in estimates) / max(n - 1, 1)
    error = sum(e.se**2 for e in estimates) / n
    return Estimate(value, float(np.sqrt((spread + error) / n)), n)


def _counted(trials: Iterable[tuple[P, I, int, int]]) -> dict[tuple[P, I], tuple[int, int]]:
    counts: dict[tuple[P, I], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for p, i, right, n in trials:
        if not 0 <= right <= n or n < 1:
            raise ValueError(f"trials need 0 <= right <= n and n > 0: {right} of {n} by {p!r} at {i!r}")
        before = counts[p, i]
        counts[p, i] = (before[0] + right, before[1] + n)
    return dict(counts)


def _estimates(names: Sequence[T], values: Array, errors: Array, n: Array) -> dict[T, Estimate]:
    return {k: Estimate(float(v), float(e), int(m)) for k, v, e, m in zip(names, values, errors, n, strict=True)}


def _logistic(x: Array) -> Array:
    found: Array = 1.0 / (1.0 + np.exp(-np.clip(x, -500.0, 500.0)))
    return found
