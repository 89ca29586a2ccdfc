"""Operating points of an attack on one model: how often it is right, at which price.

From any scores that are high for members. Cost: no extra model. Direction: near gold's; chance
is what exchangeable members and non-members give, and a gold model can lie above it, because its
forget and unseen images may differ by themselves.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import Floats, as_scores, require_share
from lotus_unlearning.metrics.interval import Interval, require_bootstrap


@dataclass(frozen=True)
class RateAt:
    """True positive rate at a low false positive rate.

    Attributes:
        tpr: Share of members called members, with its Clopper-Pearson interval; NaN if not
            measurable.
        bootstrap: The same share with a percentile bootstrap interval, threshold included.
        fpr: Share of non-members that the threshold does call members.
        threshold: An image is called a member if its score is above it.
        chance: Expected ``tpr`` of exchangeable members and non-members without ties.
        p_value: Chance that exchangeable members reach this ``tpr`` or more.
        reason: Why it is not measurable; empty if it is.
    """

    tpr: Interval
    bootstrap: Interval
    fpr: float
    threshold: float
    chance: float
    p_value: float
    reason: str = ""


def tpr_at_fpr(
    member_scores: ArrayLike,
    nonmember_scores: ArrayLike,
    fpr: float = 0.01,
    *,
    level: float = 0.95,
    seed: int = 0,
    repeats: int = 1000,
) -> RateAt:
    r"""Share of members found when at most a share ``fpr`` of non-members may be accused.

    .. math::
        k = \lfloor fpr \cdot M \rfloor, \quad c = t_{(k+1)} \text{ from above}, \quad
        TPR = \frac1N |\{i : s_i > c\}|

    Two intervals, because two things are uncertain. Clopper-Pearson is exact for the members given
    the threshold; it does not cover that the threshold c itself comes from M non-members. The
    bootstrap moves both, but with few non-members above c it can only repeat those few. The
    ``p_value`` covers both exactly: without ties, the number of exchangeable members above c is
    beta-binomial(N, k + 1, M - k), with mean N (k + 1) / (M + 1), which for k = 1 is nearly twice
    the ``fpr`` asked for. None of them covers the choice of the score, or the model.

    Args:
        member_scores: ``[N]``, higher meaning "called member".
        nonmember_scores: ``[M]``; fewer than 1 / ``fpr`` cannot show the rate.
        fpr: Largest false positive rate allowed.
        level: Confidence level of both intervals.
        seed: Of the bootstrap; same seed, same interval.
        repeats: Number of bootstrap draws.

    Returns:
        A :class:`RateAt`; all NaN, with a reason, if it is not measurable.

    Raises:
        ValueError: If an array is empty, not ``[N]`` or not finite, or an option out of range.

    Source: Carlini et al., S&P 2022 (low false positive rates); Clopper and Pearson, 1934.

    >>> rate = tpr_at_fpr([0.9, 0.8, 0.1, 0.7], [0.0, 0.2, 0.3, 0.75], fpr=0.25)
    >>> rate.tpr.value, rate.fpr, rate.chance
    (0.75, 0.25, 0.4)
    >>> tpr_at_fpr([0.9], [0.1], fpr=0.01).reason
    '1 non-members cannot show a false positive rate of 0.01: at least 100 are needed'
    """
    from scipy.stats import betabinom

    require_share(fpr, "fpr")
    require_bootstrap(level, repeats)
    members = np.sort(as_scores(member_scores, "member_scores"))
    others = np.sort(as_scores(nonmember_scores, "nonmember_scores"))
    n, m = len(members), len(others)
    allowed = math.floor(fpr * m + 1e-9)  # 1e-9: 0.07 * 100 is below 7
    if allowed < 1:
        return _not_measurable(m, fpr)
    threshold = float(others[m - 1 - allowed])
    found = n - int(np.searchsorted(members, threshold, "right"))
    accused = m - int(np.searchsorted(others, threshold, "right"))
    return RateAt(
        tpr=_clopper_pearson(found, n, level),
        bootstrap=_bootstrap(members, others, allowed, level, seed, repeats),
        fpr=accused / m,
        threshold=threshold,
        chance=(allowed + 1) / (m + 1),
        p_value=float(betabinom.sf(found - 1, n, allowed + 1, m - allowed)),
    )


def _not_measurable(count: int, fpr: float) -> RateAt:
    nan, nothing = math.nan, Interval(math.nan, math.nan, math.nan)
    reason = (
        f"{count} non-members cannot show a false positive rate of {fpr:g}: at least "
        f"{math.ceil(1 / fpr - 1e-9)} are needed"
    )
    return RateAt(nothing, nothing, nan, nan, nan, nan, reason)


def _clopper_pearson(hits: int, count: int, level: float) -> Interval:
    from scipy.stats import binomtest

    ends = binomtest(hits, count).proportion_ci(level, method="exact")
    return Interval(hits / count, float(ends.low), float(ends.high))


def _bootstrap(
    members: Floats, others: Floats, allowed: int, level: float, seed: int, repeats: int
) -> Interval:
    """Both samples drawn with replacement, without drawing: the law of either is known.

    Place of the (k + 1)-th highest of M draws among the sorted scores: M times a beta variable.
    Members above it: binomial.
    """
    draw = np.random.default_rng(seed)
    n, m = len(members), len(others)
    from_top = (m * draw.beta(allowed + 1, m - allowed, size=repeats)).astype(int)
    thresholds = others[m - 1 - np.minimum(from_top, m - 1)]
    shares = (n - np.searchsorted(members, thresholds, "right")) / n
    tail = (1 - level) / 2
    low, high = np.quantile(draw.binomial(n, shares) / n, [tail, 1 - tail])
    found = n - int(np.searchsorted(members, others[m - 1 - allowed], "right"))
    return Interval(found / n, float(low), float(high))


@dataclass(frozen=True)
class KSDistance:
    """How far two samples are apart.

    Attributes:
        distance: Largest difference of the two cumulative shares.
        p_value: Chance of such a distance or more if both came from one distribution.
    """

    distance: float
    p_value: float


def ks_distance(one: ArrayLike, other: ArrayLike) -> KSDistance:
    r"""Kolmogorov-Smirnov distance, for the entropies of forget and of unseen images.

    .. math:: D = \sup_x |F(x) - G(x)|

    Finds the Streisand effect that an attack by a threshold can miss: forgotten images with
    entropies unlike those of any other image, in either direction. The p-value takes images as
    independent, and says nothing about another training of the model; with ties it is too large.

    Args:
        one: ``[N]`` numbers, such as the entropies of the forget images.
        other: ``[M]`` numbers, such as those of the unseen images.

    Returns:
        A :class:`KSDistance`; to be near gold's.

    Raises:
        ValueError: If an array is empty, not ``[N]`` or not finite.

    Source: Smirnov, 1939; for unlearning, Golatkar et al., "Eternal sunshine", CVPR 2020
    (Streisand effect).

    >>> ks_distance([0.1, 0.2, 0.3], [0.25, 0.4, 0.5]).distance
    0.6666666666666666
    """
    from scipy.stats import ks_2samp

    x, y = as_scores(one, "one"), as_scores(other, "other")
    method = "exact" if max(len(x), len(y)) <= 500 else "asymp"
    with warnings.catch_warnings():  # a p-value of 1 may be rounded above it
        warnings.simplefilter("ignore", RuntimeWarning)
        result = ks_2samp(x, y, method=method)
    return KSDistance(float(result.statistic), float(result.pvalue))
