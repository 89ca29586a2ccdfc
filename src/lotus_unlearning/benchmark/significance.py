"""Tests over choices of images, and what many of them say together."""

from collections.abc import Mapping, Sequence

import numpy as np


def paired_p_value(
    one: Mapping[int, float], other: Mapping[int, float], resolution: float = 0.0
) -> float:
    """Two-sided p-value of a paired t-test; 1 for fewer than two pairs, or without a difference.

    Where all differences are equal a t-test calls them infinitely significant, however small they
    are. Their spread then counts as ``resolution``: what the measure cannot tell apart.

    Args:
        one: Values by choice of images.
        other: The same of another line.
        resolution: 0: it is not known, and equal differences have the p-value of the sign test, 2
            to the power of 1 minus their number.
    """
    from scipy.stats import t, ttest_rel

    shared = sorted(one.keys() & other.keys())
    difference = np.array([one[split] - other[split] for split in shared])
    if len(shared) < 2 or not difference.any():
        return 1.0
    if np.ptp(difference) <= 1e-12 * np.abs(difference).max():
        if not resolution:
            return float(2.0 ** (1 - len(shared)))
        away = np.abs(difference[0]) / resolution * np.sqrt(len(shared))
        return float(2 * t.sf(away, len(shared) - 1))
    return float(ttest_rel([one[s] for s in shared], [other[s] for s in shared]).pvalue)


def by_choice(p_values: Mapping[tuple[int, int], float]) -> dict[int, float]:
    """One p-value of one-sided tests for each choice of images, by the mean of their z.

    Originals of one choice share its images and golds: as they are not independent, that there are
    several makes none of them surer.

    Args:
        p_values: (seed of the choice of images, another seed) -> p-value.

    >>> found = by_choice({(0, 0): 0.01, (0, 1): 0.01, (1, 0): 0.2, (1, 1): 0.8})
    >>> [round(p, 3) for p in found.values()]
    [0.01, 0.5]
    """
    from scipy.stats import norm

    scores: dict[int, list[float]] = {}
    for (split, _), p_value in p_values.items():
        inside = np.clip(p_value, 1e-300, 1 - 1e-16)
        scores.setdefault(split, []).append(float(norm.isf(inside)))
    return {split: float(norm.sf(np.mean(z))) for split, z in scores.items()}


def stouffer(p_values: Sequence[float]) -> float:
    """One p-value of independent one-sided tests of the same kind (Stouffer's method).

    What points the other way counts against what points there.

    >>> round(stouffer([0.1, 0.1, 0.1]), 3), round(stouffer([0.01, 0.99]), 3)
    (0.013, 0.5)
    """
    from scipy.stats import combine_pvalues

    inside = np.clip(p_values, 1e-300, 1 - 1e-16)
    return float(combine_pvalues(inside, method="stouffer").pvalue)
