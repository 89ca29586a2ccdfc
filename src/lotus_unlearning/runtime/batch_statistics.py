"""BatchNorm over several processes: statistics of the whole batch, not of each one's shard."""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

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


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient of each part is the sum of the gradients of the total."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.total(value.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.total(gradient.clone()), None


def _sharing(processes: Processes, after: tuple[nn.Module, ...]):  # type: ignore[no-untyped-def]
    def forward(self: _BatchNorm, x: Tensor) -> Tensor:
        if not (self.training and processes.sharded):
            return type(self).forward(self, x)
        x = _normalised(self, x, processes)
        for layer in after:
            x = layer(x)
        return x

    return forward


def _normalised(norm: _BatchNorm, x: Tensor, processes: Processes) -> Tensor:
    dims = [d for d in range(x.dim()) if d != 1]
    shape = [1, -1, *([1] * (x.dim() - 2))]
    count = x.numel() // x.shape[1] * processes.whole // processes.part
    wide = x if x.dtype is torch.float64 else x.float()
    mean: Tensor = _Sum.apply(wide.sum(dims), processes) / count
    centred = wide - mean.view(shape)
    # not E[x^2] - E[x]^2: where the mean is large, float32 leaves nothing of that
    variance: Tensor = _Sum.apply(centred.square().sum(dims), processes) / count
    if norm.track_running_stats:
        _update(norm, mean.detach(), variance.detach() * count / (count - 1))
    normal = centred * (variance + norm.eps).rsqrt().view(shape)
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
