"""What is in a tar shard of WebDataset, and where: found once, so that any image can be read.

An image is a sample: members of one key (the name up to the first dot after the last slash), of
which one is the image and one, ``.cls``, its label. Names of members are only names: nothing is
unpacked, and no path is made of them.
"""

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lotus_unlearning.datasets.files import CACHE
from lotus_unlearning.ids import some
from lotus_unlearning.images.names import Names

IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "bmp", "ppm", "pgm"})
"""Endings of images."""

LARGEST_LABEL = 999_999
"""A class for each label up to the largest is made; a broken label is not to make a billion."""

_FOLDER = "webdataset"
_VERSION = 2
_LONGEST_LABEL = 32
_CHANGES = (
    *("mtime", "modify", "updated", "LastModified", "last_modified", "Last-Modified"),
    *("ETag", "etag", "Content-MD5", "Digest", "blob_id"),
)
"""What file systems of fsspec tell of a file that changes when the file does."""

_GET_AGAIN = "copy it again from where it is whole"


@dataclass(frozen=True, eq=False)
class Shard:
    """The images in one tar file, in their order there.

    Attributes:
        keys: Of each image, unique.
        labels: ``[N]`` int64.
        starts: ``[N]`` int64: where in the file the image begins.
        sizes: ``[N]`` int64: how many bytes it has.
    """

    keys: Names
    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]


def open_shard(address: str) -> Shard:
    """The index of the shard at ``address``: of an earlier time if it has not changed since.

    Where nothing tells whether it has, it is read at every time.

    Args:
        address: A path, or an address that fsspec knows.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no whole uncompressed tar file, or a sample in it has no label, no
            image, or is there twice; lists all such samples.
    """
    from fsspec.core import url_to_fs

    system, path = url_to_fs(address)
    version = _version(system.info(path))
    whole = address if "://" in address else path  # paths of most systems are without their host
    place = CACHE / _FOLDER / f"{blake2b(whole.encode(), digest_size=16).hexdigest()}.npz"
    known = _kept(place, version)
    if known is None:
        with system.open(path, "rb") as file:
            known = read_shard(file, address)
        if version is not None:
            with suppress(OSError):  # without it, the next time takes as long as this one
                _keep(known, place, version)
    return known


def _version(facts: Mapping[str, Any]) -> str | None:
    """What changes when the file of these ``facts`` does, ``None`` if they hold no such thing."""
    changes = {key: str(facts[key]) for key in _CHANGES if facts.get(key) is not None}
    return repr([_VERSION, facts["size"], changes]) if changes else None


def read_shard(file: BinaryIO, address: str) -> Shard:
    """Go through all members of a tar file.

    Args:
        file: Can be sought in.
        address: Where it is, for messages.

    Raises:
        ValueError: As of :func:`open_shard`.
    """
    found = _Found()
    for member in _members(file, address):
        found.add(member, file)
    problems = found.problems()
    if problems:
        raise ValueError(
            f"webdataset: expected samples of one image (.jpg, .png, ...) and one .cls with its "
            f"class number in {address}, but {'; '.join(problems)}; write the shard again without "
            "these samples, or with what they lack"
        )
    samples = found.samples.values()
    return Shard(
        Names(found.samples),
        np.array([sample["label"] for sample in samples], dtype=np.int64),
        np.array([sample["start"] for sample in samples], dtype=np.int64),
        np.array([sample["size"] for sample in samples], dtype=np.int64),
    )


@dataclass
class _Found:
    """Samples by key, and keys of samples with something wrong."""

    samples: dict[str, dict[str, int]] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def add(self, member: tarfile.TarInfo, file: BinaryIO) -> None:
        """An image or a label; other members are left alone."""
        folder, slash, name = member.name.rpartition("/")
        stem, _, ending = name.partition(".")
        kind = "image" if ending.lower() in IMAGES else ending.lower()
        if not stem or kind not in ("image", "cls") or not member.isreg() or member.issparse():
            return
        key = folder + slash + stem
        sample = self.samples.setdefault(key, {})
        if kind == "image":
            self.twice += [key] * ("start" in sample)
            sample |= {"start": member.offset_data, "size": member.size}
            return
        self.twice += [key] * ("label" in sample)
        label = _label(member, file)
        self.odd += [key] * (label is None)
        sample["label"] = -1 if label is None else label

    def problems(self) -> list[str]:
        """One for each kind of thing that is wrong."""
        facts = {
            "have no .cls": [k for k, s in self.samples.items() if "label" not in s],
            "have no image": [k for k, s in self.samples.items() if "start" not in s],
            "are there twice": list(dict.fromkeys(self.twice)),
            f"have a .cls that is no whole number 0..{LARGEST_LABEL}": self.odd,
        }
        return [f"{len(keys):,} {what}: {some(keys)}" for what, keys in facts.items() if keys]


def _label(member: tarfile.TarInfo, file: BinaryIO) -> int | None:
    """The class number in a member; ``None`` if it holds something else."""
    if member.size > _LONGEST_LABEL:
        return None
    file.seek(member.offset_data)
    text = file.read(member.size).strip()
    if not text.isdigit() or int(text) > LARGEST_LABEL:
        return None
    return int(text)


def _members(file: BinaryIO, address: str) -> Iterator[tarfile.TarInfo]:
    """All members up to the mark at the end, without which a tar file has been cut off."""
    try:
        archive: Any = tarfile.TarFile(fileobj=file)
        before = -1
        while (member := archive.next()) is not None:
            if archive.offset <= before:
                raise tarfile.ReadError("a member has a negative size")
            before = archive.offset
            archive.members.clear()  # else each is kept
            yield member
        file.seek(archive.offset)
        mark = file.read(tarfile.BLOCKSIZE)
    except Exception as error:  # tarfile raises many kinds
        raise ValueError(
            f"webdataset: expected a whole uncompressed tar file at {address}, but it cannot be "
            f"read ({error}); {_GET_AGAIN}, or unpack a .tar.gz with gunzip"
        ) from None
    if mark != bytes(tarfile.BLOCKSIZE):
        raise ValueError(
            f"webdataset: expected a whole tar file at {address}, but it is cut off or broken at "
            f"byte {archive.offset:,}; {_GET_AGAIN}"
        )


def read_bytes(address: str, start: int, size: int) -> bytes:
    """``size`` bytes from ``start`` on of the file at ``address``.

    Raises:
        ValueError: If there are fewer, as the file has changed, or more, as its server cannot
            give a part of a file.
    """
    from fsspec.core import url_to_fs

    system, path = url_to_fs(address)  # in this process: connections do not survive a fork
    found: bytes = system.cat_file(path, start=start, end=start + size)
    if len(found) != size:
        raise ValueError(
            f"webdataset: expected {size:,} bytes from byte {start:,} of {address}, got "
            f"{len(found):,}; the shard was changed meanwhile, or its server gives no parts of "
            "files: then copy the shards to a disk here"
        )
    return found


def _keep(shard: Shard, place: Path, version: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.stem}.{blake2b(version.encode()).hexdigest()[:8]}.npz")
    arrays: Mapping[str, Any] = {
        "version": np.array(version),
        "keys": np.frombuffer(shard.keys.text, dtype=np.uint8),
        "ends": np.asarray(shard.keys.ends),
        "numbers": np.stack([shard.labels, shard.starts, shard.sizes]),
    }
    np.savez(temporary, **arrays)
    temporary.replace(place)


def _kept(place: Path, version: str | None) -> Shard | None:
    """What was kept, if it is of this version of the file, and whole."""
    if version is None:
        return None
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["version"]) != version:
                return None
            keys = Names.of(kept["keys"].tobytes(), kept["ends"].tobytes())
            labels, starts, sizes = kept["numbers"]
    except Exception:  # zipfile and NumPy raise many kinds for a damaged file
        return None
    return Shard(keys, labels, starts, sizes) if len(keys) == len(labels) else None
