"""ImageNet-1k: from torchvision's layout, Kaggle's, or plain folders of classes.

Source: Russakovsky et al., 2015, ImageNet Large Scale Visual Recognition Challenge, IJCV 115.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from lotus_unlearning.datasets.data import (
    Cut,
    Data,
    Preprocess,
    carve,
    forbid_unseen_from_test,
    numbered,
    take,
)
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.datasets.files import (
    CACHE,
    File,
    class_names,
    images_in,
    listed,
    missing,
    opened,
)
from lotus_unlearning.datasets.tables import is_inside, lines_of, rows_of
from lotus_unlearning.ids import some

_NAME = "imagenet1k"
_SIZE = 224
_PREPROCESS = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_UNSEEN_SHARE = 0.5
_KAGGLE = "ILSVRC/Data/CLS-LOC"
_WORDS, _SOLUTION = "LOC_synset_mapping.txt", "LOC_val_solution.csv"
_DEVKIT, _TRAIN_TAR, _VAL_TAR = (
    "ILSVRC2012_devkit_t12.tar.gz",
    "ILSVRC2012_img_train.tar",
    "ILSVRC2012_img_val.tar",
)
_GET = (
    "ImageNet's 2012 files from image-net.org, with an account (training images 148 GB, validation "
    "images 6.7 GB, devkit 2.5 MB), or Kaggle's imagenet-object-localization-challenge (about "
    "160 GB)"
)
_LAYOUT = f"""\
(1) torchvision's, which unpacks the archives at the first use (as much space again):
    {_DEVKIT}, {_TRAIN_TAR}, {_VAL_TAR}
(2) Kaggle's:
    {_KAGGLE}/train/WNID/*.JPEG, {_KAGGLE}/val/*.JPEG, {_WORDS}, {_SOLUTION}
(3) plain folders: train/WNID/*.JPEG, val/WNID/*.JPEG, and for names of classes {_WORDS}"""


@dataclass(frozen=True)
class _Index:
    """All files, none of them opened."""

    train: list[File]
    val: list[File]
    classes: tuple[str, ...]


def load_imagenet1k(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """Official training photos to train; official validation photos, halved, unseen and test.

    A pre-trained model has seen all official training images, so none of these can be unseen:
    ``unseen_share`` (default 0.5) is of each class of the 50,000 validation photos, the others
    are test images. ``limit`` draws equally many training images of each class: 50,000 gives the
    LoTUS paper's limited data access, 50 of each class. Unseen images stay whole. Only chosen
    files are opened. The shorter side becomes 8/7 of ``size`` (256 for the default of 224), then
    the centre is cut. Names are paths relative to ``root``. See
    :func:`lotus_unlearning.datasets.load`.

    Raises:
        ValueError: If no layout is complete; the message lists what each lacks.
    """
    forbid_unseen_from_test(cut, _NAME, "always takes unseen images from its validation part")
    folder = Path(root) if root else CACHE
    index, source = _index(folder)
    size = size or _SIZE
    share = _UNSEEN_SHARE if cut.unseen_share is None else cut.unseen_share
    test, unseen = carve(listed(index.val, index.classes), share, cut.seed)
    train = numbered(listed(index.train, index.classes))
    if cut.limit is not None:
        train = take(train, balanced(train.labels, cut.limit, cut.seed))
    reader = Reader(_NAME, size, shorter=round(size * 256 / 224))
    chosen = Data(train, unseen, test, index.classes, _NAME, 3, size, source=source)
    return opened(chosen, folder, reader, _PREPROCESS)


def balanced(labels: Tensor, limit: int, seed: int) -> np.ndarray:
    """Positions of ``limit`` images, equally many of each class while these last, drawn by seed.

    Args:
        labels: ``[N]``.
        limit: How many; all where there are no more.
        seed: Of the draw.

    Returns:
        Sorted positions ``[M]`` int64.

    >>> import torch
    >>> balanced(torch.tensor([0, 0, 0, 0, 1, 1, 2, 2]), 6, seed=0).tolist()
    [2, 3, 4, 5, 6, 7]
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    drawn = labels.numpy()[shuffled]
    by_class = np.argsort(drawn, kind="stable")
    turn = np.empty_like(by_class)  # how many images of the class were drawn before this one
    turn[by_class] = np.arange(len(drawn)) - np.searchsorted(drawn[by_class], drawn[by_class])
    return np.sort(shuffled[np.argsort(turn, kind="stable")[:limit]]).astype(np.int64)


def _index(folder: Path) -> tuple[_Index, str]:
    """The first layout that is complete, and its name."""
    layouts: dict[str, tuple[Callable[[Path], list[str]], Callable[[Path], _Index]]] = {
        "torchvision's layout": (_lacks_official, _official),
        "Kaggle's layout": (_lacks_kaggle, _kaggle),
        "plain folders": (_lacks_plain, _plain),
    }
    problems = []
    for source, (lacks, read) in layouts.items():
        pieces = lacks(folder)
        if not pieces:
            return read(folder), source
        problems.append(f"for {source} absent are {', '.join(pieces)}")
    raise missing(_NAME, folder, problems, _GET, _LAYOUT)


def _lacks_official(folder: Path) -> list[str]:
    either = {"meta.bin": _DEVKIT, "train": _TRAIN_TAR, "val": _VAL_TAR}
    return [
        f"{made} or {archive}"
        for made, archive in either.items()
        if not (folder / made).exists() and not (folder / archive).exists()
    ]


def _lacks_kaggle(folder: Path) -> list[str]:
    pieces = [f"{_KAGGLE}/train", f"{_KAGGLE}/val", _WORDS, _SOLUTION]
    return [piece for piece in pieces if not (folder / piece).exists()]


def _lacks_plain(folder: Path) -> list[str]:
    return [f"{part}/WNID" for part in ("train", "val") if not _wnids(folder / part)]


def _official(folder: Path) -> _Index:
    from torchvision.datasets import ImageNet

    try:
        train, val = (ImageNet(str(folder), split) for split in ("train", "val"))
    except (RuntimeError, OSError) as error:  # a damaged archive, an empty folder
        raise missing(_NAME, folder, [f"torchvision: {error}"], _GET, _LAYOUT) from None
    if train.wnids != val.wnids:
        raise missing(_NAME, folder, ["train, val: other classes in each"], _GET, _LAYOUT)
    words = {w: ", ".join(names) for w, names in zip(train.wnids, train.classes, strict=True)}
    files = [
        [(Path(path).relative_to(folder).as_posix(), label) for path, label in part.samples]
        for part in (train, val)
    ]
    return _Index(files[0], files[1], class_names(train.wnids, words))


def _kaggle(folder: Path) -> _Index:
    problems: list[str] = []
    words = _words(folder / _WORDS, problems)
    wnids = sorted(words)
    train = _sorted(folder, f"{_KAGGLE}/train", wnids)
    rows = rows_of(folder / _SOLUTION, ("ImageId", "PredictionString"), problems)
    labels = {row["ImageId"]: row["PredictionString"].partition(" ")[0] for row in rows}
    names = images_in(folder / _KAGGLE / "val")
    lacking = [name for name in names if labels.get(Path(name).stem) not in words]
    if lacking:
        problems.append(f"{_SOLUTION}: no known class for {some(lacking)}")
    empty = [wnid for wnid in wnids if not (folder / _KAGGLE / "train" / wnid).is_dir()]
    if not names:
        problems.append(f"{_KAGGLE}/val: no images")
    if empty:
        problems.append(f"{_KAGGLE}/train: no folders of {some(empty)}")
    if problems:
        raise missing(_NAME, folder, problems, _GET, _LAYOUT)
    number = {wnid: label for label, wnid in enumerate(wnids)}
    val = [(f"{_KAGGLE}/val/{name}", number[labels[Path(name).stem]]) for name in names]
    return _Index(train, val, class_names(wnids, words))


def _plain(folder: Path) -> _Index:
    train, val = _wnids(folder / "train"), _wnids(folder / "val")
    problems: list[str] = []
    known = (folder / _WORDS).exists()
    words = _words(folder / _WORDS, problems) if known else {w: w for w in train}
    if train != val:
        problems.append(f"train, val: only one has {some(sorted({*train} ^ {*val}))}")
    if not {*train} <= words.keys():
        problems.append(f"{_WORDS}: no names of {some(sorted({*train} - words.keys()))}")
    if problems:
        raise missing(_NAME, folder, problems, _GET, _LAYOUT)
    files = [_sorted(folder, part, train) for part in ("train", "val")]
    return _Index(files[0], files[1], class_names(train, words))


def _wnids(folder: Path) -> list[str]:
    """Names of the folders of classes: n and eight digits."""
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.name[:1] == "n" and p.name[1:].isdigit())


def _words(path: Path, problems: list[str]) -> dict[str, str]:
    lines = [line.partition(" ") for line in lines_of(path, problems)]
    return {wnid: words for wnid, space, words in lines if space and is_inside(wnid)}


def _sorted(folder: Path, part: str, wnids: list[str]) -> list[File]:
    return [
        (f"{part}/{wnid}/{name}", label)
        for label, wnid in enumerate(wnids)
        for name in images_in(folder / part / wnid)
    ]
