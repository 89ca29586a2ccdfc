"""Numbers, words and tensors, one within another, in one safetensors file: no pickle."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lotus_unlearning.files.folders import os_error

_PLAIN = str | int | float | None
_TREE, _DIGEST = "tree", "sha256"


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` to ``path``; the file is complete or as it was, also if the power fails.

    Args:
        path: In a folder that is there.
        value: Dictionaries, lists and tuples of tensors, numbers, words and ``None``; keys too.

    Raises:
        TypeError: If there is something else in it; says where.
        OSError: If it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_taken_apart(value, tensors, "value"))
    notes = {_TREE: tree, _DIGEST: _digest(tree, tensors)}
    try:
        with _room(path) as room:
            save_file(tensors, room / path.name, notes)
            with (room / path.name).open("rb") as file:
                os.fsync(file.fileno())
            os.replace(room / path.name, path)
    except SafetensorError as error:  # a full disk, for example
        raise os_error(error, path) from None


@contextmanager
def _room(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` to write in, without what a killed run left there.

    safetensors writes under a name that it draws, and leaves that file if it is killed.
    """
    room = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def read(path: Path) -> dict[str, Any]:
    """What :func:`write` wrote, tensors on the CPU.

    Raises:
        ValueError: If the file is damaged or another one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"it cannot be read: {error}") from None
    if _TREE not in notes or notes.get(_DIGEST) != _digest(notes[_TREE], tensors):
        raise ValueError("its contents are not those that were written")
    try:
        found = _put_together(json.loads(notes[_TREE]), tensors)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its contents have another form ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise ValueError("its contents have another form")
    return found


def _taken_apart(value: object, tensors: dict[str, Tensor], place: str) -> Any:
    """``value`` as JSON has it; of tensors, their names in ``tensors``."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # a copy in plain order: safetensors takes no channels-last and no shared memory
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        inner = {key: f"{place}[{key!r}]" for key in value}
        keys = [_taken_apart(key, tensors, inner[key]) for key in value]
        values = [_taken_apart(one, tensors, inner[key]) for key, one in value.items()]
        return {"dict": [list(pair) for pair in zip(keys, values, strict=True)]}
    if isinstance(value, list | tuple):
        parts = [_taken_apart(v, tensors, f"{place}[{i}]") for i, v in enumerate(value)]
        return {"tuple": parts} if isinstance(value, tuple) else parts
    if isinstance(value, _PLAIN):  # bool is an int
        return value
    raise TypeError(
        f"{place}: expected tensors, numbers, words, None, and dictionaries, lists and tuples of "
        f"them, got {type(value).__name__}"
    )


def _put_together(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_put_together(part, tensors) for part in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, inner),) = tree.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "tuple":
        return tuple(_put_together(part, tensors) for part in inner)
    if kind != "dict":
        raise ValueError(f"expected tensor, tuple or dict, got {kind!r}")
    return {_put_together(key, tensors): _put_together(part, tensors) for key, part in inner}


def _digest(tree: str, tensors: Mapping[str, Tensor]) -> str:
    digest = sha256(tree.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
