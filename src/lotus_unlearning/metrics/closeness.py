"""How much of the way from the original to retraining was covered: closes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import (
    Floats,
    as_probabilities,
    require_same_shape,
    require_share,
)
from lotus_unlearning.metrics.divergence import js_divergence


@dataclass(frozen=True)
class Closes:
    """The share of the distance to retraining that was covered, and what it was made of.

    Attributes:
        closes: 1 = as near to retraining as retrained models are to each other, 0 = where the
            original was, below 0 = moved away; None when there was nothing to close.
        d_unlearned: Mean JS of unlearned to the golds' consensus, nats.
        d_original: The same of the original.
        d_gold: The same of each gold to the consensus of the others.
        p_value: One-sided paired t-test over images of d_original > d_gold.
        nothing_to_close: Whether the original is not measurably further than gold is.
    """

    closes: float | None
    d_unlearned: float
    d_original: float
    d_gold: float
    p_value: float
    nothing_to_close: bool


def closes(
    unlearned: ArrayLike,
    original: ArrayLike,
    golds: Sequence[ArrayLike],
    *,
    significance: float = 0.05,
) -> Closes:
    r"""Share of the distance from the original to retraining that unlearning covered.

    .. math::
        M_i = \frac1{n-1} \sum_{j \ne i} g_j, \quad
        d(f) = \frac1n \sum_i \overline{JS}(f, M_i), \quad
        d_{gold} = \frac1n \sum_i \overline{JS}(g_i, M_i), \quad
        closes = \frac{d(original) - d(unlearned)}{d(original) - d_{gold}}

    The bar is the mean over forget images. If the original is not further from the consensus
    than the golds are from each other, the share is not defined. That is decided by a one-sided
    paired t-test over images: it asks about the mean difference, which is the denominator.
    Wilcoxon asks about ranks, and with a few strongly memorised images among many ordinary
    ones, the usual case, its answer can be the opposite.

    Args:
        unlearned: ``[N, C]`` probabilities on the forget images.
        original: ``[N, C]``.
        golds: At least three of ``[N, C]``, models retrained with different seeds.
        significance: Largest p-value at which there is something to close.

    Returns:
        A :class:`Closes`.

    Raises:
        ValueError: If shapes differ, rows are not probabilities, there are fewer than three
            golds or fewer than two images.

    Source: this library; the divergence is :func:`~lotus_unlearning.metrics.js_divergence`.

    >>> golds = [[[0.5, 0.5], [0.4, 0.6]], [[0.6, 0.4], [0.5, 0.5]], [[0.5, 0.5], [0.6, 0.4]]]
    >>> result = closes(golds[0], [[0.99, 0.01], [0.97, 0.03]], golds)
    >>> round(result.closes, 2), result.nothing_to_close
    (1.0, False)
    """
    require_share(significance, "significance")
    u, o, g = _checked(unlearned, original, golds)
    d_u, d_o, d_g = _distances(u, o, g)
    p_value = _paired_p_value(d_o, d_g)
    means = float(d_u.mean()), float(d_o.mean()), float(d_g.mean())
    if p_value > significance:
        return Closes(None, *means, p_value, nothing_to_close=True)
    share = (means[1] - means[0]) / (means[1] - means[2])
    return Closes(share, *means, p_value, nothing_to_close=False)


def _checked(
    unlearned: ArrayLike, original: ArrayLike, golds: Sequence[ArrayLike]
) -> tuple[Floats, Floats, list[Floats]]:
    u, o = as_probabilities(unlearned, "unlearned"), as_probabilities(original, "original")
    if len(golds) < 3:
        raise ValueError(
            f"golds: expected at least 3 retrained models, got {len(golds)}; with fewer, how far "
            "retrained models are from each other is not known: retrain with more seeds"
        )
    names = [f"golds[{i}]" for i in range(len(golds))]
    g = [as_probabilities(values, name) for values, name in zip(golds, names, strict=True)]
    for array, name in zip([o, *g], ["original", *names], strict=True):
        require_same_shape(u, "unlearned", array, name)
    if len(u) < 2:
        raise ValueError("unlearned: expected at least 2 images for a paired test, got 1")
    return u, o, g


def _distances(u: Floats, o: Floats, golds: list[Floats]) -> tuple[Floats, Floats, Floats]:
    """Per image ``[N]``: distance of unlearned, original and the golds to the consensus."""
    total = np.sum(golds, axis=0)
    rows: list[tuple[Floats, Floats, Floats]] = []
    for gold in golds:
        others = (total - gold) / (len(golds) - 1)  # never negative: a sum rounds monotonically
        rows.append(
            (js_divergence(u, others), js_divergence(o, others), js_divergence(gold, others))
        )
    d_u, d_o, d_g = np.mean(rows, axis=0)
    return d_u, d_o, d_g


def _paired_p_value(further: Floats, nearer: Floats) -> float:
    """One-sided p-value of ``mean(further) > mean(nearer)``."""
    from scipy.stats import ttest_rel

    difference = further - nearer
    if np.ptp(difference) <= 1e-12 * np.abs(difference).max():  # the t-test is not defined
        return 0.0 if difference.mean() > 0 else 1.0
    return float(ttest_rel(further, nearer, alternative="greater").pvalue)
