"""CIFAR-10 and CIFAR-100, read and where needed downloaded by torchvision."""

from pathlib import Path
from typing import Any

import torch

from lotus_unlearning.datasets.data import Data, Preprocess, assemble
from lotus_unlearning.images import ImageTensors

_CACHE = Path.home() / ".cache" / "lotus-unlearning"


def load_cifar10(
    *,
    root: str | None = None,
    seed: int = 0,
    limit: int | None = None,
    unseen_share: float | None = None,
    size: int | None = None,
) -> Data:
    """50,000 training and 10,000 test photos; see :func:`lotus_unlearning.datasets.load`."""
    preprocess = Preprocess((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), size)
    parts = _read("CIFAR10", "cifar-10", root, preprocess)
    return _assemble("cifar-10", parts, size, unseen_share, limit, seed)


def load_cifar100(
    *,
    root: str | None = None,
    seed: int = 0,
    limit: int | None = None,
    unseen_share: float | None = None,
    size: int | None = None,
) -> Data:
    """50,000 training and 10,000 test photos; see :func:`lotus_unlearning.datasets.load`."""
    preprocess = Preprocess((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), size)
    parts = _read("CIFAR100", "cifar-100", root, preprocess)
    return _assemble("cifar-100", parts, size, unseen_share, limit, seed)


def _assemble(
    name: str,
    parts: list[ImageTensors],
    size: int | None,
    unseen_share: float | None,
    limit: int | None,
    seed: int,
) -> Data:
    train, test = parts
    return assemble(
        name,
        train,
        test,
        train.classes or (),
        (3, size or 32),
        unseen_share=unseen_share,
        limit=limit,
        seed=seed,
    )


def _read(kind: str, name: str, root: str | None, preprocess: Preprocess) -> list[ImageTensors]:
    from torchvision import datasets

    place = str(root or _CACHE)
    reader = getattr(datasets, kind)
    try:
        try:
            parts = [reader(place, train=train) for train in (True, False)]
        except RuntimeError:  # not there, or damaged: torchvision checks hashes
            parts = [reader(place, train=train, download=True) for train in (True, False)]
    except Exception as error:  # urllib, ssl and torchvision raise many kinds
        raise ValueError(
            f"{name}: expected torchvision's files in {place} (choose with --root), and the "
            f"download failed: {error}"
        ) from None
    return [_tensors(part, preprocess) for part in parts]


def _tensors(part: Any, preprocess: Preprocess) -> ImageTensors:
    pixels = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return ImageTensors(
        pixels, torch.as_tensor(part.targets), preprocess, classes=tuple(part.classes)
    )
