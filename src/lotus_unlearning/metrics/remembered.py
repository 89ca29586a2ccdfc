"""Is there anything to forget? Does a model know the forget images better than unseen ones?"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.classes import by_class
from lotus_unlearning.metrics.arrays import as_scores
from lotus_unlearning.metrics.attacks import attack_auc

ONE_SIDED = 1.6448536269514722
"""The 95% point of the normal distribution."""


@dataclass(frozen=True)
class Remembered:
    """How much better a model knows members than non-members of the same classes.

    Attributes:
        auc: Chance that a member scores higher than a non-member of its class, mean over members;
            0.5 where nothing is remembered.
        p_value: Chance of such an AUC or a higher one if members and non-members of a class were
            alike.
        at_most: Upper end of the one-sided 95% interval of the AUC: how much the test may have
            missed.
        members: How many members were compared.
        left_out: How many were not, for want of a non-member of their class.
    """

    auc: float
    p_value: float
    at_most: float
    members: int
    left_out: int


def remembered(
    member_scores: ArrayLike,
    member_labels: ArrayLike,
    nonmember_scores: ArrayLike,
    nonmember_labels: ArrayLike,
) -> Remembered:
    r"""AUC within classes, and a test of whether it is above 0.5.

    .. math::
        AUC = \sum_c \frac{n_c}{n} AUC_c, \quad
        z = \frac{n (AUC - \frac12)}{\sqrt{\sum_c n_c (n_c + m_c + 1) / (12 m_c)}}

    with :math:`n_c` members and :math:`m_c` non-members of class c, and n the sum of the
    :math:`n_c`: a sum of rank tests, one for each class, so that neither an unequal share of hard
    classes nor images that are hard for any model count as memory. p is the upper tail of the
    normal distribution at z, and ``at_most`` lies 1.645 standard deviations, those of the null
    hypothesis, above the AUC. Ties make the test cautious: they are not subtracted from its
    variance.

    Args:
        member_scores: ``[N]``, higher meaning "called member", such as minus the loss.
        member_labels: ``[N]`` classes.
        nonmember_scores: ``[M]``.
        nonmember_labels: ``[M]`` classes.

    Returns:
        A :class:`Remembered`.

    Raises:
        ValueError: If an array is empty, not of one axis or not finite, lengths differ, or no
            class is on both sides.

    Source: van Elteren, "On the combination of independent two sample tests of Wilcoxon",
    Bulletin of the International Statistical Institute 37, 1960, with weights that make the
    statistic a mean over members.

    >>> found = remembered([0.9, 0.8, 0.2], [0, 0, 1], [0.5, 0.6, 0.3, 0.1], [0, 0, 1, 1])
    >>> round(found.auc, 3), round(found.p_value, 3), found.members
    (0.833, 0.095, 3)
    """
    members, others = (
        _by_class("member", member_scores, member_labels),
        _by_class("nonmember", nonmember_scores, nonmember_labels),
    )
    shared = sorted(members.keys() & others.keys())
    if not shared:
        raise ValueError(
            "labels: expected a class that is among members and non-members, got "
            f"{sorted(members)} and {sorted(others)}"
        )
    sizes = [(len(members[c]), len(others[c])) for c in shared]
    count = sum(n for n, _ in sizes)
    auc = sum(len(members[c]) * attack_auc(members[c], others[c]) for c in shared) / count
    deviation = math.sqrt(sum(n * (n + m + 1) / (12 * m) for n, m in sizes)) / count
    z = (auc - 0.5) / deviation
    every = sum(len(scores) for scores in members.values())
    return Remembered(
        auc=auc,
        p_value=0.5 * math.erfc(z / math.sqrt(2)),
        at_most=min(1.0, auc + ONE_SIDED * deviation),
        members=count,
        left_out=every - count,
    )


def _by_class(name: str, scores: ArrayLike, labels: ArrayLike) -> dict[float, np.ndarray]:
    values, classes = as_scores(scores, f"{name}_scores"), as_scores(labels, f"{name}_labels")
    if len(values) != len(classes):
        raise ValueError(
            f"{name}_labels: expected one for each of {len(values)} scores, got {len(classes)}"
        )
    return {c: values[rows] for c, rows in by_class(classes).items()}
