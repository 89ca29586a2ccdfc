"""Several processes as one: shards of each batch, gradients of the whole one.

Started by ``torchrun`` (or ``accelerate launch``, which calls it); alone, everything here does
nothing.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lotus_unlearning.runtime.shards import in_shards

Value = TypeVar("Value")

PATIENCE = timedelta(minutes=10)
"""How long one process waits for another before it gives up.

They start together and do the same work. What takes longest is what one of them does alone, such
as a download, and the first batch (cold disks, libraries and kernels that are loaded): minutes. A
process that died is noticed at once; this is for one that hangs, or a network that is gone.
"""
_BRIEF = timedelta(seconds=10)
_BROKEN = ("connection", "broken pipe", "timed out", "timeout")
"""In messages of gloo, which has no exception of its own."""


@dataclass
class Processes:
    """How many processes work together and which one this is.

    Attributes:
        count: Number of processes.
        rank: This one's number, from 0.
        whole: Images in the batch at hand.
        part: Those of them that this process has: its shard, or all.
    """

    count: int = 1
    rank: int = 0
    whole: int = 1
    part: int = 1

    @classmethod
    def start(cls) -> "Processes":
        """Join the others that ``torchrun`` or ``accelerate launch`` started, if any."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        from accelerate import PartialState

        state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
        return cls(count=state.num_processes, rank=state.process_index)

    def require_several(self) -> None:
        """There are others to share a model with.

        Raises:
            ValueError: If not.
        """
        if self.count == 1:
            raise ValueError(
                "shard: expected several processes to share a model, got one; start them with "
                "torchrun or accelerate launch, or leave shard out"
            )

    def from_first(self, make: Callable[[], Value]) -> Value:
        """What the first process makes, on all of them."""
        if self.count == 1:
            return make()
        made: list[Any] = [make() if self.rank == 0 else None]
        with self.in_touch():
            dist.broadcast_object_list(made)
        found: Value = made[0]
        return found

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            with self.in_touch():
                dist.barrier()

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """The first process runs the block before the others: what it downloads, they find."""
        if self.rank:
            self.wait()
        yield
        if self.rank == 0:
            self.wait()

    def is_first_to_fail(self) -> bool:
        """Whether no other process asked this before: where several fail, one is to say why.

        Asked by a process that ends; the launcher then ends the others, which may wait for it.
        """
        if self.count == 1:
            return True
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        try:
            store = dist.TCPStore(*place, is_master=False, timeout=_BRIEF)  # type: ignore[attr-defined]
            return int(store.add(f"lotus-unlearning/failed/{attempt}", 1)) == 1
        except RuntimeError:  # whoever kept count has failed, and said why
            return False

    def shard(self, positions: Tensor) -> Tensor:
        """This process's part of a batch; all of it where there are fewer images than processes.

        No shard has two images more than another. What is computed of shards of unequal size is
        weighted by their size.
        """
        cut = 1 < self.count <= len(positions)
        shard = positions.tensor_split(self.count)[self.rank] if cut else positions
        self.whole, self.part = len(positions), len(shard)
        return shard

    @property
    def sharded(self) -> bool:
        """Whether the batch at hand is cut into shards (else each process has all of it)."""
        return self.part < self.whole

    @property
    def weight(self) -> float:
        """What this process's mean over its shard counts in the mean over processes.

        1 where all shards have the same size: then the mean of means is that over the batch.
        """
        return self.part * self.count / self.whole if self.sharded else 1.0

    def weighted(self, outputs: Tensor) -> Tensor:
        """``outputs`` for the batch at hand; gradients that come back are weighted by its size.

        The average of the processes' gradients is then that of the mean over the batch.
        """
        weight = self.weight
        if weight != 1 and outputs.requires_grad:
            outputs.register_hook(lambda gradient: gradient * weight)  # type: ignore[no-untyped-call]
        return outputs

    def dealt(self, count: int) -> Tensor:
        """This process's part of ``count`` positions: as many for each, the first ones again."""
        size = math.ceil(count / self.count)
        order = torch.arange(size * self.count) % count
        return order[self.rank * size : (self.rank + 1) * size]

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace gradients by their mean over processes; those of shards are that already."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None and not in_shards(p)]
        if not gradients:
            return
        flat = self.mean(torch.cat([g.reshape(-1) for g in gradients]))
        means = torch.split(flat, [g.numel() for g in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def gather(self, rows: Tensor) -> Tensor:
        """Rows ``[N / count, C]`` of every process, in order of rank: ``[N, C]``."""
        if self.count == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.count)]
        with self.in_touch():
            dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    def total(self, value: Tensor) -> Tensor:
        """Sum of ``value`` over processes, in place."""
        if self.count > 1:
            with self.in_touch():
                dist.all_reduce(value)
        return value

    def mean(self, value: Tensor) -> Tensor:
        """Mean of ``value`` over processes, in place."""
        return self.total(value).div_(self.count) if self.count > 1 else value

    @contextmanager
    def in_touch(self) -> Iterator[None]:
        """Within the block, an error of the connection says what it means."""
        try:
            yield
        except RuntimeError as error:
            text = str(error).lower()
            if not any(word in text for word in _BROKEN):
                raise
            late = "timed out" in text or "timeout" in text
            minutes = f"{PATIENCE.total_seconds() / 60:g}"
            what = f"did not answer for {minutes} minutes" if late else "ended before its time"
            raise ConnectionError(
                f"expected {self.count} processes to the end, but one {what} (killed, perhaps for "
                "want of memory?), which ends all; no result was written, and the same command "
                "does it again"
            ) from error
