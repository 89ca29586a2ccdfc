"""Images as people have them, taken in: tensors where they fit in memory, a data set where not."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from lotus_unlearning.cores import usable_cores
from lotus_unlearning.images.names import Names
from lotus_unlearning.images.pixels import accepted
from lotus_unlearning.images.sources import (
    Images,
    ImageTensors,
    StreamedImages,
)

MEMORY_SHARE = 0.25
"""Data sets larger than this share of the machine's memory are streamed, not loaded."""

_COMPARED = 64
"""Images that are read twice to see whether they differ: a flip of one in ten is missed in 3 of a
million data sets."""


def as_images(data: object, name: str) -> Images:
    """Take what a person has and return what the package works with.

    Args:
        data: A map-style ``Dataset`` of ``(image, label)``, or a pair ``(images [N, ...],
            labels [N])`` of tensors or arrays. Pixels are floats, which become float32, or whole
            numbers 0..255 (bool: 0 and 255), which become uint8 and are scaled to [0, 1] on
            their way into the model.
        name: What to call it in messages, for example ``"train"``.

    Raises:
        TypeError: If ``data`` is neither.
        ValueError: If images and labels differ in number, labels are not integers, or pixels are
            of another range.
    """
    if isinstance(data, StreamedImages):
        return data
    if isinstance(data, ImageTensors):
        return _checked(data, name)
    if isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], tuple):
        return _checked(ImageTensors(_tensor(data[0], name), _tensor(data[1], name)), name)
    sized = callable(getattr(data, "__getitem__", None)) and callable(getattr(data, "__len__", 0))
    if not sized or isinstance(data, type | str):
        raise TypeError(
            f"{name}: expected a map-style Dataset of (image, label) or a pair (images, labels), "
            f"got {_kind(data)}"
        )
    return _from_dataset(data, name)  # type: ignore[arg-type]


def _kind(data: object) -> str:
    if isinstance(data, type):
        return f"the class {data.__name__}; pass a data set made by it: {data.__name__}(...)"
    if isinstance(data, DataLoader):
        return "a DataLoader; pass the data set in it: loader.dataset"
    if callable(data):
        return f"{type(data).__name__} {getattr(data, '__name__', '')!r}; pass what it returns"
    return type(data).__name__


def _tensor(values: object, name: str) -> Tensor:
    """A tensor without gradients of a tensor, an array, a Series, or lists of these."""
    try:
        if isinstance(values, list | tuple) and any(isinstance(v, Tensor) for v in values):
            values = torch.stack([torch.as_tensor(v) for v in values])
        if isinstance(values, Tensor):
            return values.detach()
        array = np.asarray(values)
        if (
            not array.flags.writeable
            or not array.dtype.isnative
            or min(array.strides, default=0) < 0
        ):
            array = np.array(array, array.dtype.newbyteorder("="), order="C")
        return torch.from_numpy(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{name}: expected images [N, ...] and labels [N] as tensors or arrays of numbers, got "
            f"{type(values).__name__} ({error})"
        ) from None


def _checked(data: ImageTensors, name: str) -> ImageTensors:
    """The same object where nothing has to be converted."""
    images, labels = data.images, data.labels
    if labels.dim() != 1 or images.dim() < 2 or len(images) != len(labels):
        raise ValueError(
            f"{name}: expected one label per image, got images of shape {tuple(images.shape)} and "
            f"labels of shape {tuple(labels.shape)}"
        )
    if len(images) == 0:
        raise ValueError(f"{name}: expected at least one image, got none")
    labels = _integer_labels(labels, name)
    if data.preprocess is None:
        images = accepted(images, name)
    if images is data.images and labels is data.labels:
        return data
    return replace(data, images=images, labels=labels)


def _integer_labels(labels: Tensor, name: str) -> Tensor:
    if labels.is_floating_point() or labels.is_complex() or labels.dtype is torch.bool:
        raise ValueError(
            f"{name}: expected integer labels 0..C-1, got {labels.dtype}; convert them with "
            "labels.long() if they are class numbers"
        )
    return labels.long().cpu()


def _from_dataset(dataset: Dataset[Any], name: str) -> Images:
    size = len(dataset)  # type: ignore[arg-type]
    if size == 0:
        raise ValueError(f"{name}: expected at least one image, got an empty data set")
    first, _ = _item(dataset, 0, name)
    random, names, classes = _is_random(dataset, size, name), _names(dataset), _classes(dataset)
    held = torch.float32 if first.is_floating_point() else first.dtype
    if random or first.numel() * held.itemsize * size > MEMORY_SHARE * memory_bytes():
        accepted(first[None], name)
        workers = min(8, usable_cores())
        return StreamedImages(
            dataset,
            _labels(dataset, name),
            random=random,
            names=names,
            classes=classes,
            workers=workers,
        )
    images = torch.empty((size, *first.shape), dtype=held)
    labels = []
    for position in range(size):
        image, label = _item(dataset, position, name)
        if image.shape != first.shape or image.dtype != first.dtype:
            raise ValueError(
                f"{name}: expected images of one shape and type, got {tuple(first.shape)} "
                f"{first.dtype} at position 0 and {tuple(image.shape)} {image.dtype} at position "
                f"{position}; add a resize to the data set's transform"
            )
        images[position] = image.detach()
        labels.append(label)
    made = ImageTensors(images, _tensor(labels, name), names=names, classes=classes)
    return _checked(made, name)


def _is_random(dataset: Dataset[Any], size: int, name: str) -> bool:
    """Whether one of some images, spread over the data set, differs at a second reading."""
    positions = torch.linspace(0, size - 1, min(size, _COMPARED)).long().tolist()
    pairs = ((_item(dataset, i, name)[0], _item(dataset, i, name)[0]) for i in positions)
    return any(not _same(one, two) for one, two in pairs)


def _same(one: Tensor, two: Tensor) -> bool:
    if one.shape != two.shape:
        return False
    return torch.equal(one, two) or torch.allclose(one, two, rtol=0, atol=0, equal_nan=True)


def _item(dataset: Dataset[Any], position: int, name: str) -> tuple[Tensor, Any]:
    try:
        item = dataset[position]
    except (LookupError, NotImplementedError) as error:
        raise TypeError(
            f"{name}: expected (image tensor, label) at position {position}, but reading it raised "
            f"{type(error).__name__}: {error}"
        ) from error
    if isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], Tensor):
        return item[0], item[1]
    got, advice = type(item).__name__, "return these two for each position"
    if isinstance(item, tuple | list):
        got = f"({', '.join(type(part).__name__ for part in item)})"
        if len(item) == 2:
            advice = "add a transform that turns images into tensors"
    raise TypeError(
        f"{name}: expected (image tensor, label) at position {position}, got {got}; {advice}"
    )


def _labels(dataset: Dataset[Any], name: str) -> Tensor:
    """Labels without reading the images where torchvision's convention allows."""
    targets = getattr(dataset, "targets", None)
    if targets is not None and getattr(dataset, "target_transform", None) is None:
        return _integer_labels(_tensor(targets, name), name)
    if isinstance(dataset, Subset):
        return _labels(dataset.dataset, name)[torch.as_tensor(dataset.indices)]
    size = len(dataset)  # type: ignore[arg-type]
    labels = [_item(dataset, i, name)[1] for i in range(size)]
    return _integer_labels(_tensor(labels, name), name)


def _names(dataset: Dataset[Any]) -> Sequence[str] | None:
    """Relative paths of an image folder (torchvision's ``root`` and ``samples``), or of a part."""
    if isinstance(dataset, Subset):
        names = _names(dataset.dataset)
        return None if names is None else Names(names[i] for i in dataset.indices)
    samples, root = getattr(dataset, "samples", None), getattr(dataset, "root", None)
    if samples is None or root is None:
        return None
    return Names(Path(os.path.relpath(path, root)).as_posix() for path, _ in samples)


def _classes(dataset: Dataset[Any]) -> tuple[str, ...] | None:
    if isinstance(dataset, Subset):
        return _classes(dataset.dataset)
    classes = getattr(dataset, "classes", None)
    return tuple(classes) if classes else None


def memory_bytes() -> int:
    """Of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
