"""A data set as the package uses it: three sets of images, their classes, their preprocessing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lotus_unlearning.images import Images, ImageTensors, StreamedImages
from lotus_unlearning.splits import stratified

Part = Literal["train", "test"]

OWN_UNSEEN = "brings its own unseen images"
"""Why there is nothing to choose, for :func:`forbid_unseen_from_test`."""

_UNSEEN_SHARE = {"train": 0.15, "test": 0.5}


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a data set is cut into training, unseen and test images.

    Attributes:
        seed: Draws what is drawn.
        limit: At most so many training images; ``None``: all.
        unseen_share: Of the official part that unseen images are taken from; ``None``: the data
            set's default.
        unseen_from: That part.

    Raises:
        ValueError: If a field is out of range; one message lists all that are.
    """

    seed: int = 0
    limit: int | None = None
    unseen_share: float | None = None
    unseen_from: Part = "train"

    def __post_init__(self) -> None:
        problems = []
        if self.limit is not None and self.limit < 1:
            problems.append(f"limit: expected at least 1 image, got {self.limit}")
        if self.unseen_share is not None and not 0 < self.unseen_share < 1:
            problems.append(
                f"unseen_share: expected a share between 0 and 1, got {self.unseen_share}"
            )
        if self.unseen_from not in _UNSEEN_SHARE:
            problems.append(f"unseen_from: expected 'train' or 'test', got {self.unseen_from!r}")
        if problems:
            raise ValueError("\n".join(problems))


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
    part = stratified(images.labels.numpy(), share, seed)
    rest = np.setdiff1d(np.arange(len(images)), part)
    return take(images, rest), take(images, part)


def limited(images: Images, limit: int | None, seed: int) -> Images:
    """At most ``limit`` images, a random share of each class."""
    if limit is None or limit >= len(images):
        return images
    return take(images, stratified(images.labels.numpy(), limit / len(images), seed))


def forbid_unseen_from_test(cut: Cut, name: str, why: str) -> None:
    """Refuse ``unseen_from="test"`` for the data set ``name``, which ``why`` says more about."""
    if cut.unseen_from == "test":
        raise ValueError(
            f"unseen_from: expected 'train' (the default) for {name}, which {why}; got 'test'; "
            "leave the option out"
        )


def assemble(
    name: str,
    official_train: Images,
    test: Images,
    classes: Sequence[str],
    shape: tuple[int, int],
    cut: Cut,
    unseen: Images | None = None,
) -> Data:
    """Carve unseen images out of the official part that ``cut`` names, then apply its limit.

    Args:
        name: Of the data set.
        official_train: All images that may be trained on.
        test: All others, but ``unseen``.
        classes: Names of the classes.
        shape: Channels of the model's input, and its height and width in pixels.
        cut: What to draw.
        unseen: The data set's own unseen images, where it has some: then none are carved out.

    Raises:
        ValueError: If ``cut`` takes unseen images from the test part though there are some.
    """
    rest, share = official_train, cut.unseen_share or _UNSEEN_SHARE[cut.unseen_from]
    if unseen is not None:
        forbid_unseen_from_test(cut, name, OWN_UNSEEN)
    elif cut.unseen_from == "test":
        test, unseen = carve(test, share, cut.seed)
    else:
        rest, unseen = carve(official_train, share, cut.seed)
    train = limited(rest, cut.limit, cut.seed)
    if cut.limit is not None:
        count = max(1, round(len(unseen) * len(train) / len(rest)))
        unseen = limited(unseen, count, cut.seed)
    return Data(train, unseen, test, tuple(classes), name, *shape)
