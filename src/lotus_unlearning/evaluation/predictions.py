"""What each model answers to each split: the one pass that all measures are computed from."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lotus_unlearning import metrics
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
SPLITS = ("forget", "retain", "unseen", "test")
_OUTSIDE = ("unseen", "test")  # never trained on; the first that is there is what forget is held to


@dataclass(frozen=True, eq=False)
class Answers:
    """One model's logits ``[N, C]`` for one split, and what follows from them.

    Attributes:
        logits: ``[N, C]``.
        labels: ``[N]``.
    """

    logits: Floats
    labels: Labels

    @cached_property
    def probabilities(self) -> Floats:
        """``[N, C]``."""
        return metrics.softmax(self.logits)

    @cached_property
    def entropy(self) -> Floats:
        """``[N]`` nats."""
        return metrics.entropy(self.probabilities)

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Attack scores ``[N]`` by name; higher means "was trained on"."""
        return {
            "entropy": -self.entropy,
            "confidence": metrics.confidence(self.probabilities),
            "loss": -metrics.cross_entropy(self.logits, self.labels),
        }


def outside(answers: Mapping[str, Answers]) -> tuple[str, Answers] | None:
    """What forget images are told from: unseen images, or test images where there are none."""
    return next(((name, answers[name]) for name in _OUTSIDE if name in answers), None)


def missing(splits: Splits) -> Iterator[str]:
    """What it means for the measures that there are no unseen or no test images."""
    if not splits.unseen and not splits.test:  # none, or none that is no copy
        yield "No unseen and no test images were given: measures that need them are left out."
    elif not splits.unseen:
        yield (
            "No unseen images were given: test images stand in their place in attacks and in the "
            "picture of entropies; RF-JSD and what else needs unseen images is left out."
        )
    elif not splits.test:
        yield "No test images were given: measures that need them are left out."


@dataclass(frozen=True, eq=False)
class Brief:
    """What is asked of one model about retained images, of which there may be millions.

    Attributes:
        right: ``[N]``: is the largest logit at the label?
        entropy: ``[N]`` nats.
        labels: ``[N]``.
    """

    right: NDArray[np.bool_]
    entropy: Floats
    labels: Labels


ByModel = dict[str, dict[str, Answers]]
BriefByModel = dict[str, Brief]


def predict(
    models: Mapping[str, nn.Module], splits: Splits, run: Runtime, names: Sequence[str] = SPLITS
) -> ByModel:
    """Answers by model and split, in evaluation mode; the given models stay as they are.

    Args:
        models: By name.
        splits: Of which those that are there are predicted.
        run: Where.
        names: Of splits.
    """
    present = {name: split for name in names if (split := getattr(splits, name)) is not None}
    return {name: _answers(model, present, run) for name, model in models.items()}


def predict_briefly(models: Mapping[str, nn.Module], split: Split, run: Runtime) -> BriefByModel:
    """Two numbers per image and model, without ever holding the logits of all images.

    Raises:
        ValueError: If a logit is NaN or infinite.
    """
    labels, found = split.labels.cpu().numpy(), {}
    for name, model in models.items():
        with run.prepared(copy.deepcopy(model)) as ready:
            rows = run.each(ready, split, _guess_and_entropy).cpu().numpy()
        if not np.isfinite(rows).all():
            raise ValueError(
                f"{name}: expected finite logits of {split.name} images, got NaN or infinity; look "
                "for a diverged model"
            )
        found[name] = Brief(rows[:, 0] == labels, rows[:, 1], labels)
    return found


def _guess_and_entropy(logits: Tensor) -> Tensor:
    """``[B, 2]`` float64."""
    z = logits.double()
    entropy = torch.special.entr(z.softmax(dim=1)).sum(dim=1)
    return torch.stack([z.argmax(dim=1).double(), entropy], dim=1)


def _answers(model: nn.Module, splits: Mapping[str, Split], run: Runtime) -> dict[str, Answers]:
    with run.prepared(copy.deepcopy(model)) as ready:
        return {
            name: Answers(
                run.predict(ready, split).double().cpu().numpy(), split.labels.cpu().numpy()
            )
            for name, split in splits.items()
            if len(split)
        }
