"""Several processes as one: shards of each batch, gradients of the whole one.

Nothing is remembered of the batch that was fetched last: what a pass is a part of, the processes
tell each other when it is made. A method may fetch and forward in any order, and change what it
forwards.

Started by ``torchrun`` (or ``accelerate launch``, which calls it); alone, everything here does
nothing.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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


class LostProcessError(ConnectionError):
    """One of several processes did not come to the end: the others cannot go on."""


_BY_LAUNCHERS = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables that each process needs to find the others."""


def _require_launched() -> None:
    """What a launcher sets is there, and says how many there are."""
    count = os.environ["WORLD_SIZE"]
    lacking = [name for name in _BY_LAUNCHERS if name not in os.environ]
    if lacking or not count.isdecimal() or int(count) == 0:
        beside = f" without {', '.join(lacking)}" if lacking else ""
        raise ValueError(
            "processes: expected a number of processes in WORLD_SIZE, as torchrun sets it for each "
            f"of them, got {count!r}{beside}; start it with torchrun, or unset WORLD_SIZE"
        )


@dataclass
class Processes:
    """How many processes work together and which one this is.

    Attributes:
        count: Number of processes.
        rank: This one's number, from 0.
        weight: What this process's mean over the last pass with gradients counts in the mean over
            processes.
    """

    count: int = 1
    rank: int = 0
    weight: Tensor | float = field(default=1.0, repr=False)
    _wholes: set[int] = field(default_factory=set, repr=False)
    _passes: list[Tensor] = field(default_factory=list, repr=False)

    @classmethod
    def start(cls) -> "Processes":
        """Join the others that ``torchrun`` or ``accelerate launch`` started, if any.

        Raises:
            ValueError: If ``WORLD_SIZE`` is set as if there were some, but none started this one.
        """
        if os.environ.get("WORLD_SIZE", "1") == "1":
            return cls()
        _require_launched()
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

    def tell(self, value: Value) -> list[Value]:
        """What each process has, in order of rank, on all of them."""
        told: list[Any] = [value] * self.count
        if self.count > 1:
            with self.in_touch():
                dist.all_gather_object(told, value)
        return told

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
        self._wholes.add(len(positions))
        cut = 1 < self.count <= len(positions)
        return positions.tensor_split(self.count)[self.rank] if cut else positions

    def weighted(self, outputs: Tensor, x: Tensor) -> Tensor:
        """``outputs`` for images ``x``; gradients that come back are weighted by their number.

        The average of the processes' gradients is then that of the mean over the images of all.

        Raises:
            ValueError: On a CPU, as :meth:`require_batches`.
        """
        if self.count == 1 or not outputs.requires_grad:
            return outputs
        content = x.detach().sum(dtype=torch.float64).nan_to_num()  # NaN equals nothing
        rows = self.gather(torch.stack([torch.full_like(content, len(x)), content])[None])
        self._passes.append(rows)
        if rows.device.type == "cpu":  # a GPU would have to be waited for
            self.require_batches()
        self.weight = weight = self.count * len(x) / rows[:, 0].sum()
        outputs.register_hook(lambda gradient: gradient * weight)  # type: ignore[no-untyped-call]
        return outputs

    def weight_of(self, images: int, device: torch.device) -> Tensor | float:
        """What a mean over ``images`` counts in the mean over processes, each with its own number.

        1 where all have as many: then the mean of means is that over the images of all.
        """
        if self.count == 1:
            return 1.0
        sizes = torch.full((), images, dtype=torch.float64, device=device)
        return self.count * images / self.total(sizes)

    def require_batches(self) -> None:
        """Each pass with gradients so far was over one batch, or over the same in all processes.

        Raises:
            ValueError: If not.
        """
        passes = [rows.tolist() for rows in self._passes]
        self._passes.clear()
        for rows in passes:
            sizes = [int(size) for size, _ in rows]
            same = all(row == rows[0] for row in rows)
            if not (same or self._are_shards(sizes)):
                raise ValueError(
                    "processes: expected each pass to be over one batch, or over what is the same "
                    f"in all processes, got {', '.join(map(str, sizes))} images in the "
                    f"{self.count} processes, shards of no batch; over batches that are "
                    "joined, or some images of one, means of each process do not tell that of all; "
                    "call the model for one whole batch at a time, or start it without torchrun or "
                    "accelerate launch"
                )

    def _are_shards(self, sizes: list[int]) -> bool:
        """Whether these are the shards of a batch, each of them once or as often as the others."""
        for whole in self._wholes:
            least, more = divmod(whole, self.count)
            shards = [least + (rank < more) if least else whole for rank in range(self.count)]
            times = sizes[0] // shards[0]
            if sizes == [times * shard for shard in shards]:
                return True
        return False

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
            raise LostProcessError(
                f"expected {self.count} processes to the end, but one {what} (killed, perhaps for "
                "want of memory?), which ends all; no result was written, and the same command "
                "does it again"
            ) from error
