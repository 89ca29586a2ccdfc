"""unlearn(): copies the model, seeds, runs a method, times it."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from lotus_unlearning.checks import check_model, check_splits
from lotus_unlearning.runtime import (
    Processes,
    Runtime,
    choose_device,
    choose_precision,
    measure_peak_memory,
)
from lotus_unlearning.runtime.run import Row
from lotus_unlearning.splits import Splits


class Method(Protocol):
    """What makes a model forget: edits ``model`` in place, reading only the splits it names."""

    @property
    def reads(self) -> frozenset[str]:
        """Names of the splits it reads: a plain ``ClassVar`` will do."""

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Forget ``data.forget``."""


@dataclass(frozen=True)
class Unlearned:
    """A model after unlearning and what it cost.

    Attributes:
        model: In evaluation mode, on the device it was computed on.
        method: What was run.
        history: One row per epoch.
        seconds: From the method's first to its last operation, device synchronised; moving
            data, teacher passes and accuracies included.
        peak_memory_bytes: Highest memory above the loaded model and data, or ``None`` where
            it cannot be measured.
        seed: Of the unlearning (not of the choice of images).
    """

    model: nn.Module
    method: Method
    history: list[Row]
    seconds: float
    peak_memory_bytes: int | None
    seed: int


def unlearn(
    model: nn.Module,
    splits: Splits,
    method: Method,
    *,
    seed: int = 0,
    batch_size: int = 128,
    device: str | torch.device = "auto",
    precision: str = "auto",
    progress: bool = True,
) -> Unlearned:
    """Make a copy of ``model`` forget ``splits.forget``; ``model`` itself is untouched.

    Args:
        model: Maps images ``[B, ...]`` to logits ``[B, C]``.
        splits: What to forget, and the other images.
        method: One of ``METHODS``, or any object with its ``reads`` and ``__call__``.
        seed: Same seed, machine and versions: same bits.
        batch_size: Images per step, where the method has no size of its own.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float64"``.
        progress: Draw a progress bar when standard error is a terminal.

    Raises:
        ValueError: If something about the model or the data is wrong; lists all of it, before
            any work.
        FloatingPointError: If a loss was not finite; says in which epoch and batch.
    """
    place = choose_device(device)
    check_splits(splits, method)
    check_model(model, splits, batch_size)
    run = Runtime(
        place, choose_precision(precision, place), batch_size, seed, progress, Processes.start()
    )
    student = copy.deepcopy(model).requires_grad_(True)
    with seeded(seed, place), run.prepared(student), measure_peak_memory(place) as peak:
        start = time.perf_counter()
        student.eval()
        method(student, splits, run)
        synchronize(place)
        seconds = time.perf_counter() - start
    student.to(next(model.parameters()).dtype).eval()
    for ours, theirs in zip(student.parameters(), model.parameters(), strict=True):
        ours.grad = None
        ours.requires_grad_(theirs.requires_grad)
    return Unlearned(student, method, run.history, seconds, peak.bytes, seed)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's global generators seeded within the block (dropout), as before after it."""
    devices = [device] if device.type == "cuda" else []
    deterministic = torch.backends.cudnn.deterministic
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.backends.cudnn.deterministic = True
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic = deterministic


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
