"""``--method NAME`` and ``--method.SETTING VALUE``, checked against the method's own fields."""

import dataclasses
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lotus_unlearning.cli.options import unknown
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.unlearning import Method

_MODELS = ("bad_teacher", "start")  # settings that are models: for Python only
_OTHER_METHODS = ("inner",)


def add_method(made: ArgumentParser, words: list[str], preset: str | None = None) -> list[str]:
    """Add the options of the method that ``words`` name; returns ``words`` as ``made`` reads them.

    Args:
        made: The parser of the command.
        words: The command line.
        preset: Whose settings are the defaults, where it has the method.

    Raises:
        ValueError: If there is no such method or preset.
    """
    name = _chosen("--method", words) or "lotus"
    if name not in METHODS:
        raise ValueError(unknown("method", name, METHODS))
    cls = METHODS[name]
    fields = {field.name for field in dataclasses.fields(cls)}
    made.add_argument("--method.name", type=str, default=name, help=f"{', '.join(METHODS)}")
    made.add_class_arguments(cls, "method", skip=(fields & {*_MODELS, *_OTHER_METHODS}))
    for setting in sorted(fields & set(_OTHER_METHODS)):
        made.add_argument(
            f"--method.{setting}", type=str | None, default=None, help="name of another method"
        )
    made.add_argument("--preset", type=str | None, default=preset, help=", ".join(PRESETS))
    asked = _chosen("--preset", words)
    made.set_defaults(_preset_settings(asked or preset, name, required=asked is not None))
    return [_renamed(word) for word in words]


def _preset_settings(preset: str | None, name: str, *, required: bool) -> dict[str, Any]:
    """Settings by option, that stand where the command line names none."""
    if preset is None:
        return {}
    if preset not in PRESETS:
        raise ValueError(unknown("preset", preset, PRESETS))
    if name not in PRESETS[preset]:
        if required:
            raise ValueError(unknown(f"preset {preset}: method", name, PRESETS[preset]))
        return {}
    method: Any = PRESETS[preset][name]
    values = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}
    skipped = {*_MODELS, *_OTHER_METHODS}
    return {f"method.{k}": _flat(v) for k, v in values.items() if k not in skipped}


def _flat(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]


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
    method: Method = cls(**{key: _built(fields[key], value) for key, value in values.items()})
    return method


def _built(field: Any, value: Any) -> Any:
    """Settings that are records of settings (a recipe) become those records."""
    kind = field.default_factory if field.default_factory is not dataclasses.MISSING else None
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and not isinstance(value, kind):
        return kind(**vars(value))
    default = type(field.default)
    if dataclasses.is_dataclass(default) and not isinstance(value, default):
        return default(**vars(value))
    return tuple(value) if isinstance(value, list) else value


def _chosen(option: str, words: list[str]) -> str | None:
    """What ``option`` names on the command line or in a config file; the last word counts."""
    name = None
    for word, following in zip(words, [*words[1:], None], strict=False):
        flag, _, value = word.partition("=")
        said = value or following
        if flag in (option, f"{option}.name") and said is not None:
            name = said
        if flag == "--config" and said is not None:
            name = _from_config(said, option.removeprefix("--")) or name
    return name


def _from_config(path: str, key: str) -> str | None:
    import yaml

    file = Path(path)
    if not file.is_file():
        raise ValueError(f"config: expected a YAML file, found none at {path!r}")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"config: expected YAML in {path!r}: {error}") from None
    found = values.get(key) if isinstance(values, dict) else None
    name = found.get("name") if isinstance(found, dict) else found
    return name if isinstance(name, str) else None


def _renamed(word: str) -> str:
    if word == "--method":
        return "--method.name"
    return word.replace("--method=", "--method.name=", 1) if word.startswith("--method=") else word
