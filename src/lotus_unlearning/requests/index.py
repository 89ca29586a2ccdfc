"""What a workspace knows of its data: which images were trained on, and how to find them again.

The index is made once, from the data that the served model was trained on. It holds ids and hashes
and no pixels. When images are deleted from the data afterwards, as they should be, it still says
that they were trained on; and it notices if other images have become training images since.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lotus_unlearning.datasets import Data
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.datasets.perceptual import BITS, perceptual_hash
from lotus_unlearning.files.id_lists import some
from lotus_unlearning.images import Images, ImageTensors
from lotus_unlearning.images.pixels import digests
from lotus_unlearning.splits import Split

FILE = "index.npz"
PARTS = ("train", "unseen", "test")
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Part:
    """Images of one part of the data.

    Attributes:
        ids: ``[N]``, the official id of each image, as text.
        content: ``[N]``, the hash of the pixels of each, in hexadecimal.
        bits: ``[N, 64]``, the perceptual hash of each.
        apart: Whether the ids are positions in another list than those of the training images, so
            that an id that somebody names is never one of these.
    """

    ids: NDArray[np.str_]
    content: NDArray[np.str_]
    bits: NDArray[np.bool_]
    apart: bool = False


@dataclass(frozen=True, eq=False)
class Index:
    """All parts.

    Attributes:
        parts: Each name of a part, ``train``, ``unseen`` and ``test`` -> the part.
        shape: The shape of a stored image: channels, height, width.
        official: The number of images in the published list that ids are positions in; 0 where ids
            are names.
        exact: Whether a file can be turned into the same pixels, so that equal ones are found.
        classes: The names of the classes, in the order of the labels; empty: not known.
    """

    parts: dict[str, Part]
    shape: tuple[int, ...]
    official: int
    exact: bool
    classes: tuple[str, ...] = ()

    @property
    def train(self) -> Part:
        """Images that were trained on."""
        return self.parts["train"]

    def names(self) -> Mapping[str, Sequence[str]] | None:
        """The names of the images of each part; ``None``: ids are positions in a list."""
        if self.official:
            return None
        return {name: part.ids.tolist() for name, part in self.parts.items()}


@dataclass(frozen=True, eq=False)
class Print:
    """What tells that two images are the same.

    Attributes:
        content: The hash of the pixels; ``None``: it cannot be compared.
        bits: The perceptual hash ``[64]``.
    """

    content: str | None
    bits: NDArray[np.bool_]


def build(data: Data) -> Index:
    """Read every image once."""
    train = data.train
    names = train.names is not None
    size = len(train) if train.official is None else train.official.size
    first = next(_pixels(train, torch.arange(1)))[0]
    parts = {name: _part(getattr(data, name), train) for name in PARTS}
    exact = isinstance(train, ImageTensors)
    return Index(parts, tuple(first.shape), 0 if names else size, exact, data.classes)


def save(index: Index, path: Path) -> None:
    """Write ``index.npz``."""
    arrays = {
        f"{name}_{key}": value
        for name, part in index.parts.items()
        for key, value in (
            ("ids", part.ids),
            ("content", part.content),
            ("bits", np.packbits(part.bits, axis=1)),
            ("apart", np.array(part.apart)),
        )
    }
    facts = np.array([index.official, int(index.exact), *index.shape])
    classes = np.array(index.classes, dtype=np.str_)
    np.savez_compressed(path, facts=facts, classes=classes, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Index:
    """Read ``index.npz``.

    Raises:
        ValueError: If it is missing or damaged.
    """
    try:
        with np.load(path) as file:
            arrays = dict(file)
        official, exact, *shape = arrays["facts"].tolist()
        parts = {
            name: Part(
                arrays[f"{name}_ids"],
                arrays[f"{name}_content"],
                np.unpackbits(arrays[f"{name}_bits"], axis=1).astype(bool),
                bool(arrays[f"{name}_apart"]),
            )
            for name in PARTS
        }
        classes = tuple(arrays.get("classes", np.array([])).tolist())  # older indices hold none
    except Exception as error:  # NumPy and zipfile raise many kinds
        raise ValueError(
            f"{path}: expected the index of the workspace's images, but it cannot be read "
            f"({error}); restore it from a backup"
        ) from None
    return Index(parts, tuple(shape), official, bool(exact), classes)


def print_of_file(path: Path, index: Index) -> Print:
    """The print of an image file, brought to the form of the training images.

    Raises:
        ValueError: If it is no image.
    """
    channels, height, width = index.shape
    reader = Reader("images", min(height, width), grey=channels == 1, advice="pass another file")
    pixels = reader(path)
    if tuple(pixels.shape) != index.shape or not index.exact:
        return Print(None, _bits(pixels))
    return Print(digests(pixels[None])[0].hex(), _bits(pixels))


def changes(index: Index, data: Data) -> list[str]:
    """Why the model's training images are not those of ``data`` any more, one sentence each.

    Images that are gone are no problem: what is deleted cannot be learnt again.
    """
    found = []
    if any(old != new for old, new in zip(index.classes, data.classes, strict=False)):
        found.append(
            f"data: expected the classes {some([*index.classes])} in this order, as the labels "
            f"follow it, got {some([*data.classes])}; keep the folder of a class that has lost its "
            "images, and leave out new classes"
        )
    for name in PARTS:
        new = sorted({*ids_of(getattr(data, name))} - {*index.parts[name].ids.tolist()})
        if new:
            found.append(
                f"data: {len(new)} of the {name} images were no {name} images when the workspace "
                f"was made ({some(new)}); expected the data as they were but for images that "
                "are gone: put them back"
            )
    return found


def prints(data: Data, names: Sequence[str]) -> dict[str, Print]:
    """The print of each image of ``data`` that has one of ``names``, whatever its part."""
    wanted = {*names}
    found: dict[str, Print] = {}
    for images in (data.train, data.unseen, data.test):
        called = ids_of(images)
        at = [i for i, name in enumerate(called) if name in wanted - found.keys()]
        positions = torch.tensor(at, dtype=torch.long)
        pixels = (image for batch in _pixels(images, positions) for image in batch)
        for i, image in zip(at, pixels, strict=True):
            found[called[i]] = Print(digests(image[None])[0].hex(), _bits(image))
    return found


def ids_of(images: Images) -> list[str]:
    """What each image is called outside this program, as text."""
    whole = Split("", images, torch.arange(len(images)))
    return [str(found) for found in whole.official_ids]


def distances(bits: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bits ``[N]`` in which ``others`` ``[N, 64]`` differ from ``bits`` ``[64]``."""
    return np.asarray((others != bits).sum(axis=1), dtype=np.int64)


def _part(images: Images, train: Images) -> Part:
    content: list[str] = []
    bits: list[NDArray[np.bool_]] = []
    for batch in _pixels(images, torch.arange(len(images))):
        content += [found.hex() for found in digests(batch)]
        bits += [_bits(image) for image in batch]
    return Part(
        np.array(ids_of(images), dtype=np.str_),
        np.array(content, dtype=np.str_),
        np.array(bits, dtype=bool).reshape(-1, BITS),
        apart=images is not train and train.names is None and images.official is None,
    )


def _pixels(images: Images, positions: Tensor) -> Iterator[Tensor]:
    chunks: Sequence[Tensor] = torch.split(positions, _CHUNK) if len(positions) else ()
    if isinstance(images, ImageTensors):
        return (images.images[chunk] for chunk in chunks)
    return images.batches(chunks)


def _bits(pixels: Tensor) -> NDArray[np.bool_]:
    """Of ``[C, H, W]``; floats are stretched to 0..255, which the hash does not mind."""
    from PIL import Image

    x = pixels.float()
    if pixels.is_floating_point():
        low, high = x.min(), x.max()
        x = (x - low) * (255 / (high - low).clamp(min=1e-12))
    x = x.round().byte()
    if x.dim() == 3 and x.shape[0] == 3:
        return perceptual_hash(Image.fromarray(x.permute(1, 2, 0).contiguous().numpy()))
    grey = x.float().mean(dim=0).round().byte() if x.dim() == 3 else x
    return perceptual_hash(Image.fromarray(grey.contiguous().numpy()))
