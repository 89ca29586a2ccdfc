"""How far apart two models' predictions are: Jensen-Shannon divergences, in nats."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.classes import by_class
from lotus_unlearning.metrics.arrays import (
    Floats,
    Labels,
    as_labels,
    as_probabilities,
    require_same_shape,
)

BLOCK = 4096  # rows at a time: the temporary arrays stay small whatever N is


def js_divergence(p: ArrayLike, q: ArrayLike) -> Floats:
    r"""Jensen-Shannon divergence of each pair of rows; that of a split is the mean over rows.

    .. math:: JS(p, q) = \tfrac12 KL(p \| m) + \tfrac12 KL(q \| m), \quad m = (p + q) / 2

    Args:
        p: ``[N, C]`` probabilities.
        q: ``[N, C]`` probabilities of another model on the same images.

    Returns:
        ``[N]`` nats in [0, ln 2]: 0 for equal rows, ln 2 for rows with nothing in common.

    Raises:
        ValueError: If shapes differ or rows are not probabilities.

    Source: Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 1991.

    >>> js_divergence([[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.5], [0.0, 1.0]])
    array([0.        , 0.69314718])
    """
    p, q = as_probabilities(p, "p"), as_probabilities(q, "q")
    require_same_shape(p, "p", q, "q")
    blocks = [slice(i, i + BLOCK) for i in range(0, len(p), BLOCK)]
    return np.concatenate([_js_rows(p[rows], q[rows]) for rows in blocks])


def _js_rows(p: Floats, q: Floats) -> Floats:
    from scipy.special import rel_entr

    # x ln(x/m) = 1/2 rel_entr(2x, p+q): halving p+q would round the smallest numbers to zero
    total = p + q
    values = (rel_entr(2 * p, total) + rel_entr(2 * q, total)).sum(axis=1) / 4
    clipped: Floats = np.clip(values, 0.0, np.log(2))  # against rounding only
    return clipped


@dataclass(frozen=True)
class ClassDivergence:
    """One divergence per class, and the classes that could not be compared.

    Attributes:
        values: Class -> nats in [0, ln 2], for the classes present on both sides.
        missing_in_forget: Classes of unseen images that no forget image has.
        missing_in_unseen: Classes of forget images that no unseen image has.
    """

    values: dict[int, float]
    missing_in_forget: tuple[int, ...] = ()
    missing_in_unseen: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """Mean over the classes in ``values``; NaN if there are none."""
        return float(np.mean(list(self.values.values()))) if self.values else float("nan")


def rf_js_divergence(
    probabilities_forget: ArrayLike,
    labels_forget: ArrayLike,
    probabilities_unseen: ArrayLike,
    labels_unseen: ArrayLike,
) -> ClassDivergence:
    r"""Retrain-free divergence: unlearned on forget against original on unseen, per class.

    .. math::
        RF = \frac1{|K|} \sum_{c \in K} JS(P_c, Q_c), \quad
        P_c \propto \sum_{i: y_i = c} s(z_u(x_i)), \; Q_c \propto \sum_{j: y_j = c} s(z_o(x_j))

    with i over forget, j over unseen images, K the classes present on both sides. It is not 0
    for a retrained model: show it beside gold's, or beside the original's on two halves of unseen.

    Args:
        probabilities_forget: ``[N, C]``, the unlearned model on the forget images.
        labels_forget: ``[N]``.
        probabilities_unseen: ``[M, C]``, the original model on the unseen images.
        labels_unseen: ``[M]``.

    Returns:
        A :class:`ClassDivergence` in nats; its ``mean`` is the measure.

    Raises:
        ValueError: If shapes differ, rows are not probabilities or labels are out of range.

    Source: Spartalis et al., "LoTUS", CVPR 2025 (RF-JSD).

    >>> forget, unseen = [[0.9, 0.1], [0.7, 0.3]], [[0.8, 0.2], [0.1, 0.9]]
    >>> result = rf_js_divergence(forget, [0, 0], unseen, [0, 1])
    >>> round(result.mean, 9), result.missing_in_forget
    (0.0, (1,))
    """
    p = as_probabilities(probabilities_forget, "probabilities_forget")
    q = as_probabilities(probabilities_unseen, "probabilities_unseen")
    require_same_shape(p[:1], "probabilities_forget", q[:1], "probabilities_unseen")
    forget = class_means(p, as_labels(labels_forget, "labels_forget", *p.shape))
    unseen = class_means(q, as_labels(labels_unseen, "labels_unseen", *q.shape))
    shared = sorted(forget.keys() & unseen.keys())
    values = [float(js_divergence(forget[c][None], unseen[c][None])[0]) for c in shared]
    return ClassDivergence(
        dict(zip(shared, values, strict=True)),
        missing_in_forget=tuple(sorted(unseen.keys() - forget.keys())),
        missing_in_unseen=tuple(sorted(forget.keys() - unseen.keys())),
    )


def class_means(probabilities: Floats, labels: Labels) -> dict[int, Floats]:
    """Mean row ``[C]`` of each class that is present, scaled to sum to 1.

    >>> class_means(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1]))
    {1: array([0.5, 0.5])}
    """
    means = {c: probabilities[rows].mean(axis=0) for c, rows in by_class(labels).items()}
    return {c: mean / mean.sum() for c, mean in means.items()}


def zrf(probabilities: ArrayLike, probabilities_random: ArrayLike) -> float:
    r"""Zero retrain forgetting: how near the predictions are to those of an untrained model.

    .. math:: ZRF = 1 - \frac1N \sum_i JS(s(z_u(x_i)), s(z_b(x_i)))

    For comparison with other papers only: a retrained model does not predict like an untrained one.

    Args:
        probabilities: ``[N, C]``, the unlearned model on the forget images.
        probabilities_random: ``[N, C]``, a randomly initialised model on the same images.

    Returns:
        A number in [1 - ln 2, 1]; 1 means the same predictions.

    Raises:
        ValueError: If shapes differ or rows are not probabilities.

    Source: Chundawat et al., "Can bad teaching induce forgetting?", AAAI 2023. Differs from the
    code beside it, whose divergence has its arguments exchanged and is averaged over classes, too.

    >>> zrf([[0.5, 0.5]], [[0.5, 0.5]])
    1.0
    """
    p = as_probabilities(probabilities, "probabilities")
    q = as_probabilities(probabilities_random, "probabilities_random")
    require_same_shape(p, "probabilities", q, "probabilities_random")
    return float(1 - js_divergence(p, q).mean())
