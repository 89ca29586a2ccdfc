"""JSON and YAML from files that anybody may have written: plain values, or why there are none."""

import json
from pathlib import Path
from typing import Any

_MOST = 1_000_000
"""Values in a file; one of a few lines can name the same list again and again and become endless.
"""


def from_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: In a few words without the file's name, if it cannot be read.
    """
    return parsed_json(_text(path))


def parsed_json(text: str) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: If it is broken, or lists stand in lists hundreds deep.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("values stand within values too deep") from None


def odd_json(folder: Path) -> str | None:
    """The first JSON file somewhere in ``folder`` that is broken or no mapping, and why."""
    for path in sorted(folder.rglob("*.json")):
        try:
            found, why = from_json(path), "it is no mapping of names to values"
        except ValueError as error:
            found, why = None, str(error)
        if not isinstance(found, dict):
            return f"{path.relative_to(folder)}: {why}"
    return None


def from_yaml(path: Path) -> Any:
    """What a YAML file holds: numbers, text, lists and mappings; nothing is run.

    Raises:
        ValueError: In a few words without the file's name, if it cannot be read, is broken, holds
            objects of a program, or grows beyond measure by references to itself.
    """
    return parsed_yaml(_text(path))


def parsed_yaml(text: str) -> Any:
    """What a YAML text holds, as :func:`from_yaml`.

    Raises:
        ValueError: In a few words, as there.
    """
    import yaml

    try:
        found = yaml.safe_load(text)
    except RecursionError:
        raise ValueError("values stand within values too deep") from None
    except yaml.YAMLError as error:
        raise ValueError(_where_it_breaks(error, text)) from None
    except Exception as error:  # PyYAML stumbles over values such as "!!bool maybe"
        raise ValueError(f"a value that is not what it says: {error}") from None
    if _size(found, {}) > _MOST:
        raise ValueError(f"more than {_MOST:,} values, by references to others")
    return found


def _where_it_breaks(error: Exception, text: str) -> str:
    r"""Line and reason, where PyYAML's own message has several lines of both.

    >>> import yaml
    >>> try:
    ...     yaml.safe_load("a: 1\nb: [2\n")
    ... except yaml.YAMLError as error:
    ...     print(_where_it_breaks(error, ""))
    line 3: expected ',' or ']', but got the end of the file (in what begins in line 2)
    """
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:  # of characters
        position = getattr(error, "position", None)
        where = "" if position is None else f"line {text.count(chr(10), 0, position) + 1}: "
        return f"{where}a character that may not stand there, or text that YAML does not know"
    why = next((plain for yaml, plain in _PLAIN.items() if yaml in problem), problem)
    begin = getattr(error, "context_mark", None)
    inside = (
        f" (in what begins in line {begin.line + 1})" if begin and begin.line < mark.line else ""
    )
    why = " ".join(why.replace("'<stream end>'", "the end of the file").split())
    return f"line {mark.line + 1}: {why}{inside}"


_PLAIN = {
    "mapping values are not allowed": "a second colon; put quotes around text with a colon in it",
    "'\\t'": "a tab; indent with spaces",
    "found unhashable key": "a list or a mapping where a name belongs",
    "could not find expected ':'": "expected NAME: VALUE, got no colon",
}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    except OSError as error:
        raise ValueError(error.strerror or f"{error}") from None


def _size(value: Any, known: dict[int, int]) -> int:
    """Values in ``value``, each counted wherever it stands; a circle counts as too many."""
    if not isinstance(value, dict | list | set):
        return 1
    if id(value) not in known:
        known[id(value)] = _MOST + 1  # for those that are inside of themselves
        inner = [*value.values()] if isinstance(value, dict) else [*value]
        known[id(value)] = 1 + sum(_size(one, known) for one in inner)
    return known[id(value)]
