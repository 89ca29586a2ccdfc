"""What a comparison of one model with n golds can find at all, before it is made."""

import math
from functools import lru_cache

from lotus_unlearning.metrics.arrays import require_share

FEWEST = 3  # golds: with two, one degree of freedom says nothing about their spread
MOST = 10_000


@lru_cache(maxsize=1024)  # one table is asked for again and again
def smallest_effect(
    golds: int, statistics: int = 1, *, level: float = 0.05, power: float = 0.8
) -> float:
    r"""Smallest distance from the golds' mean that is found with a chance of ``power``.

    .. math:: \delta : \; P\left(|T'_{n-1}(\delta / \sqrt{1 + 1/n})| > t_{n-1,\, 1 - level/2k}
        \right) = power

    with T' the noncentral t distribution, at the first and strictest step of Holm's correction for
    k statistics. However many golds, it stays above 2.8 (k = 1) to 3.9 (k = 20).

    Args:
        golds: Number n of gold models.
        statistics: Number k of statistics compared.
        level: Chance of a false alarm over all statistics.
        power: Chance of finding it.

    Returns:
        A number of standard deviations of the golds; infinite for fewer than 3 golds.

    Raises:
        ValueError: If an option is out of range.

    Source: Hahn and Meeker, "Statistical intervals", 1991 (one new observation); textbook (power
    of a t-test).

    >>> round(smallest_effect(16), 2), round(smallest_effect(16, statistics=5), 2)
    (3.09, 3.97)
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    require_share(level, "level")
    require_share(power, "power")
    if statistics < 1:
        raise ValueError(f"statistics: expected at least 1, got {statistics}")
    if golds < FEWEST:
        return math.inf
    critical = t.ppf(1 - level / (2 * statistics), golds - 1)

    def missing(shift: float) -> float:
        return float(nct.sf(critical, golds - 1, shift) - power)  # the far side adds < 1e-3

    shift = brentq(missing, 0.0, 10 * critical + 10, xtol=1e-9)
    return float(shift) * math.sqrt(1 + 1 / golds)


def golds_needed(
    statistics: int = 1,
    *,
    effect: float = 5.0,
    level: float = 0.05,
    power: float = 0.8,
) -> int:
    r"""Fewest golds with which a distance of ``effect`` is found with a chance of ``power``.

    .. math:: \min \{n : \delta(n, k) \le effect\}

    Args:
        statistics: Number k of statistics compared.
        effect: In standard deviations of the golds.
        level: Chance of a false alarm over all statistics.
        power: Chance of finding it.

    Returns:
        A number of gold models, at least 3.

    Raises:
        ValueError: If no number of golds is enough, or an option is out of range.

    Source: :func:`smallest_effect`, turned round.

    >>> golds_needed(), golds_needed(statistics=5), golds_needed(statistics=5, effect=4)
    (4, 8, 16)
    """
    few, enough = FEWEST, MOST
    least = smallest_effect(MOST, statistics, level=level, power=power)
    if not effect >= least:
        raise ValueError(
            f"effect: expected at least {least:.2f}, the smallest that any number of golds can "
            f"find, got {effect}; look for a larger one, or at fewer statistics"
        )
    while few < enough:
        middle = (few + enough) // 2
        if smallest_effect(middle, statistics, level=level, power=power) <= effect:
            enough = middle
        else:
            few = middle + 1
    return enough
