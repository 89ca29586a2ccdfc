"""BatchNorm over several processes: statistics of the whole batch, not of each one's shard."""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lotus_unlearning.runtime.forward import OF_A_RUN
from lotus_unlearning.runtime.processes import Processes


def share_batch_statistics(model: nn.Module, processes: Processes) -> None:
    """Let BatchNorm layers in training mode see the whole batch.

    Raises:
        ValueError: If a layer is a BatchNorm of its own kind: what else it does is not known here;
            or one without running statistics, which predicts of an image by those beside it.
    """
    if processes.count == 1:
        return
    from timm.layers import BatchNormAct2d

    known = (_BatchNorm.forward, nn.SyncBatchNorm.forward, BatchNormAct2d.forward)
    for name, module in model.named_modules():
        if not isinstance(module, _BatchNorm):
            continue
        if type(module).forward not in known:
            raise ValueError(
                "processes: expected BatchNorm layers of torch, or BatchNormAct2d of timm, got "
                f"{type(module).__name__} ({name}), whose statistics cannot be shared; start it "
                "without torchrun or accelerate launch"
            )
        if module.running_mean is None:
            raise ValueError(
                f"processes: expected BatchNorm layers with running statistics, got {name!r} with "
                "none (track_running_stats=False): what it says of an image depends on those that "
                "are predicted beside it, which differ between processes; start it without "
                "torchrun or accelerate launch"
            )
        after = (module.drop, module.act) if isinstance(module, BatchNormAct2d) else ()
        vars(module)["forward"] = MethodType(_sharing(processes, after), module)


class _Rows(torch.autograd.Function):
    """A row ``[K]`` of each process: ``[P, K]``; its gradient is the sum of those of all."""

    @staticmethod
    def forward(ctx: Any, row: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.gather(row[None])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = ctx.processes.total(gradient.clone(memory_format=torch.contiguous_format))
        return total[ctx.processes.rank], None


def _sharing(processes: Processes, after: tuple[nn.Module, ...]):  # type: ignore[no-untyped-def]
    def forward(self: _BatchNorm, x: Tensor) -> Tensor:
        """By the statistics of all processes, where the layer learns."""
        if not self.training:
            return type(self).forward(self, x)
        x = _normalised(self, x, processes)
        for layer in after:
            x = layer(x)
        return x

    setattr(forward, OF_A_RUN, True)
    return forward


def _normalised(norm: _BatchNorm, x: Tensor, processes: Processes) -> Tensor:
    dims = [d for d in range(x.dim()) if d != 1]
    shape = [1, -1, *([1] * (x.dim() - 2))]
    count, channels = x.numel() // x.shape[1], x.shape[1]
    wide = x if x.dtype is torch.float64 else x.float()
    # not E[x^2] - E[x]^2: where the mean is large, float32 leaves nothing of that
    variance, mean = torch.var_mean(wide, dims, correction=0)
    row = torch.cat([mean, variance, mean.new_full((1,), count)])
    rows: Tensor = _Rows.apply(row, processes)
    means, variances, counts = rows[:, :channels], rows[:, channels:-1], rows[:, -1:].detach()
    share = counts / counts.sum()
    mean = (share * means).sum(dim=0)
    variance = (share * (variances + (means - mean).square())).sum(dim=0)
    # in a batch of fewer images than processes, and where a method gives all of them the same
    # ones, these are no more images than one process has
    copies = (rows == rows[0]).all()
    total = torch.where(copies, counts[0, 0], counts.sum())
    if count == 1 and total == 1:
        return type(norm).forward(norm, x)  # says that one value is too few
    if norm.track_running_stats:
        _update(norm, mean.detach(), variance.detach() * total / (total - 1))
    normal = (wide - mean.view(shape)) * (variance + norm.eps).rsqrt().view(shape)
    if norm.weight is None:
        return normal.to(x.dtype)
    return (normal * norm.weight.view(shape) + norm.bias.view(shape)).to(x.dtype)


def _update(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    seen = float(norm.num_batches_tracked)
    momentum = 1 / seen if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), momentum)
