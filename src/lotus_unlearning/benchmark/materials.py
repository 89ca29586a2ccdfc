"""What a cell of a benchmark works on: data, splits, and what the cells that it needs have left."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_weights
from torch import nn

from lotus_unlearning import datasets, models
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.cells import (
    DataChoice,
    Forget,
    Reference,
    Setup,
    Unlearning,
)
from lotus_unlearning.benchmark.measures import Logits
from lotus_unlearning.datasets import Data
from lotus_unlearning.jobs.job import Files
from lotus_unlearning.jobs.packing import PREDICTIONS, WEIGHTS, unzipped
from lotus_unlearning.runtime import (
    Penultimate,
    Runtime,
    choose_device,
    restore,
)
from lotus_unlearning.splits import Split, Splits

PARTS = ("train", "unseen", "test")


@dataclass(frozen=True)
class Place:
    """Where cells run.

    Attributes:
        device: The device, as for :func:`lotus_unlearning.unlearn`.
        root: The folder of the data sets, where they are files; ``None``: the usual one.
    """

    device: str = "auto"
    root: str | None = None


@lru_cache(maxsize=2)
def load(choice: DataChoice, root: str | None) -> Data:
    """The data set, read once per process."""
    return datasets.load(
        choice.name,
        root=root,
        seed=choice.seed,
        limit=choice.limit,
        unseen_from=choice.unseen_from,
        size=choice.size,
    )


def build(setup: Setup, data: Data, seed: int, pretrained: bool) -> nn.Module:
    """The model of a setup, freshly initialised or with published weights."""
    return models.build(
        setup.model,
        classes=len(data.classes),
        channels=data.channels,
        image_size=data.image_size,
        pretrained=pretrained,
        seed=seed,
    )


def splits_of(
    setup: Setup, forget: Forget, needs: Mapping[str, Files], data: Data, place: Place
) -> Splits:
    """What is to be forgotten, and the other images; ranked by the models in ``needs`` if so."""
    if forget.ranked_by is None:
        return scenarios.splits(forget, data)
    count = max(1, round(forget.fraction * len(data.train)))
    if forget.kind == "memorised":
        known = [predictions(needs[cell.key])["train"] for cell in forget.needs]
        whole, *halves = (logits.astype(np.float64) for logits in known)
        labels = data.train.labels.numpy()
        by_half = dict(enumerate(halves))
        values = scenarios.memorisation(whole, by_half, labels, forget.ranked_by.seed)
        return scenarios.splits(forget, data, scenarios.highest(values, count))
    ranking = Penultimate(trained_model(setup, data, needs[forget.ranked_by.key]))
    features = predict(ranking, data, place, ("train",))["train"]
    hard = scenarios.near_duplicates(features.astype(np.float64), count)
    return scenarios.splits(forget, data, hard)


def known(cell: Reference | Unlearning, needs: Mapping[str, Files]) -> tuple[Logits, list[Logits]]:
    """Predictions of the original and of the gold models."""
    return predictions(needs[cell.original.key]), [predictions(needs[g.key]) for g in cell.golds]


def predict(
    model: nn.Module, data: Data, place: Place, parts: tuple[str, ...] = PARTS
) -> dict[str, NDArray[np.float32]]:
    """Outputs ``[N, C]`` for all images of each part, in float32 and evaluation mode."""
    run = Runtime(choose_device(place.device))
    found = {}
    with run.prepared(copy.deepcopy(model)) as ready:
        for part in parts:
            source = getattr(data, part)
            whole = Split(part, source, torch.arange(len(source)))
            found[part] = run.predict(ready, whole).float().cpu().numpy()
    return found


def trained_model(setup: Setup, data: Data, files: Files) -> nn.Module:
    """The model that was kept, in evaluation mode."""
    model = build(setup, data, 0, pretrained=False)
    restore(model, load_weights(files[WEIGHTS]))
    return model.eval()


def predictions(files: Files) -> dict[str, NDArray[np.float32]]:
    """Outputs ``[N, C]`` for all images of each part, as they were kept."""
    kept = files[PREDICTIONS]
    return unzipped(kept, len(kept))  # they are not compressed
