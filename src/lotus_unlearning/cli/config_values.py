"""Values in config files that an option cannot take: nothing, one value for a list, a list for one.

The command line has no way to write these, and the parser lets them through or stumbles over them.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from lotus_unlearning.files.plain import parsed_yaml

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "tuple": "a list",
    "NoneType": "null",
}
_SHOWN = 80
_LISTS = ("*", "+")


def misfits(actions: Sequence[argparse.Action], words: Sequence[str]) -> list[str]:
    """One sentence for each value in the configs of ``words`` that its option cannot take.

    Args:
        actions: The options of a command.
        words: The command line, with the contents of config files in it.

    Raises:
        ValueError: If a config in the words themselves is broken.
    """
    known = {action.dest: action for action in actions}
    groups = {dest.rpartition(".")[0] for dest in known} - {""}
    found = []
    for key, value in _all(words):
        if key in groups:
            found.append(_of_group(key, value))
        elif key in known:
            found.append(_of_option(known[key], value))
    return [problem for problem in found if problem is not None]


def short(text: str) -> str:
    """In one line, cut off where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def _all(words: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for word in words:
        flag, equals, text = word.partition("=")
        if flag == "--config" and equals:
            yield from _within(_read(text), "")


def _read(text: str) -> Any:
    """Of a file it is JSON, see :func:`lotus_unlearning.cli.configs.as_text`; typed, YAML."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return parsed_yaml(text)
    except ValueError as error:
        raise ValueError(f"config: expected YAML, got {short(text)!r}: {error}") from None


def _within(values: Any, before: str) -> Iterator[tuple[str, Any]]:
    """Every value by its option, and those that hold some by their group."""
    for key, value in values.items() if isinstance(values, dict) else ():
        yield f"{before}{key}", value
        yield from _within(value, f"{before}{key}.")


def _of_group(key: str, value: Any) -> str | None:
    if isinstance(value, dict | str):  # text names a file of settings
        return None
    return f"{key}: expected settings with values, got {_told(value)}"


def _of_option(action: argparse.Action, value: Any) -> str | None:
    key, hint = action.dest, getattr(action, "_typehint", None)
    if key == "config":
        return (
            f"config: expected the options themselves, got {_told(value)} under config within a "
            "config; pass each file with a --config of its own"
        )
    if value is None and NoneType not in get_args(hint):
        return (
            f"{key}: expected {_kind(action, hint)}, got nothing; give a value or leave the line "
            "out"
        )
    is_list = isinstance(value, list)
    is_switch = hint is None and action.nargs == 0
    if (action.nargs in _LISTS and not is_list) or (is_switch and not isinstance(value, bool)):
        return f"{key}: expected {_kind(action, hint)}, got {_told(value)}"
    return None


def _kind(action: argparse.Action, hint: Any) -> str:
    """What an option takes, in words."""
    if action.nargs in _LISTS:
        return "a list"
    if hint is None:
        return KINDS["bool"]
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    name = getattr(hint, "__name__", str(hint))
    return KINDS.get(name, name)


def _told(value: Any) -> str:
    return "nothing" if value is None else short(str(value))
