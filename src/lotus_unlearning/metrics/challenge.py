"""Forgetting quality of the NeurIPS 2023 unlearning challenge: an epsilon for each forget image.

Cost: n unlearned and n gold models, 512 of each in the challenge. Direction: near gold's, which is
what two sets of golds of that size give each other: about 0.2, not 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import Floats
from lotus_unlearning.metrics.banks import as_bank, require_same_images

CAP = 50.0  # epsilon of images that are told apart without a mistake
BUCKET = 0.5  # width of a bucket of epsilon; each is worth half of the one before
BUFFER = 2.0  # how much wider or narrower than the peakier sample its interval may be
PEAKY = 0.01  # a sample narrower than this share of the other's range is told apart at once


@dataclass(frozen=True)
class ForgettingQuality:
    """The score and what it was made of.

    Attributes:
        score: Mean of ``points``, in [0, 1].
        epsilon: ``[N]`` from 0 to 50; small where unlearned and gold models look alike.
        points: ``[N]`` 1 for epsilon below 0.5, 1/2 below 1, 1/4 below 1.5 and so on, 0 from
            ``limit`` on.
        limit: Largest epsilon that still earns points: ln(n - 1) rounded up.
    """

    score: float
    epsilon: Floats
    points: Floats
    limit: float


def forgetting_quality(
    unlearned_margins: ArrayLike, gold_margins: ArrayLike, *, delta: float = 1e-5
) -> ForgettingQuality:
    r"""Forgetting quality: how badly the best attack on each image tells unlearned from gold.

    .. math::
        \varepsilon = \max_{attacks} \max\left(
        \ln \frac{1 - \delta - FPR}{FNR}, \ln \frac{1 - \delta - FNR}{FPR}, 0\right), \quad
        score = \frac1N \sum_i 2^{-\lfloor \varepsilon_i / 0.5 \rfloor}

    Attacks: one threshold, above which a margin is said to come from the side with the larger
    median; and an interval about as wide as the range of the narrower side (within 2 of it) that
    is said to hold that side. An attack with FPR = FNR = 0 gives epsilon 50; one with exactly one
    of them 0 is left out, as a sign of too few models. A side that is narrower than 1% of the
    other gives 50 as well.

    The best of many attacks is found on the models it is measured on, and one that is right five
    times as often as wrong, about a few models, is always among them: epsilon of two sets of golds
    is about ln 5, and their score about 0.2, for 8 models as for 512. More models do not mend
    this; show the score of two sets of golds beside it.

    Args:
        unlearned_margins: ``[T, N]``, unlearned models with different seeds, at least 3.
        gold_margins: ``[n, N]``, at least 3.
        delta: Of the (epsilon, delta) definition of unlearning.

    Returns:
        A :class:`ForgettingQuality`.

    Raises:
        ValueError: If images differ, there are too few models, margins are not finite or ``delta``
            is out of range.

    Source: Triantafillou et al., "Are we making progress in unlearning?", 2024; as in
    google-deepmind/unlearning_evaluation, metric.py. Differs: all thresholds between observed
    margins are tried, where their grid has 100 a unit, so that epsilon is at least theirs; and
    where every attack is left out epsilon is 0, where theirs stops. With T and n unequal, the
    smaller gives the ``limit``.

    >>> result = forgetting_quality([[8.0], [9.0], [9.5]], [[0.0], [1.0], [2.0]])
    >>> result.score, result.epsilon, result.limit
    (0.0, array([50.]), 1.0)
    """
    u = as_bank(unlearned_margins, "unlearned_margins", least=3)
    g = as_bank(gold_margins, "gold_margins", least=3)
    require_same_images(u, "unlearned_margins", g, "gold_margins")
    if not 0 <= delta < 1:
        raise ValueError(f"delta: expected a number from 0 to below 1, got {delta}; try 1e-5")
    epsilon = np.array([_epsilon(*sides, delta) for sides in zip(u.T, g.T, strict=True)])
    limit = float(np.ceil(np.log(min(len(u), len(g)) - 1)))
    points = np.where(epsilon < limit, 0.5 ** np.floor(epsilon / BUCKET), 0.0)
    return ForgettingQuality(float(points.mean()), epsilon, points, limit)


def _epsilon(unlearned: Floats, gold: Floats, delta: float) -> float:
    """Of one image, from the margins of all models of both sides."""
    ranges = np.ptp(unlearned), np.ptp(gold)
    if min(ranges) < PEAKY * max(ranges):
        return CAP
    if np.median(gold) >= np.median(unlearned):
        unlearned, gold = gold, unlearned
    narrow, wide = (unlearned, gold) if np.ptp(unlearned) < np.ptp(gold) else (gold, unlearned)
    fpr, fnr = (
        np.concatenate(rates)
        for rates in zip(_one_threshold(unlearned, gold), _interval(narrow, wide), strict=True)
    )
    if ((fpr == 0) & (fnr == 0)).any():
        return CAP
    both = (fpr > 0) & (fnr > 0)
    fpr, fnr = fpr[both], fnr[both]
    most = [(1 - delta - one) / other for one, other in ((fpr, fnr), (fnr, fpr))]
    return float(min(CAP, np.log(np.max(most, initial=1.0))))


def _one_threshold(higher: Floats, lower: Floats) -> tuple[Floats, Floats]:
    """FPR and FNR of "``higher`` from here on", for every observed margin."""
    thresholds = np.unique(np.concatenate([higher, lower]))
    fpr = 1 - np.searchsorted(np.sort(lower), thresholds) / len(lower)
    fnr = np.searchsorted(np.sort(higher), thresholds) / len(higher)
    return fpr, fnr


def _interval(narrow: Floats, wide: Floats) -> tuple[Floats, Floats]:
    """FPR and FNR of "``narrow`` within", for every set of margins that an interval can cut out.

    Its right end lies within 2 of the largest margin of ``narrow``, its width within 2 of the
    range of ``narrow``.
    """
    values = np.unique(np.concatenate([narrow, wide]))
    before = np.append(-np.inf, values[:-1])
    after = np.append(values[1:], np.inf)
    top, width = narrow.max(), np.ptp(narrow)
    right = np.maximum(values, top - BUFFER), np.minimum(after, top + BUFFER)
    last = (right[0] < after) & (right[0] <= top + BUFFER)
    first, end = np.triu_indices(len(values))
    possible = (
        last[end]
        & (right[0][end] - values[first] <= width + BUFFER)
        & (right[1][end] - before[first] > width - BUFFER)
    )
    first, end = values[first[possible]], values[end[possible]]
    inside = [
        (np.searchsorted(side, end, "right") - np.searchsorted(side, first, "left")) / len(side)
        for side in (np.sort(narrow), np.sort(wide))
    ]
    return inside[1], 1 - inside[0]
