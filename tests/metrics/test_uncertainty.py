import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics import log_loss

from lotus_unlearning.metrics import (
    confidence,
    cross_entropy,
    entropy,
    entropy_histogram,
    softmax,
)

SHAPES = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 30),
    "c": st.integers(2, 20),
    "concentration": st.sampled_from([0.01, 0.1, 1.0, 100.0]),
}


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_entropy_equals_scipy_within_0_and_ln_c(rows, seed, n, c, concentration):
    p = rows(seed, n, c, concentration)
    values = entropy(p)
    np.testing.assert_allclose(values, scipy_entropy(p, axis=1), atol=1e-6)
    assert (values >= 0).all()
    assert (values <= math.log(c) + 1e-12).all()


def test_entropy_is_0_when_sure_and_ln_c_when_uniform():
    np.testing.assert_allclose(entropy([[1, 0, 0], [1 / 3] * 3]), [0, math.log(3)], atol=1e-15)


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_confidence_lies_between_1_over_c_and_1(rows, seed, n, c, concentration):
    values = confidence(rows(seed, n, c, concentration))
    assert (values >= 1 / c - 1e-12).all()
    assert (values <= 1).all()


def test_confidence_is_the_largest_probability():
    np.testing.assert_array_equal(confidence([[0.25, 0.75], [0.5, 0.5]]), [0.75, 0.5])


@given(seed=SHAPES["seed"], n=SHAPES["n"], c=SHAPES["c"])
@settings(max_examples=30, deadline=None)
def test_mean_cross_entropy_equals_sklearn_log_loss(seed, n, c):
    draw = np.random.default_rng(seed)
    z, y = draw.normal(size=(n, c)), draw.integers(0, c, n)
    oracle = log_loss(y, softmax(z), labels=range(c))
    assert cross_entropy(z, y).mean() == pytest.approx(oracle, abs=1e-6)


def test_cross_entropy_of_a_confident_mistake_is_large_and_finite():
    losses = cross_entropy([[0.0, 5000.0], [-1e300, 0.0]], [0, 1])
    np.testing.assert_allclose(losses, [5000.0, 0.0])


def test_cross_entropy_does_not_change_when_logits_are_shifted():
    z = np.random.default_rng(0).normal(size=(20, 5))
    y = np.arange(20) % 5
    np.testing.assert_allclose(cross_entropy(z + 100, y), cross_entropy(z, y), atol=1e-12)


@given(**SHAPES, bins=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_histograms_share_edges_and_each_counts_every_image(rows, seed, n, c, concentration, bins):
    one, two = entropy(rows(seed, n, c, concentration)), entropy(rows(seed, n + 5, c))
    result = entropy_histogram({"one": one, "two": two}, bins, c)
    assert result.edges[0] == 0
    assert result.edges[-1] == pytest.approx(math.log(c))
    assert [len(s) for s in result.shares.values()] == [bins, bins]
    assert [s.sum() for s in result.shares.values()] == pytest.approx([1, 1])


def test_the_ends_of_the_range_are_counted():
    shares = entropy_histogram({"all": [0.0, math.log(3)]}, 4, 3).shares["all"]
    np.testing.assert_array_equal(shares, [0.5, 0, 0, 0.5])


def test_entropies_in_bits_are_refused():
    with pytest.raises(ValueError, match=r"^unseen: .*pass nats, not bits"):
        entropy_histogram({"unseen": [1.0]}, 4, 2)


def test_a_histogram_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one name, one bin and two classes, got 0, 0"):
        entropy_histogram({}, 0, 2)
