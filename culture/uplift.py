"""Uplift: the causal effect of a post on its readers' pass rate, estimated from random withholding.

A post whose readers would have solved the problem anyway looks useful without being so. Therefore a share of the posts
chosen for readers is withheld at random, and the outcomes are compared. The probability of each choice is known and
differs between readers, so each row is weighted by its inverse (inverse propensity weighting); both arms then represent
the same readers, those for whom the post could have been chosen.

Sample size: detecting an effect of .2 on the pass rate with a power of .8 takes about 100 attempts per arm for one post
(`needed` gives 95). If one choice in twenty is withheld, that is about 1000 choices of the post (`needed_choices`).
Estimates of single posts are therefore shrunk towards the mean of their kind, and `by` pools kinds or authors, which
takes far fewer rows each.

Left out: interactions between posts (an effect is averaged over the other posts read), and effects on later requests.
Not guaranteed: exact coverage of intervals if an arm has few rows or a few rows carry most of the weight; coverage is
checked by simulation (tests/culture/test_uplift.py).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Trial:
    """A post chosen for a reader, shown or withheld, and the outcome: whether the reader solved the problem (0 or 1).

    `propensity`, in (0, 1]: the probability that the post was chosen and shown, or chosen and withheld
    (`culture.retrieval.Retrieved.propensity`). Distractors are not trials: they are never withheld. Trials of one
    `request` share its outcome and are treated as dependent; an empty `request` stands for a separate one.
    """

    post: str
    shown: bool
    propensity: float
    outcome: float
    request: str = ""

    def __post_init__(self) -> None:
        if not 0.0 < self.propensity <= 1.0 or not 0.0 <= self.outcome <= 1.0:
            raise ValueError(
                f"propensity must lie in (0, 1] and an outcome in [0, 1]: {self.propensity!r}, {self.outcome!r}"
            )


@dataclass(frozen=True)
class Worth:
    """Pass rate with the post minus without it.

    `difference` is that of the two weighted means, None where an arm is empty; `error` its standard error; `low` and
    `high` a 95 % interval. `shrunk` is drawn towards the mean of the kind the more, the less is known; for choosing and
    ranking.
    """

    shown: int
    withheld: int
    difference: float | None
    error: float | None
    low: float
    high: float
    shrunk: float


def estimates(trials: Iterable[Trial], kinds: Mapping[str, str] | None = None) -> dict[str, Worth]:
    """The uplift of each post that has a trial, in the order of post ids.

    `kinds` maps posts to kinds; posts that it does not contain have the kind "". `shrunk` is the empirical Bayes
    estimate of a normal model, with the variance between posts of a kind by the method of moments (DerSimonian & Laird
    1986, Controlled Clinical Trials 7). A post with an empty arm gets the mean of its kind, or 0 if no post of the kind
    has an estimate.
    """
    rows: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        rows[trial.post].append(trial)
    raw = {post: contrast(rows[post]) for post in sorted(rows)}
    grouped: dict[str, list[str]] = defaultdict(list)
    for post in raw:
        grouped[(kinds or {}).get(post, "")].append(post)
    shrunk: dict[str, float] = {}
    for posts in grouped.values():
        shrunk |= _shrink({post: raw[post] for post in posts})
    return {post: _with(found, shrunk[post]) for post, found in raw.items()}


def by(trials: Iterable[Trial], group: Mapping[str, str]) -> dict[str, Worth]:
    """The pooled uplift of all posts of each group (kind or author), in the order of group names.

    `group` maps posts to groups; trials of posts that it does not contain are ignored. A post is weighted by the
    number of requests for which it could have been chosen. `shrunk` is the difference itself, or 0 where there is none.
    """
    rows: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.post in group:
            rows[group[trial.post]].append(trial)
    return {name: contrast(rows[name]) for name in sorted(rows)}


def contrast(trials: Sequence[Trial]) -> Worth:
    """The uplift estimated from all these trials together.

    Means are ratios of inverse-propensity weighted sums (Hájek 1971); the error is that of their linearisation, summed
    within requests. For the error and the interval, one success and one failure are added to each arm (Agresti & Caffo
    2000, The American Statistician 54), since an arm of few and equal outcomes would otherwise have no variance. Each
    has the arm's total weight divided by Kish's effective size. The interval uses Student's quantile with the
    degrees of freedom of Welch and Satterthwaite. `difference` does not include the added outcomes.
    """
    shown, withheld = [t for t in trials if t.shown], [t for t in trials if not t.shown]
    if not shown or not withheld:
        return Worth(len(shown), len(withheld), None, None, -1.0, 1.0, 0.0)
    one, two = _Arm(shown), _Arm(withheld)
    shares = one.shares | {key: -share for key, share in two.shares.items()}
    shares |= {key: one.shares[key] - two.shares[key] for key in one.shares.keys() & two.shares.keys()}
    error = math.sqrt(math.fsum(v * v for v in shares.values()) + one.added + two.added)
    freedom = (one.variance + two.variance) ** 2 / sum(arm.variance**2 / (arm.size + 1) for arm in (one, two))
    difference, centre, half = one.mean - two.mean, one.centre - two.centre, _student(freedom) * error
    return Worth(
        len(shown), len(withheld), difference, error, max(centre - half, -1.0), min(centre + half, 1.0), difference
    )


class _Arm:
    """Weighted mean of one arm, and the contribution of each request to its error."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        keys = [(True, t.request) if t.request else (t.shown, i) for i, t in enumerate(trials)]
        weights = [1.0 / t.propensity for t in trials]
        total, hits = math.fsum(weights), math.fsum(w * t.outcome for w, t in zip(weights, trials, strict=True))
        heavy: dict[tuple[bool, str | int], float] = defaultdict(float)
        for key, w in zip(keys, weights, strict=True):
            heavy[key] += w
        self.size = total * total / math.fsum(w * w for w in heavy.values())
        """Kish's effective number of requests."""
        each = total / self.size
        self.mean = hits / total
        self.centre = (hits + each) / (total + 2 * each)
        self.shares: dict[tuple[bool, str | int], float] = defaultdict(float)
        for key, w, t in zip(keys, weights, trials, strict=True):
            self.shares[key] += w * (t.outcome - self.centre) / (total + 2 * each)
        self.added = (each / (total + 2 * each)) ** 2 * (self.centre**2 + (1 - self.centre) ** 2)
        self.variance = math.fsum(v * v for v in self.shares.values()) + self.added


def _student(freedom: float) -> float:
    """The .975 quantile of Student's t (Cornish and Fisher's expansion; within .05 from four degrees of freedom)."""
    return Z + (Z**3 + Z) / (4 * freedom) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)


def needed(effect: float, power: float = 0.8, level: float = 0.05) -> int:
    """Attempts per arm to detect a difference `effect` of two pass rates with probability `power`, at rates around .5.

    Two-sided test at `level`, normal approximation: (z_level/2 + z_power)^2 (p(1-p) + q(1-q)) / effect^2 with p, q =
    .5 +- effect/2, the worst case.
    """
    return math.ceil(_precision(effect, power, level) * 2)


def needed_choices(effect: float, withhold: float, power: float = 0.8, level: float = 0.05) -> int:
    """Choices of a post to detect `effect` if a share `withhold` is withheld (as `needed`, with unequal arms)."""
    if not 0 < withhold < 1:
        raise ValueError(f"withhold must lie between 0 and 1: {withhold!r}")
    return math.ceil(_precision(effect, power, level) * (1 / withhold + 1 / (1 - withhold)))


def _precision(effect: float, power: float, level: float) -> float:
    if not 0 < abs(effect) < 1 or not 0 < power < 1 or not 0 < level < 1:
        raise ValueError(f"effect, power and level must lie between 0 and 1: {effect!r}, {power!r}, {level!r}")
    z = NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(power)
    return z * z * (0.25 - effect * effect / 4) / (effect * effect)


def _shrink(raw: Mapping[str, Worth]) -> dict[str, float]:
    known = {p: (w.difference, w.error**2) for p, w in raw.items() if w.difference is not None and w.error is not None}
    if not known:
        return dict.fromkeys(raw, 0.0)
    precision = {p: 1 / v for p, (_, v) in known.items()}
    total = math.fsum(precision.values())
    fixed = math.fsum(precision[p] * d for p, (d, _) in known.items()) / total
    between = 0.0
    if len(known) > 1:
        excess = math.fsum(precision[p] * (d - fixed) ** 2 for p, (d, _) in known.items()) - (len(known) - 1)
        between = max(excess / (total - math.fsum(w * w for w in precision.values()) / total), 0.0)
    weights = {p: 1 / (v + between) for p, (_, v) in known.items()}
    mean = math.fsum(weights[p] * d for p, (d, _) in known.items()) / math.fsum(weights.values())
    found = dict.fromkeys(raw, mean)
    return found | {p: (between * d + v * mean) / (between + v) for p, (d, v) in known.items()}


def _with(found: Worth, shrunk: float) -> Worth:
    return Worth(found.shown, found.withheld, found.difference, found.error, found.low, found.high, shrunk)
