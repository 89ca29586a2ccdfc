"""A data set as the package uses it: three sets of images, their classes, their preprocessing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lotus_unlearning.images import Images, ImageTensors, StreamedImages
from lotus_unlearning.splits import stratified

UNSEEN_SHARE = 0.15


@dataclass(frozen=True)
class Preprocess:
    """Raw images to model input: scale to [0, 1], resize, normalise, on the images' device.

    Attributes:
        mean: Per channel, of pixels in [0, 1].
        std: Per channel.
        size: Height and width of the input in pixels; ``None`` keeps the images' own.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """``[B, C, H, W]`` uint8, or floats in [0, 1], to normalised ``[B, C, S, S]``."""
        x = images if images.is_floating_point() else images.float() / 255
        if self.size is not None and x.shape[-2:] != (self.size, self.size):
            x = F.interpolate(
                x, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False
            )
        mean, std = (x.new_tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        return (x - mean) / std


@dataclass(frozen=True, eq=False)
class Data:
    """A data set, cut so that some images are never trained on.

    Attributes:
        train: What originals are trained on; ids of images to forget count in it.
        unseen: Images never trained on, for calibration.
        test: Images never trained on, for measuring.
        classes: Names of the classes.
        name: As given to :func:`lotus_unlearning.datasets.load`.
        channels: Of the model's input.
        image_size: Height and width of the model's input in pixels.
        groups: Whom each training image shows, where the data set says it: ``[N]`` int64, equal
            numbers are one person. ``data.groups == 3`` is a mask of images to forget.
        forget: Training images that the authors of the data set chose to be forgotten, where
            they did: positions ``[M]`` int64.
        source: Which files were read, where there is a choice.
    """

    train: Images
    unseen: Images
    test: Images
    classes: tuple[str, ...]
    name: str
    channels: int
    image_size: int
    groups: Tensor | None = None
    forget: Tensor | None = None
    source: str = ""


def take(images: Images, positions: np.ndarray) -> Images:
    """The images at ``positions`` as a set of their own."""
    at = torch.from_numpy(np.asarray(positions, dtype=np.int64))
    names = None if images.names is None else tuple(images.names[i] for i in at.tolist())
    labels = images.labels[at]
    if isinstance(images, ImageTensors):
        return replace(images, images=images.images[at], labels=labels, names=names)
    from torch.utils.data import Subset

    subset: Subset[object] = Subset(images.dataset, at.tolist())
    return StreamedImages(subset, labels, images.random, names, images.classes, images.workers)


def carve(images: Images, share: float, seed: int) -> tuple[Images, Images]:
    """``(rest, part)``: ``part`` is a random ``share`` of each class, drawn by ``seed``."""
    if not 0 < share < 1:
        raise ValueError(f"unseen_share: expected a share between 0 and 1, got {share}")
    part = stratified(images.labels.numpy(), share, seed)
    rest = np.setdiff1d(np.arange(len(images)), part)
    return take(images, rest), take(images, part)


def limited(images: Images, limit: int | None, seed: int) -> Images:
    """At most ``limit`` images, a random share of each class."""
    if limit is None or limit >= len(images):
        return images
    if limit < 1:
        raise ValueError(f"limit: expected at least 1 image, got {limit}")
    return take(images, stratified(images.labels.numpy(), limit / len(images), seed))


def assemble(
    name: str,
    official_train: Images,
    test: Images,
    classes: Sequence[str],
    shape: tuple[int, int],
    *,
    unseen: Images | None = None,
    unseen_share: float | None,
    limit: int | None,
    seed: int,
) -> Data:
    """Carve unseen images out of the official training part, then keep ``limit`` of the rest."""
    rest = official_train
    if unseen is None:
        share = UNSEEN_SHARE if unseen_share is None else unseen_share
        rest, unseen = carve(official_train, share, seed)
    train = limited(rest, limit, seed)
    if limit is not None:
        unseen = limited(unseen, max(1, round(len(unseen) * len(train) / len(rest))), seed)
    return Data(train, unseen, test, tuple(classes), name, *shape)
