"""L1Sparse: fine-tune on retain images while an L1 penalty thins the weights out.

Jinghan Jia, Jiancheng Liu, Parikshit Ram, Yuguang Yao, Gaowen Liu, Yang Liu, Pranay Sharma, Sijia
Liu: "Model Sparsity Can Simplify Machine Unlearning", NeurIPS 2023,
https://arxiv.org/abs/2304.04934, sparsity-aware unlearning (l1-sparse MU) with the decreasing
schedule; code https://github.com/OPTML-Group/Unlearn-Sparse.

    gamma_t = gamma (1 - t / epochs),  t = 0, 1, ...
    loss    = mean over a retain batch of CE(student(x), y) + gamma_t sum_i |theta_i|

The sum runs over all parameters, biases and normalisation included, as in the published code.

Differs: gamma. The published command has 0.2; at its learning rate of 0.01 and momentum of 0.9
that moves every weight by 0.02 towards 0 at every step, as much as most weights of a ResNet18
measure. Later work uses 1e-4 to 5e-4. The published one is the preset ``l1-sparse-published``.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import Runtime, summed
from lotus_unlearning.splits import Splits


@dataclass(frozen=True, kw_only=True)
class L1Sparse:
    """Cross-entropy on retain images and a fading L1 penalty.

    Attributes:
        epochs: Passes over the retain images (Jia et al.: 10).
        penalty: gamma, the weight of the L1 norm in the first epoch; 0 is Finetune.
        learning_rate: Of SGD (Jia et al.: 0.01).
        momentum: Of SGD.
        weight_decay: Of SGD.
        batch_size: Images per step (Jia et al.: 256); ``None``: as the run has it.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"retain"})
    replayable: ClassVar[bool] = True
    # the penalty is what it adds to fine-tuning
    searches: ClassVar[dict[str, Rule]] = {
        "learning_rate": TENFOLD,
        "penalty": TENFOLD,
        "epochs": COUNT,
    }
    epochs: int = 10
    penalty: float = 5e-4
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int | None = 256

    def __post_init__(self) -> None:
        limits = {
            "epochs >= 1": self.epochs >= 1,
            "penalty >= 0": self.penalty >= 0,
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
        """Edit ``model`` in place by training it on the retain images, ever sparser."""
        rate, decay = self.learning_rate, self.weight_decay
        optimizer = torch.optim.SGD(
            model.parameters(), rate, self.momentum, weight_decay=decay, fused=True
        )
        for epoch in run.epochs(self.epochs, optimizer):
            gamma = self.penalty * (1 - epoch / self.epochs)
            model.train()
            for x, y, _ in run.batches(data.retain, self.batch_size):
                run.step(optimizer, F.cross_entropy(model(x), y) + gamma * _l1_norm(model))
            run.log(penalty=gamma, l1_norm=_l1_norm(model).item())


def _l1_norm(model: nn.Module) -> Tensor:
    return summed(lambda parameter: parameter.abs().sum(), model.parameters())


CARD = Card(
    does="Fine-tuning on retain images with a penalty on the size of the weights. The penalty "
    "fades over the epochs.",
    works="A form of fine-tuning: a larger penalty forgets more, at some cost of accuracy. The "
    "default did not forget more than fine-tuning here.",
    cost="per epoch FB(n_r). Memory of SGD with momentum: one copy of the weights and, layer "
    "by layer, the gradient of the penalty.",
    tables="Not among the published tables.",
    bibtex=bibtex.JIA,
)
