"""``--method NAME`` and ``--method.SETTING VALUE``, checked against the method's own fields."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser

from lotus_unlearning import runs
from lotus_unlearning.cli import configs, loading
from lotus_unlearning.cli.options import say, unknown
from lotus_unlearning.methods import METHODS, LoTUS, Retrain, SalUn
from lotus_unlearning.methods.form import Sizes, passes
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.methods.settings import as_trained, method_class
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Recipe
from lotus_unlearning.unlearning import Method

_MODELS = ("bad_teacher", "start")  # settings that are models: for Python only
_INNER = "inner"  # the setting that is a method with settings of its own
_DEFAULT = "lotus"
_OF_CLASS = "authors-class"


def add_method(made: ArgumentParser, words: list[str], preset: str | None = None) -> list[str]:
    """Add the options of the method that ``words`` name; returns ``words`` as ``made`` reads them.

    Where ``--forget class:NAME`` comes with neither a preset nor settings, the settings are those
    that forget a class, if there are some for the method.

    Args:
        made: The parser of the command.
        words: The command line.
        preset: Whose settings are the defaults, where it has the method.

    Raises:
        ValueError: If there is no such method or preset, or a config file cannot be read.
    """
    words = [_renamed(w) for w in configs.expanded(made.prog.removeprefix("lotus "), words)]
    name = str(said("method.name", words) or _DEFAULT)
    method_class(name)
    words = [_for_method(word, name) for word in words]
    inner = _inner(words) if _has_inner(name) else None
    words = [_for_inner(word, inner) for word in words]
    holds = {name, inner} & PRESETS.get(preset or "", {}).keys()
    default = preset if holds else None
    _add_settings(made, "method", name)
    made.add_argument("--preset", type=str | None, default=default, help=", ".join(PRESETS))
    asked = _preset(words)
    if _has_inner(name):
        _add_inner(made, inner, asked or preset)
    needed = asked is not None and inner not in PRESETS.get(asked, {})
    settings = _preset_settings(asked or preset, name, inner, required=needed)
    if asked is None and _is_class_without_settings(words) and name in PRESETS[_OF_CLASS]:
        settings |= _that_differ(PRESETS[_OF_CLASS][name])
        settings["preset"] = _OF_CLASS
        say(f"method: settings of the preset {_OF_CLASS}, as a class is to be forgotten")
    made.set_defaults(settings)
    return words


def train_as_original(made: ArgumentParser, words: list[str], recipe: Recipe | None) -> None:
    """Let what trains a network anew do so as suits an original that was trained by ``recipe``.

    Settings that the command line names stay, and so do all with a preset.

    Args:
        made: The parser, with the options of the method.
        words: What :func:`add_method` returned.
        recipe: If it is known.
    """
    if recipe is None or _preset(words) is not None:
        return
    name = str(said("method.name", words) or _DEFAULT)
    method = method_class(name)()
    before, after = (_singly(_settings(m)) for m in (method, as_trained(method, recipe)))
    found = {k: v for k, v in after.items() if v != before[k] and said(k, words) is None}
    if found:
        listed = ", ".join(f"{k.removeprefix('method.')} {v}" for k, v in found.items())
        say(f"method: {name} with {listed}, by how the model was trained")
        made.set_defaults(found)


def _add_settings(made: ArgumentParser, key: str, name: str | None) -> None:
    """The options of the method ``name`` under ``key``, which is not in use without a name."""
    known = f"{', '.join(METHODS)}, or python:MODULE:CLASS of your own"
    made.add_argument(f"--{key}.name", type=str | None, default=name, help=known)
    if name is not None:
        made.add_class_arguments(method_class(name), key, skip={*_MODELS, _INNER} & _fields(name))


def _inner(words: list[str]) -> str | None:
    """The method whose steps are to be run, if one is named."""
    name = said(f"method.{_INNER}.name", words)
    if name in (None, "null"):
        return None
    method_class(str(name), f"method.{_INNER}")
    return str(name)


def _preset(words: list[str]) -> str | None:
    """The preset that is named, if one is."""
    name = said("preset", words)
    if not isinstance(name, str | None):
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}; got {name!r}")
    return name


def _add_inner(made: ArgumentParser, name: str | None, preset: str | None) -> None:
    """The options of the method ``name`` within another one."""
    _add_settings(made, f"method.{_INNER}", name)
    of_preset = PRESETS.get(preset or "", {})
    if name in of_preset:
        made.set_defaults(_settings(of_preset[name], f"method.{_INNER}"))


def _fields(name: str) -> set[str]:
    return {field.name for field in dataclasses.fields(method_class(name))}


def _has_inner(name: str) -> bool:
    return _INNER in _fields(name)


def hint_of_class(method: Method, splits: Splits) -> None:
    """Say so if a whole class is to be forgotten, and LoTUS aims at something else."""
    forget, retain = set(splits.forget.labels.tolist()), set(splits.retain.labels.tolist())
    if isinstance(method, LoTUS) and method.target_accuracy is None and not forget & retain:
        say(
            "method: LoTUS aims at its accuracy on unseen images, but retain has no image of the "
            f"classes to forget: --preset {_OF_CLASS} (or --method.target_accuracy 0) forgets them"
        )


def hint_of_retraining(
    method: Method, run: runs.Run | None, splits: Splits, batch_size: int
) -> None:
    """Say so if retraining, which is exact, would train on no more images than the method does."""
    recipe = None if run is None else loading.recipe_of(str(run.path))
    if recipe is None or isinstance(method, Retrain) or not hasattr(method, "work"):
        return
    sizes = Sizes.of(splits, batch_size)
    mine, anew = (passes(m, sizes).training for m in (method, Retrain(recipe=recipe)))
    if mine >= anew:
        say(
            f"method: {type(method).__name__} trains on {mine:,.0f} images, all passes together, "
            f"retraining on {anew:,.0f}: --method retrain is exact and takes no longer"
        )


def _preset_settings(
    preset: str | None, name: str, inner: str | None, *, required: bool
) -> dict[str, Any]:
    """Settings by option, that stand where the command line names none."""
    if preset is None:
        return {}
    if preset not in PRESETS:
        raise ValueError(unknown("preset", preset, PRESETS))
    if name in PRESETS[preset]:
        method = PRESETS[preset][name]
        if isinstance(method, SalUn) and inner is not None:
            method = method.around(method_class(inner)())
        return _settings(method)
    if required:
        having = ", ".join(key for key, methods in PRESETS.items() if name in methods)
        raise ValueError(
            f"preset: expected one with settings for {name} ({having or 'there is none'}), got "
            f"{preset!r}, which has some for {', '.join(PRESETS[preset]) or 'no method'}"
        )
    return {}


def _settings(method: Method, of: str = "method") -> dict[str, Any]:
    skipped = {*_MODELS, _INNER}
    values = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}  # type: ignore[arg-type]
    return {f"{of}.{k}": _flat(v) for k, v in values.items() if k not in skipped}


def _singly(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of records one by one, under ``record.name``."""
    records = {key: value for key, value in settings.items() if isinstance(value, dict)}
    within = {f"{key}.{name}": value for key, of in records.items() for name, value in of.items()}
    return {key: value for key, value in settings.items() if key not in records} | within


def _that_differ(method: Method) -> dict[str, Any]:
    """The settings that are not the method's defaults."""
    defaults = _settings(type(method)())
    return {key: value for key, value in _settings(method).items() if value != defaults[key]}


def _flat(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]


def build_method(settings: Any) -> Method:
    """The method with its settings, from parsed options."""
    values = {k: v for k, v in vars(settings).items() if k != "name"}
    cls = method_class(settings.name)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    inner = values.pop(_INNER, None)
    if inner is not None and inner.name is not None:
        values[_INNER] = build_method(inner)
    method: Method = cls(**{key: _built(fields[key], value) for key, value in values.items()})
    return method


def _built(field: Any, value: Any) -> Any:
    """Settings that are records of settings (a recipe) become those records."""
    made = field.default_factory is not dataclasses.MISSING
    kind = type(field.default_factory() if made else field.default)
    if dataclasses.is_dataclass(kind) and not isinstance(value, kind):
        return kind(**vars(value))
    return tuple(value) if isinstance(value, list) else value


def said(key: str, words: list[str]) -> Any:
    """The value of option ``key`` on the command line or in a config; the last one counts."""
    found = None
    for word, following in zip(words, [*words[1:], None], strict=False):
        flag, equals, value = word.partition("=")
        if flag == "--config":
            values: Any = json.loads(value)
            for part in key.split("."):
                values = values.get(part) if isinstance(values, dict) else None
            found = found if values is None else values
        elif flag == f"--{key}":
            found = value if equals else following
    return found


def _is_class_without_settings(words: list[str]) -> bool:
    flags = {word.partition("=")[0] for word in words}
    in_configs = [json.loads(w.partition("=")[2]) for w in words if w.startswith("--config=")]
    settings = {flag for flag in flags if flag.startswith("--method.")} - {"--method.name"}
    settings |= {key for config in in_configs for key in config.get("method", {}) if key != "name"}
    return not settings and str(said("forget", words)).startswith("class:")


def _for_method(word: str, name: str) -> str:
    """A config without settings of another method than ``name``, and without its preset."""
    if not word.startswith("--config="):
        return word
    values = json.loads(word.removeprefix("--config="))
    settings = values.get("method", {"name": name})
    other = settings.get("name", _DEFAULT)
    if other == name:
        return word
    say(f"method: {name} in the place of {other}, whose settings in the config are left out")
    kept = {key: value for key, value in values.items() if key != "preset"}
    return f"--config={configs.as_text({**kept, 'method': {'name': name}})}"


def _for_inner(word: str, name: str | None) -> str:
    """A config without settings of another inner method than ``name``."""
    if not word.startswith("--config="):
        return word
    values = json.loads(word.removeprefix("--config="))
    method = values.get("method", {})
    other = method.get(_INNER, {}).get("name", name)
    if other == name:
        return word
    if name is not None:
        say(f"method.{_INNER}: {name} in the place of {other}, whose settings are left out")
    method = {**method, _INNER: {"name": name}}
    return f"--config={configs.as_text({**values, 'method': method})}"


def _renamed(word: str) -> str:
    """A method's name goes by ``--method`` and, in a config, by ``method`` and ``method.inner``."""
    flag, equals, value = word.partition("=")
    if flag in ("--method", f"--method.{_INNER}"):
        return f"{flag}.name{equals}{value}"
    if flag != "--config" or not equals:
        return word
    values = json.loads(value)
    method = _named("method", values.pop("method", None))
    inner = _named(f"method.{_INNER}", method.pop(_INNER, None))
    if method or inner:
        values["method"] = {**method, **({_INNER: inner} if inner else {})}
    return f"--config={configs.as_text(values)}"


def _named(key: str, method: Any) -> dict[str, Any]:
    """A method in a config: its name, or its name and settings; nothing where there is none."""
    if isinstance(method, str):
        return {"name": method}
    if not isinstance(method, dict | None) or not isinstance(
        (method or {}).get("name"), str | None
    ):
        raise ValueError(
            f"{key}: expected the name of a method, or settings with it as name, got {method!r}"
        )
    return method or {}
