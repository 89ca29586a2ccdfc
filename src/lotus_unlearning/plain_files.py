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


def from_yaml(path: Path) -> Any:
    """What a YAML file holds: numbers, text, lists and mappings; nothing is run.

    Raises:
        ValueError: In a few words without the file's name, if it cannot be read, is broken, holds
            objects of a program, or grows beyond measure by references to itself.
    """
    import yaml

    text = _text(path)
    try:
        found = yaml.safe_load(text)
    except RecursionError:
        raise ValueError("values stand within values too deep") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(f"{error}".split())) from None
    except Exception as error:  # PyYAML stumbles over values such as "!!bool maybe"
        raise ValueError(f"a value that is not what it says: {error}") from None
    if _size(found, {}) > _MOST:
        raise ValueError(f"more than {_MOST:,} values, by references to others")
    return found


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
