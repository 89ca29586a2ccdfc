"""A user's own code by name, ``python:MODULE:NAME``: data sets, models, methods and triggers."""

import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

_PREFIX = "python:"


def is_own(name: str) -> bool:
    """Whether a name is that of a user's own code."""
    return name.startswith(_PREFIX)


def imported(name: str, what: str, folder: str | Path | None = None) -> Any:
    """What ``python:MODULE:NAME`` is the name of. Importing a module runs it.

    Args:
        name: The module is looked for in ``folder``, then among what is installed.
        what: What errors call it.
        folder: The current one if not given.

    Raises:
        ValueError: If the name is of another form, there is no such module or nothing callable of
            that name in it, or another module of its name was imported before.

    >>> imported("python:statistics:mean", "example")([1, 3])
    2
    """
    module_name, _, attribute = name.removeprefix(_PREFIX).partition(":")
    if not is_own(name) or not module_name or not attribute:
        raise ValueError(f"{what}: expected {_PREFIX}MODULE:NAME, got {name!r}")
    place = str(Path(folder or ".").resolve())
    try:
        with _looked_in_first(place):
            module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(
            f"{what}: expected a module {module_name!r} in {place} or installed: {error}"
        ) from None
    _require_from(place, module_name, what)
    found = getattr(module, attribute, None)
    if not callable(found):
        raise ValueError(f"{what}: expected a function or class {attribute!r} in {module_name!r}")
    return found


@contextmanager
def _looked_in_first(place: str) -> Iterator[None]:
    """Before what is installed within the block; after it later, for what a module imports late."""
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
        if place not in sys.path:
            sys.path.append(place)


def _require_from(place: str, module: str, what: str) -> None:
    """The module is the one in ``place``, if there is one."""
    top = module.partition(".")[0]
    spec = PathFinder.find_spec(top, [place])
    there, loaded = spec and spec.origin, getattr(sys.modules[top], "__file__", None)
    if there and loaded and Path(there).resolve() != Path(loaded).resolve():
        raise ValueError(
            f"{what}: expected the module {top!r} in {place}, but {loaded} of the same name was "
            "imported before; give one of them another name"
        )


def written_in(kind: type) -> dict[str, str] | None:
    """Module and SHA-256 of the file that holds a class, or nothing if it is of this package.

    >>> from lotus_unlearning.methods import SCRUB
    >>> written_in(SCRUB) is None
    True
    """
    if kind.__module__.partition(".")[0] == __package__:
        return None
    return {"module": kind.__module__, "sha256": _sha256(kind)}


@cache  # of the file as it was when the class was first asked for: not of what is written later
def _sha256(kind: Any) -> str:
    try:
        return sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()
    except (OSError, TypeError):  # built in, or typed into a console
        return "unknown"
