"""Blocks that a model repeats, compiled: fewer and larger kernels, after a wait for them."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lotus_unlearning.runtime.forward import OF_A_RUN

if TYPE_CHECKING:
    from lotus_unlearning.runtime.run import Runtime

FEWEST_BLOCKS = 4
"""Modules of one kind in a row that count as repeated: each kind is compiled once for all."""

WORTH_IT = 8
"""Batches of one size in a pass over images, from which on it is compiled for that size."""

MOST_KINDS = 256
"""Shapes, modes and settings of blocks that are compiled in a process; PyTorch's own limit is 8 for
each class, after which it computes the rest as it is, so that bits would depend on earlier runs."""

_CANNOT = "compile: expected blocks that torch.compile can compile here, got {}: {}; run without it"
_IDLE = (
    "compile: nothing was compiled, as no pass over images had {} batches of one size or more; "
    "fewer are not worth it, and batches that memory did not suffice for do not count"
)


class Compiling:
    """Which batches of a run are computed by compiled blocks: those of the usual size.

    Never by how often a size was seen: a run that goes on from a checkpoint must compute every
    batch as the first attempt did.

    Attributes:
        now: Whether the batch that goes through the model is one of them.
    """

    def __init__(self, wanted: bool, *, in_shards: bool = False) -> None:
        """Without ``wanted`` none is.

        Raises:
            ValueError: If blocks of models in shards are to be compiled.
        """
        if wanted and in_shards:
            raise ValueError("compile: expected models not in shards; run without either")
        self._wanted = wanted
        self._usual: Counter[int] = Counter()
        self._used = False
        self.now = False

    @contextmanager
    def usual(self, sizes: Iterable[int]) -> Iterator[None]:
        """Within the block, a pass over images is made in batches of such sizes."""
        size, count = next(iter(Counter(sizes).most_common(1)), (0, 0))
        worth_it = int(self._wanted and count >= WORTH_IT)
        self._usual[size] += worth_it
        try:
            yield
        finally:
            self._usual[size] -= worth_it

    def counts(self, size: int) -> bool:
        """Whether a batch of so many images is of a usual size."""
        return self._usual[size] > 0

    @contextmanager
    def batch(self, size: int) -> Iterator[None]:
        """Within the block, a batch of so many images goes through the model."""
        before, self.now = self.now, self.counts(size)
        self._used |= self.now
        try:
            yield
        finally:
            self.now = before

    def place(self, model: nn.Module) -> None:
        """Give the repeated blocks of ``model`` a ``forward`` that is compiled where it counts."""
        for group in repeated(model) if self._wanted else ():
            forward = _Forward(self, type(group[0]))
            for block in group:
                vars(block)["forward"] = MethodType(forward, block)

    def warn_if_idle(self) -> None:
        """If there was to be one, and was none."""
        if self._wanted and not self._used:
            warnings.warn(_IDLE.format(WORTH_IT), stacklevel=2)


class _Forward:
    """Of all blocks of one kind: as it is, or compiled."""

    def __init__(self, compiling: Compiling, kind: type[nn.Module]) -> None:
        setattr(self, OF_A_RUN, True)
        self._compiling, self._kind = compiling, kind
        try:
            self._compiled: Callable[..., Any] = torch.compile(kind.forward, dynamic=False)
        except RuntimeError as error:  # this Python, or this system
            raise ValueError(_CANNOT.format(kind.__name__, error)) from error

    def __call__(self, block: nn.Module, *inputs: Any, **named: Any) -> Any:
        if not self._compiling.now:
            return self._kind.forward(block, *inputs, **named)
        import torch._dynamo as dynamo

        most: dict[str, Any] = {
            "recompile_limit": MOST_KINDS,
            "accumulated_recompile_limit": MOST_KINDS,
        }
        try:
            with dynamo.config.patch(**most):
                return self._compiled(block, *inputs, **named)
        except dynamo.exc.TorchDynamoException as error:
            raise ValueError(_CANNOT.format(self._kind.__name__, _reason(error))) from error


def _reason(error: Exception) -> str:
    """Its first line, or that of what a compiler said."""
    said = str(getattr(error, "inner_exception", error))
    return next((line.strip() for line in said.splitlines() if line.strip()), "no reason")


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
    """Alike modules in a row, with layers of their own, none of which holds such a row."""
    for row in model.modules():
        blocks = row.children() if isinstance(row, nn.Sequential | nn.ModuleList) else ()
        for _, alike in groupby(blocks, key=_kind):
            group = list(alike)
            if _are_blocks(group) and not any(True for one in group for _ in repeated(one)):
                yield group


def _kind(block: nn.Module) -> tuple[Any, ...]:
    return type(block), *(parameter.shape for parameter in block.parameters())


def _are_blocks(group: list[nn.Module]) -> bool:
    if len(group) < FEWEST_BLOCKS or type(group[0]) is nn.Sequential:
        return False
    return all(any(True for _ in b.children()) and _is_as_made(b) for b in group)


def _is_as_made(block: nn.Module) -> bool:
    """Whether its ``forward`` is that of its class, or one that was given to it here."""
    own = vars(block).get("forward")
    return own is None or hasattr(getattr(own, "__func__", own), OF_A_RUN)
