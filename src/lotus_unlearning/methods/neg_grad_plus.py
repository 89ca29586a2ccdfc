"""NegGradPlus: descend on retain images and ascend on forget images, in one step.

Meghdad Kurmanji, Peter Triantafillou, Jamie Hayes, Eleni Triantafillou: "Towards Unbounded
Machine Unlearning", NeurIPS 2023, https://arxiv.org/abs/2302.09880, the baseline NegGrad+; code
https://github.com/meghdadk/SCRUB.

    loss = alpha CE(student(x_r), y_r) - (1 - alpha) CE(student(x_f), y_f)

Each step takes one retain batch and one forget batch, forwarded one after the other as in the
published code: BatchNorm normalises each by its own statistics, and its running statistics move
twice a step, last towards the forget batch. With ``alpha=1``, no forget batch is taken at all: that
is fine-tuning, BatchNorm's statistics included.

Differs: within an epoch, forget images are shuffled anew whenever they run out (the published
code repeats the first order), and the pull towards the original weights, off by default there, is
left out.

``phases="separate"`` is what the LoTUS tables meant to run: each epoch ascends through all forget
images, then descends through the retain images, with the weights of the formula (there the sign
was flipped too late, and it descended on both). Their unweighted losses at learning rate 1e-3 and
weight decay 5e-4 are ``alpha=0.5, learning_rate=2e-3, weight_decay=2.5e-4``: the same steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, REST, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import Runtime, cut
from lotus_unlearning.splits import Split, Splits

Losses = Iterator[tuple[Tensor, Tensor | None]]
"""Of each step: what to minimise, and the forget loss in it, if any, to log."""


@dataclass(frozen=True, kw_only=True)
class NegGradPlus:
    """Cross-entropy on retain images minus a little of it on forget images.

    Attributes:
        epochs: Passes over the retain images (paper: 5 to 10).
        alpha: Weight of the retain loss; the forget loss has 1 - alpha (paper: 0.95 for small
            tasks, up to 0.9999 for large ones); 1 is Finetune.
        phases: ``"joint"``: both in one step; ``"separate"``: a pass over forget, then one over
            retain.
        learning_rate: Of SGD (paper: 0.01).
        momentum: Of SGD.
        weight_decay: Of SGD.
        batch_size: Retain images per step, and as many forget images; ``None``: as the run has it.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})
    replayable: ClassVar[bool] = True
    # alpha is 0.95 to 0.9999 in the paper: what counts is 1 - alpha, the weight of the ascent
    searches: ClassVar[dict[str, Rule]] = {"learning_rate": TENFOLD, "alpha": REST, "epochs": COUNT}
    epochs: int = 10
    alpha: float = 0.95
    phases: Literal["joint", "separate"] = "joint"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int | None = None

    def __post_init__(self) -> None:
        limits = {
            "epochs >= 1": self.epochs >= 1,
            "0 <= alpha <= 1": 0 <= self.alpha <= 1,
            "phases 'joint' or 'separate'": self.phases in ("joint", "separate"),
            "learning_rate > 0": self.learning_rate > 0,
            "momentum in [0, 1)": 0 <= self.momentum < 1,
            "weight_decay >= 0": self.weight_decay >= 0,
            "batch_size >= 1 or None": self.batch_size is None or self.batch_size >= 1,
        }
        require(self, limits)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        if self.alpha == 1:
            return Passes(self.epochs * n.retain)
        if self.phases == "separate":
            return Passes(self.epochs * (n.forget + n.retain))
        size = n.batch_size if self.batch_size is None else self.batch_size
        rounds, rest = divmod(cut.count(n.retain, size), cut.count(n.forget, size))
        return Passes(self.epochs * (n.retain + rounds * n.forget + rest * size))

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place, away from the forget images and along the retain images."""
        rate, decay = self.learning_rate, self.weight_decay
        optimizer = torch.optim.SGD(
            model.parameters(), rate, self.momentum, weight_decay=decay, fused=True
        )
        steps = self._joint if self.phases == "joint" else self._separate
        for _ in run.epochs(self.epochs, optimizer):
            model.train()
            forget_losses = []
            for loss, forget_loss in steps(model, data, run):
                run.step(optimizer, loss)
                if forget_loss is not None:
                    forget_losses.append(forget_loss)
            if forget_losses:
                run.log(forget_loss=torch.stack(forget_losses).mean())

    def _joint(self, model: nn.Module, data: Splits, run: Runtime) -> Losses:
        forget = _endless(run, data.forget, self.batch_size)
        for x, y, _ in run.batches(data.retain, self.batch_size):
            retain_loss = F.cross_entropy(model(x), y)
            if self.alpha == 1:
                yield retain_loss, None
                continue
            x_f, y_f, _ = next(forget)
            forget_loss = F.cross_entropy(model(x_f), y_f)
            loss = self.alpha * retain_loss - (1 - self.alpha) * forget_loss
            yield loss, run.counted(forget_loss, len(x_f))

    def _separate(self, model: nn.Module, data: Splits, run: Runtime) -> Losses:
        if self.alpha < 1:
            for x, y, _ in run.batches(data.forget, self.batch_size):
                forget_loss = F.cross_entropy(model(x), y)
                yield -(1 - self.alpha) * forget_loss, run.counted(forget_loss, len(x))
        for x, y, _ in run.batches(data.retain, self.batch_size):
            yield self.alpha * F.cross_entropy(model(x), y), None


def _endless(run: Runtime, split: Split, size: int | None) -> Iterator[tuple[Tensor, ...]]:
    """Pass after pass over ``split``, each in an order of its own."""
    while True:
        yield from run.batches(split, size)


CARD = Card(
    does="Every step descends on a retain batch and ascends on a forget batch. The weight "
    "alpha says how much of the step belongs to the retain batch.",
    works="The ascent has no end of its own, so that alpha and the epochs decide between too "
    "little and ruin: at its authors' settings it leaves single images of digits as they were, "
    "and of the other classes of Fashion-MNIST, when one is forgotten, a quarter right.",
    cost="per epoch FB(n_r) and FB of a forget batch for each retain batch; in separate phases "
    "FB(n_f + n_r). Memory of SGD with momentum: one copy of the weights; joint steps hold the "
    "activations of two batches and, layer by layer, the gradients of both.",
    tables="The sign was flipped before the backward pass filled the gradients: it descended "
    "on forget images, too.",
    bibtex=bibtex.KURMANJI,
)
