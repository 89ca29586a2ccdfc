import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, kstest, t, ttest_ind_from_stats

from lotus_unlearning.metrics import gold_band, margin_tails, outside_gold_band

SHAPES = {
    "seed": st.integers(0, 2**32 - 1),
    "golds": st.integers(3, 20),
    "images": st.integers(1, 30),
}


def bank(seed, golds, images):
    return 3 * np.random.default_rng(seed).normal(size=(golds, images)) + 1


@given(**SHAPES, level=st.sampled_from([0.5, 0.9, 0.95]))
@settings(max_examples=30, deadline=None)
def test_student_band_is_the_prediction_interval_of_one_more_gold(seed, golds, images, level):
    g = bank(seed, golds, images)
    band = gold_band(g, level)
    scale = g.std(axis=0, ddof=1) * math.sqrt(1 + 1 / golds)
    low, high = t.interval(level, golds - 1, loc=g.mean(axis=0), scale=scale)
    np.testing.assert_allclose(band.low, low, atol=1e-9)
    np.testing.assert_allclose(band.high, high, atol=1e-9)
    assert band.level == level


@pytest.mark.parametrize("golds", [3, 8, 16])
def test_one_more_normal_gold_lies_in_the_student_band_exactly_as_often_as_it_says(golds):
    g = bank(golds, golds + 1, 20_000)
    band = gold_band(g[:-1], 0.95)
    inside = ((band.low <= g[-1]) & (g[-1] <= band.high)).sum()
    assert binom.ppf(1e-4, 20_000, 0.95) <= inside <= binom.isf(1e-4, 20_000, 0.95)


@pytest.mark.parametrize(
    ("golds", "level", "has"),
    [(39, 0.95, 0.95), (79, 0.95, 0.95), (16, 0.95, 15 / 17), (3, 0.9, 0.5), (100, 0.95, 97 / 101)],
)
def test_rank_band_has_the_level_it_says_for_any_distribution(golds, level, has):
    g = np.random.default_rng(golds).pareto(1.0, size=(golds + 1, 20_000))
    band = gold_band(g[:-1], level, "rank")
    assert band.level == pytest.approx(has)
    inside = ((band.low <= g[-1]) & (g[-1] <= band.high)).sum()
    assert binom.ppf(1e-4, 20_000, has) <= inside <= binom.isf(1e-4, 20_000, has)


@given(**SHAPES)
@settings(max_examples=20, deadline=None)
def test_rank_band_moves_with_any_rising_transformation_of_the_margins(seed, golds, images):
    g = bank(seed, golds, images)
    band, bent = gold_band(g, kind="rank"), gold_band(np.exp(g), kind="rank")
    np.testing.assert_array_equal(np.exp(band.low), bent.low)
    np.testing.assert_array_equal(np.exp(band.high), bent.high)


@pytest.mark.parametrize("kind", ["student", "rank"])
def test_a_bias_towards_the_forgotten_images_is_seen(kind):
    draw = np.random.default_rng(0)
    g = draw.normal(size=(40, 500))
    leaking = outside_gold_band(draw.normal(2.5, 1, 500), g, kind=kind)
    clean = outside_gold_band(draw.normal(0, 1, 500), g, kind=kind)
    assert leaking.share > 0.5
    assert clean.share < 0.1
    assert leaking.share > leaking.golds.max()
    np.testing.assert_array_equal(leaking.golds, clean.golds)


@given(**SHAPES, kind=st.sampled_from(["student", "rank"]))
@settings(max_examples=20, deadline=None)
def test_shares_equal_a_loop_over_golds_and_images(seed, golds, images, kind):
    g, m = bank(seed, golds, images), bank(seed + 1, 1, images)[0]
    result = outside_gold_band(m, g, 0.8, kind)

    def outside(value, others):
        band = gold_band(others[:, None], 0.8, kind)
        return not band.low[0] <= value <= band.high[0]

    flags = [outside(m[i], g[:, i]) for i in range(images)]
    np.testing.assert_array_equal(result.outside, flags)
    assert result.share == pytest.approx(np.mean(flags))
    for j in range(golds):
        rest = np.delete(g, j, axis=0)
        share = np.mean([outside(g[j, i], rest[:, i]) for i in range(images)])
        assert result.golds[j] == pytest.approx(share)
    assert result.expected == pytest.approx(result.golds.mean())
    assert result.nominal == pytest.approx(1 - result.level)


def test_held_out_golds_are_outside_by_chance_as_often_as_nominal():
    result = outside_gold_band(np.zeros(4000), bank(0, 12, 4000))
    assert result.expected == pytest.approx(result.nominal, abs=0.004)


def test_of_n_golds_two_are_outside_the_rank_band_of_the_others_on_every_image():
    result = outside_gold_band(np.zeros(50), bank(0, 10, 50), kind="rank")
    assert result.expected == pytest.approx(2 / 10)


def test_one_shared_shift_of_a_model_spreads_golds_far_more_than_nominal():
    draw = np.random.default_rng(0)
    g = draw.normal(size=(16, 1)) + 0.3 * draw.normal(size=(16, 300))
    shares = outside_gold_band(np.zeros(300), g).golds
    assert shares.min() == 0
    assert shares.max() > 0.2


def test_where_all_golds_agree_only_the_same_margin_is_inside():
    g = [[0.1, 0.1]] * 3
    for kind in ("student", "rank"):
        result = outside_gold_band([0.1, 0.2], g, kind=kind)
        np.testing.assert_array_equal(result.outside, [False, True])


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_tails_equal_a_two_sample_t_test_of_one_against_n(seed, golds, images):
    g, m = bank(seed, golds, images), bank(seed + 1, 1, images)[0]
    tails = margin_tails(m, g)
    z, p = ttest_ind_from_stats(m, 0, 1, g.mean(axis=0), g.std(axis=0, ddof=1), golds)
    np.testing.assert_allclose(tails.z, z, atol=1e-6)
    np.testing.assert_allclose(tails.p_value, p, atol=1e-6)


@given(**SHAPES)
@settings(max_examples=20, deadline=None)
def test_a_small_p_value_and_being_outside_the_band_are_the_same(seed, golds, images):
    g, m = bank(seed, golds, images), 3 * bank(seed + 1, 1, images)[0]
    small = margin_tails(m, g).p_value < 0.05
    np.testing.assert_array_equal(small, outside_gold_band(m, g).outside)


def test_the_p_values_of_one_more_gold_are_uniform():
    g = bank(0, 6, 5000)
    assert kstest(margin_tails(g[-1], g[:-1]).p_value, "uniform").pvalue > 1e-3


def test_z_is_above_0_where_the_model_is_surer_than_golds():
    assert (margin_tails([9.0], bank(0, 5, 1)).z > 0).all()


def test_golds_that_agree_exactly_leave_z_0_or_infinite():
    tails = margin_tails([1.0, 0.0, 2.0], [[1.0] * 3] * 3)
    np.testing.assert_array_equal(tails.z, [0, -np.inf, np.inf])
    np.testing.assert_array_equal(tails.p_value, [1, 0, 0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gold_band([[1.0]]), "at least 2 models"),
        (lambda: gold_band([1.0, 2.0]), r"got shape \[2\]"),
        (lambda: gold_band([[1.0], [np.nan]]), "first model 1, image 0"),
        (lambda: gold_band([["a"], ["b"]]), "array of numbers"),
        (lambda: gold_band([[1.0], [2.0]], kind="normal"), "'student' or 'rank', got 'normal'"),
        (lambda: gold_band([[1.0], [2.0]], level=1.0), "level"),
        (lambda: outside_gold_band([1.0], [[1.0], [2.0]]), "at least 3 models"),
        (lambda: outside_gold_band([1.0, 2.0], [[1.0]] * 3), "the same images, got 2 and 1"),
        (lambda: margin_tails([1.0], [[1.0, 2.0]] * 2), "the same images, got 1 and 2"),
    ],
)
def test_wrong_banks_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
