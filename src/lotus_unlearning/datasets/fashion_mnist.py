"""Fashion-MNIST, from Debian's package, a torchvision cache, or a download."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch

from lotus_unlearning.datasets.data import Cut, Data, Preprocess, assemble
from lotus_unlearning.datasets.files import CACHE, AbsentDataError, require_download
from lotus_unlearning.images import ImageTensors

_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_LONGEST = 1 << 28
"""Bytes that are read of a file: the largest has 47 million, and one of few can unpack to many."""
_MAGIC = {3: 0x803, 1: 0x801}


def load_fashion_mnist(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """60,000 training and 10,000 test images; see :func:`lotus_unlearning.datasets.load`."""
    folder = _find(root) or _download(Path(root) if root else CACHE)
    preprocess = Preprocess((0.2860,), (0.3530,), size)
    train, test = (
        ImageTensors(
            _read(folder, f"{part}-images-idx3-ubyte", 3)[:, None],
            _read(folder, f"{part}-labels-idx1-ubyte", 1).long(),
            preprocess,
            classes=_CLASSES,
        )
        for part in ("train", "t10k")
    )
    return assemble("fashion-mnist", train, test, _CLASSES, (1, size or 28), cut)


def _find(root: str | None) -> Path | None:
    """The first folder that holds the files: as Debian or torchvision lays them out."""
    places = [Path(root)] if root else [_DEBIAN, CACHE]
    folders = [f for place in places for f in (place, place / "FashionMNIST" / "raw")]
    return next((f for f in folders if _file(f, "train-images-idx3-ubyte")), None)


def _file(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _download(root: Path) -> Path:
    from torchvision.datasets import FashionMNIST

    require_download("fashion-mnist", "torchvision's four files (30 MB)", root)
    try:
        FashionMNIST(str(root), download=True)
    except Exception as error:  # urllib, ssl and torchvision raise many kinds
        raise AbsentDataError(
            "fashion-mnist: expected the images in one of three places: (1) Debian's package "
            f"(apt-get install dataset-fashion-mnist, read from {_DEBIAN}), (2) the four idx "
            f"files or a torchvision folder FashionMNIST/raw, given by --root (now {root}), "
            f"(3) torchvision's download, which failed: {error}"
        ) from None
    return root / "FashionMNIST" / "raw"


def _read(folder: Path, name: str, dimensions: int) -> torch.Tensor:
    """An idx file: magic number, sizes as big-endian integers, bytes."""
    path = _file(folder, name)
    if path is None:
        raise ValueError(f"fashion-mnist: expected {name} or {name}.gz in {folder}, found neither")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_LONGEST)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"fashion-mnist: {path} is damaged ({error}); fetch it again") from None
    header = np.frombuffer(data, ">u4", count=min(1 + dimensions, len(data) // 4))
    shape = tuple(int(n) for n in header[1:])
    body = len(data) - 4 * len(header)
    if len(header) != 1 + dimensions or header[0] != _MAGIC[dimensions] or body != math.prod(shape):
        raise ValueError(
            f"fashion-mnist: expected an idx file with {dimensions} dimensions in {path}, got "
            f"other or cut-off contents of {len(data)} bytes; fetch it again"
        )
    pixels = np.frombuffer(data, np.uint8, offset=4 * len(header)).reshape(shape)
    return torch.from_numpy(pixels.copy())
