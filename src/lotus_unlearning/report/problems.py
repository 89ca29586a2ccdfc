"""Everything that keeps a page from being rendered, found before anything is drawn."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, get_args, get_type_hints

from lotus_unlearning.files.kinds import misfits
from lotus_unlearning.report.shape import Page, Row
from lotus_unlearning.wording import did_you_mean

DIRECTIONS, UNITS = (get_args(get_type_hints(Row)[key]) for key in ("direction", "unit"))
_KEYS = list(get_type_hints(Page))


def problems(page: Any) -> list[str]:
    """What is wrong with a page.

    Args:
        page: Plain data, see `lotus_unlearning.report.page`.

    Returns:
        One phrase per problem, none for a good page.

    >>> problems({"title": "T", "columns": ["original"]})
    ['table (expected a list, got none)']
    """
    found = [*_unknown_keys(page), *misfits(page, Page)]
    if found:
        return found
    columns = page["columns"]
    return [*_lacking(page), *_table(page["table"], columns), *_sections(page, columns)]


def _unknown_keys(page: Any) -> Iterator[str]:
    for key in page if isinstance(page, Mapping) else ():
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS) or ", known are " + ", ".join(_KEYS)
            yield f'"{key}" is no section of a page{hint}'


def _lacking(page: Mapping[str, Any]) -> Iterator[str]:
    if not page["title"].strip():
        yield '"title" must have a word'
    columns = page["columns"]
    if not all(columns) or not columns or len({*columns}) < len(columns):
        yield '"columns" must name one model or more, each once'
    if not page["table"]:
        yield '"table" must have at least one row'


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    for index, row in enumerate(rows):
        where = f'table row {index} ("{row["measure"]}")'
        yield from (f"{where}: {problem}" for problem in _row(row, columns))


def _row(row: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    values, intervals = row["values"], row.get("intervals") or {}
    missing = [name for name in columns if name not in values]
    if missing:
        yield f"no value for {missing} (None says that nothing was measured)"
    yield from _strangers({**values, **intervals}, columns)
    for name, pair in intervals.items():
        if pair is not None and not (len(pair) == 2 and pair[0] <= pair[1]):
            yield f"the interval for {name!r} must be [low, high], got {pair!r}"


def _sections(page: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    checks = {
        "entropy": _entropy,
        "roc": _roc,
        "class_divergence": _class_divergence,
        "class_accuracy": _class_accuracy,
    }
    for key, check in checks.items():
        if page.get(key):
            yield from (f'"{key}": {problem}' for problem in check(page[key], columns))


def _entropy(section: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    edges = section.get("edges", ())
    bins = len(edges) - 1
    if bins < 1 or not all(low < high for low, high in pairwise(edges)):
        yield "needs two edges or more, each above the one before"
        return
    for split in ("forget", "unseen"):
        heights = section.get(split, {})
        yield from _strangers(heights, columns)
        for name, values in heights.items():
            if len(values) != bins:
                yield f"{split} of {name!r} has {len(values)} bins, the edges make {bins}"


def _roc(section: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    for score, curves in section.items():
        yield from _strangers(curves, columns)
        for name, curve in curves.items():
            if "fpr" not in curve or len(curve["fpr"]) != len(curve.get("tpr", ())):
                yield f"fpr and tpr of {score!r} and {name!r} differ in length"


def _class_divergence(section: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    values = section.get("values", {})
    yield from _strangers(values, columns)
    yield from _per_class(section, values)


def _class_accuracy(section: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    values = section.get("values", {})
    yield from _strangers(values, columns)
    for name, splits in values.items():
        yield from (f"{name!r}: {problem}" for problem in _per_class(section, splits))


def _per_class(section: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    classes = len(section.get("classes", ()))
    for name, row in values.items():
        if len(row) != classes:
            yield f"{name!r} has {len(row)} values for {classes} classes"


def _strangers(values: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    strangers = [name for name in values if name not in columns]
    if strangers:
        yield f"{strangers} not among the columns {list(columns)}"
