"""Numbers, words and tensors, one within another: in shards, and as a file has them."""

from typing import Any

from torch import Tensor

from lotus_unlearning.runtime.shards import in_shards, like, whole

_SHARDS = "of shards"
"""The key of a tensor that was in shards, and is to be again."""


def gathered(value: Any, *, keep: bool) -> Any:
    """``value``, in which what is in shards is whole and on the CPU.

    Args:
        value: Equal in all processes, which all call this.
        keep: Whether this process wants what is whole; else there is ``None`` in its place.
    """
    if isinstance(value, Tensor) and in_shards(value):
        found = whole(value.detach())
        return {_SHARDS: found.cpu()} if keep else None
    if isinstance(value, dict):
        return {key: gathered(inner, keep=keep) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(gathered(inner, keep=keep) for inner in value)
    return value


def dealt(value: Any, parameter: Tensor) -> Any:
    """What :func:`gathered` was given: in shards as those of ``parameter``."""
    if isinstance(value, dict):
        if value.keys() == {_SHARDS}:
            return like(parameter, value[_SHARDS])
        return {key: dealt(inner, parameter) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(dealt(inner, parameter) for inner in value)
    return value
