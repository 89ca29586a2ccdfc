"""SSD: dampen the parameters that matter much more to forget images than to all images.

Jack Foster, Stefan Schoepf, Alexandra Brintrup: "Fast Machine Unlearning without Retraining
through Selective Synaptic Dampening", AAAI 2024, https://arxiv.org/abs/2308.07707, Algorithm 1.

    I_D(theta) = mean over batches of D of (d CE / d theta)^2, CE a mean over the batch
    where I_forget > alpha I_all:  theta <- theta min(lambda I_all / I_forget, 1)

Differs: no batch mixes forget and retain images, so that one pass over all images gives both
importances. Forget images are part of all images, hence I_forget / I_all is at most the number
of all batches over the number of forget batches: with the published alpha of 10 nothing changes
where a tenth or more of the data is to be forgotten. SSD then warns. Both sets are shuffled once,
by the seed of the run: in a source that is sorted by class, batches would be of one class, and the
gradient of such a batch is larger than that of a mixed one.
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import Runtime, summed
from lotus_unlearning.splits import Split, Splits


@dataclass(frozen=True, kw_only=True)
class SSD:
    """Selective synaptic dampening: no training, evaluation mode throughout.

    Attributes:
        alpha: How many times more important to forget images a parameter must be (authors: 10).
        dampening: lambda above: a smaller factor dampens more (authors: 1).
        repeats: How often importances are computed and parameters dampened (authors: 1).
        batch_size: Images per batch (authors: 128); ``None``: as the run has it.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})
    replayable: ClassVar[bool] = True
    # its only two settings; alpha is cut where nothing is dampened, see space()
    searches: ClassVar[dict[str, Rule]] = {"alpha": TENFOLD, "dampening": TENFOLD}
    alpha: float = 10.0
    dampening: float = 1.0
    repeats: int = 1
    batch_size: int | None = None

    def __post_init__(self) -> None:
        limits = {
            "alpha > 0": self.alpha > 0,
            "dampening >= 0": self.dampening >= 0,
            "repeats >= 1": self.repeats >= 1,
            "batch_size >= 1 or None": self.batch_size is None or self.batch_size >= 1,
        }
        require(self, limits)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        return Passes(self.repeats * (n.forget + n.retain))

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place: its parameters, never its buffers."""
        parameters = list(model.parameters())
        size = sum(p.numel() for p in parameters)
        parts = [_shuffled(part, run) for part in (data.forget, data.retain)]
        model.eval()
        for _ in run.epochs(self.repeats):
            (forget, n_f), (retain, n_r) = (
                _squared_gradients(model, part, self.batch_size, run) for part in parts
            )
            self._warn_if_idle((n_f + n_r) / n_f)
            dampened = 0
            for parameter in parameters:
                # out of the lists: each is freed when it was used, before the next is worked on
                f, r = forget.pop(0), retain.pop(0)
                everything, f = r.add_(f).div_(n_f + n_r), f.div_(n_f)
                dampened += self._dampen(parameter, f, everything)
            run.log(dampened_parameters=dampened, dampened_share=dampened / size)

    @torch.no_grad()
    def _dampen(self, parameter: Tensor, forget: Tensor, everything: Tensor) -> int:
        """Shrink entries that are more important to forget; returns how many.

        The importances are used up: a copy of all weights is much for a large model.
        """
        chosen = forget > self.alpha * everything
        factor = everything.mul_(self.dampening).div_(forget).clamp_(max=1)
        parameter.mul_(torch.where(chosen, factor, 1.0))
        return int(summed(torch.sum, [chosen]))

    def _warn_if_idle(self, highest: float) -> None:
        if self.alpha >= highest:
            warnings.warn(
                f"SSD with alpha={self.alpha} changes nothing here: forget images are in 1 of "
                f"{highest:.3g} batches, so no parameter is more than {highest:.3g} times as "
                "important to them as to all images; pass a smaller alpha",
                stacklevel=3,
            )


def _shuffled(split: Split, run: Runtime) -> Split:
    """The images in an order that depends on the seed alone, not on how they were named."""
    return split.take(torch.argsort(split.ids)).take(run.permutation(len(split)))


def _squared_gradients(
    model: nn.Module, split: Split, size: int | None, run: Runtime
) -> tuple[list[Tensor], int]:
    """Sum over batches of the squared gradient of cross-entropy, and the number of batches."""
    parameters = list(model.parameters())
    sums, count = [torch.zeros_like(p) for p in parameters], 0
    for x, y, _ in run.batches(split, size, shuffle=False):
        run.backward(parameters, F.cross_entropy(model(x), y))
        count += 1
        for total, parameter in zip(sums, parameters, strict=True):
            if parameter.grad is not None:
                total.addcmul_(parameter.grad, parameter.grad)
    model.zero_grad()
    return sums, count


CARD = Card(
    does="Shrinks the weights whose importance for forget images is many times their "
    "importance for all images. No training.",
    works="Very fast; made for small forget sets and whole classes. Where a tenth or more "
    "of the data is to be forgotten, the published alpha changes nothing, and this says so; "
    "tuned settings went most of the way for a class of digits.",
    cost="per repeat FB(n_f + n_r). Memory of the importances: two copies of the weights.",
    tables="Repeated once per epoch (option repeats).",
    bibtex=bibtex.FOSTER,
)
