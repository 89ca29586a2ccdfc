"""Text files and tables that data sets bring: read with care, as somebody else wrote them."""

import csv
from collections.abc import Sequence
from pathlib import Path

from lotus_unlearning.files.id_lists import some

_LONGEST_NAME = 256


def is_inside(name: str) -> bool:
    """Whether a path in a table stays in the folder of the data set.

    >>> is_inside("images/1.png"), is_inside("../1.png"), is_inside("/etc/passwd")
    (True, False, False)
    """
    parts = name.split("/")
    names = all(part != ".." and len(part.encode()) < _LONGEST_NAME for part in parts)
    return names and not name.startswith("/") and "\0" not in name


def lines_of(path: Path, problems: list[str]) -> list[str]:
    """The lines of a text file that are not empty; what is wrong goes into ``problems``."""
    if not path.is_file():
        problems.append(f"{path.name}: absent")
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        problems.append(f"{path.name}: no text in UTF-8")
        return []
    return [line for line in lines if line.strip()]


def rows_of(path: Path, columns: Sequence[str], problems: list[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a head; what is wrong goes into ``problems``.

    Args:
        path: Of the file.
        columns: That each row must have.
        problems: Gets a few words per problem.
    """
    if not path.is_file():
        problems.append(f"{path.name}: absent")
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines)
            rows = list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        text = isinstance(error, UnicodeDecodeError)
        problems.append(f"{path.name}: no {'text in UTF-8' if text else f'CSV ({error})'}")
        return []
    lacking = [column for column in columns if column not in (table.fieldnames or ())]
    short = [i for i, row in enumerate(rows, 2) if None in row.values() or None in row]
    if lacking or not rows:
        problems.append(f"{path.name}: without {some([f'column {c}' for c in lacking]) or 'rows'}")
        return []
    if short:
        problems.append(f"{path.name}: other cells than in the first row in row {some(short)}")
        return []
    return rows
