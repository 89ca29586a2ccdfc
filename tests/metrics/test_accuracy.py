import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import accuracy_score, recall_score

from lotus_unlearning.metrics import accuracy, class_accuracies, softmax

SHAPES = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 40),
    "c": st.integers(2, 12),
}


@given(**SHAPES, scale=st.sampled_from([0.0, 1.0, 30.0, 1e4]))
@settings(max_examples=30, deadline=None)
def test_softmax_equals_scipy_at_any_scale(seed, n, c, scale):
    z = scale * np.random.default_rng(seed).normal(size=(n, c))
    np.testing.assert_allclose(softmax(z), scipy_softmax(z, axis=1), atol=1e-12)


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_accuracy_equals_sklearn_and_lies_between_0_and_1(seed, n, c):
    draw = np.random.default_rng(seed)
    z, y = draw.normal(size=(n, c)), draw.integers(0, c, n)
    value = accuracy(z, y)
    assert value == pytest.approx(accuracy_score(y, z.argmax(1)), abs=1e-12)
    assert 0 <= value <= 1


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_probabilities_give_the_accuracy_of_their_logits(seed, n, c):
    draw = np.random.default_rng(seed)
    z, y = draw.normal(size=(n, c)), draw.integers(0, c, n)
    assert accuracy(softmax(z), y) == accuracy(z, y)


def test_of_equal_outputs_the_first_class_counts():
    assert accuracy(np.zeros((4, 3)), [0, 1, 2, 0]) == 0.5


def test_accuracy_is_not_rounded():
    z = np.eye(2)[[0] * 7]
    assert accuracy(z, [0, 0, 0, 0, 0, 1, 1]) == 5 / 7


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_class_accuracies_equal_sklearn_recall_and_absent_classes_are_nan(seed, n, c):
    draw = np.random.default_rng(seed)
    z, y = draw.normal(size=(n, c)), draw.integers(0, c, n)
    recall = recall_score(y, z.argmax(1), labels=range(c), average=None, zero_division=np.nan)
    np.testing.assert_allclose(class_accuracies(z, y), recall, atol=1e-12)


def test_class_accuracies_are_as_long_as_asked():
    values = class_accuracies(np.eye(2), [0, 1], classes=4)
    np.testing.assert_array_equal(values, [1, 1, np.nan, np.nan])


def test_class_accuracies_refuse_labels_beyond_the_classes_asked_for():
    with pytest.raises(ValueError, match="from 0 to 1, got 0 to 2"):
        class_accuracies(np.eye(3), [0, 1, 2], classes=2)
