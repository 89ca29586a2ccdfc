"""What every measure asks of its arrays: float64, and one clear error for what is wrong."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

SUM_TOLERANCE = 1e-3  # what float16 softmax leaves; logits or percentages are far beyond


def as_logits(values: ArrayLike, name: str) -> Floats:
    """``values`` as float64 ``[N, C]``: at least one row, at least two classes, all finite.

    Raises:
        ValueError: If not; ``name`` is the argument's name in the message.

    >>> as_logits([[1, 2]], "logits")
    array([[1., 2.]])
    """
    array = _as_floats(values, name)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] < 2:
        raise ValueError(
            f"{name}: expected [N, C] with at least one row and two classes, got shape "
            f"{list(array.shape)}; pass one row per image"
        )
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in {len(bad)} of {len(array)} "
            f"rows, first in row {bad[0]}; look for a diverged model or a float16 overflow"
        )
    return array


def as_probabilities(values: ArrayLike, name: str) -> Floats:
    """``values`` as float64 ``[N, C]``, each row scaled to sum to 1 exactly.

    Low-precision softmax misses 1 by a little; scaling keeps the bounds of the measures true.

    Raises:
        ValueError: If not ``[N, C]``, negative, NaN, or off 1 by more than ``SUM_TOLERANCE``.

    >>> as_probabilities([[0.25, 0.75]], "probabilities")
    array([[0.25, 0.75]])
    """
    array = as_logits(values, name)
    sums = array.sum(axis=1)
    negative = np.flatnonzero((array < 0).any(axis=1))
    off = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    problems = []
    if len(negative):
        problems.append(f"{len(negative)} rows with negative entries, first row {negative[0]}")
    if len(off):
        problems.append(f"{len(off)} rows that do not, first row {off[0]} with {sums[off[0]]:.6g}")
    if problems:
        raise ValueError(
            f"{name}: expected rows of probabilities that are not negative and sum to 1, got "
            f"{' and '.join(problems)}; if these are logits, pass softmax(logits)"
        )
    scaled: Floats = array / sums[:, None]
    return scaled


def as_labels(values: ArrayLike, name: str, count: int, classes: int) -> Labels:
    """``values`` as int64 ``[count]``, each in ``0 .. classes - 1``.

    Raises:
        ValueError: If not.

    >>> as_labels([0, 2], "labels", count=2, classes=3)
    array([0, 2])
    """
    array = np.asarray(values)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: expected {count} integers, one per row, got {array.dtype} of shape "
            f"{list(array.shape)}; pass class numbers in the order of the rows"
        )
    low, high = array.min(), array.max()
    if low < 0 or high >= classes:
        raise ValueError(
            f"{name}: expected class numbers from 0 to {classes - 1}, got {low} to {high}; "
            "number the classes as the model's outputs are"
        )
    return array.astype(np.int64)


def as_scores(values: ArrayLike, name: str, least: int = 1) -> Floats:
    """``values`` as float64 ``[N]``: finite, and at least ``least`` of them.

    Raises:
        ValueError: If not.

    >>> as_scores([1, 2], "scores")
    array([1., 2.])
    """
    array = _as_floats(values, name)
    if array.ndim != 1 or len(array) < least:
        raise ValueError(
            f"{name}: expected [N] with N at least {least}, got shape {list(array.shape)}; "
            "pass one number per element"
        )
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity at {len(bad)} of {len(array)} "
            f"positions, first at {bad[0]}; look for a diverged model"
        )
    return array


def require_same_shape(one: Floats, name: str, other: Floats, other_name: str) -> None:
    """Both arrays have one shape.

    Raises:
        ValueError: If not.
    """
    if one.shape != other.shape:
        raise ValueError(
            f"{name}, {other_name}: expected one shape, got {list(one.shape)} and "
            f"{list(other.shape)}; pass the predictions of both models on the same images"
        )


def require_share(value: float, name: str) -> None:
    """``value`` lies strictly between 0 and 1.

    Raises:
        ValueError: If not.
    """
    if not 0 < value < 1:
        raise ValueError(f"{name}: expected a share between 0 and 1, got {value}; try 0.95")


def _as_floats(values: ArrayLike, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected an array of numbers, got {type(values).__name__} that is none "
            f"({error}); pass a NumPy array"
        ) from error
