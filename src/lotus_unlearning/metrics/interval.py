"""A value with its confidence interval."""

from dataclasses import dataclass


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
