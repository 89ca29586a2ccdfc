import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logit

from lotus_unlearning.metrics import (
    attack_auc,
    cross_entropy,
    label_probability,
    margin,
    membership_scores,
    modified_entropy,
    softmax,
)

SHAPES = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 40),
    "c": st.integers(2, 12),
}


def draw(seed, n, c, scale=1.0):
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(n, c)), rng.integers(0, c, n)


def published_modified_entropy(p, y):
    """Song and Mittal's loop over one row; their 1e-30 for exact zeros and ones is not reached."""
    return -sum(
        (1 - value) * np.log(value) if j == y else value * np.log(1 - value)
        for j, value in enumerate(p)
    )


@given(**SHAPES)
@settings(max_examples=40, deadline=None)
def test_margin_is_the_logit_of_the_labels_probability(seed, n, c):
    z, y = draw(seed, n, c)
    p = softmax(z)[np.arange(n), y]
    np.testing.assert_allclose(margin(z, y), logit(p), atol=1e-6)


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_margin_equals_the_scaled_confidence_of_the_lira_code(seed, n, c):
    z, y = draw(seed, n, c)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    right = p[np.arange(n), y]
    p[np.arange(n), y] = 0
    published = np.log(right + 1e-45) - np.log(p.sum(axis=1) + 1e-45)
    np.testing.assert_allclose(margin(z, y), published, atol=1e-9)


def test_margin_stays_exact_where_probabilities_round_to_one_and_zero():
    assert margin([[800.0, 0.0, 0.0]], [0])[0] == pytest.approx(800 - np.log(2))
    assert margin([[800.0, 0.0, 0.0]], [1])[0] == pytest.approx(-800)


def test_margin_of_two_classes_is_the_difference_of_their_logits():
    np.testing.assert_array_equal(margin([[3.0, 1.0], [3.0, 1.0]], [0, 1]), [2, -2])


@given(**SHAPES, shift=st.floats(-1e3, 1e3))
@settings(max_examples=20, deadline=None)
def test_scores_do_not_see_a_constant_added_to_the_logits(seed, n, c, shift):
    z, y = draw(seed, n, c)
    np.testing.assert_allclose(margin(z + shift, y), margin(z, y), atol=1e-9)
    np.testing.assert_allclose(modified_entropy(z + shift, y), modified_entropy(z, y), atol=1e-9)


@given(**SHAPES)
@settings(max_examples=40, deadline=None)
def test_modified_entropy_equals_the_published_loop(seed, n, c):
    z, y = draw(seed, n, c, 2.0)
    published = [
        published_modified_entropy(p, label) for p, label in zip(softmax(z), y, strict=True)
    ]
    np.testing.assert_allclose(modified_entropy(z, y), published, atol=1e-6)


@given(**SHAPES, scale=st.sampled_from([0.0, 1.0, 30.0, 1e4]))
@settings(max_examples=40, deadline=None)
def test_modified_entropy_is_finite_and_not_negative_at_any_scale(seed, n, c, scale):
    z, y = draw(seed, n, c, scale)
    values = modified_entropy(z, y)
    assert np.isfinite(values).all()
    assert (values >= 0).all()


def test_modified_entropy_tells_a_sure_right_answer_from_a_sure_wrong_one():
    sure = [[50.0, 0.0, 0.0]] * 2
    right, wrong = modified_entropy(sure, [0, 1])
    assert right == pytest.approx(0, abs=1e-15)
    assert wrong > 90


def test_modified_entropy_falls_as_the_label_gains():
    z = np.stack([np.linspace(-5, 5, 41), np.zeros(41)], axis=1)
    assert (np.diff(modified_entropy(z, [0] * 41)) < 0).all()


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_label_probability_equals_scipy(seed, n, c):
    z, y = draw(seed, n, c)
    oracle = np.exp(log_softmax(z, axis=1))[np.arange(n), y]
    np.testing.assert_allclose(label_probability(z, y), oracle, atol=1e-12)


def test_every_score_is_higher_for_images_that_were_learned():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 400)
    z = rng.normal(size=(400, 5))
    z[np.arange(400), y] += np.where(np.arange(400) < 200, 4.0, 1.0)
    norms = np.exp(-margin(z, y))
    for name, values in membership_scores(z, y, norms).items():
        assert attack_auc(values[:200], values[200:]) > 0.7, name


def test_without_gradient_norms_there_is_no_score_of_them():
    z, y = draw(0, 5, 3)
    scores = membership_scores(z, y)
    assert "gradient_norm" not in scores
    np.testing.assert_array_equal(scores["loss"], -cross_entropy(z, y))
    assert {len(values) for values in scores.values()} == {5}


@pytest.mark.parametrize("norms", [[1.0], [1.0, -1.0], [1.0, np.nan]])
def test_gradient_norms_that_are_none_are_refused(norms):
    with pytest.raises(ValueError, match=r"^gradient_norms: expected"):
        membership_scores(*draw(0, 2, 3), norms)


@pytest.mark.parametrize("function", [margin, modified_entropy, label_probability])
def test_wrong_labels_are_refused(function):
    with pytest.raises(ValueError, match="from 0 to 1, got 2 to 2"):
        function([[0.0, 1.0]], [2])


def test_float32_logits_are_computed_in_float64_and_left_alone():
    z, y = draw(0, 6, 3)
    single = z.astype(np.float32)
    before = single.copy()
    assert margin(single, y).dtype == modified_entropy(single, y).dtype == np.float64
    np.testing.assert_array_equal(single, before)
