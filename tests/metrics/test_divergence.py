import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lotus_unlearning.metrics import ClassDivergence, js_divergence, rf_js_divergence, zrf
from lotus_unlearning.metrics.divergence import BLOCK

SHAPES = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 30),
    "c": st.integers(2, 20),
    "concentration": st.sampled_from([0.01, 0.1, 1.0, 100.0]),
}


@given(**SHAPES)
@settings(max_examples=40, deadline=None)
def test_js_equals_scipy_jensenshannon_squared(rows, scipy_js, seed, n, c, concentration):
    p, q = rows(seed, n, c, concentration), rows(seed + 1, n, c, concentration)
    np.testing.assert_allclose(js_divergence(p, q), scipy_js(p, q), atol=1e-6)


@given(**SHAPES)
@settings(max_examples=40, deadline=None)
def test_js_is_symmetric_bounded_and_zero_on_itself(rows, seed, n, c, concentration):
    p, q = rows(seed, n, c, concentration), rows(seed + 1, n, c, concentration)
    values = js_divergence(p, q)
    np.testing.assert_array_equal(values, js_divergence(q, p))
    assert values.shape == (n,)
    assert (values >= 0).all()
    assert (values <= math.log(2)).all()
    assert (js_divergence(p, p) == 0).all()


def test_js_is_ln_2_for_rows_with_nothing_in_common():
    assert js_divergence([[1.0, 0.0]], [[0.0, 1.0]])[0] == pytest.approx(math.log(2), abs=1e-15)


def test_js_is_exact_at_zeros():
    by_hand = 0.5 * math.log(1 / 0.75) + 0.5 * (0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(2))
    assert js_divergence([[1.0, 0.0]], [[0.5, 0.5]])[0] == pytest.approx(by_hand, abs=1e-15)


def test_js_is_finite_at_the_smallest_number_there_is():
    p = np.array([[1.0, 5e-324]])
    assert js_divergence(p, [[1.0, 0.0]])[0] == 0.0


def test_js_grows_as_the_rows_part():
    steps = np.linspace(0.5, 1, 9)
    p = np.stack([steps, 1 - steps], axis=1)
    assert (np.diff(js_divergence(p, p[:, ::-1])) > 0).all()


def test_js_is_the_same_across_block_ends(rows):
    p, q = rows(0, BLOCK + 3, 3), rows(1, BLOCK + 3, 3)
    whole = js_divergence(p, q)
    np.testing.assert_array_equal(whole[BLOCK - 2 :], js_divergence(p[BLOCK - 2 :], q[BLOCK - 2 :]))


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_rf_js_equals_scipy_on_class_means(rows, scipy_js, seed, n, c, concentration):
    draw = np.random.default_rng(seed)
    p, q = rows(seed, n, c, concentration), rows(seed + 1, n + 3, c, concentration)
    y, y_unseen = draw.integers(0, c, n), draw.integers(0, c, n + 3)
    result = rf_js_divergence(p, y, q, y_unseen)
    shared = set(y.tolist()) & set(y_unseen.tolist())
    assert set(result.values) == shared
    for k in shared:
        oracle = scipy_js(p[y == k].mean(0), q[y_unseen == k].mean(0))
        assert result.values[k] == pytest.approx(oracle, abs=1e-6)
    if shared:
        assert result.mean == pytest.approx(sum(result.values.values()) / len(shared), abs=1e-12)


def test_rf_js_reports_the_classes_that_one_side_lacks(rows):
    result = rf_js_divergence(rows(0, 3, 5), [0, 1, 1], rows(1, 4, 5), [1, 3, 4, 4])
    assert set(result.values) == {1}
    assert result.missing_in_forget == (3, 4)
    assert result.missing_in_unseen == (0,)


def test_rf_js_is_nan_when_no_class_is_shared(rows):
    result = rf_js_divergence(rows(0, 2, 3), [0, 0], rows(1, 2, 3), [1, 2])
    assert result.values == {}
    assert math.isnan(result.mean)


def test_rf_js_weighs_classes_and_not_images():
    p = [[1.0, 0.0]] * 9 + [[0.5, 0.5]]
    q = [[0.0, 1.0], [0.5, 0.5]]
    result = rf_js_divergence(p, [0] * 9 + [1], q, [0, 1])
    assert result.mean == pytest.approx(math.log(2) / 2)


def test_rf_js_does_not_depend_on_the_order_of_images(rows):
    p, q, y = rows(0, 20, 4), rows(1, 20, 4), np.arange(20) % 4
    order = np.random.default_rng(0).permutation(20)
    one, other = rf_js_divergence(p, y, q, y), rf_js_divergence(p[order], y[order], q, y)
    assert one.mean == pytest.approx(other.mean, abs=1e-15)


def test_rf_js_refuses_models_with_different_classes(rows):
    with pytest.raises(ValueError, match="expected one shape"):
        rf_js_divergence(rows(0, 2, 3), [0, 0], rows(1, 2, 4), [1, 2])


def test_a_class_divergence_without_classes_has_no_mean():
    assert math.isnan(ClassDivergence({}).mean)


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_zrf_is_one_minus_the_mean_js_within_its_bounds(rows, scipy_js, seed, n, c, concentration):
    p, q = rows(seed, n, c, concentration), rows(seed + 1, n, c, concentration)
    assert zrf(p, q) == pytest.approx(1 - scipy_js(p, q).mean(), abs=1e-6)
    assert 1 - math.log(2) - 1e-12 <= zrf(p, q) <= 1
    assert zrf(p, p) == 1
