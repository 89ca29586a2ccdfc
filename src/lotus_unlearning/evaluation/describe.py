"""A method as plain data, for manifests, pages and lists."""

import dataclasses
import inspect
import platform
from typing import Any

import numpy as np
import torch

import lotus_unlearning
from lotus_unlearning.own_code import written_in


def describe(method: object) -> dict[str, Any]:
    """A method as plain data: its name, its settings, and its source; or its file's hash.

    The latter of a user's own method, whose docstrings are nobody else's business.
    """
    settings = {}
    if dataclasses.is_dataclass(method):
        settings = {f.name: _plain(getattr(method, f.name)) for f in dataclasses.fields(method)}
    code = written_in(type(method))
    citation = _citation(type(method)) if code is None else ""
    found = {"name": type(method).__name__, "settings": settings, "citation": citation}
    return found if code is None else {**found, "code": code}


def _citation(kind: type) -> str:
    """The second paragraph of the file that holds a class of this package."""
    paragraphs = (inspect.getdoc(inspect.getmodule(kind)) or "").split("\n\n")
    return " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""


def _plain(value: object) -> Any:
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"name": type(value).__name__, **fields}
    return type(value).__name__


def versions() -> dict[str, str]:
    """Of what results depend on."""
    return {
        "lotus-unlearning": lotus_unlearning.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
