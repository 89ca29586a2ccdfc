import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import auc, roc_auc_score, roc_curve

from lotus_unlearning.metrics import (
    attack_auc,
    bootstrap_auc,
    bootstrap_auc_same_images,
    entropy_attack,
    roc_curve_points,
)
from lotus_unlearning.metrics.attacks import resampled_counts

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 60)
DECIMALS = st.sampled_from([0, 1, 8])  # few decimals give many ties


def scores(seed, n, m, decimals):
    draw = np.random.default_rng(seed)
    return np.round(draw.normal(0.5, 1, n), decimals), np.round(draw.normal(0, 1, m), decimals)


@given(seed=SEEDS, n=SIZES, m=SIZES, decimals=DECIMALS)
@settings(max_examples=50, deadline=None)
def test_auc_equals_sklearn_ties_included(seed, n, m, decimals):
    members, others = scores(seed, n, m, decimals)
    oracle = roc_auc_score(np.repeat([1, 0], [n, m]), np.concatenate([members, others]))
    assert attack_auc(members, others) == pytest.approx(oracle, abs=1e-6)


@given(seed=SEEDS, n=SIZES, m=SIZES, decimals=DECIMALS)
@settings(max_examples=30, deadline=None)
def test_swapping_members_and_non_members_turns_the_auc_over(seed, n, m, decimals):
    members, others = scores(seed, n, m, decimals)
    value = attack_auc(members, others)
    assert 0 <= value <= 1
    assert attack_auc(others, members) == pytest.approx(1 - value, abs=1e-12)


def test_auc_of_one_score_throughout_is_a_half():
    assert attack_auc([3.0] * 4, [3.0] * 7) == 0.5


def test_auc_is_1_when_every_member_scores_higher_and_0_when_lower():
    assert attack_auc([2, 3], [0, 1]) == 1
    assert attack_auc([0, 1], [2, 3]) == 0


def test_auc_of_one_distribution_is_near_a_half():
    draw = np.random.default_rng(0)
    value = attack_auc(draw.normal(size=4000), draw.normal(size=4000))
    assert value == pytest.approx(0.5, abs=0.02)


def test_auc_does_not_depend_on_the_scale_of_the_scores():
    members, others = scores(0, 50, 50, 1)
    assert attack_auc(np.exp(members), np.exp(others)) == attack_auc(members, others)


def literal_bootstrap(members, others, seed, repeats, level):
    """Draw, score with sklearn, sort."""
    draw = np.random.default_rng(seed)
    truth = np.repeat([1, 0], [len(members), len(others)])
    values = [
        roc_auc_score(truth, np.concatenate([draw.choice(members, len(members)),
                                             draw.choice(others, len(others))]))
        for _ in range(repeats)
    ]  # fmt: skip
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2])


def test_bootstrap_equals_a_literal_one_up_to_its_noise():
    members, others = scores(0, 120, 80, 1)
    interval = bootstrap_auc(members, others, repeats=4000, level=0.9)
    low, high = literal_bootstrap(members, others, 1, 600, 0.9)
    assert interval.low == pytest.approx(low, abs=0.015)
    assert interval.high == pytest.approx(high, abs=0.015)


def test_bootstrap_value_is_the_auc_of_all_scores():
    members, others = scores(3, 40, 70, 1)
    assert bootstrap_auc(members, others, repeats=10).value == attack_auc(members, others)


def test_bootstrap_interval_covers_the_planted_truth_about_as_often_as_it_says():
    from scipy.stats import norm

    truth = norm.cdf(0.5 / np.sqrt(2))  # P(N(0.5, 1) > N(0, 1))
    hits = 0
    for seed in range(200):
        interval = bootstrap_auc(*scores(seed, 60, 60, 8), repeats=300, level=0.9)
        hits += interval.low <= truth <= interval.high
    assert 0.83 <= hits / 200 <= 0.96


def test_same_seed_same_interval_and_another_seed_another():
    data = scores(0, 30, 30, 8)
    assert bootstrap_auc(*data, seed=1) == bootstrap_auc(*data, seed=1)
    assert bootstrap_auc(*data, seed=1) != bootstrap_auc(*data, seed=2)


def test_more_data_gives_a_narrower_interval():
    few, many = bootstrap_auc(*scores(0, 50, 50, 8)), bootstrap_auc(*scores(0, 5000, 5000, 8))
    assert many.high - many.low < 0.3 * (few.high - few.low)


@given(seed=SEEDS, n=SIZES, m=SIZES, decimals=DECIMALS)
@settings(max_examples=20, deadline=None)
def test_bootstrap_ends_are_ordered_and_within_0_and_1(seed, n, m, decimals):
    interval = bootstrap_auc(*scores(seed, n, m, decimals), repeats=50)
    assert -1e-12 <= interval.low <= interval.high <= 1 + 1e-12


@pytest.mark.parametrize("option", [{"level": 1.0}, {"level": 0.0}, {"repeats": 0}])
def test_bootstrap_refuses_options_out_of_range(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        bootstrap_auc([1.0], [0.0], **option)


@given(seed=SEEDS, n=SIZES, m=SIZES, decimals=DECIMALS)
@settings(max_examples=40, deadline=None)
def test_the_unthinned_curve_is_that_of_sklearn(seed, n, m, decimals):
    members, others = scores(seed, n, m, decimals)
    fpr, tpr = roc_curve_points(members, others)
    oracle = roc_curve(
        np.repeat([1, 0], [n, m]), np.concatenate([members, others]), drop_intermediate=False
    )
    np.testing.assert_allclose(fpr, oracle[0], atol=1e-12)
    np.testing.assert_allclose(tpr, oracle[1], atol=1e-12)
    assert auc(fpr, tpr) == pytest.approx(attack_auc(members, others), abs=1e-9)


@pytest.mark.parametrize("points", [2, 50, 200])
def test_a_long_curve_is_thinned_and_keeps_its_ends_and_its_area(points):
    members, others = scores(0, 5000, 20000, 8)
    fpr, tpr = roc_curve_points(members, others, points)
    assert len(fpr) == len(tpr) <= points
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()
    if points > 2:
        assert auc(fpr, tpr) == pytest.approx(attack_auc(members, others), abs=2e-3)


def test_a_curve_of_one_point_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        roc_curve_points([1.0], [0.0], points=1)


def entropies(seed, n, mean):
    return np.random.default_rng(seed).exponential(mean, n)


def test_entropy_attack_equals_a_balanced_logistic_regression_written_out():
    retain, others, forget = entropies(0, 900, 0.2), entropies(1, 300, 0.6), entropies(2, 100, 0.4)
    model = LogisticRegression(class_weight="balanced")
    model.fit(np.r_[retain, others].reshape(-1, 1), np.r_[np.ones(900), np.zeros(300)])
    oracle = np.mean(forget * model.coef_[0, 0] + model.intercept_[0] > 0)
    assert entropy_attack(retain, others, forget) == pytest.approx(oracle, abs=1e-6)


def test_entropy_attack_calls_sure_images_members_and_unsure_ones_not():
    retain, others = entropies(0, 500, 0.1), 2 + entropies(1, 500, 0.1)
    assert entropy_attack(retain, others, [0.0, 0.1]) == 1
    assert entropy_attack(retain, others, [2.0, 2.3]) == 0


def test_entropy_attack_is_balanced_many_members_do_not_move_its_threshold():
    draw = np.random.default_rng(0)
    others, forget = draw.normal(2, 0.5, 500), np.linspace(0, 3, 1000)
    few = entropy_attack(draw.normal(1, 0.5, 500), others, forget)
    many = entropy_attack(draw.normal(1, 0.5, 20000), others, forget)
    assert few == pytest.approx(0.5, abs=0.05)
    assert many == pytest.approx(few, abs=0.03)


def test_entropy_attack_warns_when_the_regression_learned_nothing():
    retain, others = 1e-6 * entropies(0, 500, 1.0), 1e-6 * entropies(1, 500, 3.0)
    with pytest.warns(UserWarning, match="cannot tell members from non-members"):
        assert entropy_attack(retain, others, retain) == 0


@pytest.mark.parametrize("place", range(3))
def test_entropy_attack_refuses_an_empty_split(place):
    data = [[0.1, 0.2], [1.0, 2.0], [0.5]]
    data[place] = []
    name = ("retain_entropy", "nonmember_entropy", "forget_entropy")[place]
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        entropy_attack(*data)


def on_the_same_images(seed, n=60, golds=8, shift=0.0):
    """An image that is hard for one model is hard for all."""
    draw = np.random.default_rng(seed)
    images = draw.normal(0, 2, n)
    return images + shift + draw.normal(size=n), images + draw.normal(size=(golds, n))


@given(seed=SEEDS, n=st.integers(1, 20), golds=st.integers(1, 5), decimals=DECIMALS)
@settings(max_examples=30, deadline=None)
def test_against_golds_on_the_same_images_every_pair_of_images_counts(seed, n, golds, decimals):
    mine, theirs = (x.round(decimals) for x in on_the_same_images(seed, n, golds))
    found = bootstrap_auc_same_images(mine, theirs, repeats=20)
    oracle = roc_auc_score(np.repeat([1, 0], [n, n * golds]), [*mine, *theirs.ravel()])
    assert found.value == pytest.approx(oracle, abs=1e-9)


def test_images_drawn_with_all_their_scores_give_half_within_the_interval_as_often_as_it_says():
    together = apart = 0
    for seed in range(200):
        mine, theirs = on_the_same_images(seed)
        found = bootstrap_auc_same_images(mine, theirs, seed=seed, repeats=300)
        other = bootstrap_auc(mine, theirs.ravel(), seed=seed, repeats=300)
        together += found.low <= 0.5 <= found.high
        apart += other.high - other.low > found.high - found.low
    assert together >= binom.ppf(1e-4, 200, 0.95)
    assert apart > 190, "drawn apart, images that are alike would look like doubt"
    leak = bootstrap_auc_same_images(*on_the_same_images(0, shift=2), repeats=300)
    assert leak.low > 0.5


def test_a_draw_of_images_is_what_it_would_be_if_scores_were_counted_one_by_one():
    mine, theirs = on_the_same_images(1, n=15, golds=3)
    draw = np.random.default_rng(7)
    counts = resampled_counts(15, 400, draw).astype(int)
    slow = []
    for weights in counts:
        drawn = np.repeat(np.arange(15), weights)
        slow.append(attack_auc(mine[drawn], theirs[:, drawn].ravel()))
    found = bootstrap_auc_same_images(mine, theirs, seed=7, repeats=400)
    assert (found.low, found.high) == pytest.approx(np.quantile(slow, [0.025, 0.975]))


def test_golds_on_other_images_are_refused():
    with pytest.raises(ValueError, match="expected the same images, got 3 and 2"):
        bootstrap_auc_same_images([1.0, 2.0, 3.0], [[1.0, 2.0]])
