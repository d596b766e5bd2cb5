"""The Rasch model, on answers whose abilities and difficulties are known because they were drawn."""

import math
import random

import numpy as np
import pytest

from arena.report.stats.rasch import Fit, difficulties, fit, mean_of


def drawn(persons=20, items=60, n=6, seed=0):
    rng = np.random.default_rng(seed)
    ability, difficulty = rng.normal(0, 1.2, persons), rng.normal(0, 1.5, items)
    difficulty -= difficulty.mean()
    chance = 1 / (1 + np.exp(difficulty - ability[:, None]))
    right = rng.binomial(n, chance)
    trials = [(f"p{p}", f"i{i}", int(right[p, i]), n) for p in range(persons) for i in range(items)]
    return ability, difficulty, trials


def estimates(found):
    return np.array([e.value for e in found.values()]), np.array([e.se for e in found.values()])


def by_number(found):
    return dict(sorted(found.items(), key=lambda pair: int(pair[0][1:])))


def test_rasch_recovers_known_parameters():
    """The fit recovers the abilities and difficulties of simulated data within their errors."""
    ability, difficulty, trials = drawn()
    found = fit(trials)
    for true, (value, se) in (
        (ability, estimates(by_number(found.abilities))),
        (difficulty, estimates(by_number(found.difficulties))),
    ):
        assert np.corrcoef(true, value)[0, 1] > 0.98
        assert math.sqrt(((true - value) ** 2).mean()) < 0.3
        z = (value - true) / se
        assert 0.7 < math.sqrt((z**2).mean()) < 1.3  # errors neither boast nor cower


def test_rasch_recovers_difficulties():
    """With known abilities the fit recovers the difficulties."""
    ability, difficulty, trials = drawn(seed=1)
    known, names = {f"p{i}": a for i, a in enumerate(ability)}, [f"i{i}" for i in range(60)]
    value, se = estimates(by_number(difficulties(trials, known, dict.fromkeys(names, 0))))
    assert np.corrcoef(difficulty, value)[0, 1] > 0.98
    assert math.sqrt(((difficulty - value) ** 2).mean()) < 0.3
    assert 0.7 < math.sqrt((((value - difficulty) / se) ** 2).mean()) < 1.3


def test_hard_items_are_not_biased_to_zero():
    """The mean of hard items with few trials each is not biased towards 0."""
    rng = np.random.default_rng(7)
    true = {**{f"h{i}": rng.normal(4, 2) for i in range(300)}, **{f"e{i}": rng.normal(-4, 2) for i in range(300)}}
    ability = {"a": 2.0, "b": -1.0}
    trials = [
        (p, i, int(rng.binomial(2, 1 / (1 + math.exp(d - a)))), 2) for i, d in true.items() for p, a in ability.items()
    ]
    found = difficulties(trials, ability, {i: i[0] for i in true})
    for kind, mean in (("h", 4), ("e", -4)):
        assert np.mean([e.value for i, e in found.items() if i[0] == kind]) == pytest.approx(mean, abs=0.8)


def test_error_of_item_mean_covers():
    """The interval of a mean over items covers the true mean."""
    z = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        true = dict(enumerate(rng.normal(1.0, 2.0, 60)))
        trials = [("a", i, int(rng.binomial(4, 1 / (1 + math.exp(d - 1.0)))), 4) for i, d in true.items()]
        mean = mean_of(list(difficulties(trials, {"a": 1.0}, dict.fromkeys(true, 0)).values()))
        z.append((mean.value - 1.0) / mean.se)
    assert 0.6 < math.sqrt(np.mean(np.square(z))) < 1.3


def test_unsolved_items_have_a_large_error():
    """The mean of items that nobody solved has a large error."""
    trials = [("a", i, 0, 4) for i in range(25)]
    mean = mean_of(list(difficulties(trials, {"a": 0.0}, dict.fromkeys(range(25), 0)).values()))
    assert mean.value > 2 and mean.se > 0.3


def test_the_mode_has_no_slope():
    _, _, trials = drawn(5, 9, 2, seed=3)
    found = fit(trials)
    shift = sum(e.value for e in found.abilities.values()) / (len(found.abilities) + len(found.difficulties))
    for person, e in found.abilities.items():  # the origin was moved after the fit; the prior's was between both means
        expected = sum(
            n / (1 + math.exp(found.difficulties[i].value - e.value)) for p, i, _, n in trials if p == person
        )
        right = sum(r for p, _, r, _ in trials if p == person)
        assert right - expected == pytest.approx((e.value - shift) / 9, abs=1e-6)


@pytest.mark.parametrize("right", [0, 1])
def test_extreme_scores_stay_finite(right: int):
    """Agents and items with all or no correct trials get finite values with large errors."""
    _, _, trials = drawn(6, 10, 1, seed=2)
    extreme = [("p99", f"i{i}", right, 1) for i in range(10)] + [(f"p{p}", "i99", right, 1) for p in range(6)]
    found = fit(trials + extreme)
    one, other = found.abilities["p99"], found.difficulties["i99"]
    assert all(math.isfinite(x) for e in (one, other) for x in (e.value, e.se))
    side = 1 if right else -1
    assert side * one.value == max(side * e.value for e in found.abilities.values())
    assert side * other.value == min(side * e.value for e in found.difficulties.values())
    assert one.se > np.median([e.se for e in found.abilities.values()])
    alone = difficulties([("a", "x", 5 * right, 5)], {"a": 1.0}, {"x": 0})["x"]
    assert math.isfinite(alone.value) and (alone.value < 1.0) == bool(right)


def test_everything_right_is_an_answer_too():
    found = fit([("a", "x", 3, 3), ("b", "y", 3, 3)])
    assert all(math.isfinite(e.value) and e.se > 0 for e in (*found.abilities.values(), *found.difficulties.values()))
    assert found.abilities["a"].value > found.difficulties["x"].value


def test_order_of_trials_does_not_matter():
    """The order of trials does not matter, and equal pairs add up."""
    _, _, trials = drawn(6, 8, 3, seed=4)
    single = [(p, i, int(k < right), 1) for p, i, right, n in trials for k in range(n)]
    random.Random(0).shuffle(single)
    one, two = fit(trials), fit(single)
    assert one.abilities == two.abilities and one.difficulties == two.difficulties
    known = {p: e.value for p, e in one.abilities.items()}
    groups = {f"i{i}": i % 2 for i in range(8)}
    assert difficulties(trials, known, groups) == difficulties(single, known, groups)


def test_the_origin_is_the_mean_difficulty():
    _, _, trials = drawn(4, 7, 2, seed=5)
    assert sum(e.value for e in fit(trials).difficulties.values()) == pytest.approx(0, abs=1e-9)


def test_error_of_mean_falls_with_items():
    """The error of a mean is that of the item for one item, and smaller for many."""
    _, _, trials = drawn(8, 30, 2, seed=6)
    found: Fit[str, str] = fit(trials)
    one = found.mean_ability(["p3"])
    assert (one.value, one.se, one.n) == pytest.approx((found.abilities["p3"].value, found.abilities["p3"].se, 60))
    many = found.mean_ability(found.abilities)
    assert many.se < one.se and many.n == 480
    assert many.se > 0  # shared items do not average out


def test_the_error_of_a_mean_covers_what_was_drawn():
    z = []
    for seed in range(40):
        ability, _, trials = drawn(6, 25, 2, seed=100 + seed)
        mean = fit(trials).mean_ability(f"p{p}" for p in range(6))
        z.append((mean.value - ability.mean()) / mean.se)
    assert 0.7 < math.sqrt(np.mean(np.square(z))) < 1.35


@pytest.mark.parametrize("trials", [[], [("a", "x", 2, 1)], [("a", "x", 0, 0)]])
def test_bad_counts_are_refused(trials):
    """No trials and invalid counts are refused."""
    with pytest.raises(ValueError, match="trials"):
        fit(trials)
