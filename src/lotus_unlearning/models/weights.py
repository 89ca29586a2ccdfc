"""Weights in files: safetensors, and ``.pt`` state dicts that need no pickled code."""

import pickle
import re
import warnings
import zipfile
from collections.abc import KeysView, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lotus_unlearning.files.folders import os_error, replacing, share
from lotus_unlearning.runtime.models import versioned

_NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""Of ``DataParallel``, ``torch.compile``, and the attribute of a Lightning module."""
_GLOBAL = re.compile(r"GLOBAL (\S+) was not an allowed global")
_TYPES = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
_TYPES |= {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool}
_SHOWN = 5


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write parameters and buffers as safetensors; the file is complete or as it was."""
    from safetensors import SafetensorError
    from safetensors.torch import save_model

    target = Path(path)
    try:
        with replacing(target, alone=True) as temporary:
            save_model(_contiguous(model), str(temporary))
            share(temporary)  # safetensors makes it private
    except SafetensorError as error:  # a full disk, for example
        raise os_error(error, target) from None


def load_weights(model: nn.Module, path: str | Path) -> nn.Module:
    """Set ``model`` to the weights in ``path``, in place, if all of them fit.

    Args:
        model: The architecture.
        path: ``.safetensors``, or a ``.pt``/``.pth`` state dict, alone or under a key such as
            ``state_dict``; prefixes that all names have are taken off, if they are those of
            ``DataParallel``, ``torch.compile`` or a Lightning module (``model.``, ``net.``).

    Returns:
        ``model``.

    Raises:
        ValueError: If the file is missing, damaged, needs pickled code, or its names and shapes
            are not the model's; lists every mismatch, and ``model`` is as before.
    """
    state = _without_prefix(_read(Path(path)), model.state_dict().keys())
    problems = _mismatches(model, state)
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise ValueError(
            f"{path}: expected the weights of {type(model).__name__} as built here, got others "
            f"(another architecture, number of classes or channels?):\n{listed}"
        )
    model.load_state_dict(
        versioned(model, state), strict=False
    )  # shared weights may be stored once
    return model


def _without_prefix(state: dict[str, Tensor], own: KeysView[str]) -> dict[str, Tensor]:
    """``state`` without prefixes that the model's ``own`` names lack; they may stand in a row."""
    for _ in _PREFIXES:
        for prefix in _PREFIXES:
            if state and own & state.keys() == set() and all(n.startswith(prefix) for n in state):
                state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"weights: expected a file at {str(path)!r}, found none")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(
                f"{path}: expected safetensors, got damaged contents: {error}"
            ) from None
    _refuse_inflating(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of files that it did not write
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError) as error:
        raise ValueError(f"{path}: expected a file that can be read: {error!r}") from None
    except Exception as error:  # of a foreign file, torch raises what it happens to stumble over
        code = _GLOBAL.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if code is not None:
            raise ValueError(
                f"{path}: expected a state dict of tensors, but reading this file would run "
                f"pickled code, which is refused ({code[1]}); where you trust it, load it yourself "
                "and save model.state_dict()"
            ) from None
        raise ValueError(
            f"{path}: expected a state dict as torch.save writes it, got something else or damaged "
            "contents"
        ) from None
    return _state_dict(found, path)


def _refuse_inflating(path: Path) -> None:
    """Refuse an archive that grows when it is read: torch.save writes none that does."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return
    try:
        with zipfile.ZipFile(path) as archive:
            inflated = sum(member.file_size for member in archive.infolist())
    except Exception:  # of a foreign file, zipfile raises what it happens to stumble over
        raise ValueError(
            f"{path}: expected a state dict as torch.save writes it, got a damaged archive"
        ) from None
    size = path.stat().st_size
    if inflated > size:
        raise ValueError(
            f"{path}: expected a state dict as torch.save writes it, got an archive of {size:,} "
            f"bytes that would become {inflated:,}; where you trust it, unpack it, load it "
            "yourself and save model.state_dict()"
        )


def _state_dict(found: Any, path: Path) -> dict[str, Tensor]:
    for _ in range(2):
        nested = next((k for k in _NESTED if isinstance(found, Mapping) and k in found), None)
        if nested is None or isinstance(found[nested], Tensor):
            break
        found = found[nested]
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise ValueError(
            f"{path}: expected a state dict (names to tensors), alone or under one of "
            f"{', '.join(_NESTED)}; got {type(found).__name__}"
        )
    return dict(found)


def _mismatches(model: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    own = model.state_dict()
    places = {name: value.data_ptr() for name, value in own.items() if value.numel()}
    stored = {places.get(name) for name in state}
    missing = [n for n in own if n not in state and places.get(n, n) not in stored]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} {list(value.shape)} instead of {list(own[name].shape)}"
        for name, value in state.items()
        if name in own and value.shape != own[name].shape
    ]
    fitting = {n: v for n, v in state.items() if n in own and v.shape == own[n].shape}
    types = [f"{n} {_kind(v)}" for n, v in fitting.items() if not _is_plain(v)]
    bad = [n for n, v in fitting.items() if _is_plain(v) and not v.isfinite().all()]
    groups = {"missing": missing, "unexpected": unexpected, "shape": shapes}
    groups |= {"type": types, "NaN": bad}
    return [f"{what}: {_some(names)}" for what, names in groups.items() if names]


def _is_plain(value: Tensor) -> bool:
    """Numbers in memory of a type that a model's own can be set to."""
    place = value.device.type == "cpu" and value.layout is torch.strided
    return place and value.dtype in _TYPES and not value.is_quantized


def _kind(value: Tensor) -> str:
    return " ".join(f"{one}".removeprefix("torch.") for one in (value.dtype, value.layout))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _contiguous(model: nn.Module) -> nn.Module:
    """A copy on the CPU in plain memory order: safetensors stores no channels-last."""
    import copy

    plain = copy.deepcopy(model).cpu()
    for parameter in plain.parameters():
        parameter.data = parameter.data.contiguous()
    return plain
