"""A bank: a folder of predictions of models that were trained alike, to compare a model with."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from torch import Tensor

from lotus_unlearning.audit.material import Material, content, images_of
from lotus_unlearning.audit.members import FORMAT, Chosen, Ints, Kind, Member, digest
from lotus_unlearning.benchmark.records import read_record
from lotus_unlearning.files.folders import replace_text
from lotus_unlearning.files.kinds import require
from lotus_unlearning.files.plain import from_json
from lotus_unlearning.jobs.packing import PREDICTIONS, WEIGHTS, unzipped
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.splits import Splits

Arrays = Mapping[str, NDArray[np.float32]]
FACTS = "bank.json"
_HEADERS = 1 << 16
_AS_WRITTEN = "a file of a bank as lotus bank wrote it"
_FROM_BACKUP = "restore it from a backup, or make the bank again"
_AGAIN = "delete the file and the same lotus bank trains the model again"


class _Model(TypedDict, total=False):
    """What says how many classes a model has at most: of a run, and of a model in memory."""

    classes: int
    weights: dict[str, list[int]]


class _Facts(TypedDict):
    """What is read again of ``bank.json``."""

    model: _Model
    forget: list[int]
    gone: list[int]
    images: dict[str, int]
    content: dict[str, str]
    golds_made_of: str
    shadows_made_of: str


class _MemberFile(TypedDict):
    """What says whose a file is."""

    cell: dict[str, Any]


@dataclass(frozen=True)
class Bank:
    """A folder with one file of predictions per model.

    Attributes:
        folder: Where it is.
        facts: ``bank.json``: what its models are made of, and what is to be forgotten.
    """

    folder: Path
    facts: Mapping[str, Any] = field(repr=False)

    @cached_property
    def store(self) -> Store:
        """Where its models are kept."""
        return Store(self.folder)

    def __post_init__(self) -> None:
        require(self.folder / FACTS, self.facts, _Facts, _AS_WRITTEN, _FROM_BACKUP)

    @cached_property
    def chosen(self) -> Chosen:
        """What golds do not see."""
        return Chosen(tuple(self.facts["forget"]), tuple(self.facts["gone"]))

    def members(self, kind: Kind) -> list[Member]:
        """The finished models of a kind, by their numbers."""
        found = [m for m, record in self._records() if m.kind == kind and "error" not in record]
        return sorted(found, key=lambda member: (member.put_back, member.number))

    def failed(self) -> dict[Member, str]:
        """Models that could not be trained, and why."""
        found = [*self._records(), *self._records("failed")]
        return {m: record["error"] for m, record in found if "error" in record}

    def record(self, member: Member) -> dict[str, Any]:
        """Its accuracies, seconds and machine."""
        return self.store.record(member) or {}

    def predictions(self, member: Member) -> Arrays:
        """Logits ``[N, C]`` of all images of each part; gradient norms ``[N]``, of golds.

        Raises:
            ValueError: If they were deleted or are damaged.
        """
        kept = self.store.file(member, PREDICTIONS)
        if kept is None:
            raise ValueError(
                f"{self.folder}: expected the predictions of {member.title}, found none; the same "
                "lotus bank makes them again"
            )
        try:
            found = unzipped(kept, self._most())
        except Exception as error:  # NumPy and zipfile raise many kinds
            raise self._damaged(member, "predictions", error) from None
        rows = self.facts["images"]
        other = [p for p in rows if p not in found or found[p].shape[:-1] != (rows[p],)]
        if other:
            raise self._damaged(member, "predictions", f"not one for each image of {other[0]}")
        return found

    def _most(self) -> int:
        """Bytes of a model's predictions: a few more than float32 logits and norms have."""
        model = self.facts["model"]
        widths = [n for shape in model.get("weights", {}).values() for n in shape]
        widest: int = max([model.get("classes", 0), *widths])
        images: int = sum(self.facts["images"].values())
        return _HEADERS + 4 * images * (widest + 1)

    def weights(self, member: Member) -> dict[str, Tensor] | None:
        """Its weights, if they were kept."""
        kept = self.store.file(member, WEIGHTS)
        if kept is None:
            return None
        try:
            return load_weights(kept)
        except SafetensorError as error:
            raise self._damaged(member, "weights", error) from None

    def _damaged(self, member: Member, what: str, why: object) -> ValueError:
        folder = self.folder / "files" / member.key
        return ValueError(
            f"{folder}: expected {what} of {member.title}, got damaged contents ({why}); delete "
            "the folder and its file in cells, and the same lotus bank makes them again"
        )

    def trained_on(self, member: Member, labels: Ints) -> NDArray[np.bool_]:
        """Mask ``[N]`` of the training images that it was trained on."""
        mask = np.zeros(len(labels), dtype=bool)
        mask[member.trained_on(labels, self.chosen)] = True
        return mask

    def require(self, splits: Splits, *, forget: bool = True) -> None:
        """It was made for these images: golds saw the images to retain, and no others.

        Whether the other images are to be forgotten now or are gone already makes no difference.

        Args:
            splits: Of the model that is to be compared with it.
            forget: Whether what is to be forgotten must be the same: for golds, not for shadows.

        Raises:
            ValueError: If not.
        """
        theirs = {part: content(source) for part, source in images_of(splits).items()}
        mine = self.facts["content"]
        other = [part for part, found in theirs.items() if mine.get(part) != found]
        if other:
            raise ValueError(
                f"{self.folder}: expected a bank of the same images, but {', '.join(other)} differ "
                "from those of the model; make a bank for these with lotus bank"
            )
        wanted = Chosen.of(splits)
        if forget and wanted.unknown != self.chosen.unknown:
            raise ValueError(
                f"{self.folder}: expected golds that saw all training images but "
                f"{len(wanted.forget)} to forget and {len(wanted.gone)} that were forgotten "
                "before, but these saw others; make a bank with lotus bank --model RUN"
            )

    def _records(self, folder: str = "cells") -> Iterator[tuple[Member, dict[str, Any]]]:
        known = {field.name for field in fields(Member)}
        mine = (self.facts["golds_made_of"], self.facts["shadows_made_of"])
        for path in sorted((self.folder / folder).glob("*.json")):
            record = read_record(path)
            require(path, record, _MemberFile, _AS_WRITTEN, _AGAIN)
            named = {k: v for k, v in record["cell"].items() if k in known}
            if named.get("made_of") in mine:
                self._require_accuracies(path, record)
                yield _member(named, path), record

    def _require_accuracies(self, path: Path, record: Mapping[str, Any]) -> None:
        """Of every part of the images: they are averaged over members."""
        values = record.get("values", {})
        parts = [f"{part}_accuracy" for part in self.facts["content"]]
        if "error" not in record and {k for k, v in values.items() if v is not None} != {*parts}:
            raise ValueError(
                f"{path}: expected {', '.join(parts)} of a model of this bank, got "
                f"{', '.join(values)[:200] or 'none'}; {_AGAIN}"
            )


def read_bank(folder: str | Path) -> Bank:
    """A bank that :func:`lotus_unlearning.audit.bank` made.

    Raises:
        ValueError: If ``folder`` is none.
    """
    path = Path(folder) / FACTS
    if not path.is_file():
        raise ValueError(f"bank: expected a folder made by lotus bank, got {str(folder)!r}")
    return Bank(Path(folder), _facts(path))


def open_bank(folder: str | Path, material: Material, chosen: Chosen) -> Bank:
    """A bank to put models into: a new one, or one that was begun with the same material.

    Raises:
        ValueError: If the folder holds a bank of something else.
    """
    shared = {"format": FORMAT, **material.facts, "gone": list(chosen.gone)}
    facts = {
        **shared,
        "forget": list(chosen.forget),
        "shadows_made_of": digest(shared),
        "golds_made_of": digest([shared, list(chosen.forget)]),
    }
    path = Path(folder) / FACTS
    if not path.is_file():
        replace_text(path, json.dumps(facts, indent=1) + "\n")
        return Bank(Path(folder), facts)
    known = _facts(path)
    other = [key for key in facts if known.get(key) != facts[key] and "made_of" not in key]
    if other:
        raise ValueError(
            f"bank: expected a new folder, or a bank of the same {', '.join(other)}, got "
            f"{str(folder)!r}; choose another folder"
        )
    return Bank(Path(folder), facts)


def _facts(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = from_json(path)
    except ValueError as error:
        raise ValueError(
            f"{path}: expected {_AS_WRITTEN}, got damaged contents ({error}); {_FROM_BACKUP}"
        ) from None
    require(path, found, dict[str, Any], _AS_WRITTEN, _FROM_BACKUP)
    return found


def _member(named: Mapping[str, Any], path: Path) -> Member:
    """The member that a file is of.

    Raises:
        ValueError: If it is of none, or of another one than the file's name says.
    """
    require(path, named, Member, "a model of a bank", _AGAIN)
    member = Member(**named)
    if min(member.number, member.put_back) < 0 or member.key != path.stem:
        raise ValueError(
            f"{path}: expected the model of a bank that the file is named after, got {member}; "
            f"{_AGAIN}"
        )
    return member
