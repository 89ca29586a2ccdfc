"""The objective: how far a method's model is from one that never saw the images to forget."""

import copy
import dataclasses
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from lotus_unlearning.metrics import rf_js_divergence, softmax
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits
from lotus_unlearning.tuning.trial import FAILED, Trial
from lotus_unlearning.unlearning import Method, unlearn

MEASURES = (
    "mean over draws of RF-JSD(unlearned on forget, original on unseen) + max(0, accuracy of the "
    "original on retain - accuracy of the unlearned on retain); of a class that is forgotten "
    "altogether the original's answers are taken without that class"
)
CAUTION = (
    "a model that was not changed at all may have a good objective (its own: unchanged), and a "
    "retrained model need not have the best: on digits its RF-JSD was higher than the original's "
    "in 5 of 5 seeds; what is better than the default by less than the noise floor may be so by "
    "luck; measure the settings against gold models before relying on them"
)


@dataclass(frozen=True, eq=False)
class Draw:
    """One unlearning of every trial, and what its model is compared with.

    Attributes:
        splits: The images to forget and to retain, with unseen ones.
        seed: The seed of the unlearning.
        run: The runtime that predicts.
        unseen: ``[M, C]`` probabilities, the original's on the unseen images, without the classes
            that are forgotten altogether.
        retained: The accuracy of the original on the retain images, from 0 to 1.
        unchanged: The objective of the original itself.
    """

    splits: Splits
    seed: int
    run: Runtime
    unseen: NDArray[Any]
    retained: float = 0.0
    unchanged: float = 0.0


@dataclass(frozen=True)
class Place:
    """How models are made forget; see :func:`lotus_unlearning.unlearn`."""

    device: torch.device
    precision: str
    batch_size: int


def draws_of(
    model: nn.Module, chosen: Sequence[tuple[Splits, int]], run: Runtime
) -> tuple[Draw, ...]:
    """Draws for pairs of splits and seed; the original ``model`` predicts once for each splits."""
    original, known = copy.deepcopy(model), dict[int, Draw]()
    for splits, seed in chosen:
        if id(splits) not in known:
            known[id(splits)] = _draw(original, splits, seed, run)
    return tuple(dataclasses.replace(known[id(splits)], seed=seed) for splits, seed in chosen)


def _draw(original: nn.Module, splits: Splits, seed: int, run: Runtime) -> Draw:
    with run.prepared(original):
        unseen = _without(run.predict(original, _unseen(splits)).cpu(), splits.gone)
    blank = Draw(splits, seed, run, unseen)
    divergence, retained = _measured(original, blank)
    return dataclasses.replace(blank, retained=retained, unchanged=divergence)


def _without(logits: torch.Tensor, gone: torch.Tensor) -> NDArray[Any]:
    """``[N, C]`` probabilities of a model that does not know the classes ``gone``."""
    known = logits.double().index_fill(1, gone, -math.inf)
    return known.softmax(dim=1).numpy()


def objective(model: nn.Module, draw: Draw) -> float:
    """The objective of ``model`` in one draw; ``FAILED`` where it is not finite."""
    divergence, retained = _measured(model, draw)
    value = divergence + max(0.0, draw.retained - retained)
    return value if math.isfinite(value) else FAILED


def _measured(model: nn.Module, draw: Draw) -> tuple[float, float]:
    """RF-JSD to the original, and accuracy on retain."""
    forget, retain, unseen = draw.splits.forget, draw.splits.retain, _unseen(draw.splits)
    with draw.run.prepared(model):
        beliefs = softmax(draw.run.predict(model, forget).cpu().numpy())
        retained = draw.run.accuracy(model, retain)
    found = rf_js_divergence(beliefs, forget.labels.numpy(), draw.unseen, unseen.labels.numpy())
    return float(found.mean), retained


def tried(
    method: Method,
    settings: dict[str, Any],
    model: nn.Module,
    draws: Sequence[Draw],
    place: Place,
) -> Trial:
    """Run ``method`` on ``model`` in every draw; what it warns of is kept, not shown."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = tuple(_value(method, model, draw, place) for draw in draws)
    said = tuple(dict.fromkeys(str(warning.message) for warning in caught))
    return Trial(settings, values, said, time.perf_counter() - start)


def _value(method: Method, model: nn.Module, draw: Draw, place: Place) -> float:
    try:
        made = unlearn(
            model,
            draw.splits,
            method,
            seed=draw.seed,
            batch_size=place.batch_size,
            device=place.device,
            precision=place.precision,
            progress=False,
        )
    except FloatingPointError:
        return FAILED
    return objective(made.model, draw)


def _unseen(splits: Splits) -> Split:
    assert splits.unseen is not None  # a search without is refused
    return splits.unseen
