"""Tar shards as WebDataset writes them, read at random: each image by its place in its shard.

The format: https://github.com/webdataset/webdataset. The package of that name reads shards from
front to back, which is how to train on them; unlearning asks for single images by their keys, for
which Python's own tarfile and fsspec, on which PyTorch depends, suffice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lotus_unlearning.datasets.addresses import parts_of
from lotus_unlearning.datasets.data import OF_PHOTOS, Cut, Data, own_parts
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.datasets.files import held_or_streamed
from lotus_unlearning.datasets.photos import Read, as_it_is, photo_size
from lotus_unlearning.datasets.shards import Shard, open_shard, read_bytes
from lotus_unlearning.ids import some
from lotus_unlearning.images import Images, ImageTensors
from lotus_unlearning.images.names import Names


def load_webdataset(pattern: str, *, root: str | None, size: int | None, cut: Cut) -> Data:
    """Samples of an image (``.jpg``, ``.png``, ...) and a ``.cls`` with its class number.

    ``pattern`` names the shards to train on, with ranges in braces or ``*``:
    ``shards/train-{000..099}.tar``, or an address such as ``s3://bucket/train-{000..099}.tar``.
    Shards called the same but for ``test`` (else ``val``) and ``unseen`` in place of the last
    ``train`` are these parts; without test shards, 15% of each class become test images, drawn by
    ``seed``. Or ``pattern`` is a folder, with ``train/*.tar`` or ``*train*.tar`` in it.

    Images keep their keys as names, for files of ids; if a key stands in several shards of a part,
    all of its images are called ``SHARD/KEY``, after the file without ``.tar``. Official ids are
    positions in the order of the shards and in these. Images become square and of three channels as
    in an image folder. Where each image lies is found once and kept in
    ``~/.cache/lotus-unlearning``, until the shard changes. See
    :func:`lotus_unlearning.datasets.load`.

    Raises:
        ValueError: If shards are missing, cut off or compressed, or hold samples without a label
            or an image, or twice.
    """
    table, parts = _found(pattern, root)
    highest = max(int(part.labels.max()) for part in parts.values())
    classes = tuple(str(number) for number in range(highest + 1))
    parts = {part: replace(images, classes=classes) for part, images in parts.items()}
    size = photo_size(size, table.fetch(parts["train"], as_it_is))
    chosen = own_parts(f"webdataset:{pattern}", parts, classes, (3, size), cut)
    reader = Reader("webdataset", size, advice="repair or remove it")
    unread = chosen.train, chosen.unseen, chosen.test
    fetches = [table.fetch(part, reader) for part in unread]
    train, unseen, test = held_or_streamed(unread, fetches, reader.shape, OF_PHOTOS)
    return replace(chosen, train=train, unseen=unseen, test=test)


@dataclass(frozen=True, eq=False)
class _Table:
    """Where all images of all parts are.

    Attributes:
        shards: Addresses.
        places: ``[N, 3]`` int64: number of the shard, first byte, number of bytes.
    """

    shards: Sequence[str]
    places: NDArray[np.int64]

    def fetch(self, part: Images, read: Read) -> "_Fetch":
        """How to read the images of ``part``, whose pixels are positions in this table yet."""
        assert isinstance(part, ImageTensors)
        return _Fetch(self.shards, self.places[part.images.numpy()], part.names or (), read)


def _found(pattern: str, root: str | None) -> tuple[_Table, dict[str, ImageTensors]]:
    """Images by part, and where they are."""
    try:
        return _listed(parts_of(pattern, root))
    except ValueError:
        raise
    except Exception as error:  # of disks, networks, packages that are absent
        raise ValueError(
            f"webdataset: expected shards at {pattern!r}, but they cannot be read "
            f"({type(error).__name__}: {error})"
        ) from None


def _listed(shards: Mapping[str, Sequence[str]]) -> tuple[_Table, dict[str, ImageTensors]]:
    """Images by part, unread; in place of pixels stand their positions in the table."""
    opened = {part: [open_shard(address) for address in shards[part]] for part in shards}
    every = [shard for found in opened.values() for shard in found]
    which = np.repeat(np.arange(len(every)), [len(shard.keys) for shard in every])
    starts, sizes = (
        np.concatenate([getattr(s, key) for s in every]) for key in ("starts", "sizes")
    )
    parts, first = {}, 0
    for part, found in opened.items():
        names = _names(found, shards[part])
        if not len(names):
            raise ValueError(f"webdataset: expected samples in {some([*shards[part]])}, found none")
        labels = torch.from_numpy(np.concatenate([shard.labels for shard in found]))
        positions = torch.arange(first, first + len(names))
        parts[part] = ImageTensors(positions, labels, names=names)
        first += len(names)
    addresses = [address for part in opened for address in shards[part]]
    return _Table(addresses, np.stack([which, starts, sizes], axis=1)), parts


def _names(found: Sequence[Shard], addresses: Sequence[str]) -> Names:
    """Keys; or shard and key, if a key stands in more than one of the shards."""
    keys = Names(key for shard in found for key in shard.keys)
    if not _repeat(keys):
        return keys
    stems = [address.rpartition("/")[2].removesuffix(".tar") for address in addresses]
    both = zip(stems, found, strict=True)
    names = Names(f"{stem}/{key}" for stem, shard in both for key in shard.keys)
    if _repeat(names):
        raise ValueError(
            "webdataset: expected shards with names of their own, as some of their keys are the "
            f"same, got {some([s for s in dict.fromkeys(stems) if stems.count(s) > 1])} more than "
            "once; rename these shards"
        )
    return names


def _repeat(names: Names) -> bool:
    """Whether a name is there twice; found by hashes, as a set of all takes 100 bytes for each."""
    hashes = np.sort(np.fromiter(map(hash, names), np.int64, len(names)))
    for same in np.unique(hashes[1:][hashes[1:] == hashes[:-1]]):
        found = [name for name in names if hash(name) == same]
        if len({*found}) < len(found):
            return True
    return False


@dataclass(frozen=True, eq=False)
class _Fetch:
    shards: Sequence[str]
    places: NDArray[np.int64]
    names: Sequence[str]
    read: Read

    def __call__(self, position: int) -> Tensor:
        shard, start, size = self.places[position].tolist()
        address = self.shards[shard]
        content = read_bytes(address, start, size)
        return self.read(BytesIO(content), f"{self.names[position]!r} of {address}")
