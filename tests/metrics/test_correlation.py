import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr

from lotus_unlearning.metrics import correlation

SHAPES = {"seed": st.integers(0, 2**32 - 1), "n": st.integers(4, 30)}


def pairs(seed, n):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=n)
    return x, 0.7 * x + draw.normal(size=n)


@given(**SHAPES, level=st.sampled_from([0.9, 0.95]))
@settings(max_examples=30, deadline=None)
def test_pearson_value_p_and_interval_equal_scipy(seed, n, level):
    x, y = pairs(seed, n)
    result, oracle = correlation(x, y, level=level), pearsonr(x, y)
    ends = oracle.confidence_interval(level)
    assert result.value == pytest.approx(oracle.statistic, abs=1e-6)
    assert result.p_value == pytest.approx(oracle.pvalue, abs=1e-6)
    assert (result.low, result.high) == pytest.approx((ends.low, ends.high), abs=1e-6)


@given(**SHAPES, decimals=st.sampled_from([1, 8]))
@settings(max_examples=30, deadline=None)
def test_spearman_equals_scipy_and_pearson_of_ranks(seed, n, decimals):
    x, y = (np.round(v, decimals) for v in pairs(seed, n))
    result, oracle = correlation(x, y, "spearman"), spearmanr(x, y)
    assert result.value == pytest.approx(oracle.statistic, abs=1e-6)
    if abs(result.value) < 1:
        assert result.p_value == pytest.approx(oracle.pvalue, abs=1e-6)
    assert result.value == pytest.approx(correlation(rankdata(x), rankdata(y)).value, abs=1e-9)


def test_the_spearman_interval_is_that_of_bonett_and_wright():
    x, y = pairs(0, 20)
    r, result = spearmanr(x, y).statistic, correlation(x, y, "spearman")
    half = 1.959963984540054 * math.sqrt((1 + r**2 / 2) / 17)
    ends = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    assert (result.low, result.high) == pytest.approx(ends, abs=1e-6)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
@given(**SHAPES)
@settings(max_examples=20, deadline=None)
def test_correlation_is_symmetric_odd_and_inside_its_interval(kind, seed, n):
    x, y = pairs(seed, n)
    result, turned, negated = (
        correlation(x, y, kind),
        correlation(y, x, kind),
        correlation(x, -y, kind),
    )
    assert result.value == pytest.approx(turned.value, abs=1e-12)
    assert result.value == pytest.approx(-negated.value, abs=1e-12)
    if abs(result.value) < 1:
        assert -1 <= result.low <= result.value <= result.high <= 1


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_a_straight_line_correlates_perfectly_which_four_pairs_say_nothing_exact_about(kind):
    result = correlation([1, 2, 3, 4], [2, 4, 6, 8], kind)
    assert result.value == 1
    assert math.isnan(result.low)
    assert math.isnan(result.high)


def test_the_chance_of_equal_ranks_is_that_of_two_among_all_orders():
    orders = [correlation(range(4), order, "spearman") for order in permutations(range(4))]
    clear = [found for found in orders if abs(found.value) == 1]
    assert [found.p_value for found in clear] == [pytest.approx(2 / len(orders))] * 2


def test_one_far_point_makes_a_pearson_correlation_and_no_spearman_one():
    x, y = np.random.default_rng(1).normal(size=(2, 9))
    x, y = np.append(x, 50), np.append(y, 50)
    assert correlation(x, y).value > 0.95
    assert correlation(x, y, "spearman").value < 0.75


def test_three_pairs_have_a_value_and_no_interval():
    result = correlation([1, 2, 3], [1, 3, 2])
    assert result.value == pytest.approx(0.5)
    assert math.isnan(result.low)
    assert math.isnan(result.high)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ([1, 2], [1, 2], "N at least 3"),
        ([1, 2, 3], [1, 2, 3, 4], "expected one shape"),
        ([1, 1, 1], [1, 2, 3], "^x: expected values that differ"),
        ([1, 1, 1], [2, 2, 2], "^x and y: expected values that differ"),
    ],
)
def test_pairs_without_a_correlation_are_refused(x, y, said):
    with pytest.raises(ValueError, match=said):
        correlation(x, y)


def test_an_unknown_kind_lists_the_known_ones():
    with pytest.raises(ValueError, match="'pearson' or 'spearman', got 'kendall'"):
        correlation([1, 2, 3], [1, 2, 4], "kendall")
