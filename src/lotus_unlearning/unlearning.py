"""unlearn(): copies the model, seeds, runs a method, times it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from lotus_unlearning.checks import check_model, check_splits
from lotus_unlearning.runtime import (
    Processes,
    Runtime,
    check_blocks,
    check_precision,
    choose_device,
    choose_precision,
)
from lotus_unlearning.runtime.agreement import begin
from lotus_unlearning.runtime.carry_out import carry_out
from lotus_unlearning.runtime.run import Row
from lotus_unlearning.splits import Splits


class Method(Protocol):
    """What makes a model forget: edits ``model`` in place, reading only the splits it names.

    One that has ``replayable = True`` says that between the steps of its run it changes nothing of
    the model but weights, training mode and which weights want gradients, and takes the gradients
    of each pass once, by :meth:`Runtime.step` or :meth:`Runtime.backward`. Its training passes may
    be replayed on a GPU.
    """

    @property
    def reads(self) -> frozenset[str]:
        """Names of the splits it reads: a plain ``ClassVar`` will do."""

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Forget ``data.forget``."""


@dataclass(frozen=True, repr=False)
class Unlearned:
    """A model after unlearning and what it cost.

    Attributes:
        model: In evaluation mode, on the device it was computed on; with ``shard`` on the CPU.
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

    def __repr__(self) -> str:
        cost = f"{len(self.history)} epochs, {self.seconds:.1f} s, seed {self.seed}"
        return f"Unlearned({type(self.model).__name__}: {cost})"


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
    shard: bool = False,
    compile: bool = False,
    checkpoint: str | Path | None = None,
) -> Unlearned:
    """Make a copy of ``model`` forget ``splits.forget``; ``model`` itself is untouched.

    Args:
        model: Maps images ``[B, ...]`` to logits ``[B, C]``.
        splits: What to forget, and the other images.
        method: One of ``METHODS``, or any object with its ``reads`` and ``__call__``.
        seed: Same seed, machine and versions: same bits.
        batch_size: Images per step, where the method has no size of its own.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: ``"auto"`` (bfloat16 on CUDA, else float32), ``"float32"``, ``"bfloat16"`` or
            ``"float64"``.
        progress: Draw a progress bar when standard error is a terminal.
        shard: Let each of several processes (``torchrun``) hold a part of the weights, their
            gradients and the optimizer state, and not all of them: for models that do not fit.
        compile: Compile the blocks that the model repeats, as transformers do, by
            ``torch.compile``: steps of a ViT on a GPU take a fifth less time, after some seconds
            for the compiler. What is computed is the same up to the order of additions, and to
            what dropout and the like draw.
        checkpoint: A folder for where the run stands, written at the end of each epoch. Killed and
            called again with the same arguments, the run goes on from there, to the same bits.
            The file stays when it is done; remove it then.

    Raises:
        ValueError: If something about the model or the data is wrong; lists all of it, before
            any work. If the checkpoint is damaged or of another run. With ``shard``, if there is
            one process, or PyTorch cannot cut the model or compute with shards as the method does.
        FloatingPointError: If a loss was not finite (says in which epoch and batch), or a weight
            in the end.
        torch.OutOfMemoryError: If the device's memory does not suffice, and fewer images at once
            would not do or change the result.

    >>> from lotus_unlearning.methods import GradientAscent
    >>> images, labels = torch.rand(20, 1, 4, 4), torch.arange(20) % 2
    >>> splits = Splits.from_ids((images, labels), forget=[1, 4])
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    >>> made = unlearn(model, splits, GradientAscent(epochs=2), device="cpu")
    >>> len(made.history), torch.equal(made.model[1].weight, model[1].weight)
    (2, False)
    """
    place = choose_device(device)
    check_splits(splits, method)
    check_model(model, splits, batch_size)
    run = Runtime(
        place,
        choose_precision(precision, place),
        batch_size,
        seed,
        progress,
        Processes.start(),
        shard=shard,
        compiles=compile,
        replays=getattr(method, "replayable", False),
    )
    check_precision(run, model, splits.retain)
    check_blocks(run, model)
    parts = {name: getattr(splits, name) for name in sorted(method.reads)}
    kept = begin(checkpoint, "method", method, model, parts, run)
    done = carry_out(lambda student, run: method(student, splits, run), model, run, kept)
    cost = done.cost
    return Unlearned(
        done.model, method, done.run.history, cost.seconds, cost.peak_memory_bytes, seed
    )
