"""CIFAR-10 and CIFAR-100, read and where needed downloaded by torchvision."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lotus_unlearning.datasets.data import Cut, Data, Preprocess, assemble
from lotus_unlearning.datasets.files import CACHE, NotDownloadedError, missing, require_download
from lotus_unlearning.images import ImageTensors


@dataclass(frozen=True)
class _Cifar:
    """What the two data sets differ in; sizes are those of the downloads."""

    reader: str
    layout: str
    get: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_PAGE = "from Alex Krizhevsky's page at the University of Toronto"
_CIFAR = {
    "cifar-10": _Cifar(
        reader="CIFAR10",
        layout="cifar-10-batches-py/{batches.meta, data_batch_1 ... data_batch_5, test_batch}",
        get=f"cifar-10-python.tar.gz (170 MB) {_PAGE}",
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
    ),
    "cifar-100": _Cifar(
        reader="CIFAR100",
        layout="cifar-100-python/{meta, train, test}",
        get=f"cifar-100-python.tar.gz (169 MB) {_PAGE}",
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
    ),
}


def load_cifar10(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """50,000 training and 10,000 test photos; see :func:`lotus_unlearning.datasets.load`."""
    return _load("cifar-10", root, size, cut)


def load_cifar100(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """50,000 training and 10,000 test photos; see :func:`lotus_unlearning.datasets.load`."""
    return _load("cifar-100", root, size, cut)


def read_cifar(
    name: str, root: str | None, size: int | None, *, download: bool = True
) -> list[ImageTensors]:
    """The official training and test images.

    Args:
        name: ``"cifar-10"`` or ``"cifar-100"``.
        root: Folder that holds torchvision's folder; default: the cache.
        size: Height and width of the model's input in pixels.
        download: Fetch what is absent.

    Raises:
        ValueError: If the files are absent or damaged and cannot be downloaded, or not now.
    """
    from torchvision import datasets

    kind, place = _CIFAR[name], Path(root or CACHE)
    reader = getattr(datasets, kind.reader)
    try:
        try:
            parts = [reader(str(place), train=train) for train in (True, False)]
        except RuntimeError:  # not there, or damaged: torchvision checks hashes
            if not download:
                raise
            require_download(name, kind.get, place)
            parts = [reader(str(place), train=train, download=True) for train in (True, False)]
    except NotDownloadedError:
        raise
    except Exception as error:  # urllib, ssl and torchvision raise many kinds
        what = f"the download failed: {error}" if download else "nothing was downloaded"
        absent = f"{kind.layout.partition('/')[0]}: absent or damaged, and {what}"
        raise missing(name, place, [absent], kind.get, kind.layout) from None
    preprocess = Preprocess(kind.mean, kind.std, size)
    return [_tensors(part, preprocess) for part in parts]


def _load(name: str, root: str | None, size: int | None, cut: Cut) -> Data:
    train, test = read_cifar(name, root, size)
    return assemble(name, train, test, train.classes or (), (3, size or 32), cut)


def _tensors(part: Any, preprocess: Preprocess) -> ImageTensors:
    pixels = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return ImageTensors(
        pixels, torch.as_tensor(part.targets), preprocess, classes=tuple(part.classes)
    )
