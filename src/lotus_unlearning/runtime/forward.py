"""How a prepared model computes: where, in which precision, and how many images at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import MethodType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lotus_unlearning.runtime.shards import sharded

if TYPE_CHECKING:
    from lotus_unlearning.runtime.run import Runtime


OF_A_RUN = "of_a_run"
"""Attribute of functions that a run gives to modules as their ``forward``."""


@contextmanager
def placed(model: nn.Module, run: "Runtime") -> Iterator[nn.Module]:
    """Within the block, ``model`` on the device of ``run``, or its twin in shards there.

    Its modules may be given other forwards; after the block they have their own again.
    """
    if run.shard:
        at = run.device, run.processes
        with sharded(model.to("cpu", run.wide), *at) as twin, _forwards_put_back(twin):
            yield twin
        return
    images = any(isinstance(m, nn.Conv2d) for m in model.modules())
    layout = torch.channels_last if images else torch.preserve_format
    with _forwards_put_back(model.to(run.device, run.wide).to(memory_format=layout)):
        yield model


@contextmanager
def _forwards_put_back(model: nn.Module) -> Iterator[None]:
    """Within the block its modules may be given other forwards; after it they have their own.

    Those that a copy of a prepared model has from another run are no module's own, and refer to it.
    """
    given = {m: vars(m)["forward"] for m in model.modules() if "forward" in vars(m)}
    own = {m: f for m, f in given.items() if not hasattr(getattr(f, "__func__", f), OF_A_RUN)}
    try:
        yield
    finally:
        for module in model.modules():
            vars(module).pop("forward", None)
            vars(module).update({"forward": own[module]} if module in own else {})


def in_precision(run: "Runtime") -> Callable[..., Tensor]:
    """A ``forward`` in the precision of ``run`` that returns logits in float32 or float64."""
    half = run.precision is torch.bfloat16
    # weights of shards are gone after their layer, and so is what was cast from them
    cached = not run.shard
    autocast = (
        torch.autocast(run.device.type, torch.bfloat16, cache_enabled=cached)
        if half
        else nullcontext()
    )

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        """Logits, computed in the precision of the run."""
        with autocast:
            outputs: Tensor = type(self).forward(self, x)
        return outputs.float() if half else outputs

    return forward


def in_micro_batches(
    forward: Callable[..., Tensor], whole: Callable[..., Tensor], run: "Runtime"
) -> Callable[..., Tensor]:
    """``forward``, at most ``run.micro_batch`` images at once where gradients are wanted.

    Batches that need not be cut are computed by ``whole``. Of several processes, each weighs the
    gradients of its images by their number.

    The layers' values of a micro-batch are dropped after it and computed again in the backward
    pass, which adds up the gradients of the micro-batches: what a batch needs is what one of them
    does, and the gradient is that of the whole batch up to the order of additions. Their blocks are
    not compiled: the second computation must be as the first, whatever pass it falls in. For models
    for which that is so, see :func:`lotus_unlearning.runtime.parts.why_whole`.
    """

    def by_parts(self: nn.Module, x: Tensor) -> Tensor:
        """Logits of a batch, cut where memory asks for it."""
        if not torch.is_grad_enabled():
            with run.compiling.batch(len(x)):
                return forward(self, x)
        run.largest_batch = max(run.largest_batch, tuple(x.shape))
        if run.micro_batch is None or len(x) <= run.micro_batch:
            with run.compiling.batch(len(x)):
                return run.processes.weighted(whole(self, x), x)
        bound = MethodType(forward, self)
        parts = torch.split(x, run.micro_batch)
        outputs = torch.cat([checkpoint(bound, part, use_reentrant=False) for part in parts])
        return run.processes.weighted(outputs, x)

    setattr(by_parts, OF_A_RUN, True)
    return by_parts
