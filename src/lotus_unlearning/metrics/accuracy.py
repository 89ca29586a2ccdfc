"""How often the largest output is the label: over a split, and class by class."""

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import Floats, as_labels, as_logits


def softmax(logits: ArrayLike) -> Floats:
    r"""Probabilities of each row, in float64.

    .. math:: s_j(z) = e^{z_j - \max z} / \sum_k e^{z_k - \max z}

    Args:
        logits: ``[N, C]``.

    Returns:
        ``[N, C]``, rows sum to 1.

    Raises:
        ValueError: If ``logits`` is not ``[N, C]`` or not finite.

    Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs",
    1990; shifted by the row's maximum so that nothing overflows.

    >>> softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    z = as_logits(logits, "logits")
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    r"""Share of rows whose largest output is the label; of equal outputs, the first counts.

    .. math:: \frac1N \sum_i [\arg\max_j z_{ij} = y_i]

    Args:
        logits: ``[N, C]``; probabilities give the same number.
        labels: ``[N]``, integers from 0 to C - 1.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: If shapes differ, labels are out of range or logits are not finite.

    Source: textbook (zero-one score).

    >>> accuracy([[2.0, 1.0], [0.0, 3.0], [5.0, 1.0]], [0, 1, 1])
    0.6666666666666666
    """
    z = as_logits(logits, "logits")
    y = as_labels(labels, "labels", *z.shape)
    return float(np.mean(z.argmax(axis=1) == y))


def class_accuracies(logits: ArrayLike, labels: ArrayLike, classes: int | None = None) -> Floats:
    r"""Accuracy within each class, NaN for a class without images.

    .. math:: a_c = \frac1{n_c} \sum_{i: y_i = c} [\arg\max_j z_{ij} = c]

    Args:
        logits: ``[N, C]``; probabilities give the same numbers.
        labels: ``[N]``, integers from 0 to ``classes`` - 1.
        classes: Length of the result; C if not given.

    Returns:
        ``[classes]`` shares in [0, 1] or NaN.

    Raises:
        ValueError: If shapes differ, labels are out of range or logits are not finite.

    Source: textbook (recall per class).

    >>> class_accuracies([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [5.0, 1.0, 0.0]], [0, 1, 1])
    array([1. , 0.5, nan])
    """
    z = as_logits(logits, "logits")
    length = z.shape[1] if classes is None else classes
    y = as_labels(labels, "labels", len(z), length)
    return class_shares(z.argmax(axis=1) == y, y, length)


def class_shares(right: ArrayLike, labels: ArrayLike, classes: int) -> Floats:
    r"""Share of rows that are right within each class, NaN for a class without images.

    Args:
        right: ``[N]`` bool.
        labels: ``[N]``, integers from 0 to ``classes`` - 1.
        classes: Length of the result.

    Returns:
        ``[classes]`` shares in [0, 1] or NaN.

    Raises:
        ValueError: If shapes differ or labels are out of range.

    Source: textbook (recall per class).

    >>> class_shares([True, False, True], [0, 1, 1], 3)
    array([1. , 0.5, nan])
    """
    hits = np.asarray(right, dtype=bool)
    y = as_labels(labels, "labels", len(hits), classes)
    found = np.bincount(y, weights=hits, minlength=classes)
    count = np.bincount(y, minlength=classes)
    shares: Floats = np.divide(found, count, out=np.full(classes, np.nan), where=count > 0)
    return shares
