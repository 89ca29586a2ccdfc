"""MUFAC: faces of Korean families, by age, with the person on each photo.

Source: Choi and Na, 2023, Towards Machine Unlearning Benchmarks: Forgetting the Personal
Identities in Facial Recognition Systems, arXiv 2311.02240; the photos are from AI Hub.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch

from lotus_unlearning.datasets.data import Cut, Data, Preprocess, assemble
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.datasets.files import folder_with, images_in, listed, missing, opened
from lotus_unlearning.datasets.tables import rows_of
from lotus_unlearning.files.kinds import require
from lotus_unlearning.files.plain import from_json
from lotus_unlearning.ids import some

TABLES = {part: f"custom_{part}_dataset.csv" for part in ("train", "val", "test")}
"""The official parts: 10,025, 1,539 and 1,504 photos."""
CLEANED = "cleaned"
"""Folder of cleaned tables beside the official ones, see ``lotus data clean-mufac``."""
FACTS = "cleaning.json"
"""In a folder of cleaned tables: where the images are, and how it was made."""

_NAME = "mufac"
_WRITTEN = "what lotus data clean-mufac wrote"
_AGAIN = "clean the tables again"
_SIZE = 128
_FOLDER = "custom_korean_family_dataset_resolution_128"
_COLUMNS = ("family_id", "person_id", "age_class", "image_path")
_AGES = {
    "a": "0-6 years old",
    "b": "7-12 years old",
    "c": "13-19 years old",
    "d": "20-30 years old",
    "e": "31-45 years old",
    "f": "46-55 years old",
    "g": "56-66 years old",
    "h": "67-80 years old",
}
_FORGET_ROWS = {10_025: 1_500, 6_575: 1_062}
"""Rows of a training table -> how many of the first are to be forgotten.

The official table, and the one that the authors of LoTUS cleaned.
"""
_GET = (
    f"{_FOLDER}.zip (13,068 photos of 128 x 128 pixels; its weight is not published) by the link "
    "in the README of the repository ndb796/MachineUnlearning on GitHub"
)
_LAYOUT = "\n".join(
    [f"{_FOLDER}/{table}" for table in TABLES.values()]
    + [f"{_FOLDER}/{part}_images/*.jpg" for part in TABLES]
)


@dataclass(frozen=True)
class Photo:
    """A row of a table.

    Attributes:
        part: ``"forget"``, ``"retain"`` (both from the training table), ``"val"`` or ``"test"``.
        name: Path of the image relative to the folder of the data set.
        person: Family and role, such as ``"F0001_GM"``; in cleaned tables one for all families
            in which the same photos of a person appear.
        fields: The row as it is written.
    """

    part: str
    name: str
    person: str
    fields: Mapping[str, str]

    @property
    def label(self) -> int:
        """Index of the age."""
        return list(_AGES).index(self.fields["age_class"])


def load_mufac(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """10,025 training, 1,539 unseen and 1,504 test photos in 8 classes of age.

    As in the code of LoTUS, ``custom_val`` (families 801-850) is unseen and ``custom_test``
    (851-900) the test set; Choi and Na name them the other way round. ``unseen_share`` has no
    meaning here. Pixels are scaled to [0, 1] and not normalised, as in both.

    The published tables hold many photos several times, also across parts. Where a folder
    ``cleaned`` made by ``lotus data clean-mufac`` stands beside them, or ``root`` is such a
    folder, its tables are used; ``source`` tells. ``groups`` numbers persons; ``forget`` is the
    authors' choice, the first 1,500 rows of the training table (of those that are left in a
    cleaned one). Names are paths such as ``train_images/F0001_AGE_D_18_a1.jpg``, official ids
    are rows of the training table that is used, from 0. See :func:`lotus_unlearning.datasets.load`.

    Raises:
        ValueError: If pieces are missing, all of them in one message, or a file is no image.
    """
    tables, images, source = find(root)
    photos = read_photos(tables, images)
    train = [photo for photo in photos if photo.part in ("forget", "retain")]
    parts = [train] + [[p for p in photos if p.part == part] for part in ("val", "test")]
    classes = tuple(_AGES.values())
    lists = [listed([(p.name, p.label) for p in part], classes) for part in parts]
    chosen = assemble(_NAME, lists[0], lists[2], classes, (3, size or _SIZE), cut, lists[1])
    row = {photo.name: i for i, photo in enumerate(train)}
    kept = [row[name] for name in chosen.train.names or ()]
    persons = np.unique([photo.person for photo in train])
    forget = [i for i in kept if train[i].part == "forget"]
    preprocess = Preprocess((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), size)
    return replace(
        opened(chosen, images, Reader(_NAME, _SIZE), preprocess),
        groups=torch.from_numpy(np.searchsorted(persons, [train[i].person for i in kept])),
        forget=torch.tensor(forget) if forget else None,
        source=source,
    )


def find(root: str | None, *, cleaned: bool = True) -> tuple[Path, Path, str]:
    """Folder of the tables, folder of the images, and what was found in words.

    Args:
        root: The folder of the data set, one that holds it, or one of cleaned tables.
        cleaned: Prefer cleaned tables to the official ones.

    Raises:
        ValueError: If official tables are asked for and ``root`` holds cleaned ones.
    """
    folder = folder_with(root, [_FOLDER], [*TABLES.values(), *(f"{p}_images" for p in TABLES)])
    if not cleaned:
        if (folder / FACTS).is_file():
            raise ValueError(f"{_NAME}: expected the official tables, got cleaned ones in {folder}")
        return folder, folder, f"tables in {folder}"
    tables = folder if (folder / FACTS).is_file() else folder / CLEANED
    if not (tables / FACTS).is_file():
        return folder, folder, f"tables in {folder} (the official ones hold copies across parts)"
    facts = _facts(tables / FACTS)
    images = tables / facts["images"]
    return tables, images, f"tables cleaned at distance {facts['distance']} in {tables}"


class _Facts(TypedDict):
    """Of cleaned tables: where the images are, and at which distance copies were found."""

    images: str
    distance: int


def _facts(path: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = from_json(path)
    except ValueError as error:
        raise ValueError(
            f"{_NAME}: expected in {path} {_WRITTEN}, got something else ({error}); {_AGAIN}"
        ) from None
    require(path, found, _Facts, _WRITTEN, _AGAIN)
    return found


def read_photos(tables: Path, images: Path) -> list[Photo]:
    """All rows of the three tables: training, validation, test.

    Args:
        tables: Folder of the tables.
        images: Folder of the folders of images.

    Raises:
        ValueError: If a table, a column or an image is missing, or an age is unknown.
    """
    photos: list[Photo] = []
    problems: list[str] = []
    for part, table in TABLES.items():
        rows = _rows(tables / table, problems)
        folder = images / f"{part}_images"
        there = set(images_in(folder))
        absent = [row["image_path"] for row in rows if row["image_path"] not in there]
        if not folder.is_dir():
            problems.append(f"{folder.name}: absent")
        elif absent:
            problems.append(f"{folder.name}: absent are {some(absent)}")
        photos += _photos(part, rows)
    if problems:
        raise missing(_NAME, tables, problems, _GET, _LAYOUT)
    return photos


def _rows(path: Path, problems: list[str]) -> list[dict[str, str]]:
    rows = rows_of(path, _COLUMNS, problems)
    ages = {row["age_class"] for row in rows} - _AGES.keys()
    if ages:
        problems.append(f"{path.name}: age_class other than {', '.join(_AGES)}: {some([*ages])}")
        return []
    return rows


def _photos(table: str, rows: Sequence[Mapping[str, str]]) -> list[Photo]:
    first = _FORGET_ROWS.get(len(rows), 0)
    photos = []
    for i, row in enumerate(rows):
        part = table if table != "train" else "forget" if i < first else "retain"
        person = row.get("identity") or f"{row['family_id']}_{row['person_id']}"
        name = f"{table}_images/{row['image_path']}"
        photos.append(Photo(row.get("part") or part, name, person, row))
    return photos
