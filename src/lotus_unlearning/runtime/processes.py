"""Several processes as one: equal shards, averaged gradients, shared batch statistics.

Started by ``torchrun`` (or ``accelerate launch``, which calls it); alone, everything here does
nothing.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Value = TypeVar("Value")


@dataclass
class Processes:
    """How many processes work together and which one this is.

    Attributes:
        count: Number of processes.
        rank: This one's number, from 0.
        sharded: Whether the batch at hand is cut into shards (else each process has all of it).
    """

    count: int = 1
    rank: int = 0
    sharded: bool = False

    @classmethod
    def start(cls) -> "Processes":
        """Join the others that ``torchrun`` or ``accelerate launch`` started, if any."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        from accelerate import PartialState

        state = PartialState(cpu=not torch.cuda.is_available())
        return cls(count=state.num_processes, rank=state.process_index)

    def from_first(self, make: Callable[[], Value]) -> Value:
        """What the first process makes, on all of them."""
        if self.count == 1:
            return make()
        made: list[Any] = [make() if self.rank == 0 else None]
        dist.broadcast_object_list(made)
        found: Value = made[0]
        return found

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
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
            store = dist.TCPStore(*place, is_master=False)  # type: ignore[attr-defined]
            return int(store.add(f"lotus-unlearning/failed/{attempt}", 1)) == 1
        except RuntimeError:  # whoever kept count has failed, and said why
            return False

    def shard(self, positions: Tensor) -> Tensor:
        """This process's part of a batch; all of it where it cannot be cut equally.

        Equal shards make the average of the processes' means the mean over the batch.
        """
        size, rest = divmod(len(positions), self.count)
        self.sharded = self.count > 1 and rest == 0
        return positions[self.rank * size : (self.rank + 1) * size] if self.sharded else positions

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace gradients by their mean over processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        means = torch.split(flat, [g.numel() for g in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def gather(self, rows: Tensor) -> Tensor:
        """Rows ``[N / count, C]`` of every process, in order of rank: ``[N, C]``."""
        if self.count == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.count)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    def mean(self, value: Tensor) -> Tensor:
        """Mean of ``value`` over processes."""
        if self.count > 1:
            dist.all_reduce(value)
            value /= self.count
        return value

    def synchronize_batch_norm(self, model: nn.Module) -> None:
        """Let BatchNorm layers in training mode see the whole batch, not this shard."""
        if self.count == 1:
            return
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                vars(module)["forward"] = MethodType(_synchronized(self), module)


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient of each part is the sum of the gradients of the total."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _synchronized(processes: Processes):  # type: ignore[no-untyped-def]
    def forward(self: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
        if not (self.training and processes.sharded):
            return type(self).forward(self, x)
        dims = [d for d in range(x.dim()) if d != 1]
        shape = [1, -1, *([1] * (x.dim() - 2))]
        count = x.numel() // x.shape[1] * processes.count
        wide = x if x.dtype is torch.float64 else x.float()
        mean: Tensor = _Sum.apply(wide.sum(dims)) / count
        centred = wide - mean.view(shape)
        # not E[x^2] - E[x]^2: where the mean is large, float32 leaves nothing of that
        variance: Tensor = _Sum.apply(centred.square().sum(dims)) / count
        if self.track_running_stats:
            _update(self, mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is None:
            return normal.to(x.dtype)
        return (normal * self.weight.view(shape) + self.bias.view(shape)).to(x.dtype)

    return forward


def _update(norm: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    seen = float(norm.num_batches_tracked)
    momentum = 1 / seen if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), momentum)
