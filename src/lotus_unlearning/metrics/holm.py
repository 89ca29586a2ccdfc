"""Many tests at once: p-values after Holm's correction."""

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import Floats


def holm(p_values: ArrayLike) -> Floats:
    r"""Holm's step-down correction: the chance of one false alarm among all tests is bounded.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (k - j + 1)\, p_{(j)})

    with p_(1) to p_(k) in rising order.

    Args:
        p_values: ``[k]``.

    Returns:
        ``[k]``, in the order given; NaN stays NaN.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
