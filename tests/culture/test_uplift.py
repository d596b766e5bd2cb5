"""Uplift: unbiased under selection of readers, interval coverage, shrinkage, pooling, sample size."""

import math
import random
from collections import defaultdict

import pytest

from culture.uplift import Trial, by, contrast, estimates, needed, needed_choices


def world(
    rng: random.Random, requests: int, effect: float, withhold: float, easy: float = 0.9, hard: float = 0.1
) -> list[Trial]:
    """Requests half of which are easy. A post is chosen for nine in ten easy ones and three in ten hard ones; it adds
    `effect` to hard ones and nothing to easy ones, so effect / 2 in all."""
    found = []
    for _ in range(requests):
        is_easy = rng.random() < 0.5
        chosen = 0.9 if is_easy else 0.3
        if rng.random() < chosen:
            shown = rng.random() >= withhold
            p = easy if is_easy else hard + (effect if shown else 0)
            propensity = chosen * ((1 - withhold) if shown else withhold)
            found.append(Trial("p", shown, propensity, float(rng.random() < p)))
    return found


def test_unbiased_under_selection() -> None:
    rng = random.Random("confounded")
    raw, weighted = [], []
    for _ in range(300):
        trials = world(rng, 400, 0.6, 0.3)
        found = contrast(trials)
        assert found.difference is not None
        weighted.append(found.difference)
        rates = [[t.outcome for t in trials if t.shown is shown] for shown in (True, False)]
        raw.append(sum(rates[0]) / len(rates[0]) - sum(rates[1]) / len(rates[1]))
    error = 4 * math.sqrt(sum((w - 0.3) ** 2 for w in weighted)) / len(weighted)
    assert abs(sum(weighted) / len(weighted) - 0.3) < error < 0.03
    assert abs(sum(raw) / len(raw) - 0.3) > 0.1  # unweighted means are biased by the selection


def test_popular_useless_post_has_no_uplift() -> None:
    rng = random.Random("popular")
    found = [contrast(world(rng, 400, 0.0, 0.3)).difference or 0.0 for _ in range(300)]
    assert abs(sum(found) / len(found)) < 0.02


@pytest.mark.parametrize(
    ("requests", "withhold", "effect", "least"),
    [(60, 0.5, 0.6, 0.93), (400, 0.1, 0.0, 0.93), (400, 0.1, 0.6, 0.93), (40, 0.2, 0.8, 0.9), (100, 0.05, 0.6, 0.93)],
)
def test_interval_coverage(requests: int, withhold: float, effect: float, least: float) -> None:
    rng = random.Random(f"coverage {requests} {withhold} {effect}")
    held, runs = 0, 800
    for _ in range(runs):
        found = contrast(world(rng, requests, effect, withhold))
        held += found.low <= effect / 2 <= found.high
    assert least <= held / runs <= 0.995


def test_equal_propensities_give_difference_of_rates() -> None:
    outcomes = [(True, 1)] * 30 + [(True, 0)] * 10 + [(False, 1)] * 5 + [(False, 0)] * 5
    found = contrast([Trial("p", shown, 0.5, y) for shown, y in outcomes])
    assert (found.shown, found.withheld) == (40, 10)
    assert found.difference == pytest.approx(0.75 - 0.5) == found.shrunk
    p, q = 31 / 42, 6 / 12  # Agresti and Caffo's interval, by their formula
    parts = p * (1 - p) / 42, q * (1 - q) / 12
    assert found.error == pytest.approx(math.sqrt(sum(parts)))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 41 + parts[1] ** 2 / 11)
    assert 16 < freedom < 17
    half = 2.116 * math.sqrt(sum(parts))  # from a table of Student's t
    assert (found.low, found.high) == pytest.approx((p - q - half, p - q + half), abs=2e-3)


def test_equal_outcomes_have_an_interval() -> None:
    found = contrast([Trial("p", True, 0.9, 1), Trial("p", False, 0.1, 0)])
    assert found.difference == 1 and found.error is not None and found.error > 0.3 and found.low < 0.3


def test_empty_arm_has_no_estimate() -> None:
    found = estimates([Trial("a", True, 1.0, 1)] * 5)["a"]
    assert (found.difference, found.error, found.low, found.high, found.shrunk) == (None, None, -1.0, 1.0, 0.0)
    assert contrast([]).difference is None and estimates([]) == {} == by([], {})


def test_shrinkage_to_the_mean_of_a_kind() -> None:
    rng = random.Random("kinds")
    trials = []
    for kind, base in (("d", 0.5), ("w", 0.0)):
        for number in range(12):
            truth = base + rng.choice((-0.1, 0.1))
            for _ in range(200):
                shown = rng.random() < 0.5
                trials.append(Trial(f"{kind}{number}", shown, 0.5, float(rng.random() < 0.3 + (truth if shown else 0))))
    trials += [Trial("dfew", i < 3, 0.5, float(i >= 3)) for i in range(6)]  # three against three, all against it
    trials.append(Trial("dnone", True, 0.5, 0))
    kinds = {t.post: t.post[0] for t in trials}
    found = estimates(trials, kinds)
    mean = {k: sum(f.shrunk for p, f in found.items() if p[0] == k and p[1:].isdigit()) / 12 for k in "dw"}
    assert mean["d"] > 0.4 and abs(mean["w"]) < 0.1
    assert found["dfew"].difference == -1 and found["dfew"].shrunk > 0
    assert found["dnone"].shrunk == pytest.approx(mean["d"], abs=0.1)
    assert list(found) == sorted(found)
    for post, one in found.items():
        assert one.difference is None or (one.shrunk - mean[post[0]]) * (one.difference - one.shrunk) > -0.05


def test_shrinkage_reduces_error() -> None:
    rng = random.Random("shrinking")
    raw = shrunk = 0.0
    for _ in range(40):
        truths = {f"p{i}": rng.gauss(0.2, 0.1) for i in range(15)}
        trials = [
            Trial(post, shown, 0.5, float(rng.random() < 0.4 + (truth if shown else 0)))
            for post, truth in truths.items()
            for shown in (True, False)
            for _ in range(20)
        ]
        for post, found in estimates(trials).items():
            assert found.difference is not None
            raw += (found.difference - truths[post]) ** 2
            shrunk += (found.shrunk - truths[post]) ** 2
    assert shrunk < 0.6 * raw


def test_groups_pool_their_posts() -> None:
    trials = [Trial(p, s, 0.5, y) for p in "ab" for s, y in ((True, 1), (True, 1), (False, 0), (False, 1))]
    trials += [Trial("c", True, 0.5, 0), Trial("x", True, 0.5, 0)]
    found = by(trials, {"a": "ada", "b": "ada", "c": "bo"})
    assert list(found) == ["ada", "bo"]
    assert (found["ada"].shown, found["ada"].withheld, found["ada"].difference) == (4, 4, 0.5)
    assert found["bo"].difference is None


def test_trials_of_a_request_are_clustered() -> None:
    """Three posts a request, always the same three outcomes: three times the rows add no information."""
    rng = random.Random("requests")
    trials: dict[bool, list[Trial]] = defaultdict(list)
    for request in range(100):
        shown, y = rng.random() < 0.5, float(rng.random() < 0.5)
        for post in "abc":
            for known in (True, False):
                trials[known].append(Trial(post, shown, 0.5, y, f"r{request}" if known else ""))
    single = contrast([t for t in trials[True] if t.post == "a"])
    told, untold = contrast(trials[True]), contrast(trials[False])
    assert single.error and told.error and untold.error
    assert told.error == pytest.approx(single.error)
    assert untold.error < 0.65 * single.error


def test_needed_gives_the_power() -> None:
    assert needed(0.2) == 95 and needed(0.1) > 4 * 90
    assert needed_choices(0.2, 0.5) == pytest.approx(2 * needed(0.2), abs=2)
    assert 950 < needed_choices(0.2, 0.05) < 1050
    rng = random.Random("power")
    seen = 0
    for _ in range(400):
        arms = [(True, 0.6)] * needed(0.2) + [(False, 0.4)] * needed(0.2)
        found = contrast([Trial("p", s, 0.5, float(rng.random() < p)) for s, p in arms])
        seen += found.low > 0
    assert 0.73 < seen / 400 < 0.87


@pytest.mark.parametrize("wrong", [{"effect": 0.0}, {"effect": 1.0}, {"effect": 0.2, "power": 1.0}])
def test_impossible_needed_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        needed(**wrong)
    with pytest.raises(ValueError, match="withhold"):
        needed_choices(0.2, 0.0)


@pytest.mark.parametrize(("propensity", "outcome"), [(0.0, 1), (1.1, 1), (math.nan, 1), (0.5, 2), (0.5, math.nan)])
def test_impossible_trial_is_refused(propensity: float, outcome: float) -> None:
    with pytest.raises(ValueError, match="propensity must lie"):
        Trial("p", True, propensity, outcome)
