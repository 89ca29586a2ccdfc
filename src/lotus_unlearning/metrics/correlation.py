"""Do two measures agree over methods? Pearson and Spearman correlation with intervals."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import Floats, as_scores, require_same_shape, require_share


@dataclass(frozen=True)
class Correlation:
    """A correlation, its two-sided p-value and its confidence interval.

    Attributes:
        value: In [-1, 1].
        p_value: Chance of a value at least as far from 0 if there were no correlation.
        low: Lower end of the interval; NaN for fewer than four pairs, and where the value is 1 or
            -1: the formula's interval would have no width then, whatever their number.
        high: Upper end of the interval; NaN as the lower.
    """

    value: float
    p_value: float
    low: float
    high: float


def correlation(
    x: ArrayLike,
    y: ArrayLike,
    kind: Literal["pearson", "spearman"] = "pearson",
    *,
    level: float = 0.95,
) -> Correlation:
    r"""Correlation of two measures over methods (the paper's Table 7).

    .. math:: r = cov(x, y) / (sd(x)\, sd(y)), \quad \tanh(\mathrm{artanh}\, r \pm z\, se)

    Spearman is Pearson of the ranks. se = 1 / sqrt(n - 3) for Pearson (Fisher 1921) and
    sqrt((1 + r^2 / 2) / (n - 3)) for Spearman (Bonett and Wright 2000). One far point, such as
    gold at 0, can make a Pearson correlation by itself: report it with and without.

    Args:
        x: ``[n]``, for example the mean RF-JSD of each method.
        y: ``[n]``, for example the mean JSD of each method.
        kind: ``"pearson"`` or ``"spearman"``.
        level: Confidence level of the interval.

    Returns:
        The :class:`Correlation`.

    Raises:
        ValueError: If shapes differ, there are fewer than three pairs, or one side is constant.

    Source: scipy.stats; Spartalis et al., "LoTUS", CVPR 2025, Table 7.

    >>> round(correlation([1, 2, 3, 4], [1, 2, 3, 5]).value, 4)
    0.9827
    """
    from scipy.stats import pearsonr, spearmanr

    require_share(level, "level")
    a, b = as_scores(x, "x", least=3), as_scores(y, "y", least=3)
    _require_pairs(a, b)
    if kind not in ("pearson", "spearman"):
        raise ValueError(f"kind: expected 'pearson' or 'spearman', got {kind!r}")
    result = pearsonr(a, b) if kind == "pearson" else spearmanr(a, b)
    r = float(np.clip(result.statistic, -1.0, 1.0))
    variance_factor = 1.0 if kind == "pearson" else 1 + r**2 / 2
    low, high = _fisher_interval(r, variance_factor, len(a), level)
    p_value = float(result.pvalue)
    if kind == "spearman" and abs(r) == 1:  # scipy says 0; two of all n! orders are as clear
        p_value = 2 / math.factorial(len(a))
    return Correlation(r, p_value, low, high)


def _require_pairs(a: Floats, b: Floats) -> None:
    require_same_shape(a, "x", b, "y")
    constant = [name for name, v in (("x", a), ("y", b)) if np.ptp(v) == 0]
    if constant:
        raise ValueError(
            f"{' and '.join(constant)}: expected values that differ, got one value throughout; "
            "a constant has no correlation"
        )


def _fisher_interval(r: float, factor: float, count: int, level: float) -> tuple[float, float]:
    from scipy.stats import norm

    if count < 4 or abs(r) == 1:
        return float("nan"), float("nan")
    half = norm.ppf((1 + level) / 2) * np.sqrt(factor / (count - 3))
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))
