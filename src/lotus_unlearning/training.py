"""Training a classifier: the original, and by the same recipe the gold model."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from lotus_unlearning.checks import check_model, require
from lotus_unlearning.images import as_images
from lotus_unlearning.runtime import (
    Processes,
    Runtime,
    check_blocks,
    check_precision,
    choose_device,
    choose_precision,
    cut,
    restore,
    snapshot,
)
from lotus_unlearning.runtime.agreement import begin
from lotus_unlearning.runtime.carry_out import carry_out
from lotus_unlearning.runtime.run import Row
from lotus_unlearning.splits import Split, Splits


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained: cross-entropy, linear warm-up, then linear decay to 0.

    Attributes:
        epochs: Passes over the images, at most.
        optimizer: ``"sgd"`` (with momentum) or ``"adamw"``.
        learning_rate: At the end of the warm-up.
        momentum: Of SGD.
        weight_decay: Of the optimizer.
        batch_size: Images per step.
        warmup_epochs: Epochs in which the learning rate rises from 0, fewer than there are; the
            first half of a single epoch.
        patience: ``None``: train all epochs. A number: stop when the loss on held-out images
            has not fallen for so many epochs; the best epoch's weights are kept either way.
        shift: Augmentation: every image is moved by up to so many pixels at every step.
        flip: Augmentation: every image is mirrored with probability 1/2 at every step.
    """

    epochs: int = 30
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    warmup_epochs: float = 1.0
    patience: int | None = None
    shift: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        limits = {
            "epochs >= 1": self.epochs >= 1,
            "learning_rate > 0": self.learning_rate > 0,
            "momentum in [0, 1)": 0 <= self.momentum < 1,
            "weight_decay >= 0": self.weight_decay >= 0,
            "batch_size >= 1": self.batch_size >= 1,
            "warmup_epochs in [0, epochs)": 0 <= self.warmup_epochs < self.epochs
            or self.warmup_epochs == self.epochs == 1,
            "patience >= 1 or None": self.patience is None or self.patience >= 1,
            "optimizer sgd or adamw": self.optimizer in ("sgd", "adamw"),
            "shift >= 0": self.shift >= 0,
        }
        require(self, limits)


@dataclass(frozen=True, repr=False)
class Trained:
    """A trained model and what it cost; see :class:`lotus_unlearning.Unlearned`."""

    model: nn.Module
    recipe: Recipe
    history: list[Row]
    seconds: float
    peak_memory_bytes: int | None
    seed: int

    def __repr__(self) -> str:
        cost = f"{len(self.history)} epochs, {self.seconds:.1f} s, seed {self.seed}"
        return f"Trained({type(self.model).__name__}: {cost})"


def train(
    model: nn.Module,
    images: object,
    recipe: Recipe | None = None,
    *,
    held_out: object = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str = "auto",
    progress: bool = True,
    shard: bool = False,
    compile: bool = False,
    checkpoint: str | Path | None = None,
) -> Trained:
    """Train a copy of ``model`` on all of ``images``; ``model`` itself is untouched.

    Args:
        model: Maps images ``[B, ...]`` to logits ``[B, C]``; training starts from its weights.
            A gold model made so must not start where the original did: build it with another
            seed, or let :class:`lotus_unlearning.Retrain` draw one.
        images: A ``Dataset`` of ``(image, label)``, a pair ``(images, labels)``, or a
            ``Split`` (the gold model: ``splits.retain``).
        recipe: Defaults to ``Recipe()``.
        held_out: Images for ``recipe.patience``, of the same kind.
        seed: Of the order of images; same seed, machine and versions: same bits.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: ``"auto"`` (bfloat16 on CUDA, else float32), ``"float32"``, ``"bfloat16"`` or
            ``"float64"``.
        progress: Draw a progress bar when standard error is a terminal.
        shard: Let each of several processes hold a part of the model, as for
            :func:`lotus_unlearning.unlearn`.
        compile: Compile the blocks that the model repeats, as for
            :func:`lotus_unlearning.unlearn`.
        checkpoint: A folder for where the training stands, as for
            :func:`lotus_unlearning.unlearn`.

    Raises:
        ValueError: If something about the model or the data is wrong, before any work; if the
            checkpoint is damaged or of another training.
        FloatingPointError: If a loss was not finite; says in which epoch and batch.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    >>> images, labels = torch.rand(20, 1, 4, 4), torch.arange(20) % 2
    >>> made = train(model, (images, labels), Recipe(epochs=2), device="cpu")
    >>> [row["epoch"] for row in made.history], made.model is model
    ([0, 1], False)
    """
    recipe = recipe or Recipe()
    data = _whole(images, "images", called="train")
    others = None if held_out is None else _whole(held_out, "held_out", called="held_out")
    check_model(model, Splits(forget=data.take(torch.arange(0)), retain=data, unseen=others))
    place = choose_device(device)
    run = Runtime(
        place,
        choose_precision(precision, place),
        recipe.batch_size,
        seed,
        progress,
        Processes.start(),
        shard=shard,
        compiles=compile,
        replays=True,
    )
    check_precision(run, model, data)
    check_blocks(run, model)
    kept = begin(checkpoint, "recipe", recipe, model, {"images": data, "held_out": others}, run)
    done = carry_out(
        lambda learner, run: fit(learner, data, recipe, run, held_out=others), model, run, kept
    )
    cost = done.cost
    return Trained(done.model, recipe, done.run.history, cost.seconds, cost.peak_memory_bytes, seed)


def fit(
    model: nn.Module, data: Split, recipe: Recipe, run: Runtime, *, held_out: Split | None = None
) -> None:
    """Train ``model`` in place; with ``held_out`` and patience, keep the best epoch.

    Raises:
        ValueError: If the recipe has patience and nothing is held out.
        FloatingPointError: If a loss was not finite.
    """
    if recipe.patience is not None and held_out is None:
        raise ValueError(
            "Recipe: expected held-out images for patience, got none; pass unseen images or "
            "patience=None"
        )
    optimizer = optimizer_of(model, recipe)
    steps = cut.count(len(data), recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_of(recipe, steps))
    best: dict[str, Any] = {"weights": {}, "loss": math.inf, "epochs_ago": 0}
    for _ in run.epochs(recipe.epochs, optimizer, schedule, best):
        model.train()
        batches = run.batches(data, recipe.batch_size, shift=recipe.shift, flip=recipe.flip)
        for x, y, _ in batches:
            run.step(optimizer, F.cross_entropy(model(x), y))
            schedule.step()
        if recipe.patience is None or held_out is None:
            continue
        logits = run.predict(model, held_out)
        loss = F.cross_entropy(logits, held_out.labels.to(logits.device)).item()
        run.log(held_out_loss=loss)
        best["epochs_ago"] += 1
        if loss < best["loss"]:
            best.update(weights=snapshot(model), loss=loss, epochs_ago=0)
        if best["epochs_ago"] >= recipe.patience:
            run.stop()
    if best["weights"]:
        restore(model, best["weights"])
    elif recipe.patience is not None:
        raise FloatingPointError(
            "the loss on held-out images was not finite in any epoch; try a smaller learning rate "
            "or float32"
        )
    model.eval()


def optimizer_of(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer of a recipe, over all parameters of ``model``."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            model.parameters(),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    return torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def rate_of(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """Step, from 0 -> share of the learning rate, with so many ``steps`` in an epoch."""
    epochs = recipe.warmup_epochs if recipe.warmup_epochs < recipe.epochs else recipe.epochs / 2
    warmup, total = epochs * steps, recipe.epochs * steps

    def rate(step: int) -> float:
        """The share at a step."""
        if step < warmup:
            return min(1.0, (step + 1) / warmup)  # warm-up may end within a step
        return max(0.0, (total - step) / (total - warmup))

    return rate


def _whole(images: object, argument: str, *, called: str) -> Split:
    if isinstance(images, Split):
        return images
    source = as_images(images, argument)
    return Split(called, source, torch.arange(len(source)))
