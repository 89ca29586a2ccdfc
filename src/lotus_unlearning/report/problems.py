"""Everything that keeps a page from being rendered, found before anything is drawn."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DIRECTIONS = ("up", "down", "near gold")
UNITS = ("", "share", "s", "bytes", "nats")
KEYS = [
    "title",
    "summary",
    "method",
    "columns",
    "table",
    "history",
    "entropy",
    "roc",
    "class_divergence",
    "class_accuracy",
    "images",
    "notes",
    "manifest",
]


def problems(page: Mapping[str, Any]) -> list[str]:
    """What is wrong with a page.

    Args:
        page: Plain data, see `lotus_unlearning.report.page`.

    Returns:
        One phrase per problem, none for a good page.

    >>> problems({"title": "T", "columns": ["original"]})
    ['"table" must be a list with at least one row']
    """
    if not isinstance(page, Mapping):
        return [f"a page must be a mapping, got {type(page).__name__}"]
    found = list(_unknown_keys(page))
    if not (isinstance(page.get("title"), str) and page["title"].strip()):
        found.append('"title" must be a text')
    columns = page.get("columns")
    if not _is_list(columns) or not columns or not all(isinstance(c, str) and c for c in columns):
        return [*found, '"columns" must be a list with at least one name', *_table(page, None)]
    if len(set(columns)) < len(columns):
        found.append('"columns" must name each model once')
    return [*found, *_table(page, columns), *_sections(page, columns)]


def _unknown_keys(page: Mapping[str, Any]) -> Iterator[str]:
    for key in page:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f', did you mean "{near[0]}"?' if near else ", known are " + ", ".join(KEYS)
            yield f'"{key}" is no section of a page{hint}'


def _table(page: Mapping[str, Any], columns: Sequence[str] | None) -> Iterator[str]:
    rows = page.get("table")
    if not _is_list(rows) or not rows:
        yield '"table" must be a list with at least one row'
        return
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            yield f"table row {index} must be a mapping"
            continue
        where = f'table row {index} ("{row.get("measure", "no measure")}")'
        yield from (f"{where}: {problem}" for problem in _row(row, columns))


def _row(row: Mapping[str, Any], columns: Sequence[str] | None) -> Iterator[str]:
    for key in ("measure", "label"):
        if not isinstance(row.get(key), str):
            yield f'"{key}" must be a text'
    for key, known in (("direction", DIRECTIONS), ("unit", UNITS)):
        if row.get(key) not in known:
            yield f'"{key}" must be one of {list(known)}, got {row.get(key)!r}'
    values, intervals = row.get("values"), row.get("intervals") or {}
    if not isinstance(values, Mapping) or not isinstance(intervals, Mapping):
        yield '"values" and "intervals" must map columns to numbers'
        return
    if columns is not None:
        missing = [name for name in columns if name not in values]
        if missing:
            yield f"no value for {missing} (None says that nothing was measured)"
        yield from _strangers({**values, **intervals}, columns)
    yield from _numbers(values, intervals)


def _numbers(values: Mapping[str, Any], intervals: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if value is not None and not _is_number(value):
            yield f"the value for {name!r} must be a number or None, got {value!r}"
    for name, pair in intervals.items():
        if pair is not None and not (
            _is_list(pair) and len(pair) == 2 and all(map(_is_number, pair)) and pair[0] <= pair[1]
        ):
            yield f"the interval for {name!r} must be [low, high], got {pair!r}"


def _sections(page: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    for key in ("summary", "history", "images", "notes"):
        if page.get(key) and not _is_list(page[key]):
            yield f'"{key}" must be a list'
    for key in ("method", "entropy", "roc", "class_divergence", "class_accuracy", "manifest"):
        if page.get(key) and not isinstance(page[key], Mapping):
            yield f'"{key}" must be a mapping'
    checks = (_entropy, _roc, _class_divergence, _class_accuracy)
    keys = ("entropy", "roc", "class_divergence", "class_accuracy")
    for key, check in zip(keys, checks, strict=True):
        if page.get(key) and isinstance(page[key], Mapping):
            yield from (f'"{key}": {problem}' for problem in check(page[key], columns))
    for key in ("history", "images"):
        if _is_list(page.get(key)) and not all(isinstance(row, Mapping) for row in page[key]):
            yield f'every row of "{key}" must be a mapping'


def _entropy(section: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    bins = len(section.get("edges") or ()) - 1
    if bins < 1:
        yield "needs two edges or more"
        return
    for split in ("forget", "unseen"):
        heights = section.get(split) or {}
        yield from _strangers(heights, columns)
        for name, values in heights.items():
            if len(values) != bins:
                yield f"{split} of {name!r} has {len(values)} bins, the edges make {bins}"


def _roc(section: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    for score, curves in section.items():
        yield from _strangers(curves, columns)
        for name, curve in curves.items():
            if len(curve.get("fpr") or ()) != len(curve.get("tpr") or ()):
                yield f"fpr and tpr of {score!r} and {name!r} differ in length"


def _class_divergence(section: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    yield from _per_class(section, section.get("values") or {}, columns)


def _class_accuracy(section: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    values = section.get("values") or {}
    yield from _strangers(values, columns)
    for name, splits in values.items():
        yield from (f"{name!r}: {problem}" for problem in _per_class(section, splits, None))


def _per_class(
    section: Mapping[str, Any], values: Mapping[str, Any], columns: Sequence[str] | None
) -> Iterator[str]:
    classes = len(section.get("classes") or ())
    if columns is not None:
        yield from _strangers(values, columns)
    for name, row in values.items():
        if len(row) != classes:
            yield f"{name!r} has {len(row)} values for {classes} classes"


def _strangers(values: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    strangers = [name for name in values if name not in columns]
    if strangers:
        yield f"{strangers} not among the columns {list(columns)}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
