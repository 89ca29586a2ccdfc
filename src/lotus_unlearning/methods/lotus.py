"""LoTUS: smooth the model's beliefs on forget images until it is as unsure as of unseen ones.

Christoforos N. Spartalis, Theodoros Semertzidis, Efstratios Gavves, Petros Daras: "LoTUS:
Large-Scale Machine Unlearning with a Taste of Uncertainty", CVPR 2025,
https://arxiv.org/abs/2503.18314, Algorithm 1.

    d = Acc(student, forget) - Acc(original, unseen),  tau = exp(alpha d),  G ~ Gumbel(0, 1)
    forget: target = softmax((z + G) / tau)            z: logits of the original
    retain: target = onehot(argmax(z + G))             (the limit tau -> 0)
    loss   = mean over the batch of -sum_j target_j log softmax_j(student)

Differs: accuracies are never rounded (the published code rounds them to two decimals, which
changes tau and the stop rule). With a target accuracy of one's own (class unlearning: 0), it
stops when the target is reached and keeps the epoch nearest to it; as published it cannot stop
there and swings between forgetting and teaching again (``published_class_mode``).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.losses import soft_cross_entropy
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import Runtime, accuracy, restore, snapshot
from lotus_unlearning.splits import Splits

_BLOCK = 1 << 21
"""Numbers of the targets that are computed at a time: what is in between stays small."""


@dataclass(frozen=True, kw_only=True)
class LoTUS:
    """Logits tempered with unlearning-specific uncertainty.

    Attributes:
        epochs: At most so many (paper: 10 for ResNet18, 3 for ViT).
        alpha: How sharply temperature follows the accuracy gap (paper: 2; 8 for ResNet18 on
            CIFAR-10; 32 for class unlearning).
        learning_rate: Of AdamW (paper: 1e-4 for ResNet18, 1e-6 for ViT).
        weight_decay: Of AdamW.
        retain_share: Share of retain images used, drawn once.
        tolerance: Stop when forget accuracy is so far below the target.
        target_accuracy: ``None``: accuracy of the original on unseen images; 0 to forget a
            class.
        temperature: ``None``: exp(alpha d) for each epoch; a number fixes it.
        smoothing: ``"gumbel-softmax"``, or ``"softmax"`` with temperature and no noise on
            forget targets (Table 10).
        batch_size: Images per step (paper: 128 for ResNet18, 32 for ViT, 256 for ImageNet1k);
            ``None``: as the run has it.
        published_class_mode: Never stop at a target of one's own and keep the last epoch.
    """

    replayable: ClassVar[bool] = True
    # the paper sets all three per data set and model
    searches: ClassVar[dict[str, Rule]] = {
        "learning_rate": TENFOLD,
        "alpha": TENFOLD,
        "epochs": COUNT,
    }
    epochs: int = 10
    alpha: float = 2.0
    learning_rate: float = 1e-4
    weight_decay: float = 5e-4
    retain_share: float = 0.3
    tolerance: float = 0.01
    target_accuracy: float | None = None
    temperature: float | None = None
    smoothing: Literal["gumbel-softmax", "softmax"] = "gumbel-softmax"
    batch_size: int | None = None
    published_class_mode: bool = False

    def __post_init__(self) -> None:
        shares = self.target_accuracy is None or 0 <= self.target_accuracy <= 1
        limits = {
            "epochs >= 1": self.epochs >= 1,
            "alpha >= 0": self.alpha >= 0,
            "learning_rate > 0": self.learning_rate > 0,
            "weight_decay >= 0": self.weight_decay >= 0,
            "0 < retain_share <= 1": 0 < self.retain_share <= 1,
            "batch_size >= 1 or None": self.batch_size is None or self.batch_size >= 1,
            "0 <= target_accuracy <= 1 or None": shares,
            "temperature > 0 or None": self.temperature is None or self.temperature > 0,
            "smoothing 'gumbel-softmax' or 'softmax'": self.smoothing
            in ("gumbel-softmax", "softmax"),
        }
        require(self, limits)

    @property
    def reads(self) -> frozenset[str]:
        """Unseen images only if they say what accuracy to aim at."""
        calibrates = {"unseen"} if self.target_accuracy is None else set()
        return frozenset({"forget", "retain"} | calibrates)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        both = n.sampled(self.retain_share)
        own_target = self.target_accuracy is not None
        looks = self.epochs if self._keeps_best else self.epochs - 1
        return Passes(self.epochs * both, both + looks * n.forget + (0 if own_target else n.unseen))

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place until its accuracy on forget images meets the target."""
        both = data.forget + data.retain.sample(self.retain_share, run.generator)
        teacher = run.teacher(model, both)
        target = self._target(model, data, run)
        aim = "unseen_accuracy" if self.target_accuracy is None else "target_accuracy"
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        forget_accuracy = accuracy(teacher[: len(data.forget)], data.forget.labels)
        now: dict[str, Any] = {"accuracy": forget_accuracy, "best": {}, "best_gap": math.inf}
        for epoch in run.epochs(self.epochs, optimizer, now):
            gap = now["accuracy"] - target
            tau = math.exp(self.alpha * gap) if self.temperature is None else self.temperature
            run.log(tau=tau, forget_accuracy=now["accuracy"], **{aim: target})
            if self._stops(gap):
                break
            smooth, drawn = self._targets(teacher, len(data.forget), tau, run)
            model.train()
            for x, _, i in run.batches(both, self.batch_size):
                run.step(optimizer, soft_cross_entropy(model(x), _rows(smooth, drawn, i, run)))
            del smooth  # its file, if any: the next epoch's takes as much of the disk
            if epoch + 1 < self.epochs or self._keeps_best:
                now["accuracy"] = run.accuracy(model, data.forget)
            miss = abs(now["accuracy"] - target)
            if self._keeps_best and miss < now["best_gap"]:
                now.update(best=snapshot(model), best_gap=miss)
        if now["best"]:
            restore(model, now["best"])

    def _target(self, model: nn.Module, data: Splits, run: Runtime) -> float:
        """The accuracy to come down to: that of the original on unseen images, unless given."""
        if self.target_accuracy is not None:
            return self.target_accuracy
        assert data.unseen is not None  # it is among what this method reads
        return run.accuracy(model, data.unseen)

    @property
    def _keeps_best(self) -> bool:
        return self.target_accuracy is not None and not self.published_class_mode

    def _stops(self, gap: float) -> bool:
        return gap <= (0 if self._keeps_best else -self.tolerance)

    def _targets(
        self, teacher: Tensor, forget: int, tau: float, run: Runtime
    ) -> tuple[Tensor, Tensor]:
        """Probabilities ``[N_f, C]`` of the images to forget, classes ``[N_r]`` of the others.

        A class says all that a row of zeros with a one would, in a C-th of the room.
        """
        drawn: list[Tensor] = []
        smooth = run.kept(self._smooth(teacher, forget, tau, run, drawn), forget)
        return smooth, torch.cat(drawn)

    def _smooth(
        self, teacher: Tensor, forget: int, tau: float, run: Runtime, drawn: list[Tensor]
    ) -> Iterator[Tensor]:
        """The probabilities, some rows at a time; the classes of the others go to ``drawn``."""
        size = max(1, _BLOCK // teacher.shape[1])
        for start in range(0, len(teacher), size):
            z, count = run.rows(teacher, slice(start, start + size)), max(0, forget - start)
            noisy = z + run.gumbel(*z.shape).to(z.dtype)
            drawn.append(noisy[count:].argmax(dim=1))
            smooth = noisy if self.smoothing == "gumbel-softmax" else z
            yield F.softmax(smooth[:count] / tau, dim=1)


def _rows(smooth: Tensor, drawn: Tensor, i: Tensor, run: Runtime) -> Tensor:
    """Targets ``[B, C]`` of the images at ``i``; those of ``smooth`` come before the others."""
    forget = len(smooth)
    rows = run.rows(smooth, i.clamp(max=forget - 1))
    chosen = drawn[(i - forget).clamp(min=0)][:, None]
    return torch.where(i[:, None] < forget, rows, torch.zeros_like(rows).scatter(1, chosen, 1.0))


CARD = Card(
    does="The original's own predictions become the targets: smoothed for forget images, by "
    "as much as the model still knows them better than unseen ones, and sampled for a part "
    "of the retain images. When forget images are known no better than unseen ones, it stops.",
    works="Keeps what the model can do. How much it forgets depends on the learning rate: at "
    "the published one a small ResNet goes part of the way, or hardly moves.",
    cost="once F(n_f + 0.3 n_r) and F of the unseen images; per epoch FB(n_f + 0.3 n_r) and "
    "F(n_f). Memory of AdamW: two copies of the weights; a third, of the best epoch, with a "
    "target of one's own.",
    tables="Rounds accuracies to two decimals, which changes the temperature and the stop "
    "rule; in class mode it cannot stop.",
    bibtex=bibtex.LOTUS,
)
