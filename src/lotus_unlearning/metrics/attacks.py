"""Membership attacks: can one tell from its outputs whether a model was trained on an image?

Scores are oriented so that members score high: minus the entropy, the confidence, minus the loss.
"""

import warnings

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import Floats, as_scores
from lotus_unlearning.metrics.banks import as_bank, require_same_images
from lotus_unlearning.metrics.interval import Interval, percentile, require_bootstrap

DRAWS_AT_ONCE = 200_000  # of the bootstrap: small enough for the processor's cache


def entropy_attack(
    retain_entropy: ArrayLike, nonmember_entropy: ArrayLike, forget_entropy: ArrayLike
) -> float:
    r"""The paper's membership attack: share of forget images taken for training images.

    .. math:: \frac1{n_f} \sum_{x \in D_f} [w H(x) + b > 0]

    with w, b of a class-balanced logistic regression (scikit-learn's defaults: L2, C = 1) that
    tells the entropies of retain (members) from those of unseen and test (non-members). It is to
    be near gold's, not near 0 or 0.5. It depends on the scale of the entropies: where they vary
    by less than about 1e-4 the solver stops before its first step, and every image is called a
    non-member. That is warned about; :func:`attack_auc` has neither threshold nor scale.

    Args:
        retain_entropy: ``[N]`` nats.
        nonmember_entropy: ``[M]`` nats, unseen and test images together.
        forget_entropy: ``[K]`` nats.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: If an array is empty, not ``[N]`` or not finite.

    Warns:
        UserWarning: If the regression puts all members and non-members on one side.

    Source: Chundawat et al., AAAI 2023; Spartalis et al., "LoTUS", CVPR 2025 (MIA accuracy).
    Differs: their code also passes ``multi_class="multinomial"``, which scikit-learn dropped and
    which halves the penalty, and rounds to two decimals.

    >>> entropy_attack([0.0, 0.1, 0.2], [1.9, 2.0, 2.1], [0.1, 0.2, 0.3, 1.8])
    0.75
    """
    from sklearn.linear_model import LogisticRegression

    members = as_scores(retain_entropy, "retain_entropy")
    others = as_scores(nonmember_entropy, "nonmember_entropy")
    forget = as_scores(forget_entropy, "forget_entropy")
    features = np.concatenate([members, others])[:, None]
    is_member = np.repeat([1, 0], [len(members), len(others)])
    attack = LogisticRegression(class_weight="balanced", max_iter=1000).fit(features, is_member)
    if np.ptp(attack.predict(features)) == 0:
        warnings.warn(
            "entropy_attack: the regression cannot tell members from non-members at all, so that "
            "its 0 or 1 says nothing about forgetting; look at the AUC of the entropy instead",
            stacklevel=2,
        )
    return float(np.mean(attack.predict(forget[:, None])))


def attack_auc(member_scores: ArrayLike, nonmember_scores: ArrayLike) -> float:
    r"""Chance that a member scores higher than a non-member; ties count half (Mann-Whitney).

    .. math:: AUC = \frac1{NM} \sum_{i,j} [s_i > t_j] + \tfrac12 [s_i = t_j]

    Args:
        member_scores: ``[N]``, higher meaning "called member".
        nonmember_scores: ``[M]``.

    Returns:
        A number in [0, 1]; 0.5 when the scores tell nothing.

    Raises:
        ValueError: If an array is empty, not ``[N]`` or not finite.

    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", 1982.

    >>> attack_auc([0.9, 0.5], [0.5, 0.1])
    0.875
    """
    members = as_scores(member_scores, "member_scores")
    others = np.sort(as_scores(nonmember_scores, "nonmember_scores"))
    below = np.searchsorted(others, members, "left")
    not_above = np.searchsorted(others, members, "right")
    return float((below.sum() + not_above.sum()) / (2 * len(members) * len(others)))


def bootstrap_auc(
    member_scores: ArrayLike,
    nonmember_scores: ArrayLike,
    *,
    seed: int = 0,
    repeats: int = 1000,
    level: float = 0.95,
) -> Interval:
    r"""The AUC of :func:`attack_auc` with a percentile bootstrap interval.

    .. math:: [\,AUC^*_{(1-level)/2},\; AUC^*_{(1+level)/2}\,]

    Members and non-members are drawn with replacement, apart. The scores are sorted once; a draw
    is a count per score, its AUC a sum of cumulative counts. Where the AUC is exactly 0 or 1 the
    interval has no width, which says that the sample is separable, not that there is no doubt.

    Args:
        member_scores: ``[N]``, higher meaning "called member".
        nonmember_scores: ``[M]``.
        seed: Of the draws; same seed, same interval.
        repeats: Number of draws.
        level: Confidence level.

    Returns:
        The :class:`Interval`.

    Raises:
        ValueError: If an array is empty, not ``[N]`` or not finite, or an option out of range.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.

    >>> interval = bootstrap_auc([0.9, 0.8, 0.4, 0.7], [0.5, 0.1, 0.3, 0.6])
    >>> interval.value, interval.low <= interval.value <= interval.high
    (0.875, True)
    """
    require_bootstrap(level, repeats)
    value = attack_auc(member_scores, nonmember_scores)
    members = np.sort(as_scores(member_scores, "member_scores"))
    others = np.sort(as_scores(nonmember_scores, "nonmember_scores"))
    below = np.searchsorted(others, members, "left")
    not_above = np.searchsorted(others, members, "right")
    draw = np.random.default_rng(seed)
    size = max(1, DRAWS_AT_ONCE // max(len(members), len(others)))
    aucs = []
    for start in range(0, repeats, size):
        rows = min(size, repeats - start)
        weights = resampled_counts(len(members), rows, draw)
        cumulative = np.zeros((rows, len(others) + 1))
        np.cumsum(resampled_counts(len(others), rows, draw), axis=1, out=cumulative[:, 1:])
        wins = cumulative[:, below] + cumulative[:, not_above]
        aucs.append((weights * wins).sum(axis=1) / (2 * len(members) * len(others)))
    return percentile(value, np.concatenate(aucs), level)


def bootstrap_auc_same_images(
    scores: ArrayLike,
    gold_scores: ArrayLike,
    *,
    seed: int = 0,
    repeats: int = 1000,
    level: float = 0.95,
) -> Interval:
    r"""The AUC of a model's scores against those of golds on the same images, with an interval.

    .. math:: AUC = \frac1{GN^2} \sum_{g,i,j} [s_i > t_{gj}] + \tfrac12 [s_i = t_{gj}]

    An image that is hard for one model is hard for all, so that images are drawn with all their
    scores. The golds stay: what another set of them would give is not in the interval.

    Args:
        scores: ``[N]`` of the model under audit, higher meaning "trained on".
        gold_scores: ``[G, N]`` of golds, on the same images in the same order.
        seed: Of the draws; same seed, same interval.
        repeats: Number of draws.
        level: Confidence level.

    Returns:
        The :class:`Interval`; its value is 0.5 where the model is like the golds.

    Raises:
        ValueError: If shapes differ, numbers are not finite, or an option is out of range.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.

    >>> bootstrap_auc_same_images([1.0, 2.0, 3.0], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]).value
    0.5
    """
    require_bootstrap(level, repeats)
    mine = as_scores(scores, "scores")
    golds = as_bank(gold_scores, "gold_scores", least=1)
    require_same_images(mine, "scores", golds, "gold_scores")
    order = np.argsort(golds, axis=None)
    image, others = order % golds.shape[1], golds.ravel()[order]
    below, not_above = (np.searchsorted(others, mine, side) for side in ("left", "right"))
    draw = np.random.default_rng(seed)
    size = max(1, DRAWS_AT_ONCE // len(others))
    aucs = []
    for start in range(0, repeats, size):
        weights = resampled_counts(len(mine), min(size, repeats - start), draw)
        cumulative = np.zeros((len(weights), len(others) + 1))
        np.cumsum(weights[:, image], axis=1, out=cumulative[:, 1:])
        wins = cumulative[:, below] + cumulative[:, not_above]
        aucs.append((weights * wins).sum(axis=1) / (2 * len(mine) * len(others)))
    return percentile(attack_auc(mine, golds.ravel()), np.concatenate(aucs), level)


def resampled_counts(count: int, rows: int, draw: np.random.Generator) -> Floats:
    """How often each of ``count`` examples is drawn, ``[rows, count]``, in ``rows`` resamples."""
    drawn = draw.integers(0, count, size=(rows, count))
    drawn += count * np.arange(rows)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=rows * count)
    return counts.reshape(rows, count).astype(np.float64)


def roc_curve_points(
    member_scores: ArrayLike, nonmember_scores: ArrayLike, points: int = 200
) -> tuple[Floats, Floats]:
    r"""Points of the ROC curve, thinned for plotting.

    .. math:: fpr(t) = |\{j: t_j \ge t\}| / M, \quad tpr(t) = |\{i: s_i \ge t\}| / N

    Args:
        member_scores: ``[N]``, higher meaning "called member".
        nonmember_scores: ``[M]``.
        points: At most so many are kept, evenly along fpr + tpr; both ends are always kept.

    Returns:
        False and true positive rates, each ``[P]`` from 0 to 1 and never falling.

    Raises:
        ValueError: If an array is empty, not ``[N]`` or not finite, or ``points`` is below 2.

    Source: Fawcett, "An introduction to ROC analysis", 2006, algorithm 1.

    >>> roc_curve_points([0.9, 0.5], [0.5, 0.1])
    (array([0. , 0. , 0.5, 1. ]), array([0. , 0.5, 1. , 1. ]))
    """
    if points < 2:
        raise ValueError(f"points: expected at least 2, the ends of the curve, got {points}")
    members = np.sort(as_scores(member_scores, "member_scores"))
    others = np.sort(as_scores(nonmember_scores, "nonmember_scores"))
    thresholds = np.unique(np.concatenate([members, others]))[::-1]
    fpr = _share_at_or_above(thresholds, others)
    tpr = _share_at_or_above(thresholds, members)
    if len(fpr) > points:
        along = np.searchsorted(fpr + tpr, np.linspace(0, 2, points))
        kept = np.unique(np.clip(along, 0, len(fpr) - 1))
        fpr, tpr = fpr[kept], tpr[kept]
    return fpr, tpr


def _share_at_or_above(thresholds: Floats, sorted_scores: Floats) -> Floats:
    """For each threshold, after a 0 for one above all scores."""
    count = len(sorted_scores)
    above = count - np.searchsorted(sorted_scores, thresholds, "left")
    return np.append(0.0, above / count)
