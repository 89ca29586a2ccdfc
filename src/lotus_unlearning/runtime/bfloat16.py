"""Are a model's gradients right in bfloat16 on this processor? Some convolutions' are not."""

import copy
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.runtime.run import Runtime
from lotus_unlearning.splits import Split

IMAGES = 8
REPEATS = 3
LARGEST_ERROR = 0.5
"""Of the norm of a weight's gradient; rounding to bfloat16 costs a few per cent."""
LARGEST_SHARE = 0.05
"""Of the norm of all gradients: what nearly cancels may be off by more than itself."""


def check_precision(run: Runtime, model: nn.Module, split: Split) -> None:
    """Where ``run`` computes in bfloat16 on a CPU, that ``model`` can be computed so.

    Raises:
        ValueError: If not; see :func:`check_bfloat16`.
    """
    if run.precision is torch.bfloat16 and run.device.type == "cpu":
        some = split.take(torch.arange(min(IMAGES, len(split))))
        images, labels, _ = next(run.batches(some, len(some), shuffle=False))
        check_bfloat16(model, images, labels)


def check_bfloat16(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """The gradients of one small batch are nearly those of float32.

    PyTorch 2.14 with oneDNN on an AMD with AVX512-BF16 reads memory that it never wrote in the
    weight gradient of a strided convolution over a single pixel, and is silent about it. Such
    convolutions are refused as they are. For others like them, the batch is computed several times
    with NaN in the memory that becomes free.

    Args:
        model: On the CPU; stays as it is.
        images: ``[B, ...]`` of the model's input.
        labels: ``[B]``.

    Raises:
        ValueError: If they are not; names the layers.
    """
    exact = _gradients(model, images, labels, half=False)
    slack = LARGEST_SHARE * torch.stack([g.norm() for g in exact.values()]).norm()
    wrong = dict.fromkeys(_strided_over_a_pixel(model, images))
    for _ in range(REPEATS):
        junk = [torch.full_like(gradient, torch.nan) for gradient in exact.values()]
        del junk
        found = _gradients(model, images, labels, half=True)
        wrong |= dict.fromkeys(n for n in exact if not _near(found[n], exact[n], slack))
    if wrong:
        raise ValueError(
            "precision: expected gradients in bfloat16 near those in float32, but PyTorch computes "
            f"others on this processor, first for {', '.join(list(wrong)[:3])}; pass "
            'precision="float32"'
        )


def _near(found: Tensor, exact: Tensor, slack: Tensor) -> bool:
    error = (found - exact).norm()
    return bool(torch.isfinite(error) and error <= LARGEST_ERROR * exact.norm() + slack)


def _strided_over_a_pixel(model: nn.Module, images: Tensor) -> list[str]:
    """Names of convolutions that step over inputs of height or width 1."""
    found: list[str] = []
    learner = copy.deepcopy(model).float().eval()
    for name, module in learner.named_modules():
        if isinstance(module, nn.Conv2d) and max(module.stride) > 1 and max(module.kernel_size) > 1:

            def look(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                if min(inputs[0].shape[-2:]) == 1:
                    found.append(f"{name}.weight")

            module.register_forward_pre_hook(look)
    with torch.no_grad():
        learner(images.float())
    return found


def _gradients(model: nn.Module, images: Tensor, labels: Tensor, half: bool) -> dict[str, Tensor]:
    learner = copy.deepcopy(model).float().requires_grad_(True).train()
    images = images.float()
    if images.dim() == 4:
        learner = learner.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)  # dropout
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            logits = learner(images)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
    parameters = learner.named_parameters()
    return {n: p.grad.detach() for n, p in parameters if p.grad is not None}
