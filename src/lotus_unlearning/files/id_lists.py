"""Ids as they are written: in a file with one per line, in a CSV file, or in a list."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = ("id", "index", "path")
"""Columns of a CSV file that are read; other columns are left alone."""

_SEPARATORS = (",", ";", "\t")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_WHOLE_AS_FLOAT = re.compile(r"[+-]?[0-9]{1,15}\.0+")
_SHOWN = 5
_LONGEST = 200


@dataclass(frozen=True)
class Asked:
    """Images that are asked for, all by number or all by name.

    Attributes:
        values: Numbers or names.
        lines: Of the file, in the same order; empty where there is no file.
        texts: As they were written, if numbers were written as text that may be names.
        columns: What the first line of a file without a known column may be: names of others.
    """

    values: list[int] | list[str]
    lines: Sequence[int] = ()
    texts: Sequence[str] = ()
    columns: Sequence[str] = ()

    def shown(self, rows: Sequence[int]) -> str:
        """The first few values at ``rows``, with their lines, for a message."""
        return some([f"{self.values[i]}{self._line(i)}" for i in rows])

    def advice(self, rows: Sequence[int]) -> str:
        """How columns are to be called, if the first line is among ``rows`` that mean no image."""
        if not self.columns or 0 not in rows:
            return ""
        return (
            "; a CSV file needs a column path, id or index in its first row, got "
            f"{some([repr(column) for column in self.columns])}"
        )

    def _line(self, row: int) -> str:
        return f" (line {self.lines[row]})" if self.lines else ""


def read_ids(path: str | Path) -> dict[str, Asked]:
    """The known columns of a CSV file; or one id per line, under the name of no column.

    Columns are separated by commas, semicolons or tabs, and named in the first line. Empty lines
    and lines that begin with ``#`` are left out.

    Raises:
        ValueError: If there is no such file, it is no text in UTF-8, or its rows are broken; names
            the line.
    """
    name = Path(path).name
    lines = _text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = ["" if line.lstrip().startswith("#") else line for line in lines]
    first = next((line for line in kept if line.strip()), "")
    try:
        separator = next((s for s in _SEPARATORS if set(_header(first, s)) & set(COLUMNS)), None)
    except csv.Error as error:
        raise ValueError(
            f"forget: expected ids, or names of columns, in the first line of {name}, got one that "
            f"is neither: {error}"
        ) from None
    if separator is None:
        rows = [(i, _unquoted(line.strip())) for i, line in enumerate(kept, 1) if line.strip()]
        cells = [cell for _, cell in rows]
        return {"": Asked(numbers(cells), [i for i, _ in rows], cells, _other_columns(first))}
    header, table = _header(first, separator), list(_rows(kept, separator, name))[1:]
    found = {}
    for column in [c for c in COLUMNS if c in header]:
        cells = [row[header.index(column)] for _, row in table]
        places = [line for line, _ in table]
        if not all(cells):
            line = places[cells.index("")]
            raise ValueError(f"forget: expected an {column} in {name}, line {line}, got none")
        found[column] = Asked(numbers(cells), places, () if column == "index" else cells)
    return found


def numbers(cells: list[str]) -> list[int] | list[str]:
    """Whole numbers if all ``cells`` are such, or all as pandas may write them (``3.0``).

    >>> numbers(["3", "7"]), numbers(["3.0", "7.0"]), numbers(["3.0", "7"])
    ([3, 7], [3, 7], ['3.0', '7'])
    """
    if all(is_whole(cell) for cell in cells):
        return [int(cell) for cell in cells]
    if all(_WHOLE_AS_FLOAT.fullmatch(cell) for cell in cells):
        return [int(cell.partition(".")[0]) for cell in cells]
    return cells


def is_whole(cell: str) -> bool:
    """Whether it is a whole number in decimal digits, of at most 18."""
    return _WHOLE.fullmatch(cell) is not None


def some(values: list[Any]) -> str:
    """The first few ``values``, for a message."""
    shown = ", ".join(_short(f"{value}") for value in values[:_SHOWN])
    return shown + (", ..." if len(values) > _SHOWN else "")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _text(path: str | Path) -> str:
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"forget: expected a file of ids, found none at {str(path)[:200]!r} ({reason})"
        ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        got = "UTF-16" if wide else f"other bytes in line {line}"
        raise ValueError(
            f"forget: expected text in UTF-8 in {Path(path).name}, got {got}; save it as UTF-8"
        ) from None
    if "\0" in text:
        raise ValueError(
            f"forget: expected text in UTF-8 in {Path(path).name}, got NUL characters, as in "
            "UTF-16; save it as UTF-8"
        )
    return text


def _header(line: str, separator: str) -> list[str]:
    return [cell.strip().lower() for cell in next(csv.reader([line], delimiter=separator))]


def _other_columns(line: str) -> list[str]:
    """Cells of a first line that may be a head; a path or a number alone is none.

    >>> _other_columns("file;label"), _other_columns("filename"), _other_columns("cat/1.png")
    (['file', 'label'], ['filename'], [])
    """
    between = max(_SEPARATORS, key=line.count)
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=between), [])]
    is_id = len(cells) == 1 and re.search(r"[./\\]|^[+-]?\d", cells[0])
    return [] if is_id else cells


def _rows(lines: Sequence[str], separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """``(line, cells)`` of all rows that are not empty, the header first."""
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator, strict=True)
    width, begins = None, 1
    try:
        for row in reader:
            line, begins = begins, reader.line_num + 1
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            width = width or len(cells)
            if len(cells) < width or any(cells[width:]):
                raise ValueError(
                    f"forget: expected {width} cells in {name}, line {line}, as in its first row, "
                    f"got {len(cells)}; put quotes around a path with a separator in it"
                )
            yield line, cells
    except csv.Error as error:
        raise ValueError(
            f"forget: expected CSV in {name}, but the row in line {begins} is broken: {error}"
        ) from None


def _unquoted(line: str) -> str:
    if len(line) > 1 and line[0] == line[-1] == '"':
        return line[1:-1].replace('""', '"')
    return line
