"""Payment rules: what a solve rate pays."""

import pytest

from arena.config.schema import make_config
from curricula.learnability import RULES, inverse, is_learnable, variance


@pytest.mark.parametrize("rule", list(RULES))
def test_trivial_and_impossible_pay_nothing(rule: str):
    """A problem that nobody or everybody solves pays nothing."""
    assert RULES[rule](0.0) == 0.0
    assert RULES[rule](1.0) == 0.0


@pytest.mark.parametrize("rule", list(RULES))
def test_pay_is_between_0_and_1_and_never_0_in_between(rule: str):
    assert all(0.0 < RULES[rule](k / 16) <= 1.0 for k in range(1, 16))


def test_variance_peaks_at_one_half():
    assert variance(0.5) == 1.0
    assert variance(0.25) == variance(0.75) == 0.75


def test_inverse_pays_hard_problems_most():
    """Harder problems pay more, as long as somebody solves them."""
    assert inverse(0.25) == 0.75 > inverse(0.5) > inverse(0.75)
    assert inverse(1e-9) > 0.999


def test_learnable_means_some_succeed_and_some_fail():
    assert [is_learnable(p) for p in (0.0, 0.25, 1.0)] == [False, True, False]


def test_the_config_knows_exactly_these_rules():
    for name, rule in RULES.items():
        assert name == rule.name and make_config({}, [f"rewards.setter={name}"]).rewards.rule is rule
    with pytest.raises(ValueError, match=r"rewards\.setter: unknown payment rule 'varience'; did you mean 'variance'"):
        make_config({}, ["rewards.setter=varience"])
