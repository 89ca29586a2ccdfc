import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import binom, chi2, norm, t

from lotus_unlearning.metrics import golds_needed, smallest_effect


@given(
    n=st.integers(3, 200),
    k=st.integers(1, 20),
    level=st.sampled_from([0.01, 0.05]),
    power=st.sampled_from([0.5, 0.8, 0.95]),
)
@settings(max_examples=20, deadline=None)
def test_the_smallest_effect_has_the_power_asked_for_by_an_integral(n, k, level, power):
    shift = smallest_effect(n, k, level=level, power=power) / math.sqrt(1 + 1 / n)
    critical = t.isf(level / (2 * k), n - 1)
    found, _ = quad(
        lambda q: sum(
            norm.sf(critical * math.sqrt(chi2.ppf(q, n - 1) / (n - 1)) + side * shift)
            for side in (1, -1)
        ),
        0,
        1,
        limit=200,
        epsabs=1e-9,
    )
    assert found == pytest.approx(power, abs=1e-3)  # the far side, left out, adds less


@pytest.mark.parametrize(("n", "k"), [(4, 1), (8, 3), (16, 5)])
def test_it_is_found_as_often_as_it_says(n, k):
    draw = np.random.default_rng(n)
    golds = draw.normal(size=(n, 4000))
    model = draw.normal(size=4000) + smallest_effect(n, k)
    z = (model - golds.mean(axis=0)) / (golds.std(axis=0, ddof=1) * math.sqrt(1 + 1 / n))
    found = (np.abs(z) > t.isf(0.05 / (2 * k), n - 1)).sum()
    assert binom.ppf(1e-4, 4000, 0.8) <= found <= binom.isf(1e-4, 4000, 0.8)


def test_with_many_golds_it_is_that_of_the_normal_distribution():
    assert smallest_effect(10_000) == pytest.approx(norm.ppf(0.975) + norm.ppf(0.8), abs=2e-3)


def test_fewer_golds_more_statistics_more_power_and_a_stricter_level_need_larger_effects():
    assert smallest_effect(8) > smallest_effect(16)
    assert smallest_effect(8, 5) > smallest_effect(8)
    assert smallest_effect(8, power=0.9) > smallest_effect(8)
    assert smallest_effect(8, level=0.01) > smallest_effect(8)


@pytest.mark.parametrize("golds", [0, 1, 2])
def test_fewer_than_three_golds_find_nothing(golds):
    assert smallest_effect(golds) == math.inf


@pytest.mark.parametrize(("k", "effect"), [(1, 5.0), (5, 5.0), (10, 4.0), (1, 50.0)])
def test_golds_needed_is_the_first_number_that_is_enough(k, effect):
    needed = golds_needed(k, effect=effect)
    assert smallest_effect(needed, k) <= effect
    assert needed == 3 or smallest_effect(needed - 1, k) > effect


def test_an_effect_that_no_number_of_golds_finds_is_refused():
    with pytest.raises(ValueError, match=r"effect: expected at least 2\.80"):
        golds_needed(effect=2.0)


@pytest.mark.parametrize("option", [{"statistics": 0}, {"level": 0.0}, {"power": 1.0}])
def test_options_out_of_range_are_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        smallest_effect(8, **option)
