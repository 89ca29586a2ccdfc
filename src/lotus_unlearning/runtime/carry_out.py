"""The work of a run, on a copy of the model, and again by fewer images where memory is short."""

import copy
import gc
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from lotus_unlearning.runtime.checkpoint import Folder
from lotus_unlearning.runtime.claimed import claimed
from lotus_unlearning.runtime.measured import Cost, measured
from lotus_unlearning.runtime.parts import why_whole
from lotus_unlearning.runtime.run import Runtime

_FEWER = (
    "out of memory: images are computed {} at once from here on, and their gradients added up, "
    "which takes longer; the result is the same up to the order of additions, and to what dropout "
    "and the like draw"
)


@dataclass(frozen=True)
class Done:
    """What :func:`carry_out` made.

    Attributes:
        model: The changed copy of the model, in evaluation mode.
        run: The runtime that the work was done with, which holds the history.
        cost: The seconds and the memory that the change took.
    """

    model: nn.Module
    run: Runtime
    cost: Cost


def carry_out(
    work: Callable[[nn.Module, Runtime], None],
    model: nn.Module,
    run: Runtime,
    kept: Folder | None = None,
) -> Done:
    """Do ``work`` on a copy of ``model``, which itself stays as it is.

    Where the device's memory does not suffice, it is done again from its beginning (or from where
    the checkpoint says), by half as many images at once.

    Args:
        work: A function that changes a model in place.
        model: The caller's model.
        run: The runtime that the work is done with.
        kept: The place of the checkpoint; ``None``: no checkpoint is wanted.

    Raises:
        ValueError: If the checkpoint is damaged or of another run, or its folder cannot be
            written to or is in use by another run.
        torch.OutOfMemoryError: If fewer images at once would not do; says why.
        FloatingPointError: If a weight is not finite in the end.
    """
    with claimed(kept.path if kept is not None else None, run.processes):
        while True:
            start, learner = time.perf_counter(), copy.deepcopy(model)
            run.checkpoint = kept.of(learner, run.processes) if kept is not None else None
            try:
                return Done(learner, run, _attempt(work, learner, run))
            except torch.OutOfMemoryError as error:
                half = _half(model, run, error)
            run.checkpoint = None  # it holds the learner, and who called holds the run
            run = run.again(half, time.perf_counter() - start)
            del learner
            gc.collect()
            torch.cuda.empty_cache()
            warnings.warn(_FEWER.format(half), stacklevel=3)


def _attempt(work: Callable[[nn.Module, Runtime], None], learner: nn.Module, run: Runtime) -> Cost:
    with measured(learner, run) as (ready, cost):
        if run.checkpoint is not None:
            run.checkpoint.model = ready  # in shards another one than the learner
        work(ready, run)
    return cost


def _half(model: nn.Module, run: Runtime, error: torch.OutOfMemoryError) -> int:
    """Half as many images at once as ``run`` had, if that helps and changes nothing else."""
    detail = str(error).removeprefix("CUDA out of memory. ")
    if not run.largest_batch:
        raise torch.OutOfMemoryError(f"out of memory before the first step: {detail}") from None
    most = run.micro_batch or run.largest_batch[0]
    reason: str | None = "there is no smaller number of images"
    if run.processes.count > 1:
        reason = "several processes share the work"
    elif most > 1:
        reason = why_whole(model, run.largest_batch)
    if reason is not None:
        raise torch.OutOfMemoryError(
            f"out of memory with {most} images at once, and fewer are not tried, as {reason}: "
            f"{detail}"
        ) from None
    return most // 2
