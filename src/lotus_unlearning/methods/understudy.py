"""Understudy: what to believe of forget images is asked of a network that never saw them.

Kristian Georgiev, Roy Rinberg, Sung Min Park, Shivam Garg, Andrew Ilyas, Aleksander Madry, Seth
Neel: "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", ICLR 2025,
https://arxiv.org/abs/2410.23232, for oracle matching: fine-tune the original until it answers as
retrained models do. Put together by this package (docs/beyond.md).

    understudy: a fresh network, trained on retain for a few epochs
    forget: target = softmax(b z_s)    z_s: logits of the understudy
    retain: target = softmax(z_o)      z_o: logits of the original
    loss   = mean over the batch of KL(target || softmax(z_u))
    b      = 1; calibrated: m(z_o) / m(z_s), with m the mean over unseen images (of classes that
             retain has) of the largest logit minus the second

Long before a new network is as good as the original it is right about as often on images that it
never saw as retrained networks are in the end, if less sure. What it still lacks on retain images
does no harm: those are answered for by the original.

Differs: from oracle matching in that one network, trained for a fraction of the time, stands in for
many that were retrained; every epoch draws its own retain images.
"""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from lotus_unlearning.checks import require
from lotus_unlearning.losses import distillation
from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import COUNT, TENFOLD, Card, Passes, Rule, Sizes
from lotus_unlearning.runtime import (
    Runtime,
    accuracy,
    cut,
    reset_parameters,
    restore,
    snapshot,
)
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Recipe, fit

_SHARE = 4
"""Of the original's epochs, how many times as many as an understudy has."""
_STEPS_MOVED = 800


def _short() -> Recipe:
    return Recipe(
        epochs=3, optimizer="adamw", learning_rate=1.5e-3, batch_size=64, warmup_epochs=0.2
    )


@dataclass(frozen=True, kw_only=True)
class Understudy:
    """Train a stranger to the forget images, and learn its answers to them.

    Attributes:
        recipe: How the understudy is trained: a fraction of what the original took.
        least_steps: With few images, the recipe has more epochs, until it has as many steps; and
            the model more passes, until it has half as many.
        epochs: Passes of the model over forget and its share of retain.
        learning_rate: Of the model's AdamW at the start; it falls to 0 along half a cosine.
        weight_decay: Of the model's AdamW.
        retain_share: Share of retain images in each pass, drawn anew for each.
        batch_size: Forget and retain images together.
        calibrated: Make the understudy as sure of unseen images as the original is, by one factor
            of its logits: after few epochs it is less sure. Takes unseen images, and more passes
            (``epochs=8``), as the model then follows it all the way.
        start: A model with the weights that the understudy starts from (pre-trained ones, where the
            original began with them); ``None``: a fresh random initialisation
            (:func:`lotus_unlearning.runtime.reset_parameters`), by a seed that the run draws.
    """

    replayable: ClassVar[bool] = True
    # how well the understudy knows its part, and how closely it is followed
    searches: ClassVar[dict[str, Rule]] = {
        "recipe.epochs": COUNT,
        "learning_rate": TENFOLD,
        "epochs": COUNT,
    }
    recipe: Recipe = field(default_factory=_short)
    least_steps: int = 200
    epochs: int = 4
    learning_rate: float = 5e-4
    weight_decay: float = 5e-4
    retain_share: float = 0.5
    batch_size: int = 64
    calibrated: bool = False
    start: nn.Module | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        limits = {
            "a recipe without patience": self.recipe.patience is None,
            "least_steps >= 0": self.least_steps >= 0,
            "epochs >= 1": self.epochs >= 1,
            "learning_rate > 0": self.learning_rate > 0,
            "weight_decay >= 0": self.weight_decay >= 0,
            "0 < retain_share <= 1": 0 < self.retain_share <= 1,
            "batch_size >= 1": self.batch_size >= 1,
        }
        require(self, limits)

    def as_trained(self, recipe: Recipe) -> "Understudy":
        """For an original trained by ``recipe``: a quarter of its epochs, its shifts and flips.

        A training with shifts or flips takes longer, so that with few images it then has 800 steps
        (docs/beyond.md has the figures).

        >>> recipe = Understudy().as_trained(Recipe(epochs=100, shift=4, flip=True)).recipe
        >>> recipe.epochs, recipe.shift, recipe.flip, recipe.optimizer
        (25, 4, True, 'adamw')
        """
        mine = replace(
            self.recipe,
            epochs=max(self.recipe.epochs, math.ceil(recipe.epochs / _SHARE)),
            shift=recipe.shift,
            flip=recipe.flip,
        )
        steps = _STEPS_MOVED if recipe.shift or recipe.flip else 0
        return replace(self, recipe=mine, least_steps=max(self.least_steps, steps))

    @property
    def reads(self) -> frozenset[str]:
        """Unseen images only to see how sure the original is of them."""
        return frozenset({"forget", "retain"} | ({"unseen"} if self.calibrated else set()))

    def recipe_for(self, retain: int) -> Recipe:
        """The recipe, with as many epochs as ``least_steps`` takes with ``retain`` images."""
        least = math.ceil(self.least_steps / cut.count(retain, self.recipe.batch_size))
        return replace(self.recipe, epochs=max(self.recipe.epochs, least))

    def share_of(self, retain: int) -> int:
        """How many of ``retain`` images are in each pass of the model."""
        return max(1, round(self.retain_share * retain))

    def passes(self, forget: int, retain: int) -> int:
        """Over as many images, as many as half of ``least_steps`` takes: ``epochs`` or more."""
        steps = cut.count(forget + self.share_of(retain), self.batch_size)
        return max(self.epochs, math.ceil(self.least_steps / 2 / steps))

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        stranger = self.recipe_for(n.retain).epochs * n.retain
        taught = self.passes(n.forget, n.retain) * (n.forget + self.share_of(n.retain))
        return Passes(stranger + taught, n.retain + n.forget)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Edit ``model`` in place: let it be the understudy, then itself again, and teach it."""
        original = run.teacher(model, data.retain)
        understudy, factor = self._understudy(model, data, run)
        forget, count = len(data.forget), self.share_of(len(data.retain))
        epochs = self.passes(forget, len(data.retain))
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        steps = epochs * cut.count(forget + count, self.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        understudy_accuracy = accuracy(understudy, data.forget.labels)
        for _ in run.epochs(epochs, optimizer, schedule):
            run.log(understudy_accuracy=understudy_accuracy, factor=factor)
            chosen = run.permutation(len(data.retain))[:count]
            both, places = data.forget + data.retain.take(chosen), chosen.to(run.device)
            model.train()
            for x, _, i in run.batches(both, self.batch_size):
                of_forget = factor * run.rows(understudy, i.clamp(max=forget - 1))
                of_retain = run.rows(original, places[(i - forget).clamp(min=0)])
                target = torch.where(i[:, None] < forget, of_forget, of_retain)
                run.step(optimizer, distillation(model(x), target))
                schedule.step()

    def _understudy(self, model: nn.Module, data: Splits, run: Runtime) -> tuple[Tensor, float]:
        """Logits ``[N_f, C]`` of the understudy, and their factor; ``model`` comes back as it was.

        There is one model that a run trains, shards and keeps in checkpoints: it is lent.
        """
        weights, seed = snapshot(model), run.draw_seed()
        wanted = _sureness(model, data, run) if self.calibrated else 1.0
        if self.start is None:
            reset_parameters(model, seed)
        else:
            restore(model, self.start.state_dict())
        fit(model, data.retain, self.recipe_for(len(data.retain)), run)
        logits = run.teacher(model, data.forget)
        found = _sureness(model, data, run) if self.calibrated else 1.0
        restore(model, weights)
        return logits, wanted / found if found > 0 else 1.0


def _sureness(model: nn.Module, data: Splits, run: Runtime) -> float:
    """How far the largest logit is above the second, on average over unseen images.

    Those of classes that retain has: of others the original knows more than a network should that
    is trained without them.
    """
    assert data.unseen is not None  # it is among what this method reads
    known = torch.isin(data.unseen.labels, data.retain.labels).nonzero().flatten()
    if not len(known):
        return 0.0
    best = run.predict(model, data.unseen.take(known)).float().topk(2, dim=1).values
    return float((best[:, 0] - best[:, 1]).mean())


CARD = Card(
    does="Trains a new network on retain images for a few epochs and teaches the original its "
    "beliefs about forget images. Of retain images the original keeps its own beliefs. This "
    "package's own method.",
    works="Where the original remembers the images and a training takes much longer than the few "
    "epochs of the understudy: there it went all of the way to gold, as SCRUB and Regrow did, and "
    "kept the accuracy on retain images best. It needs all retain images, and the shifts, flips "
    "and a quarter of the epochs of the original's training, which ``lotus unlearn`` takes from a "
    "run of ``lotus train`` (in Python ``as_trained``).",
    cost="F(n_r) once; FB(n_r) for each epoch of the understudy (3, or more where n_r is "
    "small), F(n_f) once; then per epoch FB(n_f + half of n_r), with more epochs where images "
    "are few. Memory of AdamW, two copies of the weights, and one more: the original's while "
    "the understudy is trained.",
    tables="Not among the published tables.",
    bibtex=f"{bibtex.GEORGIEV}\n\n{bibtex.HINTON}",
)
