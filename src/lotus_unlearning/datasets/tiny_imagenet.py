"""Tiny-ImageNet: 200 classes of ImageNet at 64 x 64 pixels, from its unpacked zip.

Source: Stanford's course CS231n (Le and Yang, 2015, Tiny ImageNet visual recognition challenge).
"""

from collections import Counter
from pathlib import Path

from lotus_unlearning.datasets.data import Cut, Data, Preprocess, assemble
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.datasets.files import (
    File,
    class_names,
    folder_with,
    images_in,
    listed,
    missing,
    opened,
)
from lotus_unlearning.datasets.tables import is_inside, lines_of
from lotus_unlearning.ids import some

_NAME = "tiny-imagenet"
_SIZE = 64
_MEAN, _STD = (0.4803, 0.4481, 0.3976), (0.2764, 0.2689, 0.2816)  # as in the code behind LoTUS
_GET = "tiny-imagenet-200.zip (248 MB, 237 MiB) from Stanford's course CS231n"
_LAYOUT = """\
tiny-imagenet-200/wnids.txt
tiny-imagenet-200/words.txt
tiny-imagenet-200/train/WNID/images/*.JPEG
tiny-imagenet-200/val/val_annotations.txt
tiny-imagenet-200/val/images/*.JPEG     (or sorted: val/WNID/*.JPEG, val/WNID/images/*.JPEG)"""


def load_tiny_imagenet(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """100,000 training photos; the 10,000 official validation photos are the test set.

    Classes stand in the order of ``wnids.txt``, images in the order of their file names, however
    ``val`` is laid out. Images keep their paths relative to ``tiny-imagenet-200`` as names, for
    files of ids. See :func:`lotus_unlearning.datasets.load`.

    Raises:
        ValueError: If pieces are missing, all of them in one message, or a file is no image.
    """
    folder = folder_with(root, ["tiny-imagenet-200"], ["wnids.txt", "words.txt", "train", "val"])
    problems: list[str] = []
    lines = lines_of(folder / "words.txt", problems)
    words = {wnid: name for wnid, tab, name in (line.partition("\t") for line in lines) if tab}
    wnids = _wnids(folder / "wnids.txt", problems)
    unknown = [wnid for wnid in wnids if wnid not in words] if words else []
    if unknown or (lines and not words):
        problems.append(f"words.txt: no names of {some(unknown or wnids)}")
    train = _train(folder, wnids, problems)
    test = _val(folder, wnids, problems)
    if problems:
        raise missing(_NAME, folder, problems, _GET, _LAYOUT)
    classes = class_names(wnids, words)
    parts = listed(train, classes), listed(test, classes)
    chosen = assemble(_NAME, *parts, classes, (3, size or _SIZE), cut)
    return opened(chosen, folder, Reader(_NAME, _SIZE), Preprocess(_MEAN, _STD, size))


def _wnids(path: Path, problems: list[str]) -> list[str]:
    wnids = lines_of(path, problems)
    odd = [wnid for wnid, times in Counter(wnids).items() if times > 1 or not is_inside(wnid)]
    if odd:
        problems.append(f"{path.name}: no class, or one twice, in {some(odd)}")
    return [] if odd else wnids


def _train(folder: Path, wnids: list[str], problems: list[str]) -> list[File]:
    files: list[File] = []
    empty: list[str] = []
    for label, wnid in enumerate(wnids):
        names = images_in(folder / "train" / wnid / "images")
        files += [(f"train/{wnid}/images/{name}", label) for name in names]
        empty += [] if names else [wnid]
    if empty or not wnids:
        problems.append(f"train/WNID/images: no images for {some(empty) or 'any class'}")
    return files


def _val(folder: Path, wnids: list[str], problems: list[str]) -> list[File]:
    """Validation images by file name: the same order, sorted into classes or not."""
    val = folder / "val"
    official = images_in(val / "images")
    files = _annotated(val, official, wnids, problems) if official else _sorted(val, wnids)
    if not files and not official:
        problems.append("val/images, val/WNID: no images")
    return sorted(files, key=lambda file: Path(file[0]).name)


def _annotated(val: Path, names: list[str], wnids: list[str], problems: list[str]) -> list[File]:
    """``val/images`` with ``val_annotations.txt``: file, WNID and a box, between tabs."""
    path = val / "val_annotations.txt"
    lines = [line.split("\t") for line in lines_of(path, problems)]
    labels = {cells[0]: cells[1] for cells in lines if len(cells) > 1}
    lacking = [name for name in names if labels.get(name) not in wnids] if path.is_file() else []
    absent = sorted(labels.keys() - set(names))
    if lacking:
        problems.append(f"val_annotations.txt: no known class for {some(lacking)}")
    if absent:
        problems.append(f"val/images: absent are {some(absent)}")
    if problems:
        return []
    index = {wnid: label for label, wnid in enumerate(wnids)}
    return [(f"val/images/{name}", index[labels[name]]) for name in names]


def _sorted(val: Path, wnids: list[str]) -> list[File]:
    files: list[File] = []
    for label, wnid in enumerate(wnids):
        for inner in (wnid, f"{wnid}/images"):
            files += [(f"val/{inner}/{name}", label) for name in images_in(val / inner)]
    return files
