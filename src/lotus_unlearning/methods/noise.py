"""Noise that is learned against a model, and the range of the images that it stands beside."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split

Learned = tuple[Tensor, Tensor]
"""Noise ``[N, ...]`` and its loss ``[]``."""
Ends = tuple[float, float]
"""Lowest and highest value."""


def learned(
    noise: Tensor,
    loss: Callable[[Tensor], Tensor],
    steps: int,
    rate: float,
    model: nn.Module,
    run: Runtime,
) -> Learned:
    """``noise`` after so many Adam steps down ``loss``, and the loss before the last of them.

    Args:
        noise: ``[N, ...]``, equal in all processes.
        loss: Of the noise, a mean over it or over a batch.
        steps: How many.
        rate: Learning rate.
        model: In evaluation mode from here on; its weights stay.
        run: Of the method.
    """
    model.eval().requires_grad_(False)
    noise.requires_grad_()
    optimizer = torch.optim.Adam([noise], lr=rate, fused=True)
    value = torch.zeros_like(noise.flatten()[0])
    for _ in range(steps):
        value = loss(noise)
        run.backward([noise], value)
        optimizer.step()
    model.requires_grad_(True)
    return noise.detach(), value.detach()


def ends(split: Split, run: Runtime) -> Ends:
    """Of all images of ``split``, as the model takes them."""
    found = run.predict(_Extremes(), split)
    return found.min().item(), found.max().item()


class _Extremes(nn.Module):
    """The smallest and the largest value of each input, ``[B, 2]``."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return torch.stack([flat.amin(dim=1), flat.amax(dim=1)], dim=1)
