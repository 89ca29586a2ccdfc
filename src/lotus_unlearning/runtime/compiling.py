"""Blocks that a model repeats, compiled: fewer and larger kernels, after a wait for them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from lotus_unlearning.runtime.run import Runtime

FEWEST_BLOCKS = 4
"""Modules of one kind in a row that count as repeated: each kind is compiled once for all."""

WORTH_IT = 8
"""Batches of one size in a pass over images, from which on it is compiled for that size."""

_CANNOT = "compile: expected blocks that torch.compile can compile here, got {}: {}; run without it"


class Compiling:
    """Which batches of a run are computed by compiled blocks: those of the usual size.

    Never by how often a size was seen: a run that goes on from a checkpoint must compute every
    batch as the first attempt did.
    """

    def __init__(self) -> None:
        self._usual: Counter[int] = Counter()
        self.now = False

    @contextmanager
    def usual(self, sizes: Iterable[int]) -> Iterator[None]:
        """Within the block, a pass over images is made in batches of such sizes."""
        size, count = next(iter(Counter(sizes).most_common(1)), (0, 0))
        worth_it = int(count >= WORTH_IT)
        self._usual[size] += worth_it
        try:
            yield
        finally:
            self._usual[size] -= worth_it

    @contextmanager
    def batch(self, size: int) -> Iterator[None]:
        """Within the block, a batch of so many images goes through the model."""
        before, self.now = self.now, self._usual[size] > 0
        try:
            yield
        finally:
            self.now = before

    def place(self, model: nn.Module) -> None:
        """Give the repeated blocks of ``model`` a ``forward`` that is compiled where it counts."""
        for group in repeated(model):
            forward = _Forward(self, type(group[0]))
            for block in group:
                vars(block)["forward"] = MethodType(forward, block)


class _Forward:
    """Of all blocks of one kind: as it is, or compiled."""

    def __init__(self, compiling: Compiling, kind: type[nn.Module]) -> None:
        self._compiling, self._kind = compiling, kind
        self._compiled: Callable[..., Any] = torch.compile(kind.forward, dynamic=False)

    def __call__(self, block: nn.Module, *inputs: Any, **named: Any) -> Any:
        if not self._compiling.now:
            return self._kind.forward(block, *inputs, **named)
        try:
            return self._compiled(block, *inputs, **named)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = next(filter(None, map(str.strip, str(error).splitlines())), "no reason")
            raise ValueError(_CANNOT.format(self._kind.__name__, reason)) from error


def check_blocks(run: "Runtime", model: nn.Module) -> None:
    """Where ``run`` compiles blocks, that ``model`` has some.

    Raises:
        ValueError: If it repeats none.
    """
    if run.compiles and not any(True for _ in repeated(model)):
        raise ValueError(
            f"compile: expected a model that repeats a block at least {FEWEST_BLOCKS} times, as "
            f"transformers do, got {type(model).__name__}, which does not; run without it"
        )


def repeated(model: nn.Module) -> Iterator[list[nn.Module]]:
    """Modules of one kind in a row, with layers of their own, none of which holds such a row."""
    for row in model.modules():
        blocks = list(row.children()) if isinstance(row, nn.Sequential | nn.ModuleList) else []
        if _is_row(blocks) and not any(True for block in blocks for _ in repeated(block)):
            yield blocks


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")


def _is_row(blocks: list[nn.Module]) -> bool:
    if len(blocks) < FEWEST_BLOCKS or len({type(block) for block in blocks}) > 1:
        return False
    return all(any(True for _ in b.children()) and _is_as_made(b) for b in blocks)


def _is_as_made(block: nn.Module) -> bool:
    """Whether its ``forward`` is that of its class, or one that was given to it here."""
    own = vars(block).get("forward")
    return own is None or isinstance(getattr(own, "__func__", None), _Forward)
