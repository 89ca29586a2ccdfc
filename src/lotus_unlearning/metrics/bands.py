"""Is a model's margin on each image within what retrained models give? Two bands, and one test.

Cost: the gold models, 3 or more (rank band: 39 for 95%). One unlearned model is enough. Direction:
to be near what a held-out gold gets, since a gold is outside its own band now and then.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lotus_unlearning.metrics.arrays import Floats, as_scores, require_share
from lotus_unlearning.metrics.banks import as_bank, require_same_images

BandKind = Literal["student", "rank"]


@dataclass(frozen=True)
class GoldBand:
    """Where one more retrained model is expected, image by image.

    Attributes:
        low: ``[N]``.
        high: ``[N]``.
        level: Chance that one more gold lies within, ends included, on one image.
    """

    low: Floats
    high: Floats
    level: float


def gold_band(gold_margins: ArrayLike, level: float = 0.95, kind: BandKind = "student") -> GoldBand:
    r"""Prediction band for the margin of one more gold model on each image.

    .. math::
        \bar g \pm t_{n-1,\,(1+level)/2}\; sd \sqrt{1 + 1/n}
        \qquad\text{or}\qquad [g_{(k)},\, g_{(n+1-k)}]

    ``student`` is exact for margins that are normal over retrainings, at any level. ``rank`` is
    exact for any continuous distribution, but only at the levels 1 - 2k / (n + 1): the lowest one
    that is at least ``level`` is used, or with too few golds the highest there is,
    (n - 1) / (n + 1). The band's ``level`` says which.

    Args:
        gold_margins: ``[n, N]``, n at least 2, from :func:`~lotus_unlearning.metrics.margin`.
        level: Asked for; 39 golds are needed for a rank band of 95%.
        kind: ``"student"`` or ``"rank"``.

    Returns:
        A :class:`GoldBand` with the level it has.

    Raises:
        ValueError: If margins are not ``[n, N]`` or not finite, or an option is unknown.

    Source: Hahn and Meeker, "Statistical intervals", 1991 (prediction intervals).

    >>> band = gold_band([[1.0], [2.0], [3.0]], kind="rank")
    >>> band.low, band.high, band.level
    (array([1.]), array([3.]), 0.5)
    >>> gold_band([[1.0], [2.0], [3.0]]).high.round(4)
    array([6.9683])
    """
    require_share(level, "level")
    golds = as_bank(gold_margins, "gold_margins", least=2)
    if kind == "rank":
        return _rank_band(golds, level)
    if kind != "student":
        raise ValueError(f"kind: expected 'student' or 'rank', got {kind!r}")
    from scipy.stats import t

    n = len(golds)
    centre, spread = _centre_and_spread(golds)
    half = t.ppf((1 + level) / 2, n - 1) * spread * np.sqrt(1 + 1 / n)
    return GoldBand(centre - half, centre + half, level)


def _rank_band(golds: Floats, level: float) -> GoldBand:
    n = len(golds)
    k = max(1, int((1 - level) * (n + 1) / 2 + 1e-9))  # 1e-9: (1 - 0.95) * 40 is below 2
    ordered = np.sort(golds, axis=0)
    return GoldBand(ordered[k - 1], ordered[n - k], 1 - 2 * k / (n + 1))


def _centre_and_spread(golds: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation per image; exactly 0 where all golds agree."""
    equal = np.ptp(golds, axis=0) == 0
    centre = np.where(equal, golds[0], golds.mean(axis=0))
    spread = np.where(equal, 0.0, golds.std(axis=0, ddof=1))
    return centre, spread


@dataclass(frozen=True)
class OutsideBand:
    """Share of images whose margin no retraining would give, beside what golds get themselves.

    Attributes:
        share: Of images outside the band of all golds.
        nominal: Share that is outside by chance, if the band is exact: 1 - ``level``.
        expected: Mean of ``golds``: what a gold gets that was not among those of the band.
        golds: ``[n]``, for each gold the share of images outside the band of the others.
        outside: ``[N]``, which images.
        level: Of the band, on one image.
    """

    share: float
    nominal: float
    expected: float
    golds: Floats
    outside: NDArray[np.bool_]
    level: float


def outside_gold_band(
    margins: ArrayLike,
    gold_margins: ArrayLike,
    level: float = 0.95,
    kind: BandKind = "student",
) -> OutsideBand:
    r"""Share of images on which a model's margin lies outside the golds' own band.

    .. math:: \frac1N |\{i : m_i \notin [low_i, high_i]\}|

    A perfect result is that of a held-out gold: ``nominal`` on average, but a model is a draw for
    all images at once, so that ``golds`` spread widely around it. Judge ``share`` against that
    spread, with :func:`~lotus_unlearning.metrics.verdict`, not against ``nominal``.

    Args:
        margins: ``[N]``, the unlearned model's.
        gold_margins: ``[n, N]``, n at least 3.
        level: Of the band.
        kind: ``"student"`` or ``"rank"``, see :func:`gold_band`.

    Returns:
        An :class:`OutsideBand`.

    Raises:
        ValueError: If shapes differ, there are fewer than three golds, numbers are not finite or
            an option is out of range.

    Source: this library; the band is :func:`gold_band`.

    >>> golds = [[0.0, 1.0], [1.0, 2.0], [2.0, 1.5]]
    >>> result = outside_gold_band([1.0, 9.0], golds)
    >>> result.share, result.outside, round(result.nominal, 9)
    (0.5, array([False,  True]), 0.05)
    """
    m = as_scores(margins, "margins")
    golds = as_bank(gold_margins, "gold_margins", least=3)
    require_same_images(m, "margins", golds, "gold_margins")
    band = gold_band(golds, level, kind)
    outside = _outside(m, band)
    shares = np.array(
        [
            _outside(gold, gold_band(np.delete(golds, i, axis=0), level, kind)).mean()
            for i, gold in enumerate(golds)
        ]
    )
    return OutsideBand(
        share=float(outside.mean()),
        nominal=1 - band.level,
        expected=float(shares.mean()),
        golds=shares,
        outside=outside,
        level=band.level,
    )


def _outside(margins: Floats, band: GoldBand) -> NDArray[np.bool_]:
    outside: NDArray[np.bool_] = (margins < band.low) | (margins > band.high)
    return outside


@dataclass(frozen=True)
class MarginTails:
    """How unlike a retrained model one model is, image by image.

    Attributes:
        z: ``[N]`` distance from the golds' mean in standard deviations of a new gold; above 0
            where the model is surer of the label than golds are.
        p_value: ``[N]``, two-sided; uniform for one more gold if margins are normal.
    """

    z: Floats
    p_value: Floats


def margin_tails(margins: ArrayLike, gold_margins: ArrayLike) -> MarginTails:
    r"""KLOM for one unlearned model: the place of its margin among the golds'.

    .. math:: z = \frac{m - \bar g}{sd \sqrt{1 + 1/n}}, \quad p = 2\, P(T_{n-1} > |z|)

    One model has no distribution of margins, so that its divergence from gold's is not defined;
    this is the tail of the golds' Student t distribution instead. Where all golds agree exactly, z
    is 0 or infinite and p is 1 or 0. The p-values of one model hang together: do not count them
    as independent.

    Args:
        margins: ``[N]``, the unlearned model's.
        gold_margins: ``[n, N]``, n at least 2.

    Returns:
        :class:`MarginTails`.

    Raises:
        ValueError: If shapes differ, there are fewer than two golds or numbers are not finite.

    Source: this library; Student, 1908.

    >>> tails = margin_tails([2.0, 8.0], [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    >>> tails.z.round(3), tails.p_value.round(3)
    (array([0.   , 5.196]), array([1.   , 0.035]))
    """
    from scipy.stats import t

    m = as_scores(margins, "margins")
    golds = as_bank(gold_margins, "gold_margins", least=2)
    require_same_images(m, "margins", golds, "gold_margins")
    n = len(golds)
    centre, spread = _centre_and_spread(golds)
    away, unit = m - centre, spread * np.sqrt(1 + 1 / n)
    unbounded = np.where(away == 0, 0.0, np.copysign(np.inf, away))
    z = np.divide(away, unit, out=unbounded, where=unit > 0)
    return MarginTails(z, 2 * t.sf(np.abs(z), n - 1))
