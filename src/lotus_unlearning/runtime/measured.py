"""One run of a model: prepared, seeded, timed, its memory measured."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from lotus_unlearning.runtime.hardware import measure_peak_memory
from lotus_unlearning.runtime.run import Runtime
from lotus_unlearning.runtime.seeds import seeded, synchronize


@dataclass
class Cost:
    """What a block cost; filled in when it ends.

    Attributes:
        seconds: From its first to its last operation, device synchronised, with what attempts
            before it took that were killed or out of memory.
        peak_memory_bytes: Highest memory above that at its start; ``None`` where it cannot be
            measured.
    """

    seconds: float = 0.0
    peak_memory_bytes: int | None = None


@contextmanager
def measured(model: nn.Module, run: Runtime) -> Iterator[tuple[nn.Module, Cost]]:
    """Run a block on ``model``, prepared, which is changed; says what it cost.

    All parameters can be trained within the block. After it, ``model`` is in evaluation mode,
    in its own type, without gradients, and needs gradients where it did before.

    Raises:
        FloatingPointError: If a weight is not finite in the end.
    """
    dtype = next(model.parameters()).dtype
    trainable = [parameter.requires_grad for parameter in model.parameters()]
    model.requires_grad_(True)
    cost = Cost()
    with (
        seeded(run.seed + run.processes.rank, run.device),  # each drops out for its own images
        run.prepared(model) as ready,
        measure_peak_memory(run.device) as peak,
    ):
        start = time.perf_counter()
        ready.eval()
        yield ready, cost
        synchronize(run.device)
        cost.seconds = run.seconds_before + time.perf_counter() - start
    _require_finite(model)
    run.compiling.warn_if_idle()
    cost.peak_memory_bytes = peak.bytes
    model.to(dtype).eval()
    for parameter, needs_gradient in zip(model.parameters(), trainable, strict=True):
        parameter.grad = None
        parameter.requires_grad_(needs_gradient)


def _require_finite(model: nn.Module) -> None:
    values = [*model.named_parameters(), *model.named_buffers()]
    bad = [n for n, v in values if v.is_floating_point() and not torch.isfinite(v).all()]
    if bad:
        raise FloatingPointError(
            f"the weights {', '.join(bad[:3])} are NaN or infinite after the last step; the given "
            "model is unchanged; try a smaller learning rate or float32"
        )
