"""Random views of images, made for a whole batch at once on the images' device."""

import torch
from torch import Tensor

Places = tuple[Tensor, Tensor]
"""Row ``[B, H]`` and column ``[B, W]`` that each pixel of each image is taken from."""


def random_shifts(
    size: tuple[int, int, int], pixels: int, flip: bool, generator: torch.Generator
) -> Places:
    """Draw a shift by up to ``pixels`` in both directions for each image, and half mirrored.

    What moves in at an edge repeats the edge.

    Args:
        size: Number of images, height and width.
        pixels: The largest shift; 0 moves nothing.
        flip: Mirror each image, left to right, with probability 1/2.
        generator: On the CPU.

    Returns:
        For :func:`moved`, on the CPU.

    >>> image = torch.arange(3.0).view(1, 1, 1, 3).expand(20, 1, 1, 3)
    >>> views = moved(image, random_shifts((20, 1, 3), 1, False, torch.Generator()))
    >>> sorted({tuple(view.flatten().tolist()) for view in views})
    [(0.0, 0.0, 1.0), (0.0, 1.0, 2.0), (1.0, 2.0, 2.0)]
    """
    count, height, width = size
    rows = _places(count, height, pixels, generator)
    columns = _places(count, width, pixels, generator)
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    return rows, columns


def moved(images: Tensor, places: Places) -> Tensor:
    """``images`` ``[B, C, H, W]`` with every pixel taken from its place, channels-last."""
    rows, columns = (place.to(images.device) for place in places)
    image = torch.arange(len(images), device=images.device)[:, None, None]
    taken = images.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    return taken.permute(0, 3, 1, 2)


def _places(count: int, length: int, pixels: int, generator: torch.Generator) -> Tensor:
    """Where each of ``length`` pixels comes from, ``[count, length]``."""
    moves = torch.randint(-pixels, pixels + 1, (count, 1), generator=generator)
    return (torch.arange(length) + moves).clamp(0, length - 1)
