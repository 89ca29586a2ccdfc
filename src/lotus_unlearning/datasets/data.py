"""How a data set is cut into training, unseen and test images, and their preprocessing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lotus_unlearning.images import Data, Images, ImageTensors, Official
from lotus_unlearning.images.names import taken, whole
from lotus_unlearning.splits import stratified

__all__ = [
    "OF_PHOTOS",
    "OWN_UNSEEN",
    "PHOTO_SIZE",
    "Cut",
    "Data",
    "Part",
    "Preprocess",
    "assemble",
    "carve",
    "forbid_unseen_from_test",
    "limited",
    "numbered",
    "own_parts",
    "take",
]

Part = Literal["train", "test"]

OWN_UNSEEN = "brings its own unseen images"
"""Why there is nothing to choose, for :func:`forbid_unseen_from_test`."""

_TEST_SHARE = 0.15
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
        kept: Names of the images of each part, as drawn before: then nothing is drawn, and what has
            another name is in no part. ``None``: draw. Only of images that have names.

    Raises:
        ValueError: If a field is out of range; one message lists all that are.
    """

    seed: int = 0
    limit: int | None = None
    unseen_share: float | None = None
    unseen_from: Part = "train"
    kept: Mapping[str, Collection[str]] | None = None

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
        mean, std = (_per_channel(tuple(v), x.dtype, x.device) for v in (self.mean, self.std))
        return (x - mean) / std


@lru_cache(maxsize=32)
def _per_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """``[C, 1, 1]``, made once: a copy to a GPU waits for it."""
    return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)


PHOTO_SIZE = 224
"""Pixels of the side of a person's own photos, if no other size is asked for."""

OF_PHOTOS = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of a person's own photos: as for ImageNet, which pre-trained models know."""


def numbered(images: Images) -> Images:
    """With official ids: these images, in this order, are the list that is published."""
    size = len(images)
    return replace(images, official=Official(torch.arange(size), size))


def take(images: Images, positions: np.ndarray) -> Images:
    """The images at ``positions`` as a set of their own; names and official ids stay theirs."""
    at = torch.from_numpy(np.asarray(positions, dtype=np.int64))
    names = None if images.names is None else taken(images.names, at)
    official = None if images.official is None else images.official.take(at)
    labels = images.labels[at]
    if isinstance(images, ImageTensors):
        chosen = images.images[at]
        return replace(images, images=chosen, labels=labels, names=names, official=official)
    from torch.utils.data import Subset

    subset: Subset[object] = Subset(images.dataset, whole(at))
    return replace(images, dataset=subset, labels=labels, names=names, official=official)


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


def own_parts(
    name: str,
    parts: Mapping[str, Images],
    classes: Sequence[str],
    shape: tuple[int, int],
    cut: Cut,
) -> Data:
    """A person's own images: those to train on, and what there is to test on and unseen.

    Args:
        name: Of the data set.
        parts: ``"train"``, and perhaps ``"test"`` (else 15% of each class of train are drawn) and
            ``"unseen"`` (else they are carved as :func:`assemble` does).
        classes: As of :func:`assemble`, like ``shape`` and ``cut``.
        shape: Of the model's input.
        cut: What to draw.

    Raises:
        ValueError: If ``cut`` takes unseen images from test images that are not there.
    """
    train, test = numbered(parts["train"]), parts.get("test")
    if test is None:
        forbid_unseen_from_test(cut, name, "has no test images of its own")
        drawn = _was_drawn(train, cut)
        train, test = (train, train) if drawn else carve(train, _TEST_SHARE, cut.seed)
    return assemble(name, train, test, classes, shape, cut, parts.get("unseen"))


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
        official_train: All images that may be trained on; they count as the published list if
            they have no official ids yet.
        test: All others, but ``unseen``.
        classes: Names of the classes.
        shape: Channels of the model's input, and its height and width in pixels.
        cut: What to draw.
        unseen: The data set's own unseen images, where it has some: then none are carved out.

    Raises:
        ValueError: If ``cut`` takes unseen images from the test part though there are some.
    """
    if official_train.official is None:
        official_train = numbered(official_train)
    if unseen is not None:
        forbid_unseen_from_test(cut, name, OWN_UNSEEN)
    choose = _as_before if _was_drawn(official_train, cut) else _drawn
    return Data(*choose(official_train, unseen, test, cut), tuple(classes), name, *shape)


def _drawn(
    official_train: Images, unseen: Images | None, test: Images, cut: Cut
) -> tuple[Images, Images, Images]:
    """Images to train on, unseen and test images; see :func:`assemble`."""
    rest, share = official_train, cut.unseen_share or _UNSEEN_SHARE[cut.unseen_from]
    if unseen is None and cut.unseen_from == "test":
        test, unseen = carve(test, share, cut.seed)
    elif unseen is None:
        rest, unseen = carve(official_train, share, cut.seed)
    train = limited(rest, cut.limit, cut.seed)
    if cut.limit is not None:
        count = max(1, round(len(unseen) * len(train) / len(rest)))
        unseen = limited(unseen, count, cut.seed)
    return train, unseen, test


def _was_drawn(images: Images, cut: Cut) -> bool:
    """Whether it is known by name which images an earlier call drew."""
    return cut.kept is not None and images.names is not None


def _as_before(
    official_train: Images, unseen: Images | None, test: Images, cut: Cut
) -> tuple[Images, Images, Images]:
    """As :func:`_drawn`, but those that an earlier call drew, as far as they are still there."""
    if unseen is None:
        unseen = test if cut.unseen_from == "test" else official_train
    kept = cut.kept or {}
    train, unseen, test = (
        _called(images, kept[part])
        for part, images in (("train", official_train), ("unseen", unseen), ("test", test))
    )
    return train, unseen, test


def _called(images: Images, names: Collection[str]) -> Images:
    """Those of ``images`` that have one of ``names``, in their own order."""
    if images.names is None:
        return images
    wanted = {*names}
    return take(images, np.flatnonzero([name in wanted for name in images.names]))
