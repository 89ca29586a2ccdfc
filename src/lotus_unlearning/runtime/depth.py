"""The layers of a model in the order in which images pass through them."""

import math
from collections.abc import Iterator

import torch
from torch import nn

from lotus_unlearning.runtime.run import Runtime
from lotus_unlearning.splits import Split


def in_order(model: nn.Module, split: Split, run: Runtime) -> list[str]:
    """Names of the layers that hold parameters of their own, first to last as they are reached.

    The model itself (``""``) is one of them if it holds some, such as the positions of a vision
    transformer. A layer that is used without being called, as the projection within
    ``nn.MultiheadAttention``, comes right after the nearest one around it.

    Args:
        model: Prepared by ``run``.
        split: Its first image is sent through the model.
        run: Of the method.
    """
    names = {module: name for name, module in model.named_modules()}
    reached: dict[str, None] = {}

    def note(module: nn.Module, *_: object) -> None:
        reached.setdefault(names[module])

    hooks = [module.register_forward_pre_hook(note) for module in names]
    try:
        run.predict(model, split.take(torch.arange(1)))
    finally:
        for hook in hooks:
            hook.remove()
    order = list(reached)
    for name in names.values():
        if name not in reached:
            around = next(outer for outer in _outwards(name) if outer in order)
            order.insert(order.index(around) + 1, name)
    owners = {name for m, name in names.items() if any(True for _ in m.parameters(recurse=False))}
    return [name for name in order if name in owners]


def _outwards(name: str) -> Iterator[str]:
    """The modules around one, from the inside to the model itself."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def deepest(model: nn.Module, share: float, split: Split, run: Runtime) -> list[str]:
    """The last ``share`` of the layers of :func:`in_order`: at least one, or with share 0 none."""
    if share == 0:
        return []
    layers = in_order(model, split, run)
    return layers[-max(1, math.floor(share * len(layers))) :]
