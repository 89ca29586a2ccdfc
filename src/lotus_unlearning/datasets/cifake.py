"""CIFAKE: CIFAR-10 with synthetic images of its classes as images that were never trained on.

Source: Bird and Lotfi, 2024, CIFAKE: Image Classification and Explainable Identification of
AI-Generated Synthetic Images, IEEE Access 12, arXiv 2303.14126.
"""

import re
from pathlib import Path

from lotus_unlearning.datasets.cifar import read_cifar
from lotus_unlearning.datasets.data import OWN_UNSEEN, Cut, Data, assemble, forbid_unseen_from_test
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.datasets.files import (
    AbsentDataError,
    File,
    NotDownloadedError,
    folder_with,
    images_in,
    listed,
    missing,
    read,
)
from lotus_unlearning.ids import some

_NAME = "cifake"
_FAKE = "test/FAKE"
_FOLDERS = ["cifake", "CIFAKE", "cifake-real-and-ai-generated-synthetic-images"]
_GET = "Kaggle's data set birdy654/cifake-real-and-ai-generated-synthetic-images (105 MB)"
_LAYOUT = """\
test/FAKE/*.jpg               (in the folder given by --root, or in its folder cifake)
cifar-10-batches-py/...       (CIFAR-10, in the folder given by --root)"""
_FILE = re.compile(r"\d+(?: \((\d+)\))?\.\w+")


def load_cifake(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """CIFAR-10's training and test photos; unseen are CIFAKE's 10,000 synthetic test images.

    The LoTUS paper calibrates by these where no real unseen images are left. ``unseen_share``
    has no meaning here: no training photo is set aside. Class of a synthetic image is the number
    in its file's name: ``7 (3).jpg`` shows the third class, ``7.jpg`` the first. See
    :func:`lotus_unlearning.datasets.load`.

    Raises:
        ValueError: If one of the two data sets or both are absent; the message says which.
    """
    forbid_unseen_from_test(cut, _NAME, OWN_UNSEEN)  # before anything is downloaded
    folder = folder_with(root, _FOLDERS, [_FAKE])
    problems: list[str] = []
    files = _synthetic(folder, problems)
    absent = missing(_NAME, folder, problems, _GET, _LAYOUT) if problems else None
    try:
        train, test = read_cifar("cifar-10", root, size, download=absent is None)
    except NotDownloadedError:
        raise
    except AbsentDataError as error:
        raise AbsentDataError(f"{absent}\n{error}" if absent else f"{_NAME}: {error}") from None
    if absent is not None:
        raise absent
    classes = train.classes or ()
    assert train.preprocess is not None
    unseen = read([listed(files, classes)], folder, Reader(_NAME, 32), train.preprocess)[0]
    return assemble(_NAME, train, test, classes, (3, size or 32), cut, unseen)


def _synthetic(folder: Path, problems: list[str]) -> list[File]:
    names = images_in(folder / _FAKE)
    labels = {name: _label(name) for name in names}
    odd = [name for name, label in labels.items() if label is None]
    if not names:
        problems.append(f"{_FAKE}: no images")
    if odd:
        problems.append(f"{_FAKE}: names other than N.jpg, N (2).jpg ... N (10).jpg: {some(odd)}")
    return [(f"{_FAKE}/{name}", label) for name, label in labels.items() if label is not None]


def _label(name: str) -> int | None:
    """Index of the class in CIFAR-10; nothing where the name is of another form."""
    match = _FILE.fullmatch(name)
    if match is None:
        return None
    number = int(match[1]) if match[1] else 1
    return number - 1 if 2 <= number <= 10 or match[1] is None else None
