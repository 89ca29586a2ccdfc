"""Data sets of Hugging Face's library: of its hub by name, or a folder that it saved.

Its files are Arrow tables, mapped into memory: any row is read at random, and none is held.
"""

import logging
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lotus_unlearning.datasets.data import OF_PHOTOS, Cut, Data, own_parts
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.datasets.files import held_or_streamed, require_download
from lotus_unlearning.datasets.photos import Read, as_it_is, photo_size
from lotus_unlearning.files.plain import odd_json
from lotus_unlearning.ids import some
from lotus_unlearning.images import Images, ImageTensors

_SPLITS = {"train": ("train",), "test": ("test", "validation", "val"), "unseen": ("unseen",)}
_LABELS = ("label", "labels")
_CHOICES = (*_SPLITS, "image", "label", "config")
_CHOICE = re.compile(rf"\s*({'|'.join(_CHOICES)})=(.+?)\s*")
_BEGINS = re.compile(r":(?=\s*\w+=)")
_AND = re.compile(r",(?=\s*\w+=)")
_FORM = "hf:NAME or hf:NAME:train=SPLIT,test=SPLIT,image=COLUMN,label=COLUMN,config=CONFIG"

_Table = Any
"""A ``datasets.Dataset``, whose library is not loaded with this file."""


def load_hugging_face(name: str, *, root: str | None, size: int | None, cut: Cut) -> Data:
    """A data set of the hub, or a folder that ``save_to_disk`` wrote.

    Splits ``train``, ``test`` (else ``validation``, ``val``) and ``unseen`` are these parts; a
    data set without splits is to train on. Without test images, 15% of each class are drawn by
    ``seed``. The image is the column of the type ``Image``, the label that of the type
    ``ClassLabel``, else the one called ``label`` or ``labels``, of whole numbers. Behind a colon,
    splits and columns are named where these rules find none or others: see ``_FORM``. Of rows that
    hold paths in place of images, only those are read that stay in the folder, or in the library's
    own caches.

    Ids are rows of the split that is trained on. Images become square and of three channels as in
    an image folder. See :func:`lotus_unlearning.datasets.load`.

    Raises:
        ValueError: If the library is not installed, there is no such data set, or a split, a
            column or a label is missing, or an image is somewhere else.
    """
    place, choices = _read(name)
    folder = Path(root or ".") / place
    tables = _splits(_opened(place, choices.get("config"), folder), choices)
    columns = _columns(tables["train"], choices)
    classes, parts = _listed(tables, *columns)
    folders = _folders(folder)
    whole = (parts["train"],)
    size = photo_size(size, _fetches(tables, columns[0], whole, as_it_is, folders)[0])
    chosen = own_parts(f"hf:{name}", parts, classes, (3, size), cut)
    reader = Reader("hf", size, advice="repair or remove it")
    unread = chosen.train, chosen.unseen, chosen.test
    fetches = _fetches(tables, columns[0], unread, reader, folders)
    train, unseen, test = held_or_streamed(unread, fetches, reader.shape, OF_PHOTOS)
    return replace(chosen, train=train, unseen=unseen, test=test)


def _read(name: str) -> tuple[str, dict[str, str]]:
    """What is before the choices, and these; they begin behind the first colon before ``KEY=``.

    >>> _read("beans:test=validation,config=a:b,c")
    ('beans', {'test': 'validation', 'config': 'a:b,c'})
    """
    place, *rest = _BEGINS.split(name, maxsplit=1)
    if not rest:
        return name, {}
    pairs = [_CHOICE.fullmatch(pair) for pair in _AND.split(rest[0])]
    choices = {pair[1]: pair[2] for pair in pairs if pair is not None}
    if len(choices) < len(pairs):
        raise ValueError(f"hf: expected {_FORM}, each once, got {rest[0]!r} behind the colon")
    return place, choices


def _library(place: str) -> Any:
    try:
        from datasets import ClassLabel, load_dataset  # noqa: F401  # absent from a mere folder
    except ImportError:
        raise ValueError(
            f"hf: expected Hugging Face's package datasets, to read {place!r}; pip install "
            "'lotus-unlearning[hf]' (a folder or file called datasets in its place is none)"
        ) from None
    import datasets

    return datasets


def _opened(place: str, config: str | None, folder: Path) -> Mapping[str, _Table]:
    """Its splits, by name."""
    datasets = _library(place)
    if not folder.exists():
        where = Path(datasets.config.HF_DATASETS_CACHE)
        require_download(f"hf:{place}", "what is not there yet", where)
    try:
        with _quiet():
            if _is_saved(folder):
                found = datasets.load_from_disk(str(folder))
            else:
                found = datasets.load_dataset(str(folder) if folder.exists() else place, config)
    except Exception as error:  # of files, of the network, of the data set's own form
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if _is_saved(folder):
            raise ValueError(
                f"hf: expected the data set in {str(folder)!r} as save_to_disk wrote it, but it "
                f"is damaged ({odd_json(folder) or reason}); copy it again"
            ) from None
        offline = "; is there a network?" if isinstance(error, ConnectionError) else ""
        raise ValueError(
            f"hf: expected a data set of the hub called {place!r}, or a folder of it at "
            f"{str(folder)!r}, but it cannot be opened ({reason}){offline}"
        ) from None
    return {"train": found} if isinstance(found, datasets.Dataset) else dict(found)


def _is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote it."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


@contextmanager
def _quiet() -> Iterator[None]:
    """Within the block, the hub says nothing of what it tries again: the error says it once."""
    hub = logging.getLogger("huggingface_hub")
    before = hub.level
    hub.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        hub.setLevel(before)


def _folders(folder: Path) -> tuple[str, ...]:
    """Where files of images may be that a row names: a stranger may have written the rows."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    caches = () if _is_saved(folder) else (datasets.config.HF_DATASETS_CACHE, HF_HUB_CACHE)
    own = (folder,) if folder.exists() else ()
    return tuple(os.path.realpath(place) for place in (*own, *caches))


def _splits(found: Mapping[str, _Table], choices: Mapping[str, str]) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    for part, names in _SPLITS.items():
        wanted = (choices[part],) if part in choices else names
        name = next((name for name in wanted if name in found), None)
        if name is not None:
            tables[part] = found[name]
        elif part == "train" or part in choices:
            raise ValueError(
                f"hf: expected a split {wanted[0]!r} for {part}, got {', '.join(found)}; name "
                f"another one: {_FORM}"
            )
    return tables


def _columns(table: _Table, choices: Mapping[str, str]) -> tuple[str, str]:
    """Names of the columns of images and labels."""
    import datasets

    kinds = table.features
    labels = [name for name, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)]
    fitting = {
        "image": [name for name, kind in kinds.items() if isinstance(kind, datasets.Image)],
        "label": labels if len(labels) == 1 else [name for name in _LABELS if name in kinds],
    }
    found = {}
    for column, names in fitting.items():
        if column in choices:
            names = [choices[column]] if choices[column] in kinds else []
        if len(names) != 1:
            raise ValueError(
                f"hf: expected one column that is the {column}, got {some(names) or 'none'} of "
                f"{', '.join(kinds)}; name it: {_FORM}"
            )
        found[column] = names[0]
    if not isinstance(kinds[found["image"]], datasets.Image):
        raise ValueError(
            f"hf: expected images in the column {found['image']!r}, got {kinds[found['image']]}; "
            "cast it: dataset.cast_column(NAME, datasets.Image())"
        )
    return found["image"], found["label"]


def _listed(
    tables: Mapping[str, _Table], image: str, label: str
) -> tuple[tuple[str, ...], dict[str, ImageTensors]]:
    """Classes, and images by part, unread: positions in all tables stand where pixels will be."""
    lacking = [part for part, table in tables.items() if not {image, label} <= {*table.features}]
    if lacking:
        raise ValueError(
            f"hf: expected columns {image!r} and {label!r} in each split, but not in that of "
            f"{', '.join(lacking)}; choose splits of the same columns"
        )
    labels = {part: _labels(table, label, part) for part, table in tables.items()}
    classes = getattr(tables["train"].features[label], "names", None)
    if classes is None:
        highest = max(int(values.max()) for values in labels.values())
        classes = [str(number) for number in range(highest + 1)]
    parts, first = {}, 0
    for part, values in labels.items():
        positions = torch.arange(first, first + len(values))
        parts[part] = ImageTensors(positions, values, classes=tuple(classes))
        first += len(values)
    return tuple(classes), parts


def _labels(table: _Table, column: str, part: str) -> Tensor:
    values = table.select_columns([column]).with_format("numpy")[:][column]
    if not len(values):
        raise ValueError(f"hf: expected rows in the split of {part}, got none")
    if values.ndim != 1 or values.dtype.kind not in "iu" or values.min() < 0:
        raise ValueError(
            f"hf: expected labels 0..C-1 as whole numbers in the column {column!r} of {part}, got "
            f"{values.dtype} such as {some(values[:3].tolist())}; use another column or "
            "dataset.class_encode_column(NAME)"
        )
    return torch.from_numpy(values.astype(np.int64))


def _fetches(
    tables: Mapping[str, _Table],
    column: str,
    unread: Sequence[Images],
    read: Read,
    folders: Sequence[str],
) -> list["_Rows"]:
    """How to read each of the parts that were drawn from ``tables``."""
    import datasets

    files = datasets.Image(decode=False)  # decoded here, as the images of other data sets are
    plain = [t.select_columns([column]).cast_column(column, files) for t in tables.values()]
    firsts = np.cumsum([0, *(len(table) for table in plain)])[:-1].tolist()
    return [
        _Rows(plain, firsts, part.images, column, read, folders)
        for part in unread
        if isinstance(part, ImageTensors)
    ]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Reads the rows of one part.

    Attributes:
        tables: Of all splits.
        firsts: Number of the first row of each, counted through all of them.
        rows: ``[N]`` int64, numbers so counted.
        column: Of the image.
        read: Turns what is in a file into pixels.
        folders: In which a file has to be that a row names.
    """

    tables: Sequence[_Table]
    firsts: Sequence[int]
    rows: Tensor
    column: str
    read: Read
    folders: Sequence[str]

    def __call__(self, position: int) -> Tensor:
        number = int(self.rows[position])
        table = bisect_right(self.firsts, number) - 1
        row = number - self.firsts[table]
        found = self.tables[table][row][self.column] or {}
        content, path = found.get("bytes"), found.get("path")
        place = f"row {row} of its split"
        if content is not None:
            return self.read(BytesIO(content), place)
        if path is None or not self._is_inside(path):
            raise ValueError(
                f"hf: expected an image in {place}, or its path in the data set's own folder, got "
                f"{path!r}; save the data set with its images in it, as save_to_disk does"
            )
        return self.read(path, place)

    def _is_inside(self, path: str) -> bool:
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(folder) for folder in self.folders)
