"""A value with its confidence interval, and how a bootstrap gives one."""

from dataclasses import dataclass

import numpy as np

from lotus_unlearning.metrics.arrays import Floats, require_share


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it.

    Attributes:
        value: The estimate.
        low: Lower end; NaN where an interval cannot be had.
        high: Upper end; NaN where an interval cannot be had.
    """

    value: float
    low: float
    high: float


def require_bootstrap(level: float, repeats: int) -> None:
    """The options of a bootstrap are possible.

    Raises:
        ValueError: If ``level`` is no share, or nothing is drawn.
    """
    require_share(level, "level")
    if repeats < 1:
        raise ValueError(f"repeats: expected at least 1, got {repeats}; try 1000")


def percentile(value: float, drawn: Floats, level: float) -> Interval:
    """The percentile interval of what was drawn, ``[R]``, around the value of all.

    >>> percentile(0.5, np.array([0.0, 1.0]), 0.5)
    Interval(value=0.5, low=0.25, high=0.75)
    """
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
