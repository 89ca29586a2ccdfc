"""Paths in config files: looked for beside the file first, then in the working folder."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Values = dict[str, Any]

OF_FILES = ("imagefolder", "webdataset", "hf")
"""Kinds of data whose names may begin with a path."""

_PATHS = ("forget", "without", "gold", "original", "unlearned", "root")
_WITH_A_RUN_AS_MODEL = ("unlearn", "tune", "request init")


def resolved(command: str, values: Mapping[str, Any], folder: Path) -> Values:
    """``values`` of a config in ``folder``, with paths that lead there from the working folder.

    Args:
        command: Whose options they are: for some, ``model`` is a path.
        values: Options with values.
        folder: Where the config is.
    """

    def place(value: str) -> str:
        """A path from the folder of the file, as one from here."""
        inside = folder / value
        if Path(value).is_absolute() or not value or not os.path.exists(inside):
            return value
        return Path(os.path.relpath(inside.resolve())).as_posix()

    return _with_paths(command, values, place)


def relative(command: str, values: Mapping[str, Any], folder: Path) -> Values:
    """``values`` as they are to stand in a config in ``folder``: absolute paths stay so.

    Args:
        command: Whose options they are.
        values: Options with values; their paths start in the working folder.
        folder: Where the config is to be.
    """

    def place(value: str) -> str:
        """A path from here, as one from the folder of the file."""
        if Path(value).is_absolute() or not value or not os.path.exists(value):
            return value
        return Path(os.path.relpath(Path(value).resolve(), folder.resolve())).as_posix()

    found = dict(values)
    if str(found.get("data")).startswith("python:") and found.get("root") is None:
        found["root"] = "."  # where its module is looked for
    return _with_paths(command, found, place)


def _with_paths(command: str, values: Mapping[str, Any], place: Callable[[str], str]) -> Values:
    found = dict(values)
    for key in (*_PATHS, *(("model",) if command in _WITH_A_RUN_AS_MODEL else ())):
        if isinstance(found.get(key), str):
            found[key] = place(found[key])
    kind, _, name = str(found.get("data")).partition(":")
    if kind in OF_FILES and found.get("root") is None:
        folder, rest = folder_of(name)
        found["data"] = f"{kind}:{place(folder)}{rest}"
    return found


def folder_of(name: str) -> tuple[str, str]:
    """The path that a name of data begins with, and the pattern or the choices that follow it.

    >>> folder_of("shards/train-{00..99}.tar"), folder_of("train-*.tar"), folder_of("a/b:test=x")
    (('shards', '/train-{00..99}.tar'), ('.', '/train-*.tar'), ('a/b', ':test=x'))
    """
    mark = re.search(r"[{*?\[]|:\w+=", name)
    if mark is None or mark[0][0] == ":":
        end = len(name) if mark is None else mark.start()
        return name[:end], name[end:]
    folder, slash, _ = name[: mark.start()].rpartition("/")
    return (folder, name[len(folder) :]) if slash else (".", f"/{name}")
