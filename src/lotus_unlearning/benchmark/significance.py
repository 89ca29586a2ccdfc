"""Tests over choices of images, and what many of them say together."""

from collections.abc import Mapping, Sequence

import numpy as np


def paired_p_value(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """Two-sided p-value of a paired t-test.

    Where all differences are equal, which a t-test calls infinitely significant, that of the sign
    test: 2 to the power of 1 minus their number. 1 where there are fewer than two, or all are 0.
    """
    from scipy.stats import ttest_rel

    shared = sorted(one.keys() & other.keys())
    difference = np.array([one[split] - other[split] for split in shared])
    if len(shared) < 2 or not difference.any():
        return 1.0
    if np.ptp(difference) <= 1e-12 * np.abs(difference).max():
        return float(2.0 ** (1 - len(shared)))
    return float(ttest_rel([one[s] for s in shared], [other[s] for s in shared]).pvalue)


def fisher(p_values: Sequence[float]) -> float:
    """One p-value of independent tests of the same kind (Fisher's method).

    >>> round(fisher([0.1, 0.1, 0.1]), 3)
    0.032
    """
    from scipy.stats import combine_pvalues

    return float(combine_pvalues(np.clip(p_values, 1e-300, 1.0)).pvalue)
