"""The formulas behind the published LoTUS tables, faults included, to compare with those tables.

From github.com/cspartalis/LoTUS at 35ae25e, ``src/helpers/eval.py``. A number printed in the paper
can only be compared with these; for anything else use the measures without "as_published".
Their attack on ResNets also ran BatchNorm in training mode for some methods, which is a property
of how predictions were made and cannot be reproduced from arrays.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import (
    Floats,
    as_labels,
    as_probabilities,
    as_scores,
    require_same_shape,
)
from lotus_unlearning.metrics.divergence import class_means
from lotus_unlearning.metrics.gaps import GAP_KEYS, require_gap_keys

SMALLEST = 1e-8  # their ``epsilon``


def jsd_as_published(probabilities: ArrayLike, probabilities_gold: ArrayLike) -> float:
    r"""What the published tables call JSD; it is not the Jensen-Shannon divergence.

    .. math::
        \frac1N \cdot \frac1N \sum_i AG_i, \quad
        AG_i = \sum_j m_{ij} \ln \frac{m_{ij}}{\sqrt{p_{ij} q_{ij}}}, \quad m = (p + q) / 2

    Three faults: the arguments of KL are swapped, which makes it the arithmetic-geometric
    divergence AG, without an upper bound; the clamp at 1e-8 decides how large AG gets where a
    model is sure; and the tensor is normalised as a whole before the mean over the batch, so that
    it is divided by N once too often and shrinks as the forget set grows. The tables print it
    times 1e4, rounded to six decimals before; nothing is rounded here.

    Args:
        probabilities: ``[N, C]``, the unlearned model on the forget images.
        probabilities_gold: ``[N, C]``, the retrained model on the same images.

    Returns:
        A number from 0, without an upper bound. Compare it with published tables only, and
        only for the same N.

    Raises:
        ValueError: If shapes differ or rows are not probabilities.

    Source: ``JSDiv`` and ``log_js`` in the authors' code; AG: Taneja, 1995.

    >>> one = jsd_as_published([[0.9, 0.1]], [[0.6, 0.4]])
    >>> two = jsd_as_published([[0.9, 0.1]] * 2, [[0.6, 0.4]] * 2)
    >>> round(one, 3), round(two / one, 3)
    (0.071, 0.5)
    """
    p = as_probabilities(probabilities, "probabilities")
    q = as_probabilities(probabilities_gold, "probabilities_gold")
    require_same_shape(p, "probabilities", q, "probabilities_gold")
    return _jsdiv(p, q)


def _jsdiv(p: Floats, q: Floats) -> float:
    """Their ``JSDiv``: note the sums over the whole array, and ``m`` in front of the logarithm."""
    p, q = np.clip(p, SMALLEST, 1.0), np.clip(q, SMALLEST, 1.0)
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    return float((m * (np.log(m) - (np.log(p) + np.log(q)) / 2)).sum() / len(p))


def rf_jsd_as_published(
    probabilities_forget: ArrayLike,
    labels_forget: ArrayLike,
    probabilities_unseen: ArrayLike,
    labels_unseen: ArrayLike,
) -> float:
    r"""What the published tables call RF-JSD: :func:`jsd_as_published` of the class means.

    .. math:: \frac1k \cdot \frac1k \sum_c AG(P_c, Q_c)

    The same three faults, with k classes in the place of N images: it shrinks as classes are
    added. Unseen images of classes that forget does not have are left out without a word. The
    tables print it times 1e4, rounded to six decimals before; nothing is rounded here.

    Args:
        probabilities_forget: ``[N, C]``, the unlearned model on the forget images.
        labels_forget: ``[N]``.
        probabilities_unseen: ``[M, C]``, the original model on images never trained on.
        labels_unseen: ``[M]``.

    Returns:
        A number from 0, without an upper bound. Compare it with published tables only.

    Raises:
        ValueError: If shapes differ, rows are not probabilities, labels are out of range, or a
            forget class has no unseen image (their code stops there too).

    Source: ``log_js_proxy`` in the authors' code.

    >>> forget, unseen = [[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.4, 0.6]]
    >>> round(rf_jsd_as_published(forget, [0, 1], unseen, [0, 1]), 4)
    0.0178
    """
    p = as_probabilities(probabilities_forget, "probabilities_forget")
    q = as_probabilities(probabilities_unseen, "probabilities_unseen")
    require_same_shape(p[:1], "probabilities_forget", q[:1], "probabilities_unseen")
    forget = class_means(p, as_labels(labels_forget, "labels_forget", *p.shape))
    unseen = class_means(q, as_labels(labels_unseen, "labels_unseen", *q.shape))
    missing = sorted(forget.keys() - unseen.keys())
    if missing:
        raise ValueError(
            f"labels_unseen: expected every class of forget, but {missing} are not there; "
            "rf_js_divergence compares the classes that both sides have"
        )
    order = sorted(forget)
    return _jsdiv(np.stack([forget[c] for c in order]), np.stack([unseen[c] for c in order]))


def average_gap_as_published(
    unlearned: Mapping[str, ArrayLike], gold: Mapping[str, ArrayLike]
) -> float:
    r"""The published Avg Gap: differences of means over seeds, everything rounded on the way.

    .. math:: \frac14 \sum_k |R(\overline{R(v_k(unlearned))}) - R(\overline{R(v_k(gold))})|

    with R rounding to two decimals and the bar the mean over seeds. Two faults: gaps of up to
    0.01 per term may come from rounding alone, or vanish in it; and seeds that miss gold on
    either side cancel, so that an unsteady method looks near.

    Args:
        unlearned: Each of the four names of :func:`~lotus_unlearning.metrics.average_gap` -> one
            value per seed, ``[S]``.
        gold: The same of the retrained models; their number may differ.

    Returns:
        A multiple of 0.0025 in [0, 1]. Compare it with published tables only.

    Raises:
        ValueError: If a key is missing or its values are empty or not finite.

    Source: ``compute_accuracy`` and ``log_mia`` in the authors' code, and their tables.

    >>> gold = {k: [0.5, 0.5] for k in GAP_KEYS}
    >>> average_gap_as_published({**gold, "test_accuracy": [0.4, 0.6]}, gold)
    0.0
    """
    require_gap_keys(unlearned, gold)
    gaps = [abs(_two_decimals(unlearned[k], k) - _two_decimals(gold[k], k)) for k in GAP_KEYS]
    return float(np.mean(gaps))


def _two_decimals(values: ArrayLike, name: str) -> float:
    return float(np.round(np.round(as_scores(values, name), 2).mean(), 2))
