"""Estimates and their 95 % intervals, as small pure functions.

They cover rates over problems, means over grouped problems, pass@k, means over seeds, and runs over tasks. Results are
reproducible bit by bit: resampling draws from a generator keyed by `seed` alone.

Left out: corrections for multiple comparisons. Not guaranteed: coverage where the assumptions named in each function
fail, in particular where dependent values are given as independent. Where there is too little data for an interval both
its ends are nan, never 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from arena.text import between
from culture.transmission import paired_interval

Z = 1.959963984540054
"""0.975 quantile of the standard normal."""
BLOCK = 2_000_000
"""Most resampled indices held at a time."""


def bootstrap_interval(
    values: Sequence[float], clusters: Sequence[Hashable] | None = None, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval (low, high) of the mean (Efron & Tibshirani 1993, chapter 13).

    `clusters` names the group of each value; whole groups are then resampled (cluster bootstrap, Davison & Hinkley
    1997, section 3.8), and the mean of a draw is over the values it holds. (nan, nan) with fewer than two values or
    groups, and if all values are equal, since no draw then differs: shares and paired differences have
    `share_interval` and `gain_interval`. Raises ValueError for lists of unequal length, values that are not finite,
    or no draws.
    """
    data = np.asarray(values, dtype=np.float64)
    if not np.isfinite(data).all():
        raise ValueError(f"values of a bootstrap must be finite: {list(values)[:10]}")
    if draws < 1:
        raise ValueError(f"draws of a bootstrap must be at least 1: {draws}")
    sums, counts = data, np.ones(len(data), dtype=np.float64)
    if clusters is not None:
        if len(clusters) != len(data):
            raise ValueError(f"{len(data)} values but {len(clusters)} clusters")
        number = {c: i for i, c in enumerate(dict.fromkeys(clusters))}
        at = np.array([number[c] for c in clusters], dtype=np.int64)
        sums, counts = np.zeros(len(number)), np.zeros(len(number))
        np.add.at(sums, at, data)
        np.add.at(counts, at, 1.0)
    m = len(sums)
    if m < 2 or (data == data[0]).all():
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    means, block = [], max(1, BLOCK // m)
    for start in range(0, draws, block):
        drawn = rng.integers(m, size=(min(block, draws - start), m))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def bootstrap_difference(
    a: Sequence[float], b: Sequence[float], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval (low, high) of mean(a) - mean(b), each side resampled by itself.

    (nan, nan) with fewer than two values on a side. Raises ValueError for values that are not finite.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (a, b)]
    if not all(np.isfinite(side).all() for side in sides):
        raise ValueError(f"values of a bootstrap must be finite: {list(a)[:5]} and {list(b)[:5]}")
    if min(map(len, sides)) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    means = [side[rng.integers(len(side), size=(draws, len(side)))].mean(axis=1) for side in sides]
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return float(low), float(high)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval (low, high) of a rate from `successes` in `n` independent trials (Wilson 1927).

    (nan, nan) for n = 0. Raises ValueError unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n: {successes} of {n}")
    if n == 0:
        return math.nan, math.nan
    p, spread = successes / n, Z * Z / n
    centre = (p + spread / 2) / (1 + spread)
    half = Z * math.sqrt(p * (1 - p) / n + spread / (4 * n)) / (1 + spread)
    # the ends are exact where rounding would miss them
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)


def share_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval (low, high) of the mean of independent values in [0, 1], one an item.

    Wilson's for values that are all 0 or 1. For others, such as pass@k of an item, two items of 0 and two of 1 are
    added and the interval is Wald's (Agresti & Coull 1998, with the variance of the values), so it has a width even if
    all values are equal. (nan, nan) without values. Raises ValueError for values outside [0, 1].
    """
    if not all(0.0 <= v <= 1.0 for v in values):
        raise ValueError(f"shares lie between 0 and 1: {list(values)[:10]}")
    n, total = len(values), math.fsum(values)
    if all(v in (0.0, 1.0) for v in values):
        return wilson_interval(round(total), n)
    mean, variance = (total + 2) / (n + 4), (math.fsum(v * v for v in values) + 2) / (n + 4)
    half = Z * math.sqrt(max(variance - mean * mean, 0.0) / (n + 4))
    return max(mean - half, 0.0), min(mean + half, 1.0)


def gain_interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % interval (low, high) of the mean of paired differences in [-1, 1], one an item, such as after - before.

    The adjusted Wald interval of paired rates that adds one pair of +1 and one of -1 (Bonett & Price 2012), with the
    squares of the differences in place of counts. It has a width even if all differences are equal. (nan, nan) without
    differences. Raises ValueError for differences outside [-1, 1].
    """
    if not all(-1.0 <= d <= 1.0 for d in differences):
        raise ValueError(f"differences of shares lie between -1 and 1: {list(differences)[:10]}")
    total, squares, n = math.fsum(differences), math.fsum(d * d for d in differences), len(differences)
    # `paired_interval` adds half a pair to each of these counts; here it is a whole one
    return paired_interval((squares + total + 1) / 2, (squares - total + 1) / 2, n) if n else (math.nan, math.nan)


def mean_of_strata(parts: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """The mean of independent estimates with its 95 % interval: (mean, low, high). Each part is (estimate, low, high).

    Every part has the same weight. The interval adds the squared distances from each estimate to its limit (Zou, Huang
    & Zhang 2009, "A note on confidence interval estimation for a linear function of binomial proportions"), so it
    reflects the number of items of each part. All nan without parts.
    """
    if not parts:
        return math.nan, math.nan, math.nan
    k = len(parts)
    mean = math.fsum(e for e, _, _ in parts) / k
    down = math.sqrt(math.fsum((e - low) ** 2 for e, low, _ in parts)) / k
    up = math.sqrt(math.fsum((high - e) ** 2 for e, _, high in parts)) / k
    return mean, mean - down, mean + up


def widest(*intervals: tuple[float, float]) -> tuple[float, float]:
    """The lowest and the highest end of several intervals of one estimate; those that are nan are left out."""
    known = [(low, high) for low, high in intervals if math.isfinite(low) and math.isfinite(high)]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else (math.nan, math.nan)


def difference_interval(successes_a: int, n_a: int, successes_b: int, n_b: int) -> tuple[float, float]:
    """95 % interval (low, high) of rate a - rate b, of independent trials.

    The adjusted Wald interval that adds a success and a failure to each side (Agresti & Caffo 2000). (nan, nan) where
    either side has no trials. Raises ValueError unless 0 <= successes <= n on both sides.
    """
    for successes, n in ((successes_a, n_a), (successes_b, n_b)):
        if not 0 <= successes <= n:
            raise ValueError(f"successes must lie between 0 and n: {successes} of {n}")
    if not n_a or not n_b:
        return math.nan, math.nan
    a, b = (successes_a + 1) / (n_a + 2), (successes_b + 1) / (n_b + 2)
    half = Z * math.sqrt(a * (1 - a) / (n_a + 2) + b * (1 - b) / (n_b + 2))
    return max(a - b - half, -1.0), min(a - b + half, 1.0)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate of the chance that one of k samples is right, from n samples of which c were right.

    1 - C(n-c, k) / C(n, k), as the product that does not overflow (Chen et al. 2021, "Evaluating Large Language Models
    Trained on Code", equation 1). Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n: n={n}, c={c}, k={k}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % Student t interval (low, high) of the mean of independent values, such as one figure of several seeds.

    (nan, nan) with fewer than two values. Assumes values near normal ("Student" 1908), so it suits one figure a seed,
    not items that are 0 or 1.
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    mean = math.fsum(values) / n
    variance = math.fsum((v - mean) ** 2 for v in values) / (n - 1)
    half = t_quantile(n - 1) * math.sqrt(variance / n)
    return mean - half, mean + half


def paired_difference(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """Mean of a[i] - b[i] with its 95 % Student t interval: (mean, low, high), such as two methods on the same seeds.

    All nan without pairs, the interval nan with one pair. Raises ValueError for lists of unequal length.
    """
    if len(a) != len(b):
        raise ValueError(f"a paired difference needs lists of one length: {len(a)} and {len(b)}")
    differences = [x - y for x, y in zip(a, b, strict=True)]
    mean = math.fsum(differences) / len(differences) if differences else math.nan
    return (mean, *mean_interval(differences))


def welch_difference(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """Mean of a minus mean of b with its 95 % interval, for independent values: (mean, low, high).

    Welch (1947), the degrees of freedom rounded down, which widens the interval. All nan if either is empty, the
    interval nan with fewer than two values on a side.
    """
    if not a or not b:
        return math.nan, math.nan, math.nan
    means = [math.fsum(x) / len(x) for x in (a, b)]
    difference = means[0] - means[1]
    if min(len(a), len(b)) < 2:
        return difference, math.nan, math.nan
    parts = [
        math.fsum((v - mean) ** 2 for v in x) / (len(x) - 1) / len(x) for x, mean in zip((a, b), means, strict=True)
    ]
    total = math.fsum(parts)
    if total == 0.0:
        return difference, difference, difference
    df = total**2 / math.fsum(p**2 / (len(x) - 1) for p, x in zip(parts, (a, b), strict=True))
    half = t_quantile(max(1, math.floor(df + 1e-9))) * math.sqrt(total)
    return difference, difference - half, difference + half


def sign_flip_test(differences: Sequence[float], draws: int = 100_000, seed: int = 0) -> float:
    """Two-sided p of paired differences under the hypothesis that each is as likely with the other sign (Fisher 1935).

    The share of all 2^n assignments of signs whose sum is as far from 0 as the observed one: exact up to n = 20, and no
    smaller than 2^(1-n). Beyond, from `draws` random assignments, the observed one counted (Phipson & Smyth 2010). nan
    without differences.
    """
    n = len(differences)
    if n == 0:
        return math.nan
    data = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(data).all():
        raise ValueError(f"differences must be finite: {list(differences)[:10]}")
    observed = abs(float(data.sum()))
    near = observed - 1e-9 * float(np.abs(data).sum())  # sums that are equal but for rounding count as equal
    if n <= 20:
        sums = np.zeros(1)
        for d in data:
            sums = np.concatenate([sums + d, sums - d])
        return float((np.abs(sums) >= near).mean())
    rng, hits, block = np.random.default_rng(seed), 0, max(1, BLOCK // n)
    for start in range(0, draws, block):
        signs = rng.integers(2, size=(min(block, draws - start), n)) * 2 - 1
        hits += int((np.abs(signs @ data) >= near).sum())
    return (hits + 1) / (draws + 1)


Scores = Sequence[Sequence[float]]
"""One row a run, one column a task."""


def interquartile_mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of what is left when the lowest and the highest quarter are cut off, a quarter rounded down.

    Over all runs and tasks at once it is the aggregate of Agarwal et al. 2021 ("Deep Reinforcement Learning at the Edge
    of the Statistical Precipice", section 4.2). nan without values.
    """
    data = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    cut = len(data) // 4
    return float(data[cut : len(data) - cut].mean()) if len(data) else math.nan


def probability_of_improvement(a: Scores, b: Scores) -> float:
    """Chance that a run of a scores higher than a run of b at the same task, ties half, mean over tasks.

    Agarwal et al. 2021, section 4.4. Raises ValueError for other tasks or no runs.
    """
    x, y = _matrix(a), _matrix(b)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"scores of {x.shape[1]} and of {y.shape[1]} tasks cannot be compared")
    higher = x[:, None, :] > y[None, :, :]
    equal = x[:, None, :] == y[None, :, :]
    return float((higher + 0.5 * equal).mean())


def stratified_bootstrap(
    arms: Sequence[Scores],
    statistic: Callable[..., float],
    whole_runs: bool = True,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of `statistic(*arms)`, each arm a matrix of runs x tasks, resampled within itself.

    As in Agarwal et al. 2021 (section 4.3) runs are drawn anew for every task if `whole_runs` is false, which is right
    where each task has runs of its own. Where one run gives the scores of all tasks they go together, and drawing
    `whole_runs` keeps them so; intervals are then wider. (nan, nan) if an arm has fewer than two runs; with few runs
    both are too narrow.
    """
    matrices = [_matrix(arm) for arm in arms]
    if any(len(m) < 2 for m in matrices):
        return math.nan, math.nan
    rng, found = np.random.default_rng(seed), np.empty(draws)
    for at in range(draws):
        drawn = []
        for m in matrices:
            n, tasks = m.shape
            rows = rng.integers(n, size=(n, 1) if whole_runs else (n, tasks))
            drawn.append(m[rows, np.arange(tasks)])
        found[at] = statistic(*drawn)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _matrix(scores: Scores) -> NDArray[np.float64]:
    data = np.asarray(scores, dtype=np.float64)
    if data.ndim != 2 or not data.size or not np.isfinite(data).all():
        raise ValueError(f"scores must be a full table of runs x tasks of finite numbers, got shape {data.shape}")
    return data


def t_quantile(df: int, level: float = 0.95) -> float:
    """t with P(|T| <= t) = level for Student's T of `df` degrees of freedom, by bisection."""
    if df < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"a quantile needs df >= 1 and a level in (0, 1): df={df}, level={level}")
    low, high = 0.0, math.pi / 2  # of atan(t / sqrt(df))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _central_mass(middle, df) < level else (low, middle)
    return math.sqrt(df) * math.tan((low + high) / 2)


def _central_mass(theta: float, df: int) -> float:
    """P(|T| <= sqrt(df) tan(theta)), exact for whole df (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = df % 2
    term = cosine if odd else 1.0
    total = term if df > 1 else 0.0
    for i in range(2 + odd, df - 1, 2):
        term *= cosine * cosine * (i - 1) / i
        total += term
    return 2 / math.pi * (theta + sine * total) if odd else sine * total


def rate(successes: int, n: int) -> str:
    """A rate with its Wilson interval; `-` of nothing."""
    return between(successes / n if n else None, *wilson_interval(successes, n))
