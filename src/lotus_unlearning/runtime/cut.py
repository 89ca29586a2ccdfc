"""An order of images, cut into batches."""

import torch
from torch import Tensor


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Parts of ``size``, the last one smaller; a single image left over joins the part before it.

    In training mode, BatchNorm cannot learn from one image alone. Batches of one that were asked
    for stay what they are.

    Args:
        order: Positions ``[N]``.
        size: At least 1.

    >>> [len(part) for part in batches(torch.arange(9), 4)]
    [4, 5]
    """
    parts = list(torch.split(order, size))
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def count(images: int, size: int) -> int:
    """How many :func:`batches` there are.

    >>> count(9, 4), count(10, 4), count(1, 4), count(3, 1)
    (2, 3, 1, 3)
    """
    full, rest = divmod(images, size)
    return full + (rest > 1 or (rest == 1 and full == 0))
