"""``--method NAME`` and ``--method.SETTING VALUE``, checked against the method's own fields."""

import dataclasses
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lotus_unlearning.cli.options import unknown
from lotus_unlearning.methods import METHODS
from lotus_unlearning.unlearning import Method

_MODELS = ("bad_teacher", "start")  # settings that are models: for Python only
_OTHER_METHODS = ("inner",)


def add_method(made: ArgumentParser, words: list[str], default: str = "lotus") -> list[str]:
    """Add the options of the method that ``words`` name; returns ``words`` as ``made`` reads them.

    Raises:
        ValueError: If there is no such method.
    """
    name = _chosen(words) or default
    if name not in METHODS:
        raise ValueError(unknown("method", name, METHODS))
    cls = METHODS[name]
    fields = {field.name for field in dataclasses.fields(cls)}
    made.add_argument("--method.name", type=str, default=name, help=f"{', '.join(METHODS)}")
    made.add_class_arguments(
        cls, "method", skip=(fields & {*_MODELS, *_OTHER_METHODS}), as_group=True
    )
    for setting in sorted(fields & set(_OTHER_METHODS)):
        made.add_argument(
            f"--method.{setting}", type=str | None, default=None, help="name of another method"
        )
    return [_renamed(word) for word in words]


def build_method(settings: Any) -> Method:
    """The method with its settings, from parsed options."""
    values = {k: v for k, v in vars(settings).items() if k != "name"}
    cls = METHODS[settings.name]
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in _OTHER_METHODS:
        if key in fields and values.get(key) is None:
            values.pop(key, None)
        elif key in fields:
            if values[key] not in METHODS:
                raise ValueError(unknown(f"method.{key}", values[key], METHODS))
            values[key] = METHODS[values[key]]()
    return cls(**{key: _built(fields[key], value) for key, value in values.items()})


def _built(field: Any, value: Any) -> Any:
    """Settings that are records of settings (a recipe) become those records."""
    kind = field.default_factory if field.default_factory is not dataclasses.MISSING else None
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and not isinstance(value, kind):
        return kind(**vars(value))
    default = type(field.default)
    if dataclasses.is_dataclass(default) and not isinstance(value, default):
        return default(**vars(value))
    return tuple(value) if isinstance(value, list) else value


def _chosen(words: list[str]) -> str | None:
    """The method named by ``--method`` or in a config file; the last word counts."""
    name = None
    for word, following in zip(words, [*words[1:], None], strict=True):
        flag, _, value = word.partition("=")
        said = value or following
        if flag in ("--method", "--method.name") and said is not None:
            name = said
        if flag == "--config" and said is not None:
            name = _from_config(said) or name
    return name


def _from_config(path: str) -> str | None:
    import yaml

    file = Path(path)
    if not file.is_file():
        raise ValueError(f"config: expected a YAML file, found none at {path!r}")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"config: expected YAML in {path!r}: {error}") from None
    method = values.get("method") if isinstance(values, dict) else None
    return method.get("name") if isinstance(method, dict) else None


def _renamed(word: str) -> str:
    if word == "--method":
        return "--method.name"
    return word.replace("--method=", "--method.name=", 1) if word.startswith("--method=") else word
