"""How far an unlearned model's measures are from gold's, and means over seeds."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import as_scores, require_share
from lotus_unlearning.metrics.interval import Interval

GAP_KEYS = ("entropy_attack", "forget_accuracy", "retain_accuracy", "test_accuracy")


def average_gap(unlearned: Mapping[str, float], gold: Mapping[str, float]) -> float:
    r"""Mean distance from gold over the attack and three accuracies, for one seed.

    .. math:: \frac14 \sum_{k} |v_k(unlearned) - v_k(gold)|

    over k in ``entropy_attack, forget_accuracy, retain_accuracy, test_accuracy``. Average over
    seeds with :func:`mean_and_interval`.

    Args:
        unlearned: The four values by name, shares in [0, 1]; other keys are not read.
        gold: The same of the model retrained with the same seed.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: If a key is missing or a value is not in [0, 1]; lists every problem.

    Source: Fan et al., "SalUn", ICLR 2024 (average gap); Spartalis et al., "LoTUS", CVPR 2025.

    >>> gold = {k: 0.5 for k in GAP_KEYS}
    >>> average_gap({**gold, "forget_accuracy": 0.9}, gold)
    0.1
    """
    require_gap_keys(unlearned, gold)
    problems = [
        f"{name}[{key!r}] = {values[key]}"
        for name, values in (("unlearned", unlearned), ("gold", gold))
        for key in GAP_KEYS
        if not 0 <= values[key] <= 1
    ]
    if problems:
        raise ValueError(
            f"average_gap: expected shares from 0 to 1, got {', '.join(problems)}; "
            "divide percentages by 100"
        )
    return float(np.mean([abs(unlearned[key] - gold[key]) for key in GAP_KEYS]))


def require_gap_keys(unlearned: Mapping[str, object], gold: Mapping[str, object]) -> None:
    """Both mappings hold the four keys.

    Raises:
        ValueError: If not; lists every missing key.
    """
    missing = [
        f"{key!r} in {name}"
        for name, values in (("unlearned", unlearned), ("gold", gold))
        for key in GAP_KEYS
        if key not in values
    ]
    if missing:
        raise ValueError(
            f"average gap: expected {', '.join(GAP_KEYS)} on both sides, but there is no "
            f"{', no '.join(missing)}; measure them first"
        )


def mean_and_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    r"""Mean over seeds and its Student t interval.

    .. math:: \bar v \pm t_{n-1,\,(1+level)/2} \; sd / \sqrt n

    Args:
        values: ``[n]``, one per seed.
        level: Confidence level.

    Returns:
        The :class:`Interval`; its ends are NaN for one value, which says nothing about spread.

    Raises:
        ValueError: If ``values`` is empty, not ``[n]`` or not finite, or ``level`` out of range.

    Source: Student, "The probable error of a mean", 1908.

    >>> interval = mean_and_interval([1.0, 2.0, 3.0])
    >>> interval.value, round(interval.low, 4), round(interval.high, 4)
    (2.0, -0.4841, 4.4841)
    """
    from scipy.stats import t

    require_share(level, "level")
    v = as_scores(values, "values")
    mean = float(v.mean())
    if len(v) == 1:
        return Interval(mean, float("nan"), float("nan"))
    half = float(t.ppf((1 + level) / 2, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v)))
    return Interval(mean, mean - half, mean + half)
