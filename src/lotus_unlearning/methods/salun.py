"""SalUn: unlearn with random labels, in the weights that matter most for the forget images.

Chongyu Fan, Jiancheng Liu, Yihua Zhang, Eric Wong, Dennis Wei, Sijia Liu: "SalUn: Empowering
Machine Unlearning via Gradient-based Weight Saliency in Both Image Classification and
Generation", ICLR 2024, https://arxiv.org/abs/2310.12508, Section 4; code
https://github.com/OPTML-Group/Unlearn-Saliency.

    saliency = |sum over forget batches of grad CE(original(x), y)|    in evaluation mode
    mask     = the ``share`` of all weights with the largest saliency
    steps    = those of Random Labels, or of ``inner``, on the weights of the mask alone

Its own Random Labels is that of the published code: each epoch draws labels uniformly from all k
classes (the right one among them), passes over forget with these, then over retain. Weights
outside the mask keep the original's values exactly: momentum and weight decay do not move them
either. Running statistics of BatchNorm are no weights and follow the data.

Differs: ``share`` is exact (equal saliencies: the earlier weight first), where the paper states a
threshold. The published code passes over forget, then retain, for CIFAR-10 and SVHN alone; for
CIFAR-100 and Tiny-ImageNet it shuffles both into one set. Its states differ: one (2b0a8a1) takes an
optimizer step after every batch of the saliency and so leaves the original; another (ac880a2) does
not, but masks gradients alone, so that weight decay moves all weights; a third (3152cfe) puts those
outside the mask back after every step, as here. The LoTUS tables masked the forget pass only: not
offered, for a mask that the retain pass ignores protects nothing.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, SHARE, TENFOLD, Card, Passes, Rule, Sizes, passes
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.runtime.largest import largest
from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Method

_OF_RANDOM_LABELS = ("epochs", "learning_rate", "momentum", "weight_decay")


@dataclass(frozen=True, kw_only=True)
class SalUn:
    """Steps on the weights that are salient for the forget images, and nowhere else.

    Attributes:
        inner: The method whose steps run under the mask; ``None``: Random Labels as above, which
            alone uses ``epochs``, ``learning_rate``, ``momentum`` and ``weight_decay``: beside
            another method they are refused. What a method without steps (SSD) does outside the
            mask is undone when it ends.
        share: Of all weights that may change (paper: 0.5).
        epochs: Passes over both sets (paper: 10).
        learning_rate: Of SGD (published code: 0.013).
        momentum: Of SGD.
        weight_decay: Of SGD.
        batch_size: Images per step, and per batch of the saliency (published code: 256);
            ``None``: as the run has it.
    """

    # the share of the weights that may change is the paper's own setting, 0.1 to 1 there
    searches: ClassVar[dict[str, Rule]] = {
        "learning_rate": TENFOLD,
        "share": SHARE,
        "epochs": COUNT,
    }
    inner: Method | None = None
    share: float = 0.5
    epochs: int = 10
    learning_rate: float = 0.013
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int | None = 256

    def __post_init__(self) -> None:
        given = [n for n in _OF_RANDOM_LABELS if getattr(self, n) != getattr(SalUn, n)]
        idle = [] if self.inner is None else given
        limits = {
            f"no {', '.join(idle)} beside inner, whose own settings count": not idle,
            "inner other than SalUn": not isinstance(self.inner, SalUn),
            # a network that is trained anew with most weights held would remember by them
            "inner that trains no network anew": not hasattr(self.inner, "start"),
            "0 < share <= 1": 0 < self.share <= 1,
            "epochs >= 1": self.epochs >= 1,
            "learning_rate > 0": self.learning_rate > 0,
            "momentum in [0, 1)": 0 <= self.momentum < 1,
            "weight_decay >= 0": self.weight_decay >= 0,
            "batch_size >= 1 or None": self.batch_size is None or self.batch_size >= 1,
        }
        require(self, limits)

    def around(self, inner: Method) -> "SalUn":
        """The same mask, and the steps of ``inner`` in the place of Random Labels."""
        return SalUn(inner=inner, share=self.share, batch_size=self.batch_size)

    @property
    def reads(self) -> frozenset[str]:
        """Forget, and what the steps under the mask read."""
        return frozenset({"forget"}) | (self.inner.reads if self.inner else {"retain"})

    @property
    def replayable(self) -> bool:
        """As the steps under the mask are."""
        return self.inner is None or getattr(self.inner, "replayable", False)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        own = Passes(self.epochs * (n.forget + n.retain), 1)
        inner = passes(self.inner, n) if self.inner else own
        return Passes(n.forget + inner.training, inner.forward)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit the salient weights of ``model`` in place."""
        with run.only(self._masks(model, data, run)):
            if self.inner is None:
                self._random_labels(model, data, run)
            else:
                self.inner(model, data, run)

    def _masks(self, model: nn.Module, data: Splits, run: Runtime) -> dict[nn.Parameter, Tensor]:
        """True at the weights to change, for each parameter."""
        model.eval()
        sums = {p: torch.zeros_like(p) for p in model.parameters()}
        for x, y, _ in run.batches(data.forget, self.batch_size, shuffle=False):
            run.backward(sums, F.cross_entropy(model(x), y))
            for parameter, total in sums.items():
                if parameter.grad is not None:
                    total += parameter.grad
        model.zero_grad()
        count = max(1, round(self.share * sum(p.numel() for p in sums)))
        masks = largest([total.abs_() for total in sums.values()], count)
        return dict(zip(sums, masks, strict=True))

    def _random_labels(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        classes = run.classes(model, data.forget)
        rate, decay = self.learning_rate, self.weight_decay
        optimizer = torch.optim.SGD(
            model.parameters(), rate, self.momentum, weight_decay=decay, fused=True
        )
        for _ in run.epochs(self.epochs, optimizer):
            labels = run.random_labels(len(data.forget), classes)
            model.train()
            for x, _, i in run.batches(data.forget, self.batch_size):
                run.step(optimizer, F.cross_entropy(model(x), labels[i]))
            for x, y, _ in run.batches(data.retain, self.batch_size):
                run.step(optimizer, F.cross_entropy(model(x), y))


CARD = Card(
    does="Finds the weights that the loss on forget images depends on most. It trains only "
    "those, with random labels or by another method (``inner``).",
    works="The mask is to keep from damage what forgetting does not need. At its authors' "
    "learning rate it moves small networks away from gold for single images; for a class of "
    "Fashion-MNIST it went most of the way, for one of digits a sixth of it, and with tuned "
    "settings most of it.",
    cost="once FB(n_f); per epoch FB(n_f + n_r) with random labels, else as the inner method. "
    "Memory: a mask (one byte per weight), a copy of the weights, and that of SGD with "
    "momentum, another one (or of the inner method).",
    tables="Top tenth of the weights, labels that are never the right one, and a mask in the "
    "forget pass alone, which momentum and weight decay ignore.",
    bibtex=bibtex.FAN,
)
