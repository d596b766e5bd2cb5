"""Measures of cultural transmission: does knowledge accumulate over generations, and through which channel?

Small pure functions over plain numbers. Intervals are 95 %, and resampling draws from a generator keyed by `seed`
alone, so that the same data give the same interval.

Left out: where the numbers come from (the arena's ratchet meter), several runs at once, and corrections for multiple
comparisons. Not guaranteed: that an interval over problems holds for other runs; it is over other problems in the same
run. Undefined values are nan, never 0.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""0.975 quantile of the standard normal."""
DRAWS = 2000
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, from `n` values or pairs; the ends are nan where there are too few."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Price:
    """The two parts of a change of a mean, and the change: `selection + transmission == change` but for rounding."""

    selection: float
    transmission: float
    change: float


@dataclass(frozen=True)
class Channels:
    """Effects of reading, of learned weights, and of both beyond their sum."""

    text: Estimate
    weights: Estimate
    synergy: Estimate


# -- the Price equation ------------------------------------------------------------------------------------------


def price(parents: Mapping[K, float], offspring: Sequence[tuple[Sequence[K], float]]) -> Price:
    """The Price equation: change of the mean of a trait z from parents to offspring as Cov(w, z) / mean(w) + E[w * dz]
    / mean(w).

    `parents` gives the trait of each by id, also of those without offspring; each of `offspring` names its parents and
    has a trait of its own. Several parents count in equal parts. w is a parent's number of offspring, dz their mean
    trait minus its own. Selection is the part due to unequal numbers of offspring, transmission the part due to
    differences between offspring and parents (Price 1970, "Selection and covariance"). All parts are nan without
    parents or offspring. Raises ValueError for offspring with no parent or one that is not among `parents`, and for
    traits that are not finite.
    """
    for _, trait in [*parents.items(), *offspring]:
        if not math.isfinite(trait):
            raise ValueError(f"a trait must be finite: {trait!r}")
    w = dict.fromkeys(parents, 0.0)
    passed: list[float] = []
    for whose, trait in offspring:
        if not whose:
            raise ValueError(f"offspring with trait {trait!r} has no parent: the equation speaks of descendants alone")
        for parent in whose:
            if parent not in w:
                raise ValueError(f"{parent!r} has offspring but is not among the parents")
            w[parent] += 1 / len(whose)
            passed.append((trait - parents[parent]) / len(whose))
    if not parents or not offspring:
        return Price(math.nan, math.nan, math.nan)
    n, born = len(parents), len(offspring)
    mean = math.fsum(parents.values()) / n
    # (w - mean w) sums to 0, so z may be taken from its mean: less is lost to rounding
    selection = math.fsum(w[k] * (z - mean) for k, z in parents.items()) / born
    transmission = math.fsum(passed) / born
    return Price(selection, transmission, math.fsum(z for _, z in offspring) / born - mean)


# -- the effect of a library ---------------------------------------------------------------------------------------


def paired_interval(only_with: float, only_without: float, n: int) -> tuple[float, float]:
    """95 % interval of (only_with - only_without) / n, the difference of two rates over the same n trials.

    The adjusted Wald interval of paired rates (Agresti & Min 2005): half a pair is added to each of the four outcomes,
    so the interval has a width even if all pairs have the same outcome.
    """
    b, c, m = only_with + 0.5, only_without + 0.5, n + 2.0
    d = (b - c) / m
    half = Z * math.sqrt(max((b + c) - (b - c) ** 2 / m, 0.0)) / m
    return max(d - half, -1.0), min(d + half, 1.0)


def ratchet(with_library: Sequence[int], with_initial: Sequence[int]) -> Estimate:
    """R(g) = E[S(theta_0, L_g)] - E[S(theta_0, L_0)]: the gain of a frozen model from a later library.

    Both lists hold the results (0 or 1) of the same problems in the same order. The interval is `paired_interval`; it
    is over problems, taken as independent. nan without problems. Raises ValueError for lists of unequal length or other
    values than 0 and 1.
    """
    if len(with_library) != len(with_initial):
        raise ValueError(f"paired results need lists of one length: {len(with_library)} and {len(with_initial)}")
    for value in (*with_library, *with_initial):
        if value not in (0, 1):
            raise ValueError(f"a problem is solved (1) or not (0): {value!r}")
    n = len(with_library)
    if not n:
        return Estimate(math.nan, math.nan, math.nan, 0)
    pairs = list(zip(with_library, with_initial, strict=True))
    gained, lost = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    return Estimate((gained - lost) / n, *paired_interval(gained, lost, n), n)


def channels(
    a: Sequence[float], b: Sequence[float], c: Sequence[float], d: Sequence[float], draws: int = DRAWS, seed: int = 0
) -> Channels:
    """The 2 x 2 of text and weights: text b - a, weights c - a, synergy d - b - c + a, as means over problems.

    a: the newborn without the library; b: the newborn with it; c: the trained agents without it; d: the trained agents
    with it; one value per problem, in the same order. Intervals are percentile bootstraps over problems, whose four
    values stay together; with few problems (below about 20) they are too narrow. Intervals are nan with fewer than two
    problems and if all problems have the same value; means are nan without any problem. Raises ValueError for lists of
    unequal length or values that are not finite.
    """
    for other in (b, c, d):
        _paired(a, other)
    na, nb, nc, nd = (np.asarray(v, dtype=np.float64) for v in (a, b, c, d))
    parts = np.stack([nb - na, nc - na, nd - nb - nc + na])
    return Channels(*_bootstrapped(parts, draws, seed))


# -- over generations --------------------------------------------------------------------------------------------


def slope(
    generations: Sequence[float], values: Sequence[Sequence[float]], draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """Least squares slope over generations of the mean over problems; `values[t][i]`: problem i in `generations[t]`.

    The slope of a mean is the mean of the problems' slopes, so the interval is a percentile bootstrap over problems: a
    problem's values over time stay together, which allows for correlation in time. It is over problems of the same run,
    and with few of them (below about 20) it is too narrow. `n` is the number of problems. nan with fewer than two
    generations; the interval also with fewer than two problems, or if all slopes are equal. Raises ValueError unless
    each generation has the same number of values.
    """
    if len(values) != len(generations) or len({len(v) for v in values}) > 1:
        raise ValueError(f"{len(generations)} generations need as many lists of one length: {[len(v) for v in values]}")
    x = np.asarray(generations, dtype=np.float64)
    if len(x) < 2 or float(np.ptp(x)) == 0.0 or not len(values[0]):
        return Estimate(math.nan, math.nan, math.nan, len(values[0]) if len(values) else 0)
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    return _bootstrapped((weights @ np.asarray(values, dtype=np.float64))[None], draws, seed)[0]


# -- inside ------------------------------------------------------------------------------------------------------


def _paired(a: Sequence[float], b: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(x) != len(y):
        raise ValueError(f"paired values need lists of one length: {len(x)} and {len(y)}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("paired values must be finite")
    return x, y


def _bootstrapped(parts: NDArray[np.float64], draws: int, seed: int) -> list[Estimate]:
    """Mean of each row of parts [k, n] with its interval, the columns resampled together; the interval of equal values
    is nan."""
    n = parts.shape[1]
    if not n:
        return [Estimate(math.nan, math.nan, math.nan, 0) for _ in parts]
    means = [math.fsum(row) / n for row in parts]
    if n < 2:
        return [Estimate(m, math.nan, math.nan, n) for m in means]
    alike = np.ptp(parts, axis=1) < 1e-12
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=draws)  # how often each column is drawn: [draws, n]
    low, high = np.where(alike, math.nan, np.quantile(counts @ parts.T / n, [0.025, 0.975], axis=0))
    return [Estimate(m, float(lo), float(hi), n) for m, lo, hi in zip(means, low, high, strict=True)]
