"""The layers of a model in the order in which images pass through them."""

import math

import torch
from torch import nn

from lotus_unlearning.runtime.run import Runtime
from lotus_unlearning.splits import Split


def in_order(model: nn.Module, split: Split, run: Runtime) -> list[str]:
    """Names of the layers that hold parameters of their own, first to last as they are reached.

    Args:
        model: Prepared by ``run``.
        split: Its first image is sent through the model.
        run: Of the method.
    """
    names = {
        module: name
        for name, module in model.named_modules()
        if name and any(True for _ in module.parameters(recurse=False))
    }
    reached: dict[str, None] = {}

    def note(module: nn.Module, *_: object) -> None:
        reached.setdefault(names[module])

    hooks = [module.register_forward_pre_hook(note) for module in names]
    try:
        run.predict(model, split.take(torch.arange(1)))
    finally:
        for hook in hooks:
            hook.remove()
    return list(reached)


def deepest(model: nn.Module, share: float, split: Split, run: Runtime) -> list[str]:
    """The last ``share`` of the layers of :func:`in_order`, at least one."""
    layers = in_order(model, split, run)
    return layers[-max(1, math.floor(share * len(layers))) :]
