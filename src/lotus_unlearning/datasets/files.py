"""Image files of a data set: what is missing, what is chosen, and only then what is read."""

import os
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lotus_unlearning.cores import usable_cores
from lotus_unlearning.datasets.data import Data
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.images import MEMORY_SHARE, Images, ImageTensors, StreamedImages, memory_bytes
from lotus_unlearning.images.names import Names

CACHE = Path.home() / ".cache" / "lotus-unlearning"
"""Where data sets are looked for when no root is given."""

File = tuple[str, int]
"""Path relative to the folder of the data set, and label."""

Fetch = Callable[[int], Tensor]
"""Reads the pixels ``[C, S, S]`` uint8 of one image of a part, by its position in the part."""

Transform = Callable[[Tensor], Tensor]

_ENDINGS = {".jpg", ".jpeg", ".png"}
_AHEAD = 1024
_WORTH_A_THREAD = 200
"""Pixels of the side: handing smaller images over costs about as much as decoding them."""


class AbsentDataError(ValueError):
    """The files of a data set are not there, or not as they were published."""


class NotDownloadedError(AbsentDataError):
    """The files of a data set are not there, and are not to be downloaded now."""


_MAY_DOWNLOAD = ContextVar("may_download", default=True)


@contextmanager
def nothing_downloaded() -> Iterator[None]:
    """In the block, who would download a data set raises a :class:`NotDownloadedError`."""
    before = _MAY_DOWNLOAD.set(False)
    try:
        yield
    finally:
        _MAY_DOWNLOAD.reset(before)


def require_download(name: str, what: str, place: Path) -> None:
    """A data set may be downloaded now.

    Args:
        name: Of the data set.
        what: Is to be downloaded.
        place: The folder for it.

    Raises:
        NotDownloadedError: Within :func:`nothing_downloaded`.
    """
    if not _MAY_DOWNLOAD.get():
        raise NotDownloadedError(f"{name}: {what} would be downloaded to {place}")


def missing(
    name: str, place: Path, problems: Sequence[str], get: str, layout: str
) -> AbsentDataError:
    """The error for a data set that is not there as a whole, for the caller to raise.

    Args:
        name: Of the data set.
        place: The folder that was looked into.
        problems: Every missing or wrong piece.
        get: What to fetch, from where, and what it weighs.
        layout: The folders and files as they are expected, one per line.
    """
    pieces = "\n".join(f"- {problem}" for problem in problems)
    return AbsentDataError(
        f"{name}: expected the data set in {place} (choose with --root), but:\n{pieces}\n"
        f"Get {get}, and lay it out like this:\n{textwrap.indent(layout, '  ')}"
    )


def folder_with(root: str | None, subfolders: Sequence[str], pieces: Sequence[str]) -> Path:
    """``root`` or one of its ``subfolders``: the first that holds one of ``pieces``.

    Returns:
        ``root`` itself where none does; :data:`CACHE` stands for an absent ``root``.
    """
    place = Path(root) if root else CACHE
    places = [place, *(place / sub for sub in subfolders)]
    return next((p for p in places if any((p / piece).exists() for piece in pieces)), place)


def images_in(folder: Path) -> list[str]:
    """Names of the image files in ``folder``, sorted; none where there is no folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if os.path.splitext(e.name)[1].lower() in _ENDINGS)


def class_names(wnids: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """The first synonym of each WordNet id, with the id behind it where two classes share it.

    >>> class_names(["n02012849", "n03126707", "n01440764"],
    ...             {"n02012849": "crane", "n03126707": "crane", "n01440764": "tench, Tinca tinca"})
    ('crane (n02012849)', 'crane (n03126707)', 'tench')
    """
    first = [words[wnid].split(",")[0].strip() for wnid in wnids]
    return tuple(
        f"{name} ({wnid})" if first.count(name) > 1 else name
        for name, wnid in zip(first, wnids, strict=True)
    )


def listed(files: Sequence[File], classes: tuple[str, ...]) -> ImageTensors:
    """Files that are not read yet: positions ``[N]`` stand where the pixels will be.

    Parts are drawn from such a list, so that only files that were chosen are opened.
    """
    names = Names(name for name, _ in files)
    labels = torch.tensor([label for _, label in files], dtype=torch.int64)
    return ImageTensors(torch.arange(len(names)), labels, names=names, classes=classes)


def opened(data: Data, folder: Path, reader: Reader, preprocess: Transform) -> Data:
    """``data`` with the pixels of all three parts, see :func:`read`."""
    train, unseen, test = read((data.train, data.unseen, data.test), folder, reader, preprocess)
    return replace(data, train=train, unseen=unseen, test=test)


def read(
    parts: Sequence[Images], folder: Path, reader: Reader, preprocess: Transform
) -> list[Images]:
    """The files that :func:`listed` left unread: held in memory if all fit, else streamed.

    Args:
        parts: What was chosen; ``names`` are paths relative to ``folder``.
        folder: Of the data set.
        reader: Reads one file.
        preprocess: Turns pixels into the model's input.

    Raises:
        ValueError: If a file that is to be held cannot be read.
    """
    files = [_Files(folder, part.names or (), reader) for part in parts]
    return held_or_streamed(parts, files, reader.shape, preprocess)


@dataclass(frozen=True)
class _Files:
    folder: Path
    names: Sequence[str]
    reader: Reader

    def __call__(self, position: int) -> Tensor:
        return self.reader(self.folder / self.names[position])


def held_or_streamed(
    parts: Sequence[Images],
    fetches: Sequence[Fetch],
    shape: tuple[int, int, int],
    preprocess: Transform,
) -> list[Images]:
    """``parts`` with their pixels: in memory if all fit there, else read when they are needed.

    Args:
        parts: What was chosen, unread.
        fetches: Read an image, for each part.
        shape: Of each image: channels, height, width.
        preprocess: Turns pixels into the model's input.

    Raises:
        ValueError: If an image that is to be held cannot be read.
    """
    need = sum(len(part) for part in parts) * int(np.prod(shape))
    make = _held if need <= MEMORY_SHARE * memory_bytes() else _streamed
    both = zip(parts, fetches, strict=True)
    return [make(part, fetch, shape, preprocess) for part, fetch in both]


def _held(part: Images, fetch: Fetch, shape: tuple[int, int, int], preprocess: Transform) -> Images:
    pixels = torch.empty((len(part), *shape), dtype=torch.uint8)
    threads = min(16, usable_cores()) if shape[-1] >= _WORTH_A_THREAD else 1
    with ThreadPoolExecutor(threads) as pool:  # decoding and resizing release Python's lock
        for start in range(0, len(part), _AHEAD):  # a pool asked for all would queue them all
            positions = range(start, min(start + _AHEAD, len(part)))
            for i, image in zip(positions, pool.map(fetch, positions), strict=True):
                pixels[i] = image
    return ImageTensors(
        pixels,
        part.labels,
        preprocess,
        names=part.names,
        classes=part.classes,
        official=part.official,
    )


def _streamed(
    part: Images, fetch: Fetch, shape: tuple[int, int, int], preprocess: Transform
) -> Images:
    return StreamedImages(
        _Fetched(fetch, part.labels, preprocess),
        part.labels,
        names=part.names,
        classes=part.classes,
        workers=min(8, usable_cores()),
        official=part.official,
    )


@dataclass(frozen=True, eq=False)
class _Fetched(Dataset[tuple[Tensor, int]]):
    """For streaming: what :class:`ImageTensors` does per batch, done per image."""

    fetch: Fetch
    labels: Tensor
    preprocess: Transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.preprocess(self.fetch(position)[None])[0], int(self.labels[position])
