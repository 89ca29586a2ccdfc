"""Finetune: go on training on retain images alone and let the others fade.

Meghdad Kurmanji, Peter Triantafillou, Jamie Hayes, Eleni Triantafillou: "Towards Unbounded
Machine Unlearning", NeurIPS 2023, https://arxiv.org/abs/2302.09880, the baseline Finetune; code
https://github.com/meghdadk/SCRUB.

    loss = mean over a retain batch of CE(student(x), y)

It never sees what it should forget: memory of forget images fades only as far as learning the
others overwrites it, at small learning rates hardly at all.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from lotus_unlearning.checks import require
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Splits


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """Cross-entropy on retain images.

    Attributes:
        epochs: Passes over the retain images (Kurmanji et al.: 10; LoTUS tables: 10 for ResNet18,
            3 for ViT).
        learning_rate: Of SGD (Kurmanji et al.: 0.01; LoTUS tables: 1e-3).
        momentum: Of SGD.
        weight_decay: Of SGD (LoTUS tables: 5e-4).
        batch_size: Images per step; ``None``: as the run has it.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"retain"})
    replayable: ClassVar[bool] = True
    # nothing but how far it goes on training
    searches: ClassVar[dict[str, Rule]] = {"learning_rate": TENFOLD, "epochs": COUNT}
    epochs: int = 10
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int | None = None

    def __post_init__(self) -> None:
        limits = {
            "epochs >= 1": self.epochs >= 1,
            "learning_rate > 0": self.learning_rate > 0,
            "momentum in [0, 1)": 0 <= self.momentum < 1,
            "weight_decay >= 0": self.weight_decay >= 0,
            "batch_size >= 1 or None": self.batch_size is None or self.batch_size >= 1,
        }
        require(self, limits)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        return Passes(self.epochs * n.retain)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place by training it on the retain images."""
        rate, decay = self.learning_rate, self.weight_decay
        optimizer = torch.optim.SGD(
            model.parameters(), rate, self.momentum, weight_decay=decay, fused=True
        )
        for _ in run.epochs(self.epochs, optimizer):
            model.train()
            for x, y, _ in run.batches(data.retain, self.batch_size):
                run.step(optimizer, F.cross_entropy(model(x), y))


CARD = Card(
    does="Goes on training on the retain images. What it forgets, it forgets by overwriting.",
    works="Keeps what the model can do. Of single images it forgets little, least of all of "
    "those that resemble retained ones. For a class of Fashion-MNIST it went most of the way "
    "at its authors' settings; for one of digits, of which the original is sure, none at any.",
    cost="per epoch FB(n_r). Memory of SGD with momentum: one copy of the weights.",
    tables="Nothing but the settings (preset lotus-tables-resnet18).",
    bibtex=bibtex.KURMANJI,
)
