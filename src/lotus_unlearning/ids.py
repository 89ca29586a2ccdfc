"""Ids of images: positions, a mask, names, or a file of them."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lotus_unlearning.images import Images

Ids = Sequence[int] | Sequence[str] | np.ndarray[Any, Any] | Tensor | str | Path
_SHOWN = 5
_COLUMNS = ("id", "index", "path")


def positions(forget: Ids, source: Images, problems: list[str]) -> Tensor:
    """Positions ``[M]`` of the images to forget; what is wrong goes into ``problems``."""
    values = read_ids(forget) if isinstance(forget, str | Path) else forget
    array = np.asarray(values.cpu() if isinstance(values, Tensor) else values)
    if array.dtype == bool:
        if array.shape != (len(source),):
            problems.append(f"forget: expected a mask [{len(source)}], got {list(array.shape)}")
            return torch.empty(0, dtype=torch.int64)
        array = np.flatnonzero(array)
    elif array.dtype.kind in "UO" and array.size:
        array = _named(array, source, problems)
    if array.size == 0:
        if not problems:
            problems.append("forget: expected at least one image, got none")
        return torch.empty(0, dtype=torch.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        problems.append(
            f"forget: expected positions [M] as integers, a mask, or a file; got {array.dtype} "
            f"{list(array.shape)}"
        )
        return torch.empty(0, dtype=torch.int64)
    return _in_range(array.astype(np.int64), len(source), problems)


def _in_range(array: np.ndarray[Any, Any], size: int, problems: list[str]) -> Tensor:
    outside = array[(array < 0) | (array >= size)]
    if outside.size:
        problems.append(
            f"forget: expected positions 0..{size - 1}, got {outside.size} out of range: "
            f"{some(outside.tolist())}"
        )
    values, counts = np.unique(array, return_counts=True)
    if (counts > 1).any():
        problems.append(
            f"forget: expected each image once, got {(counts > 1).sum()} more than once: "
            f"{some(values[counts > 1].tolist())}"
        )
    return torch.from_numpy(array[(array >= 0) & (array < size)])


def _named(array: np.ndarray[Any, Any], source: Images, problems: list[str]) -> Any:
    """Positions of images given by name (a relative path)."""
    names = [Path(str(name)).as_posix() for name in array]
    if source.names is None:
        problems.append(
            f"forget: expected positions 0..{len(source) - 1}, got names such as "
            f"{names[0]!r}; only image folders have names"
        )
        return np.empty(0, dtype=np.int64)
    where = {Path(name).as_posix(): i for i, name in enumerate(source.names)}
    unknown = [name for name in names if name not in where]
    if unknown:
        problems.append(
            f"forget: expected paths relative to the image folder, such as {source.names[0]!r}, "
            f"got {len(unknown)} that are not there: {some(unknown)}"
        )
    return np.array([where[name] for name in names if name in where], dtype=np.int64)


def read_ids(path: str | Path) -> list[int] | list[str]:
    """One id per line, or the ``id``, ``index`` or ``path`` column of a CSV file."""
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"forget: expected a file of ids, found none at {str(path)!r}")
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if any(row)]
    header = [cell.lower() for cell in rows[0]] if rows else []
    column = next((header.index(name) for name in _COLUMNS if name in header), None)
    if column is None and len(header) > 1:
        raise ValueError(
            f"forget: expected a column id, index or path in {file.name}, got {header}"
        )
    cells = [row[column or 0] for row in (rows if column is None else rows[1:])]
    if all(cell.lstrip("-").isdigit() for cell in cells):
        return [int(cell) for cell in cells]
    return cells


def some(values: list[Any]) -> str:
    """The first few ``values``, for a message."""
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    return shown + (", ..." if len(values) > _SHOWN else "")
