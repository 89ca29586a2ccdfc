"""Banks: one number per model and image, ``[models, N]``, of models trained alike."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lotus_unlearning.metrics.arrays import Floats

Mask = NDArray[np.bool_]


def as_bank(values: ArrayLike, name: str, least: int = 1) -> Floats:
    """``values`` as float64 ``[models, N]``: finite, at least ``least`` models and one image.

    Raises:
        ValueError: If not; ``name`` is the argument's name in the message.

    >>> as_bank([[1, 2], [3, 4]], "gold_margins")
    array([[1., 2.],
           [3., 4.]])
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected an array of numbers [models, N], got {type(values).__name__} that "
            f"is none ({error}); pass one row per model, all on the same images"
        ) from error
    if array.ndim != 2 or len(array) < least or array.shape[1] == 0:
        raise ValueError(
            f"{name}: expected [models, N] with at least {least} models and one image, got shape "
            f"{list(array.shape)}; pass one row per model, or train more models"
        )
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in {len(bad)} places, first "
            f"model {bad[0, 0]}, image {bad[0, 1]}; look for a diverged model"
        )
    return array


def require_same_images(one: Floats, name: str, other: Floats, other_name: str) -> None:
    """The last axes have one length.

    Raises:
        ValueError: If not.
    """
    if one.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"{name}, {other_name}: expected the same images, got {one.shape[-1]} and "
            f"{other.shape[-1]}; pass the predictions of all models on the same images"
        )
