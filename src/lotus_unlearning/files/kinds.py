"""Plain data out of a file that somebody may have changed: what in it is not as it was written.

A kind is an annotation: ``bool``, ``int``, ``float`` (whole numbers are numbers), ``str``, ``Any``,
``list[K]``, ``tuple[K, ...]``, ``tuple[K, K]``, ``dict[str, K]``, ``Literal``, a ``TypedDict``
(other keys may stand beside its own), a dataclass (they may not), another class, or a union of
these and ``None``. Protocols are not looked at.
"""

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

_SHOWN = 40
_TOLD = 5
_WORDS = {
    NoneType: "null", bool: "true or false", int: "a whole number", float: "a number", str: "text",
    list: "a list", tuple: "a list", dict: "a mapping",
}  # fmt: skip
_LIKE: dict[type, Any] = {**dict.fromkeys((list, tuple), (list, tuple)), dict: Mapping}


def require(where: Path | str, value: Any, kind: Any, what: str, advice: str) -> None:
    """What was read is of a kind.

    Args:
        where: To be named: its file, or its place in one.
        value: What was read.
        kind: An annotation, see the top of this module.
        what: What is expected there, in words.
        advice: What to do otherwise.

    Raises:
        ValueError: If something in it is of another kind; names the first few places.
    """
    found = list(islice(misfits(value, kind), _TOLD + 1))
    if found:
        more = ", and more" if len(found) > _TOLD else ""
        raise ValueError(
            f"{where}: expected {what}, got other values of {', '.join(found[:_TOLD])}{more}; "
            f"{advice}"
        )


def misfits(value: Any, kind: Any, place: str = "") -> Iterator[str]:
    """One phrase for each value of another kind, and for each that is lacking.

    Args:
        value: Plain data.
        kind: An annotation, see the top of this module.
        place: Where ``value`` stands.

    >>> list(misfits({"ids": [3, "x"], "seed": None}, dict[str, list[int] | int]))
    ["ids.1 (expected a whole number, got 'x')",
    'seed (expected a list or a whole number, got null)']
    """
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    fitting = [one for one in options if _is(value, one)]
    if not fitting:
        wanted = " or ".join(_named(one) for one in options)
        yield f"{place or 'the whole'} (expected {wanted}, got {_shown(value)})"
        return
    yield from min((list(_within(value, one, place)) for one in fitting), key=len)


def _is(value: Any, kind: Any) -> bool:
    """Whether ``value`` itself is of a kind, whatever is in it."""
    if kind is Any or getattr(kind, "_is_protocol", False):
        return True
    if kind is int:  # true is none, and what no machine counts to is not one that was written
        return type(value) is int and -(2**64) < value < 2**64
    if kind is float:
        whole = type(value) is int and abs(value) <= sys.float_info.max
        return whole or isinstance(value, float)
    if get_origin(kind) is Literal:
        return any(type(value) is type(known) and value == known for known in get_args(kind))
    outer = _outer(kind)
    return isinstance(value, _LIKE.get(outer, outer))


def _within(value: Any, kind: Any, place: str) -> Iterator[str]:
    if _is_of_fixed_length(kind):
        yield from _in_fixed_length(value, get_args(kind), place)
    elif get_origin(kind) in (list, tuple):
        inner = get_args(kind)[0]
        if inner in _WORDS and all(_is(one, inner) for one in value):  # of ids there are millions
            return
        for i, one in enumerate(value):
            yield from misfits(one, inner, _at(place, i))
    elif get_origin(kind) is dict:
        for key, one in value.items():
            if not isinstance(key, str):
                yield f"{_at(place, key)} (expected text as a key, got {_shown(key)})"
            yield from misfits(one, get_args(kind)[1], _at(place, key))
    elif _is_record(kind):
        yield from _in_record(value, kind, place)


def _is_of_fixed_length(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[-1:] != (Ellipsis,)


def _in_fixed_length(value: Any, kinds: tuple[Any, ...], place: str) -> Iterator[str]:
    if len(value) != len(kinds):
        yield f"{place or 'the whole'} (expected {len(kinds)} values, got {len(value)})"
        return
    for i, (one, inner) in enumerate(zip(value, kinds, strict=True)):
        yield from misfits(one, inner, _at(place, i))


def _in_record(value: Mapping[Any, Any], kind: Any, place: str) -> Iterator[str]:
    known, needed = get_type_hints(kind), _needed(kind)
    for key, inner in known.items():
        if key in value:
            yield from misfits(value[key], inner, _at(place, key))
        elif key in needed:
            wanted = _named(inner)
            yield f"{_at(place, key)} (expected {wanted}, got none)"
    if dataclasses.is_dataclass(kind):
        for key in value:
            if key not in known:
                yield f"{_at(place, key)} (expected one of {', '.join(known)})"


def _needed(kind: Any) -> frozenset[str]:
    if is_typeddict(kind):
        return frozenset(kind.__required_keys__)
    missing = dataclasses.MISSING
    fields = dataclasses.fields(kind)
    return frozenset(f.name for f in fields if f.default is f.default_factory is missing)


def _is_record(kind: Any) -> bool:
    return is_typeddict(kind) or dataclasses.is_dataclass(kind)


def _outer(kind: Any) -> type:
    found: type = dict if _is_record(kind) else get_origin(kind) or kind
    return found


def _named(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_named(one) for one in get_args(kind))
    if get_origin(kind) is Literal:
        return f"one of {', '.join(repr(known) for known in get_args(kind))}"
    outer = _outer(kind)
    return "a value" if kind is Any else _WORDS.get(outer, f"a {outer.__name__}")


def _shown(value: Any) -> str:
    for kind, words in ((NoneType, "null"), (Mapping, "a mapping"), (list | tuple, "a list")):
        if isinstance(value, kind):
            return words
    return _cut(repr(value))


def _at(place: str, key: object) -> str:
    return f"{place}.{_cut(str(key))}" if place else _cut(str(key))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
