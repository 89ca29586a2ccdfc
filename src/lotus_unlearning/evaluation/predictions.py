"""What each model answers to each split: the one pass that all measures are computed from."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lotus_unlearning import metrics
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
SPLITS = ("forget", "retain", "unseen", "test")


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


ByModel = dict[str, dict[str, Answers]]


def predict(models: Mapping[str, nn.Module], splits: Splits, run: Runtime) -> ByModel:
    """Answers by model and split, in evaluation mode; the given models stay as they are."""
    present = {name: split for name in SPLITS if (split := getattr(splits, name)) is not None}
    return {name: _answers(model, present, run) for name, model in models.items()}


def _answers(model: nn.Module, splits: Mapping[str, Split], run: Runtime) -> dict[str, Answers]:
    with run.prepared(copy.deepcopy(model)) as ready:
        return {
            name: Answers(
                run.predict(ready, split).double().cpu().numpy(), split.labels.cpu().numpy()
            )
            for name, split in splits.items()
            if len(split)
        }
