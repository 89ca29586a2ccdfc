import numpy as np
import pytest

from lotus_unlearning.metrics import accuracy, entropy, js_divergence
from lotus_unlearning.metrics.arrays import as_labels, as_logits, as_probabilities, as_scores

GOOD = np.array([[0.5, 0.5], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[2.0, -1.0]], r"1 rows with negative entries"),
        ([[0.7, 0.7]], r"1 rows that do not, first row 0 with 1\.4"),
        ([[3.0, -1.0], [0.5, 0.5]], r"negative entries, first row 0 and 1 rows that do not"),
        ([[np.nan, 1.0]], r"NaN or infinity in 1 of 1 rows"),
        (np.zeros((0, 3)), r"got shape \[0, 3\]"),
        ([0.5, 0.5], r"got shape \[2\]"),
        ([[1.0]], r"two classes, got shape \[1, 1\]"),
        ([["a", "b"]], r"expected an array of numbers"),
        ([[1.0], [0.5, 0.5]], r"expected an array of numbers"),
    ],
)
def test_what_is_not_probabilities_is_refused_with_what_was_got(values, said):
    with pytest.raises(ValueError, match=said):
        as_probabilities(values, "p")


def test_logits_passed_as_probabilities_are_told_to_pass_softmax():
    with pytest.raises(ValueError, match=r"^p: expected.*pass softmax\(logits\)"):
        js_divergence([[3.0, 2.0]], [[0.5, 0.5]])


def test_float16_probabilities_are_taken_and_scaled_to_one():
    half = np.random.default_rng(0).dirichlet(np.ones(100), size=50).astype(np.float16)
    scaled = as_probabilities(half, "p")
    assert scaled.dtype == np.float64
    np.testing.assert_allclose(scaled.sum(axis=1), 1, atol=1e-14)


def test_infinite_logits_are_refused():
    with pytest.raises(ValueError, match="float16 overflow"):
        as_logits([[np.inf, 0.0]], "logits")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 2], "from 0 to 1, got 0 to 2"),
        ([-1, 1], "from 0 to 1, got -1 to 1"),
        ([0], r"expected 2 integers, one per row, got int64 of shape \[1\]"),
        ([0.0, 1.0], "got float64"),
        ([True, False], "got bool"),
    ],
)
def test_wrong_labels_are_refused(labels, said):
    with pytest.raises(ValueError, match=said):
        accuracy(GOOD, labels)


def test_labels_of_any_integer_type_are_taken():
    assert as_labels(np.array([0, 1], dtype=np.uint8), "labels", 2, 2).dtype == np.int64


@pytest.mark.parametrize(
    ("values", "said"),
    [([], r"got shape \[0\]"), ([[1.0]], r"\[1, 1\]"), ([1.0, np.nan], "1 of 2 positions")],
)
def test_wrong_scores_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        as_scores(values, "scores")


def test_two_models_on_different_images_are_refused():
    with pytest.raises(ValueError, match=r"p, q: expected one shape, got \[2, 2\] and \[1, 2\]"):
        js_divergence(GOOD, GOOD[:1])


def test_the_callers_array_is_left_as_it_was():
    values = GOOD.copy()
    entropy(values)
    js_divergence(values, values)
    accuracy(values, [0, 1])
    assert (values == GOOD).all()
