"""Config files: read so that their paths are found, written so that they are found again."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lotus_unlearning.files.config_paths import Values, relative
from lotus_unlearning.files.config_paths import resolved as resolved
from lotus_unlearning.files.plain import from_yaml

_GROUPS = ("method", "recipe")
_OF_THIS_RUN = ("config", "out", "checkpoint")


def expanded(command: str, words: list[str]) -> list[str]:
    """``words`` with underscores in options, and the contents of each config file in its place.

    Args:
        command: Whose options they are: in some, ``model`` is a path.
        words: The command line; stays as it is if it was expanded before.

    Raises:
        ValueError: If a config file cannot be read.
    """
    found, rest = [], [_with_underscores(word) for word in words]
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if flag != "--config" or not (equals or rest):
            found.append(word)
            continue
        value = value if equals else rest.pop(0)
        inline = value.lstrip().startswith("{")
        found.append(f"--config={value if inline else as_text(read(command, Path(value)))}")
    return found


def as_text(values: Values) -> str:
    """Options as they are given to ``--config`` itself: JSON that is YAML, too.

    In YAML one character is not written as two, as JSON in ASCII writes some.
    """
    return json.dumps(values, default=str, ensure_ascii=False)


def read(command: str, path: Path) -> Values:
    """The options in a YAML file; paths that are beside it lead there.

    Raises:
        ValueError: If there is no such file, or it holds something else.
    """
    try:
        values = from_yaml(path)
    except ValueError as error:
        raise ValueError(f"config: expected a YAML file at {str(path)!r}: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"config: expected options with values in {str(path)!r}, got {values!r}")
    if isinstance(values.get("method"), str):
        values["method"] = {"name": values["method"]}
    for group in _GROUPS:
        if not isinstance(values.get(group, {}), dict):
            raise ValueError(
                f"config: expected settings with values under {group} in {str(path)!r}, got "
                f"{values[group]!r}"
            )
    return resolved(command, values, path.parent)


def written(command: str, options: Any, folder: Path, lists: Mapping[str, Path]) -> Values:
    """Options as a config in ``folder`` has them, without those that name this run only.

    Args:
        command: Whose options they are.
        options: As they were read.
        folder: Where the config is to be.
        lists: Option -> the run's own copy of the list of images that it names.
    """
    values = {k: v for k, v in options.as_dict().items() if k not in _OF_THIS_RUN}
    found = relative(command, values, folder)
    for key, file in lists.items():
        inherited = key == "forget" and values.get(key) is None
        if key in values and (inherited or os.path.isfile(str(values[key]))):
            found[key] = Path(os.path.relpath(file, folder)).as_posix()
    return found


def _with_underscores(word: str) -> str:
    flag, equals, value = word.partition("=")
    return f"--{flag[2:].replace('-', '_')}{equals}{value}" if flag.startswith("--") else word
