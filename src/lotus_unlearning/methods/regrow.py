"""Regrow: cut the deeper layers back, and let them grow again under the original's guidance.

Shashwat Goel, Ameya Prabhu, Amartya Sanyal, Ser-Nam Lim, Philip Torr, Ponnurangam Kumaraguru:
"Towards Adversarial Evaluations for Inexact Machine Unlearning", 2022,
https://arxiv.org/abs/2201.06640, for EU-k: reset the last layers, train them on retain.
Geoffrey Hinton, Oriol Vinyals, Jeff Dean: "Distilling the Knowledge in a Neural Network", 2015,
https://arxiv.org/abs/1503.02531. Put together by this package (docs/beyond.md).

    theta_l <- fresh initialisation, for the deepest layers l
    loss    = mean over a retain batch of -sum_j s_j(z_o / T) log s_j(z_u / T)   z_o: the original's

The layers next to the answer begin anew and are never shown a forget image; the others, which keep
what they know, are trained along at a high rate that falls to 0. With ``share=0`` nothing is reset.

Differs: from EU-k in that all layers are trained, not the reset ones alone, and on beliefs, not
labels.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from lotus_unlearning.checks import require
from lotus_unlearning.losses import distillation
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, SHARE, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import Runtime, cut, deepest, reset_layers
from lotus_unlearning.splits import Splits


@dataclass(frozen=True, kw_only=True)
class Regrow:
    """Reset the deeper layers and distil the original into them on retain images.

    Attributes:
        share: Of the layers that hold weights, counted from the output: how many are reset;
            0: none.
        epochs: Passes over the retain images, at least.
        least_steps: With few images, passes go on until there were as many steps.
        learning_rate: Of AdamW at the start; it falls to 0 along half a cosine.
        weight_decay: Of AdamW.
        temperature: T above.
        batch_size: Images per step.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"retain"})
    replayable: ClassVar[bool] = True
    # how much is reset, and how fast and how long it learns again
    searches: ClassVar[dict[str, Rule]] = {
        "share": SHARE,
        "learning_rate": TENFOLD,
        "epochs": COUNT,
    }
    share: float = 0.25
    epochs: int = 4
    least_steps: int = 280
    learning_rate: float = 1.5e-3
    weight_decay: float = 5e-4
    temperature: float = 1.0
    batch_size: int = 64

    def __post_init__(self) -> None:
        limits = {
            "0 <= share <= 1": 0 <= self.share <= 1,
            "epochs >= 1": self.epochs >= 1,
            "least_steps >= 0": self.least_steps >= 0,
            "learning_rate > 0": self.learning_rate > 0,
            "weight_decay >= 0": self.weight_decay >= 0,
            "temperature > 0": self.temperature > 0,
            "batch_size >= 1": self.batch_size >= 1,
        }
        require(self, limits)

    def passes(self, retain: int) -> int:
        """How often each of ``retain`` images is learned from."""
        return max(self.epochs, math.ceil(self.least_steps / cut.count(retain, self.batch_size)))

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        return Passes(self.passes(n.retain) * n.retain, n.retain + 1)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place: cut back, then regrow on the retain images."""
        teacher = run.teacher(model, data.retain)
        reset_layers(model, deepest(model, self.share, data.retain, run), run.draw_seed())
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        epochs = self.passes(len(data.retain))
        batches = cut.count(len(data.retain), self.batch_size)
        for epoch in run.epochs(epochs, optimizer):
            model.train()
            for batch, (x, _, i) in enumerate(run.batches(data.retain, self.batch_size)):
                done = (epoch * batches + batch) / (epochs * batches)
                rate = self.learning_rate * (1 + math.cos(math.pi * done)) / 2
                optimizer.param_groups[0]["lr"] = rate
                run.step(optimizer, distillation(model(x), run.rows(teacher, i), self.temperature))


CARD = Card(
    does="Resets the deeper layers, and teaches the whole network the original's beliefs "
    "about retain images. This package's own method.",
    works="Where the original remembers single images: it went all of the way to gold for "
    "10% of Fashion-MNIST and half of digits, and nearly all for half of Fashion-MNIST and for "
    "classes. It never looks at a forget image and needs all retain images.",
    cost="F(n_r) once; per epoch FB(n_r), with more epochs where n_r is small. Memory of "
    "AdamW: two copies of the weights.",
    tables="Not among the published tables.",
    bibtex="\n\n".join(
        [
            bibtex.GOEL,
            bibtex.HINTON,
        ]
    ),
)
