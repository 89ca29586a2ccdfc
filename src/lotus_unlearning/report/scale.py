"""What part of an axis to show: all values if they fit, else those that lie together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SHARE = 0.75
_TIMES = 4.0
_TINY = 1e-9
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """What values a quantity can have at all.

    Attributes:
        least: The smallest one.
        most: The largest one.
    """

    least: float = -math.inf
    most: float = math.inf


def window(
    values: Sequence[float],
    keep: Sequence[float] = (),
    ends: Sequence[float] = (),
    bounds: Bounds | None = None,
) -> tuple[float, float]:
    """The part of an axis that shows ``values`` well.

    One method that ruins a model would squeeze all others into a corner. So where three quarters
    of the values lie within a quarter of the whole range, only their neighbourhood is shown.

    Args:
        values: To be shown, if they are not far off; what is not finite is left out.
        keep: To be shown in any case.
        ends: Ends of intervals; they widen the window by itself at most, on either side.
        bounds: The window does not go beyond them.

    Returns:
        Low and high, low < high.

    >>> low, high = window([1.0, 2.0, 3.0, 4.0, 900.0])
    >>> low < 1 and 4 < high < 10
    True
    """
    bounds = bounds or Bounds()
    kept = [v for v in keep if math.isfinite(v)]
    finite = np.sort([*kept, *(v for v in values if math.isfinite(v))])
    if not len(finite):
        return 0.0, 1.0
    tiny = _TINY * float(np.abs(finite).max())
    low, high = _near(finite, kept, tiny)
    if high - low <= tiny:
        around = 0.05 * abs(high) or 0.5
        low, high = low - around, high + around
    span = high - low
    reach = [v for v in ends if math.isfinite(v)]
    low = max(min([low, *reach]), low - span) - 0.05 * span
    high = min(max([high, *reach]), high + span) + 0.05 * span
    low, high = max(low, bounds.least), min(high, bounds.most)
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _near(finite: Floats, keep: Sequence[float], tiny: float) -> tuple[float, float]:
    """The ends of those sorted values that are not far off."""
    low, high = _core(finite, keep)
    room = (high - low) * (_TIMES - 1) / 2
    if high - low <= tiny or finite[-1] - finite[0] <= _TIMES * (high - low):
        return float(finite[0]), float(finite[-1])
    inside = finite[(finite >= low - room) & (finite <= high + room)]
    return float(inside[0]), float(inside[-1])


def _core(finite: Floats, keep: Sequence[float]) -> tuple[float, float]:
    """The narrowest range that holds ``keep`` and three quarters of the sorted values."""
    count = math.ceil(_SHARE * len(finite))
    found = [
        (float(min([finite[i], *keep])), float(max([finite[i + count - 1], *keep])))
        for i in range(len(finite) - count + 1)
    ]
    return min(found, key=lambda pair: pair[1] - pair[0])
