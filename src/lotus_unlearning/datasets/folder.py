"""A folder of images in folders of classes, as torchvision's ``ImageFolder`` reads it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lotus_unlearning.datasets.data import Data, Preprocess, assemble, carve
from lotus_unlearning.images import MEMORY_SHARE, Images, ImageTensors, StreamedImages, memory_bytes

_IMAGENET = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_DEFAULT_SIZE = 224
_TEST_SHARE = 0.15


def load_folder(
    path: str,
    *,
    root: str | None = None,
    seed: int = 0,
    limit: int | None = None,
    unseen_share: float | None = None,
    size: int | None = None,
) -> Data:
    """``path/train``, ``path/test`` and if there is one ``path/unseen``; or ``path`` alone.

    Without a ``test`` folder, 15% of each class become test images, drawn by ``seed``. Images
    keep their paths relative to the folder that is trained on as names, for files of ids. See
    :func:`lotus_unlearning.datasets.load`.
    """
    folder = Path(root or ".") / path
    if not folder.is_dir():
        raise ValueError(f"imagefolder: expected a folder of images, found none at {str(folder)!r}")
    size = size or _DEFAULT_SIZE
    parts = {p: folder / p for p in ("train", "unseen", "test") if (folder / p).is_dir()}
    if "train" in parts:
        read = {name: _read(place, size) for name, place in parts.items()}
    else:
        read = {"train": _read(folder, size)}
    classes = read["train"].classes or ()
    for name, images in read.items():
        if images.classes != classes:
            raise ValueError(
                f"imagefolder: expected the same classes in train and {name}, got "
                f"{list(classes)[:5]} and {list(images.classes or ())[:5]}"
            )
    train, test = read["train"], read.get("test")
    if test is None:
        train, test = carve(train, _TEST_SHARE, seed)
    return assemble(
        f"imagefolder:{path}",
        train,
        test,
        classes,
        (3, size),
        unseen=read.get("unseen"),
        unseen_share=unseen_share,
        limit=limit,
        seed=seed,
    )


def _read(folder: Path, size: int) -> Images:
    from torchvision.datasets import ImageFolder

    try:
        files = ImageFolder(str(folder), loader=_Loader(size))
    except FileNotFoundError as error:
        raise ValueError(
            f"imagefolder: expected a folder per class, with images in it, in {folder}: {error}"
        ) from None
    labels = torch.as_tensor(files.targets)
    names = tuple(Path(p).relative_to(folder).as_posix() for p, _ in files.samples)
    classes = tuple(files.classes)
    if 3 * size * size * len(files) > MEMORY_SHARE * memory_bytes():
        return StreamedImages(_Normalised(files), labels, False, names, classes, workers=2)
    pixels = torch.stack([image for image, _ in files])
    return ImageTensors(pixels, labels, _IMAGENET, names, classes)


class _Loader:
    """Reads one image, in colour, resized on its shorter side and cut to a square."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, path: str) -> torch.Tensor:
        from PIL import Image
        from torchvision.transforms.v2 import functional as F

        try:
            with Image.open(path) as image:
                square = F.center_crop(F.resize(image.convert("RGB"), [self.size]), [self.size])
        except OSError as error:
            raise ValueError(
                f"imagefolder: expected an image in {path}, but it cannot be read ({error}); "
                "repair or remove it"
            ) from None
        return torch.from_numpy(np.array(square)).permute(2, 0, 1)


class _Normalised(torch.utils.data.Dataset[Any]):
    """For streaming: what :class:`ImageTensors` does per batch, done per image."""

    def __init__(self, files: Any) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        image, label = self.files[position]
        return _IMAGENET(image[None])[0], label
