"""Where images are: in memory, or in a data set that is read image by image."""

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from lotus_unlearning.images.pixels import accepted, digests, model_input, not_finite

_CHUNK = 256


@dataclass(frozen=True, eq=False, repr=False)
class Official:
    """Which images of a published list these are, whatever was drawn from it.

    Attributes:
        ids: ``[N]`` int64, positions in the list: the official training part, or all images
            where a data set has no official parts.
        size: Images in the list.
    """

    ids: Tensor
    size: int

    def __repr__(self) -> str:
        return f"Official({len(self.ids):,} of {self.size:,})"

    def take(self, positions: Tensor) -> "Official":
        """Those at ``positions`` ``[M]``."""
        return Official(self.ids[positions], self.size)


@dataclass(frozen=True, eq=False, repr=False)
class ImageTensors(Dataset[tuple[Tensor, int]]):
    """Images and labels in memory; a map-style data set of ``(image, label)``.

    Attributes:
        images: ``[N, ...]``, uint8 or floating point; other types only with ``preprocess``.
        labels: ``[N]``, int64.
        preprocess: Turns a batch of ``images`` into the model's input, on the model's device
            (normalise, resize). ``None``: floats pass as they are, uint8 is scaled to [0, 1].
        names: What identifies image ``i`` outside this program (a relative path), if anything.
        classes: Names of the classes, if known.
        official: Which images of a published data set these are, if they come from its training
            part. Then ids mean these, not positions.
    """

    images: Tensor
    labels: Tensor
    preprocess: Callable[[Tensor], Tensor] | None = None
    names: Sequence[str] | None = None
    classes: tuple[str, ...] | None = None
    official: Official | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.inputs(self.images[position : position + 1])[0], int(self.labels[position])

    def __repr__(self) -> str:
        kind = f"{list(self.images.shape[1:])} {str(self.images.dtype).removeprefix('torch.')}"
        return f"ImageTensors({len(self):,} images {kind}{_classes(self.classes)})"

    def inputs(self, images: Tensor) -> Tensor:
        """The model's input ``[B, ...]`` float32 for raw ``images`` ``[B, ...]`` of this set."""
        return model_input(images if self.preprocess is None else self.preprocess(images))


@dataclass(frozen=True, eq=False, repr=False)
class StreamedImages:
    """A data set that is read image by image: too large for memory, or different at every read.

    Attributes:
        dataset: Map-style, of ``(image, label)``.
        labels: ``[N]``, int64.
        random: Whether images differ at every read.
        names: As of :class:`ImageTensors`, like ``classes`` and ``official``.
        classes: Names of the classes, if known.
        workers: Processes that read.
        official: Which images of a published data set these are.
    """

    dataset: Dataset[Any]
    labels: Tensor
    random: bool = False
    names: Sequence[str] | None = None
    classes: tuple[str, ...] | None = None
    workers: int = 0
    official: Official | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        random = ", random" if self.random else ""
        return f"StreamedImages({len(self):,} images{random}{_classes(self.classes)})"

    def batches(self, chunks: Sequence[Tensor], *, pin: bool = False) -> Iterator[Tensor]:
        """Images ``[B, ...]`` for each chunk of positions, prefetched by worker processes.

        Returns:
            float32, or uint8 that :func:`lotus_unlearning.images.pixels.model_input` scales.

        Raises:
            ValueError: If a pixel is NaN or infinite, or of a type that is not taken; at the
                first batch with such an image, which the message names.
        """
        loader: DataLoader[Any] = DataLoader(
            _ImagesOnly(self.dataset),
            batch_sampler=map(Tensor.tolist, chunks),
            num_workers=min(self.workers, len(chunks)),
            pin_memory=pin,
            collate_fn=_stacked,
        )
        for chunk, batch in zip(chunks, loader, strict=True):
            if isinstance(batch, _Unread):
                raise batch.error()
            images = accepted(batch, "images")
            bad = not_finite(images)
            if bad:
                raise ValueError(
                    "images: expected finite pixels, got NaN or infinity in "
                    f"{called(self, int(chunk[bad[0]]))}; repair or remove it"
                )
            yield images


Images = ImageTensors | StreamedImages


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """A data set, cut so that some images are never trained on.

    Attributes:
        train: What originals are trained on.
        unseen: Images never trained on, for calibration.
        test: Images never trained on, for measuring.
        classes: Names of the classes.
        name: As given to :func:`lotus_unlearning.datasets.load`.
        channels: Of the model's input.
        image_size: Height and width of the model's input in pixels.
        groups: Whom each training image shows, where the data set says it: ``[N]`` int64, equal
            numbers are one person. ``data.groups == 3`` is a mask of images to forget.
        forget: Training images that the authors of the data set chose to be forgotten, where
            they did: ids ``[M]`` as in :meth:`lotus_unlearning.splits.Splits.from_ids`.
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

    def __repr__(self) -> str:
        parts = f"{len(self.train):,} train, {len(self.unseen):,} unseen, {len(self.test):,} test"
        return f"Data({self.name}: {parts}{_classes(self.classes)})"


def called(images: Images, position: int) -> str:
    """What a message calls the image at ``position``: by its name or official id, if it has one."""
    if images.names is not None:
        return f"{images.names[position]!r}"
    if images.official is not None:
        return f"image {int(images.official.ids[position])}"
    return f"the image at position {position}"


def content_hashes(images: Images, positions: Tensor) -> list[bytes]:
    """One digest per image, of its shape and pixels; equal images have equal digests.

    The same image as uint8 and as floats in [0, 1] is equal; see
    :func:`lotus_unlearning.images.pixels.digests`. What ``preprocess`` does is left out.
    """
    return list(each_hash(images, positions))


def each_hash(images: Images, positions: Tensor) -> Iterator[bytes]:
    """Those of :func:`content_hashes` one after the other, none of which is kept."""
    chunks = torch.split(positions, _CHUNK) if len(positions) else ()
    if isinstance(images, ImageTensors):
        batches: Iterable[Tensor] = (images.images[chunk] for chunk in chunks)
    else:
        batches = images.batches(chunks)
    for batch in batches:
        yield from digests(batch)


def _classes(names: tuple[str, ...] | None) -> str:
    return "" if names is None else f", {len(names):,} classes"


@dataclass(frozen=True)
class _Unread:
    """An error in a worker process, as text: PyTorch puts its traceback into the message."""

    message: str
    traceback: str

    def error(self) -> ValueError:
        """The error, with the traceback beside its message."""
        found = ValueError(self.message)
        found.add_note(f"where it was read:\n{self.traceback}")
        return found


class _ImagesOnly(Dataset[Tensor | _Unread]):
    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, position: int) -> Tensor | _Unread:
        try:
            return self.dataset[position][0]  # type: ignore[no-any-return]
        except ValueError as error:
            return _Unread(f"{error}", traceback.format_exc())


def _stacked(items: list[Tensor | _Unread]) -> Any:
    unread = [item for item in items if isinstance(item, _Unread)]
    return unread[0] if unread else default_collate(items)
