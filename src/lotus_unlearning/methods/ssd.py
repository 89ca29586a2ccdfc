"""SSD: dampen the parameters that matter much more to forget images than to all images.

Jack Foster, Stefan Schoepf, Alexandra Brintrup: "Fast Machine Unlearning without Retraining
through Selective Synaptic Dampening", AAAI 2024, https://arxiv.org/abs/2308.07707, Algorithm 1.

    I_D(theta) = mean over batches of D of (d CE / d theta)^2, CE a mean over the batch
    where I_forget > alpha I_all:  theta <- theta min(lambda I_all / I_forget, 1)

Differs: no batch mixes forget and retain images, so that one pass over all images gives both
importances. Forget images are part of all images, hence I_forget / I_all is at most the number
of all batches over the number of forget batches: with the published alpha of 10 nothing changes
where a tenth or more of the data is to be forgotten. SSD then warns. Both sets are read in the
order of their source, so that their batches mix classes alike: the gradient of a batch of one
class is larger than that of a mixed one.
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits


@dataclass(frozen=True, kw_only=True)
class SSD:
    """Selective synaptic dampening: no training, evaluation mode throughout.

    Attributes:
        alpha: How many times more important to forget images a parameter must be (authors: 10).
        dampening: lambda above: a smaller factor dampens more (authors: 1).
        repeats: How often importances are computed and parameters dampened (authors: 1).
    """

    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})
    alpha: float = 10.0
    dampening: float = 1.0
    repeats: int = 1

    def __post_init__(self) -> None:
        limits = {
            "alpha > 0": self.alpha > 0,
            "dampening >= 0": self.dampening >= 0,
            "repeats >= 1": self.repeats >= 1,
        }
        require(self, limits)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place: its parameters, never its buffers."""
        parameters = list(model.parameters())
        size = sum(p.numel() for p in parameters)
        in_order = data.forget.take(torch.argsort(data.forget.ids))  # not sorted by class
        model.eval()
        for _ in run.epochs(self.repeats):
            forget, forget_batches = _squared_gradients(model, in_order, run)
            retain, retain_batches = _squared_gradients(model, data.retain, run)
            batches = forget_batches + retain_batches
            self._warn_if_idle(batches / forget_batches)
            dampened = 0
            for parameter, f, r in zip(parameters, forget, retain, strict=True):
                dampened += self._dampen(parameter, f / forget_batches, (f + r) / batches)
            run.log(dampened_parameters=dampened, dampened_share=dampened / size)

    @torch.no_grad()
    def _dampen(self, parameter: Tensor, forget: Tensor, everything: Tensor) -> int:
        """Shrink entries that are more important to forget; returns how many."""
        chosen = forget > self.alpha * everything
        factor = (self.dampening * everything / forget).clamp_max(1)
        parameter.copy_(torch.where(chosen, parameter * factor, parameter))
        return int(chosen.sum())

    def _warn_if_idle(self, highest: float) -> None:
        if self.alpha >= highest:
            warnings.warn(
                f"SSD with alpha={self.alpha} changes nothing here: forget images are in 1 of "
                f"{highest:.3g} batches, so no parameter is more than {highest:.3g} times as "
                "important to them as to all images; pass a smaller alpha",
                stacklevel=3,
            )


def _squared_gradients(model: nn.Module, split: Split, run: Runtime) -> tuple[list[Tensor], int]:
    """Sum over batches of the squared gradient of cross-entropy, and the number of batches."""
    parameters = list(model.parameters())
    sums, count = [torch.zeros_like(p) for p in parameters], 0
    for x, y, _ in run.batches(split, shuffle=False):
        run.backward(parameters, F.cross_entropy(model(x), y))
        count += 1
        for total, parameter in zip(sums, parameters, strict=True):
            if parameter.grad is not None:
                total.addcmul_(parameter.grad, parameter.grad)
    return sums, count
