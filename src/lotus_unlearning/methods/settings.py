"""Methods by name, and their settings: those of records within a method have a dot.

A method of the user's own goes by ``python:MODULE:CLASS``, wherever a name of ``METHODS`` does.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_type_hints

from torch import nn

from lotus_unlearning.files.kinds import misfits
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.salun import SalUn
from lotus_unlearning.own_code import imported, is_own
from lotus_unlearning.training import Recipe
from lotus_unlearning.unlearning import Method
from lotus_unlearning.wording import did_you_mean

_READABLE = {"forget", "retain", "unseen"}


def method_class(name: str, what: str = "method") -> Any:
    """The class of a method.

    Args:
        name: A key of ``METHODS``, or ``python:MODULE:CLASS``.
        what: What errors call it.

    Raises:
        ValueError: If there is none; or the class is no method with settings, all of which have
            defaults: says all that is lacking.

    >>> method_class("scrub").__name__
    'SCRUB'
    """
    if is_own(name):
        found = imported(name, what)
        if problems := list(_lacking(found)):
            raise ValueError(f"{what}: expected {name} to be {'; '.join(problems)}")
        return found
    if name not in METHODS:
        hint = did_you_mean(name, METHODS)
        raise ValueError(
            f"{what}: expected one of {', '.join(METHODS)}, or python:MODULE:CLASS; got "
            f"{name!r}{hint}"
        )
    return METHODS[name]


def starts_anew(method: Method) -> bool:
    """Whether a method trains a network anew, from random weights if nobody says otherwise."""
    return getattr(method, "start", method) is None


def starting_from(method: Method, start: Callable[[], nn.Module]) -> Method:
    """What trains a network anew, from weights that are not random: those of ``start()``.

    A method says so by a setting ``start`` that is ``None``; any other is returned as it is.

    >>> starting_from(METHODS["scrub"](), lambda: nn.Linear(2, 2)) == METHODS["scrub"]()
    True
    """
    if not starts_anew(method):
        return method
    return dataclasses.replace(method, start=start())  # type: ignore[type-var]


def as_trained(method: Method, recipe: Recipe) -> Method:
    """What trains a network anew, as suits an original that was trained by ``recipe``.

    A method says so by ``as_trained(recipe)``; any other is returned as it is.

    >>> as_trained(METHODS["retrain"](), Recipe(epochs=7)).recipe.epochs
    7
    >>> as_trained(METHODS["scrub"](), Recipe(epochs=7)) == METHODS["scrub"]()
    True
    """
    own = getattr(method, "as_trained", None)
    found: Method = method if own is None else own(recipe)
    return found


def _lacking(found: Any) -> Iterator[str]:
    """What a class lacks to be a method that the command line can make."""
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        yield f"a dataclass whose fields are its settings, got {_kind(found)}"
        return
    if not found.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        yield "frozen (@dataclass(frozen=True)), so that a run is what its settings say"
    bare = [f.name for f in dataclasses.fields(found) if f.init and not _has_default(f)]
    if bare:
        yield f"made without arguments: give {', '.join(bare)} a default"
    reads = getattr(found, "reads", None)
    if not isinstance(reads, frozenset) or not reads or not reads <= _READABLE:
        yield (
            "one that names the splits it reads: reads: ClassVar[frozenset[str]], of "
            f"{', '.join(sorted(_READABLE))}; got {reads!r}"
        )
    if not any("__call__" in vars(one) for one in found.__mro__):
        yield "callable: give it __call__(self, model, data, run)"


def _kind(found: Any) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__


def _has_default(field: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def default(name: str, key: str) -> Any:
    """The default of a setting.

    >>> default("unsir", "by_instance.epochs")
    2
    """
    return setting(method_class(name)(), key)


def setting(method: Method, key: str) -> Any:
    """A setting of a method, or with a dot of a record within it."""
    value: Any = method
    for part in key.split("."):
        value = getattr(value, part)
    return value


def with_settings(name: str, settings: Mapping[str, Any]) -> Method:
    """A method with some settings, of records within it, too.

    Args:
        name: As for :func:`method_class`.
        settings: Name, or ``record.name``, -> value; all others are the defaults. A method within
            the method goes by its name.

    Raises:
        ValueError: If the method has no such setting; lists all that are unknown.

    >>> with_settings("unsir", {"by_instance.epochs": 3}).by_instance.epochs
    3
    >>> with_settings("salun", {"inner": "lotus", "inner.alpha": 8.0}).inner.alpha
    8.0
    """
    return changed(method_class(name)(), name, settings)


def changed(method: Any, name: str, settings: Mapping[str, Any]) -> Method:
    """A method with other settings, as in :func:`with_settings`.

    Args:
        method: What it is made from.
        name: What errors call it.
        settings: Name, or ``record.name``, -> value; all others stay.

    Raises:
        ValueError: If the method has no such setting, or it is of another kind; lists all.
    """
    within = {key: value for key, value in settings.items() if _holds_method(method, key)}
    settings = {key: value for key, value in settings.items() if key not in within}
    method = _with_methods(method, {k: _by_name(name, k, v) for k, v in within.items()})
    problems = [_unknown(method, key) for key in settings if not _known(method, key)]
    for key, value in settings.items() if not problems else ():
        problems += _other_kinds(method, key, value)
    if problems:
        raise ValueError(f"settings of {name}: {'; '.join(problems)}")
    direct = {key: value for key, value in settings.items() if "." not in key}
    for record in {key.partition(".")[0] for key in settings.keys() - direct.keys()}:
        inner = {
            key.partition(".")[2]: value
            for key, value in settings.items()
            if key.startswith(f"{record}.")
        }
        direct[record] = changed(getattr(method, record), f"{name}.{record}", inner)
    made: Method = dataclasses.replace(method, **direct)
    return made


def _holds_method(method: Any, key: str) -> bool:
    fields = dataclasses.fields(method)
    return any(f.name == key and Method in get_args(f.type) for f in fields)


def _with_methods(method: Any, within: Mapping[str, Method | None]) -> Any:
    if isinstance(method, SalUn) and (inner := within.get("inner")) is not None:
        return method.around(inner)  # a preset's settings of random labels are not asked for
    return dataclasses.replace(method, **within)


def _by_name(name: str, key: str, value: Any) -> Any:
    if value is None or callable(value):
        return value
    if not isinstance(value, str):
        known = ", ".join(METHODS)
        raise ValueError(f"settings of {name}: {key}: expected one of {known}; got {value!r}")
    return method_class(value, f"settings of {name}: {key}")()


def _known(method: Any, key: str) -> bool:
    record, dot, inner = key.partition(".")
    if not dataclasses.is_dataclass(method) or record not in {
        field.name for field in dataclasses.fields(method)
    }:
        return False
    return not dot or _known(getattr(method, record), inner)


def _other_kinds(method: Any, key: str, value: Any, place: str = "") -> Iterator[str]:
    record, dot, inner = key.partition(".")
    if dot:
        yield from _other_kinds(getattr(method, record), inner, value, f"{place}{record}.")
        return
    kind = get_type_hints(type(method))[key]
    if not dataclasses.is_dataclass(kind):
        yield from misfits(value, kind, f"{place}{key}")
    elif not isinstance(value, kind):  # type: ignore[arg-type]
        yield f"{place}{key} (expected its settings one by one, as {place}{key}.NAME)"


def _unknown(method: Any, key: str, place: str = "") -> str:
    record, dot, inner = key.partition(".")
    if dot and _known(method, record) and dataclasses.is_dataclass(getattr(method, record)):
        return _unknown(getattr(method, record), inner, f"{place}{record}.")
    names = [field.name for field in dataclasses.fields(method)]
    hint = did_you_mean(key, names, before=place)
    wanted = f"settings of {place.rstrip('.')}: " if place else ""
    return f"expected some of {wanted}{', '.join(names)}; got {place + key!r}{hint}"
