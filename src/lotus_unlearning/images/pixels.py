"""Pixels: which types of number are taken, what a model sees of them, which images are equal."""

from hashlib import blake2b

import torch
from torch import Tensor

_CHUNK = 256
_FIRST = 64
_NEAR = 5e-4
"""Twice the error of float16 below 1, an eighth of the step between two of 256 levels."""


def model_input(images: Tensor) -> Tensor:
    """What a model sees of ``images``: floats as float32, whole numbers 0..255 scaled to [0, 1].

    >>> model_input(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
    [0.0, 1.0]
    """
    return images.float() if images.is_floating_point() else images.float() / 255


def accepted(images: Tensor, name: str) -> Tensor:
    """The same images as float32 or uint8.

    Floating-point numbers of any length become float32 (a model that computes in float64 gets
    these numbers too), bool becomes 0 and 255, other whole numbers uint8.

    Args:
        images: ``[N, ...]`` on any device.
        name: What to call them in messages.

    Raises:
        ValueError: If whole numbers leave 0..255, or numbers are complex.
    """
    if images.is_floating_point():
        return images.float()
    if images.dtype is torch.uint8:
        return images
    if images.dtype is torch.bool:
        return images.to(torch.uint8) * 255
    if images.is_complex():
        raise ValueError(f"{name}: expected pixels as real numbers, got {images.dtype}")
    values = images.cpu().numpy()  # torch knows no minimum of uint16
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low < 0 or high > 255:
        raise ValueError(
            f"{name}: expected pixels as floats or as whole numbers 0..255, got {images.dtype} "
            f"from {low} to {high}; scale them to floats that the model knows, such as [0, 1]"
        )
    return images.to(torch.uint8)


def not_finite(images: Tensor) -> list[int]:
    """Positions of images ``[N, ...]`` with a NaN or an infinity; costs one sum if there are none.

    >>> not_finite(torch.tensor([[0.0, 1.0], [0.0, torch.inf]]))
    [1]
    """
    if not images.is_floating_point() or bool(torch.isfinite(images.sum())):
        return []
    at: list[int] = (~torch.isfinite(images).flatten(1).all(dim=1)).nonzero()[:, 0].tolist()
    return at


def digests(images: Tensor) -> list[bytes]:
    """One digest per image ``[N, ...]``; images that a model sees as equal have equal digests.

    Floats that are 256 levels of [0, 1], up to the error of float16, count as these levels in
    uint8. So an image is found whether it is stored as bytes or as torchvision's ``ToTensor``
    leaves it.
    """
    return [d for chunk in torch.split(images.cpu(), _CHUNK) for d in _digests(chunk)]


def _digests(images: Tensor) -> list[bytes]:
    if not images.is_floating_point():
        return [_digest(image) for image in images]
    x = images.float()
    if not _are_levels(x.flatten(1)[:, :_FIRST]).any():  # spares looking at all pixels
        return [_digest(image) for image in x]
    whole, levels = _are_levels(x.flatten(1)).tolist(), (x * 255).round_().clamp_(0, 255).byte()
    return [_digest(levels[i] if whole[i] else x[i]) for i in range(len(x))]


def _are_levels(x: Tensor) -> Tensor:
    """Whether all of each row ``[N, D]`` are near 256 levels of [0, 1]."""
    scaled = x * 255
    levels = scaled.round().clamp_(0, 255)
    return scaled.sub_(levels).abs_().amax(dim=1) <= 255 * _NEAR


def _digest(image: Tensor) -> bytes:
    header = f"{tuple(image.shape)}{image.dtype}".encode()
    pixels = image.contiguous().view(torch.uint8).numpy()
    return blake2b(header + pixels.tobytes(), digest_size=16).digest()
