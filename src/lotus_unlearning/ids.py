"""Ids of images: positions or official ids, a mask, names, or a file of them."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lotus_unlearning.files.id_lists import Asked, is_whole, numbers, read_ids, some
from lotus_unlearning.images.sources import Images, called

__all__ = ["Ids", "Others", "positions", "some"]

Ids = Iterable[int] | Iterable[str] | np.ndarray[Any, Any] | Tensor | str | Path

Others = Mapping[str, Images]
"""``"unseen"`` and ``"test"`` images, to say of an id that it is there."""

_NONE = torch.empty(0, dtype=torch.int64)


def positions(forget: Ids, source: Images, others: Others, problems: list[str]) -> Tensor:
    """Positions ``[M]`` of the images to forget; what is wrong goes into ``problems``.

    Args:
        forget: See :meth:`lotus_unlearning.splits.Splits.from_ids`.
        source: What the original was trained on.
        others: Images that were set aside.
        problems: Gets one sentence per problem.
    """
    before = len(problems)
    found = _NONE
    try:
        if isinstance(forget, str | Path):
            found = _of_file(forget, source, others, problems)
        else:
            asked = _asked(forget, len(source))
            found = asked if isinstance(asked, Tensor) else _places(asked, source, others, problems)
    except ValueError as error:
        problems.append(str(error))
    if len(problems) == before and len(found) == 0:
        problems.append("forget: expected at least one image, got none")
    return found[found >= 0]


def _of_file(path: str | Path, source: Images, others: Others, problems: list[str]) -> Tensor:
    """By the column that fits the data; where another one fits too, both must agree."""
    columns = read_ids(path)
    order = ("path", "id", "index") if source.names is not None else ("id", "index", "path")
    known = [name for name in ("", *order) if name in columns]
    fitting = [n for n in known if source.names is not None or _are_numbers(columns[n])]
    first, *rest = fitting or known
    found = _places(columns[first], source, others, problems)
    for other in rest:
        aside: list[str] = []
        places = _places(columns[other], source, others, aside)
        apart = (places != found).nonzero()[:, 0].tolist()
        if aside or not apart:
            continue
        row = apart[0]
        one, two = columns[first].values[row], columns[other].values[row]
        problems.append(
            f"forget: expected one image per row of {Path(path).name}, but in line "
            f"{columns[first].lines[row]} {first} {one!r} and {other} {two!r} "
            f"({called(source, int(places[row]))}) are two; remove one of the columns"
        )
    return found


def _are_numbers(asked: Asked) -> bool:
    return all(isinstance(value, int) for value in asked.values)


def _asked(forget: Any, size: int) -> Asked | Tensor:
    """Numbers or names; or the positions of a mask."""
    array = _array(forget)
    if array.dtype == bool:
        if array.shape != (size,):
            raise ValueError(f"forget: expected a mask [{size}], got {list(array.shape)}")
        return torch.from_numpy(np.flatnonzero(array))
    values = array.tolist()
    if array.ndim == 1 and array.size == 0:
        return Asked([])
    if array.ndim == 1 and all(isinstance(v, Integral) for v in values):
        return Asked([int(v) for v in values])
    if array.ndim == 1 and all(isinstance(v, str | Path) for v in values):
        texts = [str(v) for v in values]
        return Asked(numbers(texts), texts=texts)
    kind = type(forget).__name__ if array.ndim == 0 else f"{array.dtype} {list(array.shape)}"
    hint = "; convert them with .astype(int)" if array.dtype.kind == "f" else ""
    raise ValueError(
        "forget: expected positions [M] as integers, a mask [N], names, or a file; got "
        f"{kind}{hint}"
    )


def _array(forget: Any) -> np.ndarray[Any, Any]:
    try:
        if isinstance(forget, Tensor):
            forget = forget.detach().cpu().numpy()
        elif isinstance(forget, set | frozenset):
            forget = sorted(forget)  # the order of a set is not the same in every process
        elif isinstance(forget, Iterator):
            forget = list(forget)
        array = np.asarray(forget)
        if array.dtype == object and array.size and all(isinstance(v, bool) for v in array.flat):
            return array.astype(bool)
        return array
    except (TypeError, ValueError) as error:
        raise ValueError(
            "forget: expected positions [M] as integers, a mask [N], names, or a file; got "
            f"{type(forget).__name__} ({error})"
        ) from None


def _places(asked: Asked, source: Images, others: Others, problems: list[str]) -> Tensor:
    """Positions ``[M]`` in the order of ``asked``; -1 for what is not there."""
    if _are_numbers(asked) and _holds_names(asked, [source, *others.values()]):
        asked = replace(asked, values=[*asked.texts])
    if _are_numbers(asked):
        found = _of_numbers(asked, source, others, problems)
    elif source.names is None:
        found = _without_names(asked, source, problems)
    else:
        found = _of_names(asked, source, source.names, others, problems)
    seen: dict[int, int] = {}
    again = [row for row, at in enumerate(found) if at >= 0 and seen.setdefault(at, row) != row]
    if again:
        problems.append(
            f"forget: expected each image once, got {len({found[row] for row in again})} more than "
            f"once: {asked.shown(again)}"
        )
    return torch.tensor(found, dtype=torch.int64)


def _holds_names(asked: Asked, known: Iterable[Images]) -> bool:
    """Whether a number, as it was written, is the name of an image, as 000017 is in a shard."""
    texts = {*asked.texts}
    return any(name in texts for images in known for name in (images.names or ()) if texts)


def _of_numbers(asked: Asked, source: Images, others: Others, problems: list[str]) -> list[int]:
    ids, official, size = [int(v) for v in asked.values], source.official, len(source)
    if official is None:
        where = range(size)
        found = [value if value in where else -1 for value in ids]
    else:
        size = official.size
        inside = torch.tensor([v for v in ids if v in range(size)], dtype=torch.int64)
        here = torch.isin(official.ids, inside).nonzero()[:, 0]
        at = dict(zip(official.ids[here].tolist(), here.tolist(), strict=True))
        found = [at.get(value, -1) for value in ids]
    lacking = [row for row, place in enumerate(found) if place < 0]
    outside = [row for row in lacking if ids[row] not in range(size)]
    if outside:
        kind = "positions" if official is None else "official ids"
        problems.append(
            f"forget: expected {kind} 0..{size - 1}, got {len(outside)} out of range: "
            f"{asked.shown(outside)}"
        )
    aside = {
        name: {*ids}.intersection(images.official.ids.tolist())
        for name, images in others.items()
        if images.official is not None and official is not None
    }
    lacking = _say_aside(asked, [r for r in lacking if r not in {*outside}], aside, problems)
    if lacking:
        problems.append(
            f"forget: {asked.shown(lacking)} of the official images {_be(lacking)} not in train, "
            "as a limit or a split left out; forget only what was trained on"
        )
    return found


def _of_names(
    asked: Asked,
    source: Images,
    names: Sequence[str],
    others: Others,
    problems: list[str],
) -> list[int]:
    wanted = {*map(str, asked.values), *(_plain(str(value)) for value in asked.values)}
    where = {name: i for i, name in enumerate(names) if name in wanted}
    found = [where.get(name, where.get(_plain(name), -1)) for name in map(str, asked.values)]
    lacking = [row for row, place in enumerate(found) if place < 0]
    aside = {name: wanted.intersection(images.names or ()) for name, images in others.items()}
    lacking = _say_aside(asked, lacking, aside, problems)
    if lacking:
        problems.append(
            f"forget: expected names of training images (paths in an image folder, keys "
            f"of shards), such as {names[0]!r}, got {len(lacking)} that are not there: "
            f"{asked.shown(lacking)}{_nearest(_plain(str(asked.values[lacking[0]])), names)}"
            f"{_left_out(source, others)}{asked.advice(lacking)}"
        )
    return found


def _say_aside(
    asked: Asked, rows: list[int], aside: Mapping[str, set[Any]], problems: list[str]
) -> list[int]:
    """Say which are among the images that were set aside; returns the others."""
    for name, known in aside.items():
        inside = [r for r in rows if {asked.values[r], _plain(str(asked.values[r]))} & known]
        rows = [row for row in rows if row not in {*inside}]
        if inside:
            problems.append(
                f"forget: {asked.shown(inside)} {_be(inside)} among the {name} images, which were "
                "never trained on; forget only what was trained on"
            )
    return rows


def _without_names(asked: Asked, source: Images, problems: list[str]) -> list[int]:
    odd = [row for row, v in enumerate(asked.values) if not is_whole(str(v))]
    kind = f"positions 0..{len(source) - 1}" if source.official is None else "official ids"
    problems.append(
        f"forget: expected {kind} as whole numbers, got {asked.shown(odd)}; only images of folders "
        f"and shards have names{asked.advice(odd)}"
    )
    return [-1] * len(asked.values)


def _be(rows: Sequence[int]) -> str:
    return "is" if len(rows) == 1 else "are"


def _plain(name: str) -> str:
    r"""``./cat/1.png`` and ``cat\1.png`` are ``cat/1.png``."""
    return posixpath.normpath(name.replace("\\", "/"))


def _nearest(name: str, names: Sequence[str]) -> str:
    """The known name that is the end of ``name``, or whose end it is."""
    near = next((n for n in names if f"/{name}".endswith(f"/{n}") or n.endswith(f"/{name}")), None)
    return "" if near is None else f"; did you mean {near!r}?"


def _left_out(source: Images, others: Others) -> str:
    if source.official is None:
        return ""
    parts = [source, *others.values()]
    left = source.official.size - sum(len(p) for p in parts if p.official is not None)
    return f"; a limit left {left} images out, perhaps these" if left > 0 else ""
