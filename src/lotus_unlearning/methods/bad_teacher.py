"""BadTeacher: imitate a teacher that knows nothing on forget images, the original on the others.

Vikram S. Chundawat, Ayush K. Tarun, Murari Mandal, Mohan Kankanhalli: "Can Bad Teaching Induce
Forgetting? Unlearning in Deep Networks Using an Incompetent Teacher", AAAI 2023,
https://arxiv.org/abs/2205.08096, the objective of the student.

    forget: target = softmax(z_b / T)      z_b: logits of the incompetent teacher
    retain: target = softmax(z_o / T)      z_o: logits of the original
    loss   = mean over the batch of KL(target || softmax(z_u / T))

Differs: both teachers see their images once, before training, and are then gone from memory.
Their images are not augmented. The divergence is summed over classes, as it is defined; the
published code averages over them, too (the default of ``F.kl_div``): a loss smaller by the number
of classes, which Adam hardly notices.

Mind: with the original as both teachers, the loss is 0 at the start, and a model without BatchNorm
stays what it is, but for what Adam makes of rounding errors. One with BatchNorm drifts: in training
mode it normalises by the batch, its teachers by running statistics, so that equal weights differ.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.losses import distillation
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import Runtime, accuracy, fresh_copy, frozen_copy
from lotus_unlearning.splits import Split, Splits

_ROWS = 4096
"""Of logits that are copied at a time."""


@dataclass(frozen=True, kw_only=True)
class BadTeacher:
    """A competent and an incompetent teacher.

    Attributes:
        epochs: Passes over forget and the share of retain (authors: 1).
        learning_rate: Of Adam (authors: 1e-4).
        batch_size: Forget and retain images together (authors: 256).
        retain_share: Share of retain images used, drawn once (authors: 0.3).
        temperature: T above (authors: 1).
        bad_teacher: The incompetent teacher; ``None``: a copy of the model with a fresh random
            initialisation (:func:`lotus_unlearning.runtime.reset_parameters`), by a seed that the
            run draws. Pass one where the model cannot be initialised again.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})
    replayable: ClassVar[bool] = True
    # the temperature says how much of both teachers' doubt is taught
    searches: ClassVar[dict[str, Rule]] = {
        "learning_rate": TENFOLD,
        "temperature": TENFOLD,
        "epochs": COUNT,
    }
    epochs: int = 1
    learning_rate: float = 1e-4
    batch_size: int = 256
    retain_share: float = 0.3
    temperature: float = 1.0
    bad_teacher: nn.Module | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        limits = {
            "epochs >= 1": self.epochs >= 1,
            "learning_rate > 0": self.learning_rate > 0,
            "batch_size >= 1": self.batch_size >= 1,
            "0 < retain_share <= 1": 0 < self.retain_share <= 1,
            "temperature > 0": self.temperature > 0,
        }
        require(self, limits)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        both = n.sampled(self.retain_share)
        return Passes(self.epochs * both, both)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place: teach ignorance of forget, remind of retain."""
        bad = self._bad_logits(model, data.forget, run)
        retain = data.retain.sample(self.retain_share, run.generator)
        good = run.teacher(model, retain)
        if bad.shape[1] != good.shape[1]:
            raise ValueError(
                f"bad_teacher: expected {good.shape[1]} classes like the model, got "
                f"{bad.shape[1]}; pass a teacher with the same output"
            )
        both, parts = data.forget + retain, (*torch.split(bad, _ROWS), *torch.split(good, _ROWS))
        teacher = run.kept(parts, len(both), logits=True)
        bad_accuracy = accuracy(bad, data.forget.labels)
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate, fused=True)
        for _ in run.epochs(self.epochs, optimizer):
            run.log(bad_teacher_accuracy=bad_accuracy)
            model.train()
            for x, _, i in run.batches(both, self.batch_size):
                loss = distillation(model(x), run.rows(teacher, i), self.temperature)
                run.step(optimizer, loss / self.temperature**2)  # this paper has no factor T^2

    def _bad_logits(self, model: nn.Module, forget: Split, run: Runtime) -> Tensor:
        """Logits ``[N, C]`` of the incompetent teacher, which lives no longer than this call."""
        if self.bad_teacher is not None:
            teacher = frozen_copy(self.bad_teacher)
        else:
            try:
                teacher = fresh_copy(model, run.draw_seed())
            except ValueError as error:
                raise ValueError(f"bad_teacher: {error}") from error
        with run.prepared(teacher) as ready:
            return run.teacher(ready, forget)


CARD = Card(
    does="On forget images the model imitates a randomly initialised network, which knows "
    "nothing. On some retain images it imitates the original, so as to keep what that knows.",
    works="Fast. For single images away from gold on Fashion-MNIST, and hardly anywhere on "
    "digits at its authors' settings; for a class of Fashion-MNIST about half of the way, for "
    "one of digits none in its authors' one epoch and half in the LoTUS paper's ten. "
    "The longer it runs, the more uniform its predictions on forget images become, more than "
    "those of any trained network: a Streisand effect that entropy shows.",
    cost="once F(n_f) of the bad teacher and F(0.3 n_r) of the original; per epoch "
    "FB(n_f + 0.3 n_r). Memory of Adam: two copies of the weights; one of the bad teacher's, "
    "which is gone before training.",
    tables="Never shuffled: forget images in the order of their classes, then the retain "
    "images. Its loss is averaged over classes, too, as in its authors' code.",
    bibtex=bibtex.CHUNDAWAT,
)
