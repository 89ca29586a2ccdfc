"""Images as the package holds them: tensors where they fit in memory, a data set where not."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

MEMORY_SHARE = 0.25
"""Data sets larger than this share of the machine's memory are streamed, not loaded."""


@dataclass(frozen=True, eq=False)
class ImageTensors(Dataset[tuple[Tensor, int]]):
    """Images and labels in memory; a map-style data set of ``(image, label)``.

    Attributes:
        images: ``[N, ...]``, uint8 or floating point.
        labels: ``[N]``, int64.
        preprocess: Turns a batch of ``images`` into the model's input, on the model's device
            (normalise, resize). ``None``: floats pass as they are, uint8 is scaled to [0, 1].
        names: What identifies image ``i`` outside this program (a relative path), if anything.
        classes: Names of the classes, if known.
    """

    images: Tensor
    labels: Tensor
    preprocess: Callable[[Tensor], Tensor] | None = None
    names: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.inputs(self.images[position : position + 1])[0], int(self.labels[position])

    def inputs(self, images: Tensor) -> Tensor:
        """The model's input ``[B, ...]`` for raw ``images`` ``[B, ...]`` of this data set."""
        if self.preprocess is not None:
            return self.preprocess(images)
        return images if images.is_floating_point() else images.float() / 255


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """A data set that is read image by image: too large for memory, or different at every read."""

    dataset: Dataset[Any]
    labels: Tensor
    random: bool = False
    names: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    workers: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, chunks: Sequence[Tensor], *, pin: bool = False) -> Iterator[Tensor]:
        """Images ``[B, ...]`` for each chunk of positions, prefetched by worker processes."""
        loader: DataLoader[Any] = DataLoader(
            _ImagesOnly(self.dataset),
            batch_sampler=[chunk.tolist() for chunk in chunks],
            num_workers=self.workers,
            pin_memory=pin,
        )
        yield from loader


Images = ImageTensors | StreamedImages


def as_images(data: object, name: str) -> Images:
    """Take what a person has and return what the package works with.

    Args:
        data: A map-style ``Dataset`` of ``(image, label)``, or a pair ``(images [N, ...],
            labels [N])`` of tensors or arrays.
        name: What to call it in messages, for example ``"train"``.

    Raises:
        TypeError: If ``data`` is neither.
        ValueError: If images and labels differ in number, or labels are not integers.
    """
    if isinstance(data, ImageTensors | StreamedImages):
        return data
    if isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], tuple):
        return _from_pair(data[0], data[1], name)
    if callable(getattr(data, "__getitem__", None)) and callable(getattr(data, "__len__", None)):
        return _from_dataset(data, name)  # type: ignore[arg-type]
    raise TypeError(
        f"{name}: expected a map-style Dataset of (image, label) or a pair (images, labels), "
        f"got {type(data).__name__}"
    )


def content_hashes(images: Images, positions: Tensor) -> list[bytes]:
    """One digest per image, of its shape, type and pixels; equal images have equal digests."""
    if isinstance(images, ImageTensors):
        return [_digest(image) for image in images.images[positions].cpu()]
    chunks = torch.split(positions, 256)
    return [_digest(image) for batch in images.batches(chunks) for image in batch]


def _digest(image: Tensor) -> bytes:
    header = f"{tuple(image.shape)}{image.dtype}".encode()
    pixels = image.contiguous().view(torch.uint8).numpy()
    return blake2b(header + pixels.tobytes(), digest_size=16).digest()


def _from_pair(images: object, labels: object, name: str) -> ImageTensors:
    x, y = torch.as_tensor(images), torch.as_tensor(labels)
    if len(x) != len(y) or y.dim() != 1:
        raise ValueError(
            f"{name}: expected one label per image, got {len(x)} images and labels of shape "
            f"{tuple(y.shape)}"
        )
    return ImageTensors(x, _integer_labels(y, name))


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
    random = any(
        not torch.equal(_item(dataset, i, name)[0], _item(dataset, i, name)[0])
        for i in range(min(size, 4))
    )
    classes = getattr(dataset, "classes", None)
    names, classes = _names(dataset), tuple(classes) if classes else None
    if random or first.nbytes * size > MEMORY_SHARE * memory_bytes():
        workers = max(1, min(8, os.cpu_count() or 1))
        return StreamedImages(dataset, _labels(dataset, name), random, names, classes, workers)
    items = [_item(dataset, i, name) for i in range(size)]
    shapes = {tuple(image.shape) for image, _ in items}
    if len(shapes) > 1:
        raise ValueError(
            f"{name}: expected images of one shape, got {sorted(shapes)[:3]}; add a resize to "
            "the data set's transform"
        )
    labels = _integer_labels(torch.as_tensor([y for _, y in items]), name)
    return ImageTensors(torch.stack([x for x, _ in items]), labels, None, names, classes)


def _item(dataset: Dataset[Any], position: int, name: str) -> tuple[Tensor, int]:
    item = dataset[position]
    if not isinstance(item, tuple | list) or len(item) != 2 or not isinstance(item[0], Tensor):
        raise TypeError(
            f"{name}: expected (image tensor, label) at position {position}, got "
            f"{type(item).__name__}; add a transform that turns images into tensors"
        )
    return item[0], item[1]


def _labels(dataset: Dataset[Any], name: str) -> Tensor:
    """Labels without reading the images where torchvision's convention allows."""
    targets = getattr(dataset, "targets", None)
    if targets is not None and getattr(dataset, "target_transform", None) is None:
        return _integer_labels(torch.as_tensor(targets), name)
    if isinstance(dataset, Subset):
        return _labels(dataset.dataset, name)[torch.as_tensor(dataset.indices)]
    size = len(dataset)  # type: ignore[arg-type]
    labels = [_item(dataset, i, name)[1] for i in range(size)]
    return _integer_labels(torch.as_tensor(labels), name)


def _names(dataset: Dataset[Any]) -> tuple[str, ...] | None:
    """Relative paths of an image folder (torchvision's ``root`` and ``samples``)."""
    samples, root = getattr(dataset, "samples", None), getattr(dataset, "root", None)
    if samples is None or root is None:
        return None
    return tuple(os.path.relpath(path, root) for path, _ in samples)


def memory_bytes() -> int:
    """Of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class _ImagesOnly(Dataset[Tensor]):
    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, position: int) -> Tensor:
        return self.dataset[position][0]  # type: ignore[no-any-return]
