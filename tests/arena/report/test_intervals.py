"""The estimators against values computed by hand or printed in tables."""

import math

import pytest

from arena.report.stats.intervals import (
    bootstrap_difference,
    bootstrap_interval,
    difference_interval,
    gain_interval,
    interquartile_mean,
    mean_interval,
    mean_of_strata,
    paired_difference,
    pass_at_k,
    probability_of_improvement,
    share_interval,
    sign_flip_test,
    stratified_bootstrap,
    t_quantile,
    welch_difference,
    widest,
    wilson_interval,
)


def test_wilson_of_five_in_ten():
    """The Wilson interval of 5 in 10 is the published one."""
    low, high = wilson_interval(5, 10)
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)


def test_wilson_of_zero_has_width():
    """The Wilson interval of no success starts at 0 and has a width."""
    low, high = wilson_interval(0, 10)
    z2 = 1.959963984540054**2
    assert low == 0.0
    assert high == pytest.approx(z2 / (10 + z2))
    assert wilson_interval(10, 10) == pytest.approx((1 - z2 / (10 + z2), 1.0))


def test_wilson_interval_of_no_trials_is_unknown():
    assert all(map(math.isnan, wilson_interval(0, 0)))


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (1, 0)])
def test_wilson_interval_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson_interval(successes, n)


def test_pass_at_k_matches_enumeration():
    """pass@k is one minus the probability to draw no correct sample."""
    assert pass_at_k(5, 2, 3) == pytest.approx(1 - 1 / 10)  # C(3,3) / C(5,3)
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(4, 0, 4) == 0.0
    assert pass_at_k(4, 1, 4) == 1.0


def test_pass_at_k_averages_over_subsets_of_samples():
    assert pass_at_k(200, 50, 10) == pytest.approx(1 - math.comb(150, 10) / math.comb(200, 10))


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


@pytest.mark.parametrize(
    ("df", "printed"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (100, 1.984)]
)
def test_t_quantiles_are_those_of_the_printed_tables(df, printed):
    assert round(t_quantile(df), 3) == printed


def test_mean_interval_of_four_seeds():
    half = 3.1824463 * math.sqrt((5 / 3) / 4)  # variance of 1..4 is 5/3
    assert mean_interval([1, 2, 3, 4]) == pytest.approx((2.5 - half, 2.5 + half))


def test_mean_interval_of_one_value_is_unknown():
    assert all(map(math.isnan, mean_interval([3.0])))


def test_paired_difference_is_of_pairs_not_of_means():
    mean, low, high = paired_difference([10.0, 20.0, 30.0], [9.0, 18.0, 27.0])  # differences 1, 2, 3
    half = 4.3026527 / math.sqrt(3)
    assert (mean, low, high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    with pytest.raises(ValueError, match="one length"):
        paired_difference([1.0], [])


def test_bootstrap_repeats_by_seed_and_holds_the_mean():
    values = [0.0, 1.0] * 50
    low, high = bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) == (low, high)
    assert low < 0.5 < high
    assert high - low == pytest.approx(2 * 1.96 * 0.05, abs=0.03)  # normal approximation, standard error 0.05


def test_bootstrap_of_equal_values_is_unknown():
    """Equal values do not show how much values vary, nor does a single one."""
    assert all(map(math.isnan, bootstrap_interval([0.25] * 7)))
    assert all(map(math.isnan, bootstrap_interval([1.0])))
    assert all(map(math.isnan, bootstrap_interval([])))


def test_cluster_bootstrap_is_wider():
    """The cluster bootstrap is wider if the values of a group agree."""
    values = [float(i // 10 % 2) for i in range(200)]  # 20 groups of ten equal values
    plain = bootstrap_interval(values)
    clustered = bootstrap_interval(values, clusters=[i // 10 for i in range(200)])
    assert clustered[1] - clustered[0] > 2 * (plain[1] - plain[0])


def test_cluster_bootstrap_of_one_group_is_unknown():
    assert all(map(math.isnan, bootstrap_interval([0.0, 1.0, 1.0], clusters=["w0"] * 3)))


def test_bootstrap_refuses_bad_input():
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([1.0, math.nan])
    with pytest.raises(ValueError, match="clusters"):
        bootstrap_interval([1.0, 2.0], clusters=["a"])
    with pytest.raises(ValueError, match="draws"):
        bootstrap_interval([1.0, 2.0], draws=0)


def test_rate_difference_interval_shrinks():
    """The interval of a difference of rates contains it and shrinks with more trials."""
    low, high = difference_interval(30, 60, 15, 60)
    # one success and one failure added to each side: 31/62 - 16/62, plus and minus 1.96 * sqrt(.25/62 + .1915/62)
    assert (low, high) == pytest.approx((0.0765, 0.4074), abs=1e-3)
    wide, narrow = difference_interval(3, 6, 3, 6), difference_interval(300, 600, 300, 600)
    assert wide[0] < narrow[0] < 0 < narrow[1] < wide[1]
    assert difference_interval(1, 1, 0, 1)[1] <= 1.0
    assert all(math.isnan(x) for x in difference_interval(0, 0, 1, 2))
    with pytest.raises(ValueError, match="between 0 and n"):
        difference_interval(3, 2, 0, 1)


def test_bootstrap_difference_repeats():
    """The bootstrap of a difference contains it and is repeatable."""
    a, b = [float(i % 5) + 3 for i in range(40)], [float(i % 5) for i in range(30)]
    low, high = bootstrap_difference(a, b)
    assert low < 3.0 < high and (low, high) == bootstrap_difference(a, b)
    assert bootstrap_difference([1.0, 1.0], [0.0, 0.0]) == (1.0, 1.0)
    assert math.isnan(bootstrap_difference([1.0], b)[0])
    with pytest.raises(ValueError, match="finite"):
        bootstrap_difference([math.nan, 1.0], b)


def test_iqm_cuts_a_quarter_at_each_end():
    """The interquartile mean cuts a quarter, rounded down, at each end."""
    assert interquartile_mean([9, 1, 2, 3, 4, 5, 6, 100]) == 4.5  # of 3, 4, 5, 6
    assert interquartile_mean([[1, 2], [3, 10]]) == 2.5  # runs x tasks at once
    assert interquartile_mean([1, 2, 6]) == 3.0  # nothing to cut
    assert math.isnan(interquartile_mean([]))


def test_improvement_counts_ties_half():
    """The probability of improvement counts ties half and is a mean over tasks."""
    assert probability_of_improvement([[1, 5], [2, 6]], [[0, 9], [1, 9]]) == pytest.approx((3.5 / 4 + 0) / 2)
    assert probability_of_improvement([[1.0]], [[1.0]]) == 0.5
    with pytest.raises(ValueError, match="1 and of 2 tasks"):
        probability_of_improvement([[1.0]], [[1.0, 2.0]])


def test_whole_runs_stay_together_in_the_bootstrap():
    """One task is the other's mirror image: the mean of a whole run is always 0, of mixed tasks it is not."""
    scores = [[-2.0, 2.0], [-1.0, 1.0], [1.0, -1.0], [2.0, -2.0]]
    mean = lambda m: float(m.mean())  # noqa: E731
    assert stratified_bootstrap([scores], mean) == (0.0, 0.0)
    low, high = stratified_bootstrap([scores], mean, whole_runs=False)
    assert low < -0.5 and high > 0.5


def test_whole_run_bootstrap_is_wider():
    """If runs agree over tasks, drawing whole runs gives a wider interval."""
    scores = [[x] * 8 for x in (0.0, 1.0, 2.0, 3.0, 4.0)]
    whole = stratified_bootstrap([scores], interquartile_mean)
    apart = stratified_bootstrap([scores], interquartile_mean, whole_runs=False)
    assert whole[1] - whole[0] > 1.5 * (apart[1] - apart[0])
    assert whole == stratified_bootstrap([scores], interquartile_mean)  # again, bit by bit


def test_bootstrap_resamples_within_arms():
    """The bootstrap of two arms resamples each arm separately."""
    low, high = stratified_bootstrap([[[5.0], [6.0]], [[1.0], [2.0]]], lambda a, b: float(a.mean() - b.mean()))
    assert (low, high) == (3.0, 5.0)  # of the four equally likely means of two


@pytest.mark.parametrize("arms", [[[[1.0, 2.0]]], [[[1.0], [2.0]], [[1.0]]]])
def test_a_bootstrap_of_one_run_knows_nothing(arms):
    assert all(map(math.isnan, stratified_bootstrap(arms, lambda *m: 0.0)))


def test_scores_must_be_a_full_table():
    with pytest.raises(ValueError, match="full table"):
        probability_of_improvement([[1.0, math.nan]], [[1.0, 2.0]])


def test_the_sign_flip_test_is_exact():
    assert sign_flip_test([1.0, 2.0, 3.0]) == 2 / 8  # only all of one sign is as far out
    assert sign_flip_test([1.0, -1.0]) == 1.0
    assert sign_flip_test([3.0, 1.0, -1.0]) == 6 / 8  # |sums| of the eight: 3, 5, 1, 3, 3, 1, 5, 3
    assert sign_flip_test([0.1, 0.2, 0.3]) == 2 / 8  # rounding does not break a tie with itself
    assert sign_flip_test([0.0, 0.0]) == 1.0
    assert math.isnan(sign_flip_test([]))


def test_sampled_sign_flip_is_near_exact():
    """The sampled sign-flip test is close to the exact one."""
    differences = [(-1) ** i * (i % 7) + 1.2 for i in range(20)]
    exact = sign_flip_test(differences)
    drawn = sign_flip_test([*differences, 0.0])  # a difference of nothing changes nothing, and 21 are drawn
    assert drawn == pytest.approx(exact, abs=0.01)
    assert sign_flip_test([1.0] * 30) == pytest.approx(1 / 100_001)


def test_welch_s_interval_is_the_known_one():
    """Equal sizes and variances: df = 2 (n - 1) and the pooled interval, t(4) = 2.776."""
    mean, low, high = welch_difference([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    half = 2.7764451 * math.sqrt(2 / 3)
    assert (mean, low, high) == (-3.0, pytest.approx(-3 - half), pytest.approx(-3 + half))
    assert welch_difference([1.0], [3.0, 4.0])[0] == -2.5 and math.isnan(welch_difference([1.0], [3.0, 4.0])[1])
    assert welch_difference([1.0, 1.0], [2.0, 2.0]) == (-1.0, -1.0, -1.0)
    assert all(map(math.isnan, welch_difference([], [1.0])))


Z = 1.959963984540054


def test_share_interval_reflects_the_items():
    """Wilson's for 0 and 1; for other shares two items of 0 and two of 1 are added."""
    assert share_interval([0.0] * 3) == (0.0, pytest.approx(Z * Z / (3 + Z * Z)))  # 0.5615
    assert share_interval([1.0, 0.0]) == wilson_interval(1, 2)
    half = Z * math.sqrt(((4 * 0.25 + 2) / 8 - 0.25) / 8)  # four halves: mean of squares (4 * .25 + 2) / 8
    assert share_interval([0.5] * 4) == pytest.approx((0.5 - half, 0.5 + half))
    assert all(map(math.isnan, share_interval([])))
    with pytest.raises(ValueError, match="between 0 and 1"):
        share_interval([1.5])


def test_gain_interval_is_bonett_and_price_s():
    """A pair of +1 and one of -1 are added: of 3 pairs without a change, two of five changed, in two directions."""
    half = Z * math.sqrt((2 / 5) / 5)  # 0.554
    assert gain_interval([0.0] * 3) == pytest.approx((-half, half))
    # two of three pairs rose: (3 - 1) / 5, with 4 of 5 pairs changed
    half = Z * math.sqrt((4 / 5 - 0.4**2) / 5)
    assert gain_interval([1.0, 1.0, 0.0]) == pytest.approx((0.4 - half, 1.0))
    assert gain_interval([-1.0] * 3) == pytest.approx((-1.0, -0.6 + Z * math.sqrt((1 - 0.6**2) / 5)))
    wide, narrow = gain_interval([0.5, -0.5]), gain_interval([0.5, -0.5] * 50)
    assert wide[0] < narrow[0] < 0 < narrow[1] < wide[1]
    assert all(map(math.isnan, gain_interval([])))
    with pytest.raises(ValueError, match="between -1 and 1"):
        gain_interval([1.5])


def test_mean_of_strata_adds_squares():
    """The distances .3 and .4 below, 0 and .12 above: the mean's are .25 and .06."""
    parts = [(0.5, 0.2, 0.5), (0.9, 0.5, 1.02)]
    assert mean_of_strata(parts) == pytest.approx((0.7, 0.45, 0.76))
    assert mean_of_strata([(0.0, 0.0, 0.5)]) == (0.0, 0.0, 0.5)
    assert all(map(math.isnan, mean_of_strata([])))


def test_widest_leaves_out_the_unknown():
    assert widest((0.2, 0.3), (math.nan, math.nan), (0.25, 0.4)) == (0.2, 0.4)
    assert all(map(math.isnan, widest((math.nan, math.nan))))
