import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, hypergeom, ks_2samp, norm
from sklearn.metrics import balanced_accuracy_score, roc_curve

from chance import likely
from lotus_unlearning.metrics import (
    best_threshold,
    bootstrap_auc,
    bootstrap_threshold,
    ks_distance,
    membership_scores,
    tpr_at_fpr,
)

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 60)
DECIMALS = st.sampled_from([0, 1, 8])  # few decimals give many ties


def scores(seed, n, m, decimals=8, shift=0.5):
    draw = np.random.default_rng(seed)
    return np.round(draw.normal(shift, 1, n), decimals), np.round(draw.normal(0, 1, m), decimals)


def test_exchangeable_images_have_auc_a_half_within_the_interval_as_often_as_it_says():
    low, high = likely(200, 0.95)
    hits = 0
    for seed in range(200):
        interval = bootstrap_auc(*scores(seed, 80, 80, shift=0), repeats=400, seed=seed)
        hits += interval.low <= 0.5 <= interval.high
    assert low <= hits <= high


@pytest.mark.parametrize("score", ["entropy", "confidence", "loss", "margin", "modified_entropy"])
def test_every_score_of_exchangeable_images_has_auc_a_half_within_its_interval(score):
    low, _ = likely(200, 0.95)
    hits = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        values = membership_scores(2 * draw.normal(size=(120, 4)), draw.integers(0, 4, 120))[score]
        interval = bootstrap_auc(values[:60], values[60:], repeats=300, seed=seed)
        hits += interval.low <= 0.5 <= interval.high
    assert hits >= low


@given(
    seed=SEEDS, n=SIZES, m=st.integers(10, 200), decimals=DECIMALS, fpr=st.sampled_from([0.1, 0.3])
)
@settings(max_examples=60, deadline=None)
def test_tpr_is_the_highest_on_sklearns_curve_that_the_rate_allows(seed, n, m, decimals, fpr):
    members, others = scores(seed, n, m, decimals)
    rate = tpr_at_fpr(members, others, fpr, repeats=1)
    x, y, _ = roc_curve(
        np.repeat([1, 0], [n, m]), np.concatenate([members, others]), drop_intermediate=False
    )
    assert rate.tpr.value == pytest.approx(y[x <= fpr + 1e-12].max(), abs=1e-12)
    assert rate.fpr <= fpr + 1e-12
    assert rate.fpr == pytest.approx(np.mean(others > rate.threshold))
    assert rate.tpr.value == pytest.approx(np.mean(members > rate.threshold))


@given(seed=SEEDS, n=SIZES, level=st.sampled_from([0.9, 0.95]))
@settings(max_examples=30, deadline=None)
def test_its_interval_is_scipys_clopper_pearson(seed, n, level):
    members, others = scores(seed, n, 50)
    rate = tpr_at_fpr(members, others, 0.1, level=level, repeats=1)
    hits = int((members > rate.threshold).sum())
    oracle = binomtest(hits, n).proportion_ci(level, method="exact")
    assert (rate.tpr.low, rate.tpr.high) == pytest.approx((oracle.low, oracle.high), abs=1e-6)


def test_clopper_pearson_covers_the_rate_given_the_threshold():
    hits = 0
    for seed in range(400):
        rate = tpr_at_fpr(*scores(seed, 40, 100), 0.1, repeats=1)
        hits += rate.tpr.low <= norm.sf(rate.threshold - 0.5) <= rate.tpr.high
    assert hits >= likely(400, 0.95)[0]


def test_its_p_value_keeps_its_level_and_its_chance_is_the_mean_where_the_fpr_is_not():
    rates = [tpr_at_fpr(*scores(s, 50, 100, shift=0), 0.01, repeats=1) for s in range(1200)]
    found = np.array([rate.tpr.value for rate in rates])
    error = 4 * found.std() / math.sqrt(1200)
    assert found.mean() == pytest.approx(2 / 101, abs=error)
    assert found.mean() > 0.01 + error  # twice what was asked for, from 100 non-members
    assert rates[0].chance == 2 / 101
    for level in (0.01, 0.05, 0.2):
        assert sum(r.p_value <= level for r in rates) <= likely(1200, level)[1]


@pytest.mark.parametrize(("n", "m", "k"), [(1, 10, 1), (5, 10, 2), (8, 20, 3)])
def test_its_p_value_counts_orderings(n, m, k):
    """X members above the (k+1)-th non-member: k non-members among the X + k highest, then it."""
    members, others = scores(0, n, m)
    rate = tpr_at_fpr(members, others, k / m, repeats=1)
    found = round(rate.tpr.value * n)
    by_hand = sum(
        hypergeom.pmf(k, n + m, m, x + k) * (m - k) / (n + m - x - k) for x in range(found, n + 1)
    )
    assert rate.p_value == pytest.approx(by_hand, abs=1e-9)


def test_the_bootstrap_equals_a_literal_one_up_to_its_noise():
    members, others = scores(0, 150, 120, decimals=1)
    rate = tpr_at_fpr(members, others, 0.1, repeats=20_000, level=0.9)
    draw = np.random.default_rng(1)
    values = []
    for _ in range(4000):
        one, two = draw.choice(members, 150), np.sort(draw.choice(others, 120))[::-1]
        values.append(np.mean(one > two[12]))
    low, high = np.quantile(values, [0.05, 0.95])
    assert rate.bootstrap.value == rate.tpr.value
    assert (rate.bootstrap.low, rate.bootstrap.high) == pytest.approx((low, high), abs=0.02)


def test_too_few_non_members_give_a_reason_and_no_number():
    rate = tpr_at_fpr(*scores(0, 50, 999), 0.001)
    assert "at least 1000 are needed" in rate.reason
    numbers = (rate.tpr.value, rate.tpr.low, rate.bootstrap.high, rate.fpr, rate.p_value)
    assert all(math.isnan(number) for number in numbers)
    assert tpr_at_fpr(*scores(0, 50, 1000), 0.001).reason == ""


@pytest.mark.parametrize(
    ("m", "fpr", "allowed"), [(100, 0.01, 1), (100, 0.07, 7), (1000, 0.001, 1)]
)
def test_as_many_non_members_may_be_accused_as_the_rate_says(m, fpr, allowed):
    rate = tpr_at_fpr([0.5], np.arange(m), fpr)
    assert rate.fpr == allowed / m


def test_equal_scores_accuse_nobody():
    rate = tpr_at_fpr([1.0] * 5, [1.0] * 10, 0.1)
    assert (rate.tpr.value, rate.fpr) == (0, 0)


def test_a_member_above_all_non_members_is_found():
    rate = tpr_at_fpr([9.0], np.arange(9), 0.2)
    assert (rate.tpr.value, rate.tpr.high) == (1, 1)
    assert rate.tpr.low == pytest.approx(0.025)


def test_same_seed_same_interval_and_another_seed_another():
    data = scores(0, 30, 300)
    assert tpr_at_fpr(*data, seed=1) == tpr_at_fpr(*data, seed=1)
    assert tpr_at_fpr(*data, 0.1, seed=1) != tpr_at_fpr(*data, 0.1, seed=2)


@pytest.mark.parametrize("option", [{"fpr": 0.0}, {"fpr": 1.0}, {"level": 1.0}, {"repeats": 0}])
def test_options_out_of_range_are_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        tpr_at_fpr([1.0], [0.0], **option)


@given(seed=SEEDS, n=SIZES, m=SIZES, decimals=DECIMALS)
@settings(max_examples=40, deadline=None)
def test_best_threshold_is_the_best_of_all_by_sklearn(seed, n, m, decimals):
    members, others = scores(seed, n, m, decimals)
    best = best_threshold(members, others)
    truth, values = np.repeat([1, 0], [n, m]), np.concatenate([members, others])
    tried = [balanced_accuracy_score(truth, values > c) for c in (-np.inf, *values)]
    assert best.accuracy == pytest.approx(max(tried), abs=1e-9)
    again = balanced_accuracy_score(truth, values > best.threshold)
    assert best.accuracy == pytest.approx(again, abs=1e-9)
    assert 0.5 <= best.accuracy <= 1


@pytest.mark.parametrize(("n", "m"), [(20, 20), (50, 200)])
def test_best_threshold_is_optimistic_as_stated_and_the_held_out_one_is_not(n, m):
    found = [best_threshold(*scores(seed, n, m, shift=0), seed=seed) for seed in range(1500)]
    mean = np.mean([best.accuracy for best in found])
    held_out = np.array([best.held_out for best in found])
    assert mean == pytest.approx(found[0].chance, abs=0.015)
    assert mean > 0.53
    assert held_out.mean() == pytest.approx(0.5, abs=4 * held_out.std() / math.sqrt(1500))


def test_the_held_out_threshold_finds_planted_leakage():
    assert best_threshold(*scores(0, 500, 500, shift=2)).held_out == pytest.approx(0.84, abs=0.03)


def test_separable_scores_have_a_perfect_threshold_and_one_a_side_has_no_halves():
    best = best_threshold([2.0], [1.0])
    assert (best.accuracy, best.threshold, best.chance <= 1) == (1, 1, True)
    assert math.isnan(best.held_out)
    assert best_threshold([1.0], [2.0]).accuracy == 0.5


@given(seed=SEEDS, n=SIZES, m=SIZES, decimals=DECIMALS)
@settings(max_examples=40, deadline=None)
def test_ks_distance_equals_scipy_and_the_definition(seed, n, m, decimals):
    x, y = scores(seed, n, m, decimals)
    result = ks_distance(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # where the exact p-value is rounded above 1
        oracle = ks_2samp(x, y).pvalue
    at = np.concatenate([x, y])
    gaps = [abs(np.mean(x <= v) - np.mean(y <= v)) for v in at]
    assert result.distance == pytest.approx(max(gaps), abs=1e-12)
    assert result.p_value == pytest.approx(oracle, abs=1e-6)
    assert ks_distance(y, x).distance == pytest.approx(result.distance, abs=1e-12)


def test_ks_finds_a_streisand_effect_that_the_auc_misses():
    draw = np.random.default_rng(0)
    unseen = draw.exponential(0.5, 1000)
    forgotten = np.median(unseen) + 0.01 * draw.normal(size=300)  # all alike, and unlike any
    auc = bootstrap_auc(forgotten, unseen, repeats=200)
    assert auc.value == pytest.approx(0.5, abs=0.02)
    result = ks_distance(forgotten, unseen)
    assert result.distance > 0.4
    assert result.p_value < 1e-6


@pytest.mark.parametrize("size", [100, 600])
def test_the_p_value_of_ks_keeps_its_level(size):
    p = [ks_distance(*scores(seed, size, size, shift=0)).p_value for seed in range(500)]
    assert sum(v <= 0.05 for v in p) <= likely(500, 0.05)[1]


@pytest.mark.parametrize(("shift", "n", "m"), [(0, 20, 40), (0, 100, 200), (1, 100, 200)])
def test_the_interval_of_the_held_out_threshold_holds_the_truth_at_least_as_often_as_it_says(
    shift, n, m
):
    found = [
        bootstrap_threshold(*scores(seed, n, m, shift=shift), seed=seed, repeats=200)
        for seed in range(200)
    ]
    truth = np.mean([interval.value for interval in found])
    hits = sum(interval.low <= truth <= interval.high for interval in found)
    assert hits >= likely(200, 0.95)[0]
    widths = np.array([interval.high - interval.low for interval in found])
    values = np.array([interval.value for interval in found])
    assert widths.mean() < 1.5 * 2 * 1.96 * values.std(), "wide, but not for nothing"


def test_the_interval_of_the_threshold_is_around_its_value_and_one_a_side_has_none():
    data = scores(3, 40, 60, shift=1)
    interval = bootstrap_threshold(*data, seed=4)
    assert interval.value == best_threshold(*data, seed=4).held_out
    assert interval == bootstrap_threshold(*data, seed=4)
    assert interval.low < interval.value < interval.high
    assert math.isnan(bootstrap_threshold([1.0], [0.0]).value)
    with pytest.raises(ValueError, match="repeats: expected at least 1"):
        bootstrap_threshold([1.0, 2.0], [0.0, 1.0], repeats=0)
