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
    """A method as plain data: its name, its settings, and the first lines of its file.

    Of a method of the user's own also the hash of its file.
    """
    settings = {}
    if dataclasses.is_dataclass(method):
        settings = {f.name: _plain(getattr(method, f.name)) for f in dataclasses.fields(method)}
    module = inspect.getmodule(type(method))
    paragraphs = (inspect.getdoc(module) or "").split("\n\n")
    citation = " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""
    found = {"name": type(method).__name__, "settings": settings, "citation": citation}
    code = written_in(type(method))
    return found if code is None else {**found, "code": code}


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
