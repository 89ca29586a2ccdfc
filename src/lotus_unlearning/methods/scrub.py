"""SCRUB: disobey the original on forget images, obey it on the others, in turns.

Meghdad Kurmanji, Peter Triantafillou, Jamie Hayes, Eleni Triantafillou: "Towards Unbounded
Machine Unlearning", NeurIPS 2023, https://arxiv.org/abs/2302.09880, Algorithm 1; with
rewinding: SCRUB+R.

    KD(x) = T^2 KL(softmax(z_o / T) || softmax(z_u / T)), mean over the batch
    epoch e, if e <= max_steps: one pass over forget, maximising KD
    epoch e, then:              one pass over retain, minimising gamma CE + alpha KD

The order matters: an epoch that ends with the maximising pass leaves a damaged model.

Differs: the original sees every image once, before training, and its images are not augmented.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.losses import distillation
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import Runtime, restore, snapshot
from lotus_unlearning.splits import Split, Splits

Kept = tuple[float, dict[str, Tensor]]
"""Error on forget images, and the model's parameters and buffers."""


@dataclass(frozen=True, kw_only=True)
class SCRUB:
    """A student that selectively disobeys its teacher.

    The defaults are the authors' small-scale settings; those for CIFAR-10 are the preset
    ``scrub-cifar-10``.

    Attributes:
        epochs: Passes over retain (authors: 10).
        max_steps: Epochs that begin with a maximising pass over forget (authors: 3); 0:
            distillation only.
        temperature: T above (authors: 2).
        alpha: Weight of KD on retain (authors: 0.5).
        gamma: Weight of cross-entropy on retain (authors: 1).
        optimizer: ``"adam"`` (authors) or ``"sgd"``, for both passes.
        learning_rate: Of the optimizer (authors: 5e-4).
        weight_decay: Of the optimizer, added to the gradient (authors: 0.1).
        momentum: Of SGD (authors: 0.9); Adam has its own.
        decay_epochs: After so many epochs the learning rate falls to a tenth (authors: 5, 8, 9).
        forget_batch_size: Images per maximising step (authors: 64).
        retain_batch_size: Images per minimising step (authors: 32).
        rewind: Go back to the epoch whose forget error is nearest to the final model's error
            on unseen images of the forgotten classes (SCRUB+R). Keeps a copy of the model per
            epoch.
    """

    replayable: ClassVar[bool] = True
    # the paper tunes rate, alpha and the number of maximising epochs; 0 of those forget nothing
    searches: ClassVar[dict[str, Rule]] = {
        "learning_rate": TENFOLD,
        "alpha": TENFOLD,
        "max_steps": COUNT,
        "epochs": COUNT,
    }
    epochs: int = 10
    max_steps: int = 3
    temperature: float = 2.0
    alpha: float = 0.5
    gamma: float = 1.0
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 5e-4
    weight_decay: float = 0.1
    momentum: float = 0.9
    decay_epochs: tuple[int, ...] = (5, 8, 9)
    forget_batch_size: int = 64
    retain_batch_size: int = 32
    rewind: bool = False

    def __post_init__(self) -> None:
        weights = self.alpha, self.gamma, self.weight_decay
        limits = {
            "epochs >= 1": self.epochs >= 1,
            "max_steps >= 0": self.max_steps >= 0,
            "optimizer 'adam' or 'sgd'": self.optimizer in ("adam", "sgd"),
            "temperature > 0": self.temperature > 0,
            "learning_rate > 0": self.learning_rate > 0,
            "alpha, gamma and weight_decay >= 0": all(n >= 0 for n in weights),
            "momentum in [0, 1)": 0 <= self.momentum < 1,
            "batch sizes >= 1": self.forget_batch_size >= 1 and self.retain_batch_size >= 1,
        }
        require(self, limits)

    @property
    def reads(self) -> frozenset[str]:
        """Names of the splits it needs; unseen images only to rewind."""
        more = {"forget", "unseen"} if self.rewind else {"forget"} if self.max_steps else set()
        return frozenset({"retain"} | more)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        steps = min(self.epochs, self.max_steps)
        looks = self.epochs * n.forget + n.unseen if self.rewind else 0
        asked = n.retain + (n.forget if steps else 0)
        return Passes(self.epochs * n.retain + steps * n.forget, asked + looks)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place: each epoch forget first, retain last."""
        reference = _of_the_same_classes(data) if self.rewind else None
        T, optimizer = self.temperature, self._optimizer(model)
        teaches = self.max_steps > 0
        forget_teacher = run.teacher(model, data.forget) if teaches else torch.empty(0)
        retain_teacher = run.teacher(model, data.retain)
        kept: dict[str, list[Kept]] = {"epochs": []}
        for epoch in run.epochs(self.epochs, optimizer, kept):
            decays = sum(epoch >= e for e in self.decay_epochs)
            rate = optimizer.param_groups[0]["lr"] = self.learning_rate * 0.1**decays
            run.log(learning_rate=rate)
            model.train()
            if epoch < self.max_steps:
                for x, _, i in run.batches(data.forget, self.forget_batch_size):
                    run.step(optimizer, -distillation(model(x), run.rows(forget_teacher, i), T))
            for x, y, i in run.batches(data.retain, self.retain_batch_size):
                z = model(x)
                kd = distillation(z, run.rows(retain_teacher, i), T)
                run.step(optimizer, self.gamma * F.cross_entropy(z, y) + self.alpha * kd)
            if reference is not None:
                forget_error = 1 - run.accuracy(model, data.forget)
                run.log(forget_error=forget_error)
                kept["epochs"].append((forget_error, snapshot(model)))
        if reference is not None:
            _rewind(model, kept["epochs"], reference, run)

    def _optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        parameters, rate, decay = model.parameters(), self.learning_rate, self.weight_decay
        if self.optimizer == "sgd":
            return torch.optim.SGD(parameters, rate, self.momentum, weight_decay=decay, fused=True)
        return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True)


def _rewind(model: nn.Module, kept: list[Kept], reference: Split, run: Runtime) -> None:
    """Go back to where the forget error was nearest to the final error on ``reference``."""
    error = 1 - run.accuracy(model, reference)
    run.log(unseen_error=error)
    restore(model, min(kept, key=lambda one: abs(one[0] - error))[1])


def _of_the_same_classes(data: Splits) -> Split:
    """Unseen images of the classes that forget images have."""
    assert data.unseen is not None
    labels = torch.unique(data.forget.labels).tolist()
    same = data.unseen.of_labels(labels)
    if len(same) == 0:
        raise ValueError(
            f"SCRUB with rewind compares with unseen images of the forgotten classes {labels}, but "
            "unseen has none of them; add some, or pass rewind=False"
        )
    return same


CARD = Card(
    does="In turns, the model moves away from the original on forget images and back to it "
    "on retain images. The first epochs do both, the last ones only repair.",
    works="Forgets and repairs well when the number of maximising epochs fits, as its authors' "
    "three do on Fashion-MNIST; for a class of digits tuned settings went all of the way, and "
    "its authors' hardly any. Too many cost accuracy that the repair does not bring back.",
    cost="once F(n_r), and F(n_f) if any epoch maximises; per epoch FB(n_r), and FB(n_f) in "
    "the maximising ones; with rewinding, F(n_f) per epoch and once F of the unseen images of "
    "the forgotten classes. Memory of Adam: two copies of the weights (SGD: one); the "
    "original's logits; with rewinding, the weights of every epoch.",
    tables="Nothing is changed: its optimizer held the weights of another model. The preset "
    "is what it meant to run, with the maximising pass first.",
    bibtex=bibtex.KURMANJI,
)
