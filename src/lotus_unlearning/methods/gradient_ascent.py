"""GradientAscent: climb the loss on forget images; a control that is known to be bad.

Anvith Thudi, Gabriel Deza, Varun Chandrasekaran, Nicolas Papernot: "Unrolling SGD: Understanding
Factors Influencing Machine Unlearning", EuroS&P 2022, https://arxiv.org/abs/2109.13398, as used by
Jinghan Jia et al.: "Model Sparsity Can Simplify Machine Unlearning", NeurIPS 2023,
https://arxiv.org/abs/2304.04934, code https://github.com/OPTML-Group/Unlearn-Sparse.

    loss = -(mean over a forget batch of CE(student(x), y))

Nothing bounds the loss from below and nothing protects the retain images: a measure that does not
tell this method from a good one is of no use. The defaults are those of Jia et al.: so small that
little happens. Larger ones end in a ruined model or, in the limit, a loss that is not finite.
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
class GradientAscent:
    """Minus cross-entropy on forget images.

    Attributes:
        epochs: Passes over the forget images (Jia et al.: 5).
        learning_rate: Of SGD (Jia et al.: 1e-4 for ResNet18 on CIFAR-10).
        momentum: Of SGD.
        weight_decay: Of SGD.
        batch_size: Images per step (Jia et al.: 256); ``None``: as the run has it.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"forget"})
    replayable: ClassVar[bool] = True
    # nothing but how far it climbs: ten times the rate ruins models, a tenth does nothing
    searches: ClassVar[dict[str, Rule]] = {"learning_rate": TENFOLD, "epochs": COUNT}
    epochs: int = 5
    learning_rate: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int | None = 256

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
        return Passes(self.epochs * n.forget)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place until it errs on the forget images."""
        rate, decay = self.learning_rate, self.weight_decay
        optimizer = torch.optim.SGD(
            model.parameters(), rate, self.momentum, weight_decay=decay, fused=True
        )
        for _ in run.epochs(self.epochs, optimizer):
            model.train()
            for x, y, _ in run.batches(data.forget, self.batch_size):
                run.step(optimizer, -F.cross_entropy(model(x), y))


CARD = Card(
    does="Climbs the loss on forget images. It looks at nothing else.",
    works="A control that is known to be bad: nothing holds it back, so that what it leaves "
    "of the model depends on when it is stopped.",
    cost="per epoch FB(n_f). Memory of SGD with momentum: one copy of the weights.",
    tables="Not among the published tables.",
    bibtex=f"{bibtex.THUDI}\n\n{bibtex.JIA}",
)
