import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from lotus_unlearning.metrics import GAP_KEYS, average_gap, mean_and_interval

SHARES = st.fixed_dictionaries({key: st.floats(0, 1) for key in GAP_KEYS})


@given(one=SHARES, other=SHARES)
@settings(max_examples=50, deadline=None)
def test_average_gap_is_a_symmetric_distance_within_0_and_1(one, other):
    value = average_gap(one, other)
    assert 0 <= value <= 1
    assert value == average_gap(other, one)
    assert average_gap(one, one) == 0


def test_average_gap_by_hand_and_not_rounded():
    gold = dict.fromkeys(GAP_KEYS, 0.5)
    one = dict(zip(GAP_KEYS, (0.5, 0.6, 0.4, 0.503), strict=True))
    assert average_gap(one, gold) == pytest.approx((0.1 + 0.1 + 0.003) / 4, abs=1e-12)


def test_average_gap_does_not_let_gaps_of_either_sign_cancel():
    gold = dict.fromkeys(GAP_KEYS, 0.5)
    assert average_gap({**gold, "forget_accuracy": 0.9, "test_accuracy": 0.1}, gold) == 0.2


def test_average_gap_reads_no_other_key():
    gold = dict.fromkeys(GAP_KEYS, 0.5)
    assert average_gap({**gold, "zrf": 9.0}, gold) == 0


def test_average_gap_names_every_missing_key_and_its_side():
    gold = dict.fromkeys(GAP_KEYS, 0.5)
    one = {key: 0.5 for key in GAP_KEYS if key != "test_accuracy"}
    with pytest.raises(ValueError, match="no 'test_accuracy' in unlearned, no 'entropy_attack' in"):
        average_gap(one, {key: gold[key] for key in GAP_KEYS[1:]})


@pytest.mark.parametrize("bad", [93.0, -0.1, math.nan])
def test_average_gap_refuses_percentages_and_nan(bad):
    gold = dict.fromkeys(GAP_KEYS, 0.5)
    with pytest.raises(ValueError, match=r"unlearned\['forget_accuracy'\]"):
        average_gap({**gold, "forget_accuracy": bad}, gold)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 20),
    level=st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
@settings(max_examples=30, deadline=None)
def test_the_interval_of_a_mean_equals_scipy(seed, n, level):
    values = np.random.default_rng(seed).normal(size=n)
    interval = mean_and_interval(values, level)
    oracle = ttest_1samp(values, 0).confidence_interval(level)
    assert interval.value == pytest.approx(values.mean(), abs=1e-12)
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high), abs=1e-6)


def test_one_seed_has_a_mean_and_no_interval():
    interval = mean_and_interval([0.7])
    assert interval.value == 0.7
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_equal_seeds_have_an_interval_of_no_width():
    interval = mean_and_interval([0.5, 0.5, 0.5])
    assert (interval.value, interval.low, interval.high) == (0.5, 0.5, 0.5)


def test_a_level_given_in_percent_is_refused():
    with pytest.raises(ValueError, match="level: expected a share"):
        mean_and_interval([1.0, 2.0], level=95)
