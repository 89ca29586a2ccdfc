"""One image file becomes pixels."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

_LONGEST = 20
"""Times the shorter side: resized, a strip of a few bytes that is longer would fill the memory."""


def decoded(
    file: str | Path | BinaryIO,
    mode: str,
    name: str,
    advice: str = "fetch it again",
    place: str | None = None,
) -> "Image.Image":
    """The image in ``file``, whatever its mode, in Pillow's ``mode`` L or RGB.

    Of 16 bits the upper 8 are kept; transparency is left out, as torchvision does.

    Args:
        file: Its path, or what is in it.
        mode: ``"L"`` or ``"RGB"``.
        name: Of the data set, for the message.
        advice: What to do about a file that cannot be read, for the message.
        place: Where it is, for the message; default: its path.

    Raises:
        ValueError: If the file is absent or no image, or its pixels have no known range.
    """
    from PIL import Image

    try:
        if isinstance(file, str | Path) and not os.path.isfile(file):  # a pipe would be waited for
            raise ValueError("there is no such file")
        with Image.open(file) as image:
            return _of_eight_bits(image).convert(mode)
    except Exception as error:  # Pillow raises many kinds
        raise ValueError(
            f"{name}: expected an image in {place or file}, but it cannot be read ({error}); "
            f"{advice}"
        ) from None


def _of_eight_bits(image: "Image.Image") -> "Image.Image":
    """What Pillow converts rightly: by itself it cuts brighter pixels of 16 bits off at 255."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("pixels have more than 16 bits")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")  # it warns of any other way
    return image


@dataclass(frozen=True)
class Reader:
    """Turns an image file into pixels: one mode, shorter side resized, cut to a square.

    Attributes:
        name: Of the data set, for messages.
        size: Height and width of the result in pixels.
        shorter: Length of the shorter side before the square is cut; default: ``size``.
        grey: One channel instead of three.
        advice: What to do with a file that cannot be read, for messages.
    """

    name: str
    size: int
    shorter: int | None = None
    grey: bool = False
    advice: str = "fetch it again"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the result: channels, height, width."""
        return (1 if self.grey else 3, self.size, self.size)

    def __call__(self, file: str | Path | BinaryIO, place: str | None = None) -> Tensor:
        """Pixels ``[C, S, S]`` uint8 of the image in ``file``.

        Args:
            file: Its path, or what is in it.
            place: Where it is, for the message; default: its path.

        Raises:
            ValueError: If the file is absent or no image.
        """
        from torchvision.transforms.v2 import functional as F

        image = decoded(file, "L" if self.grey else "RGB", self.name, self.advice, place)
        if image.size != (self.size, self.size):
            image = F.resize(_cut_to_its_middle(image), [self.shorter or self.size], antialias=True)
            image = F.center_crop(image, [self.size])
        pixels = torch.from_numpy(np.array(image))
        return pixels[None] if self.grey else pixels.permute(2, 0, 1)


def _cut_to_its_middle(image: "Image.Image") -> "Image.Image":
    """``image``, and of a strip the middle: all that a square of its middle is made of."""
    width, height = image.size
    longest = _LONGEST * min(width, height)
    x, y = max(0, width - longest) // 2, max(0, height - longest) // 2
    return image.crop((x, y, width - x, height - y)) if x or y else image
