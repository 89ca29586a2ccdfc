"""How large a person's own photos become where nobody says it."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from lotus_unlearning.datasets.data import PHOTO_SIZE
from lotus_unlearning.datasets.decoding import decoded
from lotus_unlearning.datasets.files import Fetch

Read = Callable[[str | Path | BinaryIO, str | None], Tensor]
"""Pixels ``[C, H, W]`` of the image in a file, and its place for a message."""


def as_it_is(file: str | Path | BinaryIO, place: str | None = None) -> Tensor:
    """Pixels ``[3, H, W]`` uint8 of the image in ``file``, neither resized nor cut."""
    return torch.from_numpy(np.array(decoded(file, "RGB", "photos", place=place))).permute(2, 0, 1)


def photo_size(size: int | None, fetch: Fetch) -> int:
    """``size``, else :data:`PHOTO_SIZE`, and a warning if the first image is far smaller.

    Args:
        size: That was asked for.
        fetch: Reads an image :func:`as_it_is`.
    """
    if size is not None:
        return size
    with suppress(ValueError, OSError):  # whoever reads the image for its pixels says what is wrong
        height, width = fetch(0).shape[-2:]
        if min(height, width) <= PHOTO_SIZE // 2:
            warnings.warn(
                f"images such as the first one, of {width}x{height} pixels, are enlarged to "
                f"{PHOTO_SIZE}x{PHOTO_SIZE}, as no size was chosen; --size {min(height, width)} "
                "(in Python: size) keeps them as they are, which is faster",
                stacklevel=4,
            )
    return PHOTO_SIZE
