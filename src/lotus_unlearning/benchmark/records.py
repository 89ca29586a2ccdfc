"""The JSON of finished cells, see :mod:`lotus_unlearning.benchmark.work`: read, or refused."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Required, TypedDict

from lotus_unlearning.benchmark.measures import BINS
from lotus_unlearning.files.kinds import require
from lotus_unlearning.files.plain import from_json

_WHAT = "the JSON of a cell as it was written"
_ADVICE = "delete it and the same command runs the cell again"

_DISTANCES = ("distance_original", "distance_gold", "p_something_to_close")
_TOLD, _LONGEST = 5, 40
_PARTS = ("forget", "unseen")

Values = dict[str, float | None]


class _Entropies(TypedDict):
    forget: list[int]
    unseen: list[int]


class _Method(TypedDict):
    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class _Images:
    forget: int
    retain: int
    unseen: int = 0
    test: int = 0


_Machine = TypedDict(
    "_Machine",
    {
        "device": str,
        "precision": str,
        "threads": int,
        "processor": str,
        "torch": str,
        "lotus-unlearning": str,
    },
    total=False,
)


class _Gold(TypedDict, total=False):
    """A gold model, measured against the others."""

    values: Required[Values]
    entropies: _Entropies


class _Measured(TypedDict, total=False):
    """A model: what was measured, and what it cost."""

    values: Required[Values]
    entropies: _Entropies
    history: list[dict[str, float | None]]
    method: _Method
    golds: list[_Gold]
    images: _Images
    seconds: float | None
    peak_memory_bytes: float | None
    cell_seconds: float
    weights_sha256: str
    on: _Machine
    data: str


class _Compared(TypedDict):
    """What an original has beside its own measures: its golds."""

    golds: list[_Gold]
    images: _Images


class _Failed(TypedDict):
    error: str


def read_comparison(path: Path, golds: int) -> dict[str, Any]:
    """What is known of an original and its golds, each measured against the others.

    Args:
        path: The JSON file of the cell.
        golds: The number of golds that there must be.

    Raises:
        ValueError: If the file is damaged, or holds values of other kinds, or other golds.
    """
    found = read_record(path)
    if "error" not in found:
        require(path, found, _Compared, _WHAT, _ADVICE)
        if len(found["golds"]) != golds:
            raise ValueError(
                f"{path}: expected {golds} golds, got {len(found['golds'])}; {_ADVICE}"
            )
    return found


def read_record(path: Path) -> dict[str, Any]:
    """What is known of a finished cell, or why it failed.

    Args:
        path: Of its file.

    Raises:
        ValueError: If the file is damaged, or holds values of other kinds.
    """
    try:
        found = from_json(path)
    except ValueError as error:
        raise ValueError(
            f"{path}: expected {_WHAT}, got damaged contents ({error}); {_ADVICE}"
        ) from None
    failed = isinstance(found, dict) and "error" in found
    require(path, found, _Failed if failed else _Measured, _WHAT, _ADVICE)
    record: dict[str, Any] = found
    odd = list(_odd(record))
    if odd:
        raise ValueError(f"{path}: expected {_WHAT}, got {', '.join(odd[:_TOLD])}; {_ADVICE}")
    return record


def _odd(record: Mapping[str, Any]) -> Iterator[str]:
    """What no cell gives, though it is of the right kind."""
    if "error" in record:
        yield from [] if record["error"].strip() else ["no word of why it failed"]
        return
    for one in [record, *record.get("golds", ())]:
        values = {name: value for name, value in one["values"].items() if value is not None}
        yield from (f"{name[:_LONGEST]} {v}" for name, v in values.items() if not math.isfinite(v))
        if {*_DISTANCES} & values.keys() not in (set(), {*_DISTANCES}):
            yield f"some of {', '.join(_DISTANCES)} alone"
        for part in _PARTS if "entropies" in one else ():
            counts = one["entropies"][part]
            if len(counts) != BINS or min(counts) < 0:
                yield f"other than {BINS} counts of entropies of {part} images"
