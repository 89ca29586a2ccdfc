"""UNSIR: damage what the model knows with learned noise, then repair it on retain images.

Ayush K. Tarun, Vikram S. Chundawat, Murari Mandal, Mohan Kankanhalli: "Fast Yet Effective Machine
Unlearning", IEEE TNNLS 2023, https://arxiv.org/abs/2111.08947, for classes without retain images;
Dasol Choi, Dongbin Na: "Towards Machine Unlearning Benchmarks: Forgetting the Personal
Identities in Facial Recognition Systems", 2023, https://arxiv.org/abs/2311.02240, for images whose
classes are retained.

    by class, for each forgotten class c:
      noise:  n_c = argmin -CE(z(n), c) + penalty mean_n sum n^2
      impair: one epoch of CE on copies of n_c labelled c, mixed with retain images
      repair: one epoch of CE on the retain images
    by instance, for a batch x_f of forget and a batch (x_r, y_r) of retain:
      noise:  n ~ N(0, 1), then a few steps up MSE(z(n), z(x_f)), clamped to the range of inputs
      loss  = CE(z(n), y_r) + CE(z(x_r), y_r)

Differs: noise is learned with the model in evaluation mode and its parameters frozen. By class:
every copy has all noise images, labelled with their class; the authors' notebook adds the first 3
of the 256 to each of the 20 copies, and labels those of every class 0. It takes the first 1,000
retain images of a class; ours are drawn. By instance: every forget image has its partner in every
epoch (as far as retain images suffice; the published code skips incomplete batches), and the range
is that of the forget images, not [0, 1].

The LoTUS tables take one noise step, clamp to [0, 1], use momentum, and end every epoch with a pass
over some retain images of each class (there, the pairs are of these, too): options of ByInstance.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from lotus_unlearning.checks import require
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.methods.noise import Ends, Learned, ends, learned
from lotus_unlearning.methods.some_images import at_most, fine_tune, some, warn_of_absent_classes
from lotus_unlearning.runtime import Runtime, cut
from lotus_unlearning.splits import Split, Splits


@dataclass(frozen=True, kw_only=True)
class ByClass:
    """The class version and its settings.

    Attributes:
        noise_images: Learned for each forgotten class (authors: a batch of 256).
        noise_steps: Of learning noise (authors: 5 epochs of 8); 0: fine-tuning.
        noise_learning_rate: Of Adam (authors: 0.1).
        penalty: Weight of the noise's squared size (authors: 0.1).
        copies: How often each noise image is seen (authors: 20); 0: fine-tuning.
        images_per_class: At most so many retain images of each class are used (authors: 1000).
        impair_learning_rate: Of Adam (authors: 0.02).
        repair_learning_rate: Of Adam (authors: 0.01).
        batch_size: Noise and retain images together (authors: 256).
    """

    noise_images: int = 256
    noise_steps: int = 40
    noise_learning_rate: float = 0.1
    penalty: float = 0.1
    copies: int = 20
    images_per_class: int = 1000
    impair_learning_rate: float = 0.02
    repair_learning_rate: float = 0.01
    batch_size: int = 256

    def __post_init__(self) -> None:
        sizes = self.noise_images, self.images_per_class, self.batch_size
        amounts = self.noise_steps, self.copies, self.penalty
        rates = self.noise_learning_rate, self.impair_learning_rate, self.repair_learning_rate
        limits = {
            "noise_images, images_per_class and batch_size >= 1": all(n >= 1 for n in sizes),
            "noise_steps, copies and penalty >= 0": all(n >= 0 for n in amounts),
            "learning rates > 0": all(n > 0 for n in rates),
        }
        require(self, limits)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        noise = n.forget_classes * self.noise_images if self.copies else 0
        learned = noise * ((self.copies + self.noise_steps) if self.noise_steps else 0)
        return Passes(learned + 2 * n.at_most(self.images_per_class), 1)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place."""
        warn_of_absent_classes(run.classes(model, data.retain), data)
        retain = at_most(self.images_per_class, data.retain, run)
        for epoch in run.epochs(2):
            rate = self.repair_learning_rate if epoch else self.impair_learning_rate
            run.log(by_class=1, learning_rate=rate)
            optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
            if epoch == 0 and self.noise_steps > 0 and self.copies > 0:
                self._impair(model, optimizer, torch.unique(data.forget.labels), retain, run)
            else:
                fine_tune(model, optimizer, retain, self.batch_size, run)

    def _impair(
        self, model: nn.Module, optimizer: Optimizer, classes: Tensor, retain: Split, run: Runtime
    ) -> None:
        noise, loss = self._noise(model, classes, retain, run)
        run.log(noise_loss=loss.item())
        noise_labels = classes.repeat_interleave(self.noise_images).to(noise.device)
        # a copy of a noise image holds the place of some retain image, which is then replaced
        places = torch.zeros(self.copies * len(noise), dtype=torch.long)
        mixed = retain.take(torch.cat([torch.arange(len(retain)), places]))
        model.train()
        for x, y, i in run.batches(mixed, self.batch_size):
            real, n = i < len(retain), (i - len(retain)) % len(noise)
            x = torch.where(real.view(-1, *[1] * (x.dim() - 1)), x, noise[n])
            y = torch.where(real, y, noise_labels[n])
            run.step(optimizer, F.cross_entropy(model(x), y))

    def _noise(self, model: nn.Module, classes: Tensor, like: Split, run: Runtime) -> Learned:
        """Noise ``[K * noise_images, ...]`` for ``classes`` ``[K]``."""
        x = next(run.batches(like.take(torch.arange(1)), shuffle=False))[0]
        found = []
        for c in classes.tolist():
            start = run.normal(self.noise_images, *x.shape[1:]).to(x.dtype)
            labels = torch.full((self.noise_images,), c, device=x.device)

            def loss(n: Tensor, labels: Tensor = labels) -> Tensor:
                return self.penalty * n.square().sum() / len(n) - F.cross_entropy(model(n), labels)

            steps, rate = self.noise_steps, self.noise_learning_rate
            found.append(learned(start, loss, steps, rate, model, run))
        return torch.cat([n for n, _ in found]), torch.stack([v for _, v in found]).mean()


@dataclass(frozen=True, kw_only=True)
class ByInstance:
    """The instance version and its settings.

    Attributes:
        epochs: Passes over pairs of forget and retain images (authors: 2).
        learning_rate: Of SGD (authors: 1e-3).
        momentum: Of SGD (authors: 0; LoTUS tables: 0.9).
        noise_steps: Of learning noise for a batch (authors: 5; LoTUS tables: 1); 0: fine-tuning
            on as many retain images as there are forget images.
        noise_learning_rate: Of Adam (authors: 0.01).
        clamp: Lowest and highest value of noise (published code: 0 and 1); ``None``: those of the
            forget images.
        repair_images_per_class: Each epoch ends with fine-tuning on at most so many retain images
            of each class, drawn once (LoTUS tables: 1000, or 100); 0: it does not.
        batch_size: Pairs per step (authors: 64).
    """

    epochs: int = 2
    learning_rate: float = 1e-3
    momentum: float = 0.0
    noise_steps: int = 5
    noise_learning_rate: float = 0.01
    clamp: tuple[float, float] | None = None
    repair_images_per_class: int = 0
    batch_size: int = 64

    def __post_init__(self) -> None:
        limits = {
            "epochs >= 1": self.epochs >= 1,
            "learning_rate > 0": self.learning_rate > 0,
            "momentum in [0, 1)": 0 <= self.momentum < 1,
            "noise_steps >= 0": self.noise_steps >= 0,
            "noise_learning_rate > 0": self.noise_learning_rate > 0,
            "clamp from low to high, or None": self.clamp is None or self.clamp[0] < self.clamp[1],
            "repair_images_per_class >= 0": self.repair_images_per_class >= 0,
            "batch_size >= 1": self.batch_size >= 1,
        }
        require(self, limits)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        pairs = self.epochs * min(n.forget, n.retain)
        repair = self.epochs * n.at_most(self.repair_images_per_class)
        if self.noise_steps == 0:
            return Passes(pairs + repair)
        return Passes(pairs * (self.noise_steps + 2) + repair, pairs)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place."""
        count = self.repair_images_per_class
        repaired = at_most(count, data.retain, run) if count > 0 else None
        rate, momentum = self.learning_rate, self.momentum
        optimizer = torch.optim.SGD(model.parameters(), rate, momentum, fused=True)
        limits = self.clamp or ends(data.forget, run)
        for _ in run.epochs(self.epochs, optimizer):
            run.log(by_class=0)
            if self.noise_steps > 0:
                self._impair(model, optimizer, data, limits, run)
            else:
                retain = some(data.retain, len(data.forget), run)
                fine_tune(model, optimizer, retain, self.batch_size, run, shuffle=False)
            if repaired is not None:
                fine_tune(model, optimizer, repaired, self.batch_size, run)

    def _impair(
        self, model: nn.Module, optimizer: Optimizer, data: Splits, limits: Ends, run: Runtime
    ) -> None:
        pairs, losses = min(len(data.forget), len(data.retain)), []
        parts = cut.batches(torch.arange(pairs), self.batch_size)
        passes = (
            run.batches(some(split, pairs, run), self.batch_size, shuffle=False)
            for split in (data.forget, data.retain)
        )
        for part, (x_f, _, i), (x, y, _) in zip(parts, *passes, strict=True):
            start = run.normal(len(part), *x.shape[1:]).to(x.dtype)
            noise, loss = self._noise(model, start, i - part[0], x_f, run)
            losses.append(run.counted(loss, len(x)))
            model.train()
            noisy, real = (F.cross_entropy(model(n), y) for n in (noise.clamp(*limits), x))
            run.step(optimizer, noisy + real)
        run.log(noise_loss=torch.stack(losses).mean())

    def _noise(
        self, model: nn.Module, start: Tensor, rows: Tensor, x_f: Tensor, run: Runtime
    ) -> Learned:
        """The ``rows`` of noise, from ``start`` on, whose logits are far from those of ``x_f``."""
        target = run.answers(model.eval(), x_f)

        def loss(n: Tensor) -> Tensor:
            return -F.mse_loss(model(n[rows]), target)

        found, value = learned(start, loss, self.noise_steps, self.noise_learning_rate, model, run)
        return found[rows], value


@dataclass(frozen=True, kw_only=True)
class UNSIR:
    """Impair and repair, in the version that fits what is to be forgotten.

    Attributes:
        mode: ``"class"``, ``"instance"``, or ``"auto"``: the class version if retain has no
            image of the forgotten classes.
        by_class: Settings of the class version.
        by_instance: Settings of the instance version.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})
    replayable: ClassVar[bool] = True
    # of the version that fits the splits, see space(): its rates and how far noise is learned
    searches: ClassVar[dict[str, Rule]] = {
        "by_instance.learning_rate": TENFOLD,
        "by_instance.noise_steps": COUNT,
        "by_instance.epochs": COUNT,
        "by_class.impair_learning_rate": TENFOLD,
        "by_class.repair_learning_rate": TENFOLD,
        "by_class.noise_steps": COUNT,
    }
    mode: Literal["auto", "class", "instance"] = "auto"
    by_class: ByClass = field(default_factory=ByClass)
    by_instance: ByInstance = field(default_factory=ByInstance)

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "class", "instance"):
            raise ValueError(f"expected mode 'auto', 'class' or 'instance'; got {self.mode!r}")

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        by_class = self.mode == "class" or (self.mode == "auto" and not n.shared)
        return (self.by_class if by_class else self.by_instance).work(n)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place."""
        shared = int(torch.isin(data.retain.labels, torch.unique(data.forget.labels)).sum())
        if self.mode == "class" and shared:
            raise ValueError(
                f'UNSIR with mode="class" expected no retain images of the forgotten classes, got '
                f'{shared}; pass mode="instance"'
            )
        by_class = self.mode == "class" or (self.mode == "auto" and not shared)
        (self.by_class if by_class else self.by_instance)(model, data, run)


CARD = Card(
    does="Learned noise stands in for forget images and damages what the model knows of "
    "them. Training on retain images repairs the rest.",
    works="Made for whole classes, which it forgets at the price of accuracy on the others. "
    "For single images whose classes stay, its authors' noise damages what is to be kept; the "
    "LoTUS paper's, of one step, goes a little of the way.",
    cost="by class: 40 FB of 256 noise images per class, then FB(n_r and 5,120 noise images "
    "per class) and FB(n_r), n_r at most 1,000 per class; by instance, for each pair of "
    "batches one F, 5 FB for the noise and 2 FB. Memory of Adam, by class: two copies of the "
    "weights and the noise; by instance the activations of two batches and, layer by layer, "
    "the gradients of both.",
    tables="One noise step, clamped to [0, 1], momentum and a repair pass; by instance for "
    "whole classes, too.",
    bibtex=f"{bibtex.TARUN}\n\n{bibtex.CHOI}",
)
