"""RandomLabels: teach wrong labels for forget images among the right ones for the others.

Laura Graves, Vineel Nagisetty, Vijay Ganesh: "Amnesiac Machine Learning", AAAI 2021,
https://arxiv.org/abs/2010.10981, amnesiac unlearning by relabelling; in the form and
settings of Jack Foster, Stefan Schoepf, Alexandra Brintrup: "Fast Machine Unlearning Without
Retraining Through Selective Synaptic Dampening", AAAI 2024, https://arxiv.org/abs/2308.07707.

    y' ~ Uniform({0, ..., k - 1} without y)            for each forget image
    loss = mean over the batch of CE(student(x), y')   (y in place of y' for retain images)

The labels are drawn once, and both sets are trained on as one, shuffled. The LoTUS tables draw
anew every epoch and pass over forget, then over retain: ``redraw="every epoch"``,
``phases="separate"``, ``optimizer="sgd"``, learning rate 1e-3, weight decay 5e-4.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits


@dataclass(frozen=True, kw_only=True)
class RandomLabels:
    """Cross-entropy to wrong labels on forget images, to the right ones on retain images.

    Attributes:
        epochs: Passes over both sets (Foster et al.: 3).
        redraw: Draw the wrong labels ``"once"`` or ``"every epoch"``.
        phases: ``"joint"``: one shuffled set; ``"separate"``: a pass over forget, then one over
            retain.
        optimizer: ``"adam"`` (Foster et al.) or ``"sgd"`` (LoTUS tables).
        learning_rate: Of the optimizer (Foster et al.: 1e-4; LoTUS tables: 1e-3).
        momentum: Of SGD, or Adam's first beta.
        weight_decay: Of the optimizer, as an L2 penalty (LoTUS tables: 5e-4).
        batch_size: Images per step (Foster et al.: 128); ``None``: as the run has it.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})
    replayable: ClassVar[bool] = True
    # how hard and how long wrong labels are taught
    searches: ClassVar[dict[str, Rule]] = {"learning_rate": TENFOLD, "epochs": COUNT}
    epochs: int = 3
    redraw: Literal["once", "every epoch"] = "once"
    phases: Literal["joint", "separate"] = "joint"
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int | None = 128

    def __post_init__(self) -> None:
        limits = {
            "epochs >= 1": self.epochs >= 1,
            "redraw 'once' or 'every epoch'": self.redraw in ("once", "every epoch"),
            "phases 'joint' or 'separate'": self.phases in ("joint", "separate"),
            "optimizer 'adam' or 'sgd'": self.optimizer in ("adam", "sgd"),
            "learning_rate > 0": self.learning_rate > 0,
            "momentum in [0, 1)": 0 <= self.momentum < 1,
            "weight_decay >= 0": self.weight_decay >= 0,
            "batch_size >= 1 or None": self.batch_size is None or self.batch_size >= 1,
        }
        require(self, limits)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        return Passes(self.epochs * (n.forget + n.retain), 1)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place until it takes the forget images for something else."""
        classes = run.classes(model, data.forget)
        if classes < 2:
            raise ValueError("RandomLabels: expected a model with at least 2 classes, got 1")
        optimizer = self._optimizer(model)
        wrong = wrong_labels(data.forget.labels, classes, run)
        for epoch in run.epochs(self.epochs, optimizer):
            if epoch > 0 and self.redraw == "every epoch":
                wrong = wrong_labels(data.forget.labels, classes, run)
            model.train()
            for split, labels in self._passes(data, wrong):
                for x, _, i in run.batches(split, self.batch_size):
                    run.step(optimizer, F.cross_entropy(model(x), labels[i]))

    def _passes(self, data: Splits, wrong: Tensor) -> list[tuple[Split, Tensor]]:
        """What to train on in an epoch, one after the other, with labels for every image."""
        right = data.retain.labels.to(wrong.device)
        if self.phases == "separate":
            return [(data.forget, wrong), (data.retain, right)]
        return [(data.forget + data.retain, torch.cat([wrong, right]))]

    def _optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        parameters, rate, decay = model.parameters(), self.learning_rate, self.weight_decay
        if self.optimizer == "sgd":
            return torch.optim.SGD(parameters, rate, self.momentum, weight_decay=decay, fused=True)
        betas = (self.momentum, 0.999)
        return torch.optim.Adam(parameters, rate, betas, weight_decay=decay, fused=True)


def wrong_labels(labels: Tensor, classes: int, run: Runtime) -> Tensor:
    """A label drawn uniformly from the other ``classes - 1``, for each of ``labels`` ``[N]``.

    >>> wrong_labels(torch.tensor([0, 1, 1]), 2, Runtime()).tolist()
    [1, 0, 0]
    """
    steps = 1 + run.random_labels(len(labels), classes - 1)
    return (labels.to(steps.device) + steps) % classes


CARD = Card(
    does="Forget images get wrong labels, drawn at random. The model is trained on them among "
    "the retained ones, which keep theirs.",
    works="Teaches wrong answers, which retraining would not. For single images it leads away "
    "from gold on Fashion-MNIST (on digits its authors' three epochs hardly move them), and "
    "can give them away to an attacker who looks for answers worse than on unseen ones; for a "
    "whole class, which gold answers wrong, too, it goes part of the way.",
    cost="per epoch FB(n_f + n_r). Memory of Adam: two copies of the weights.",
    tables="New labels every epoch, forget pass then retain pass (options redraw, phases).",
    bibtex=f"{bibtex.GRAVES}\n\n{bibtex.FOSTER}",
)
