"""Weights in files: safetensors, and ``.pt`` state dicts that need no pickled code."""

import os
import pickle
import re
import warnings
from collections.abc import KeysView, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""Of ``DataParallel``, ``torch.compile``, and the attribute of a Lightning module."""
_GLOBAL = re.compile(r"GLOBAL (\S+) was not an allowed global")
_SHOWN = 5


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write parameters and buffers as safetensors; the file is complete or as it was."""
    from safetensors.torch import save_model

    target = Path(path)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        save_model(_contiguous(model), str(temporary))
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # safetensors makes it private
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
    model.load_state_dict(state, strict=False)  # shared weights may be stored once
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
    bad = [n for n, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    groups = {"missing": missing, "unexpected": unexpected, "shape": shapes, "NaN": bad}
    return [f"{what}: {_some(names)}" for what, names in groups.items() if names]


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
