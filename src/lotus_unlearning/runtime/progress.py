"""What an epoch leaves to look at: its loss, and a bar that moves on."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lotus_unlearning.runtime.processes import Processes

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(count: int, done: int, *, shown: bool) -> "AbstractContextManager[tqdm[Any]]":
    """Of ``count`` epochs, drawn in a terminal only; that some are ``done`` is said everywhere."""
    from tqdm import tqdm

    if shown and done:
        print(f"goes on from its checkpoint, after epoch {done} of {count}", file=sys.stderr)
    return tqdm(
        total=count, initial=done, unit="epoch", disable=not (shown and sys.stderr.isatty())
    )


def advance(bar: "tqdm[Any]", row: Mapping[str, Any]) -> None:
    """One epoch further, with what it logged."""
    bar.update()
    bar.set_postfix({name: value for name, value in row.items() if name != "epoch"})


def mean_loss(losses: Sequence[Tensor], epoch: int, processes: Processes) -> float | None:
    """Mean over the batches of an epoch and over processes; ``None`` if there were none.

    Raises:
        FloatingPointError: If a loss is not finite; says which.
        ValueError: If a pass was over something else than a batch.
    """
    processes.require_batches()
    if not losses:
        return None
    values = torch.stack(list(losses))
    bad = (~torch.isfinite(values)).nonzero()
    if len(bad):
        raise FloatingPointError(
            f"loss is {values[bad[0, 0]].item()} in epoch {epoch}, batch {bad[0, 0].item()}; "
            "the given model is unchanged; try a smaller learning rate or float32"
        )
    return processes.mean(values.mean()).item()
