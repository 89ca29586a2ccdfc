"""The numbers of an evaluation: every measure of every model, with intervals and caveats."""

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lotus_unlearning import metrics
from lotus_unlearning.evaluation.predictions import (
    SPLITS,
    Answers,
    Brief,
    BriefByModel,
    ByModel,
    outside,
)
from lotus_unlearning.metrics import METRICS, ClassDivergence, Interval

ATTACKS = ("entropy", "confidence", "loss")
SIGNIFICANT = 0.05  # chance of saying that there is something to forget where there is nothing
LITTLE = 0.55  # an AUC that no attack is worth: of 100 guesses between two images 5 more are right
_LABELS = {
    **{f"{split}_accuracy": f"Accuracy on {split}" for split in SPLITS},
    "entropy_attack": "Entropy attack (paper's MIA)",
    **{f"auc_{score}": f"Attack AUC by {score}" for score in ATTACKS},
    "js_divergence": "JSD to gold",
    "rf_js_divergence": "RF-JSD (needs no gold)",
    "average_gap": "Average gap",
}
_COSTS = {
    "seconds": ("Time", "s", "From the first to the last operation of the method."),
    "peak_memory_bytes": ("Peak memory", "bytes", "Highest use above the loaded model and data."),
}


@dataclass
class Measured:
    """Measures of several models.

    Attributes:
        values: Model -> measure -> value.
        intervals: Model -> measure -> 95% interval.
        class_divergence: Model -> RF-JSD per class.
        notes: Caveats to be shown beside the numbers.
    """

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, dict[str, Interval]] = field(default_factory=dict)
    class_divergence: dict[str, ClassDivergence] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def measure(answers: ByModel, retained: BriefByModel, seed: int) -> Measured:
    """Every measure that the given models and splits allow.

    Args:
        answers: Of each model to all splits but retain.
        retained: Of each model to retain.
        seed: Of the bootstrap.
    """
    found = Measured()
    warned: dict[str, list[str]] = {}
    for model, splits in answers.items():
        found.values[model] = {
            f"{name}_accuracy": metrics.accuracy(split.logits, split.labels)
            for name, split in splits.items()
        }
        found.values[model]["retain_accuracy"] = float(retained[model].right.mean())
        found.intervals[model] = {}
        for message in _attacks(found, model, splits, retained[model], seed):
            warned.setdefault(message, []).append(model)
    found.notes += [f"{', '.join(models)}: {message}" for message, models in warned.items()]
    _divergences(found, answers)
    found.notes += _halves_of_unseen(answers, seed)
    return found


def _attacks(
    found: Measured, model: str, splits: Mapping[str, Answers], retained: Brief, seed: int
) -> list[str]:
    """Adds what attacks find; returns what is to be said about that."""
    against = outside(splits)
    if against is None:
        return []
    others = [splits[name] for name in ("unseen", "test") if name in splits]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found.values[model]["entropy_attack"] = metrics.entropy_attack(
            retained.entropy,
            np.concatenate([other.entropy for other in others]),
            splits["forget"].entropy,
        )
    for score in ATTACKS:
        forget, unseen = splits["forget"].scores[score], against[1].scores[score]
        interval = metrics.bootstrap_auc(forget, unseen, seed=seed)
        found.values[model][f"auc_{score}"] = interval.value
        found.intervals[model][f"auc_{score}"] = interval
    return [str(warning.message) for warning in caught]


def _divergences(found: Measured, answers: ByModel) -> None:
    gold, original = answers.get("gold"), answers.get("original")
    for model, splits in answers.items():
        forget = splits["forget"]
        if original is not None and "unseen" in original:
            unseen = original["unseen"]
            divergence = metrics.rf_js_divergence(
                forget.probabilities, forget.labels, unseen.probabilities, unseen.labels
            )
            found.class_divergence[model] = divergence
            found.values[model]["rf_js_divergence"] = divergence.mean
        if gold is not None and model != "gold":
            rows = metrics.js_divergence(forget.probabilities, gold["forget"].probabilities)
            found.values[model]["js_divergence"] = float(rows.mean())
            if all(key in found.values[model] for key in metrics.GAP_KEYS):
                found.values[model]["average_gap"] = metrics.average_gap(
                    found.values[model], found.values["gold"]
                )


def memory(answers: ByModel, retained: BriefByModel) -> Iterator[str]:
    """Whether the original knows the forget images better than unseen ones: can they be forgotten?

    Unseen images must be like those to forget, but for not being trained on. Where these are
    harder, labels may be wrong, and the test says nothing. Classes that are forgotten altogether
    are left out: a model knows unseen images of them, too.
    Nothing is said where no other class is among forget and unseen images.
    """
    original = answers.get("original", {})
    if "unseen" not in original:
        return
    forget, unseen = original["forget"], original["unseen"]
    kept = np.isin(forget.labels, retained["original"].labels)
    if not np.isin(forget.labels[kept], unseen.labels).any():
        return
    found = metrics.remembered(
        forget.scores["loss"][kept], forget.labels[kept], unseen.scores["loss"], unseen.labels
    )
    told = (
        f"(AUC by loss within classes {found.auc:.3f}, at most {found.at_most:.3f}, "
        f"p = {found.p_value:.2g}, {found.members:,} images)"
    )
    if found.p_value < SIGNIFICANT:
        yield (
            "The original knows the forget images better than unseen images of their classes "
            f"{told}: there is something to forget."
        )
    elif found.p_value > 1 - SIGNIFICANT:
        yield (
            "The forget images are harder for the original than unseen images of their classes "
            f"{told}, as images with wrong labels are: by these it cannot be told whether there is "
            "something to forget."
        )
    elif found.at_most < LITTLE:
        yield (
            "The original hardly knows the forget images better than unseen images of their "
            f"classes {told}: there is little to forget here, and little to gain by a change."
        )
    else:
        yield (
            "Whether the original knows the forget images better than unseen images of their "
            f"classes cannot be told from so few {told}."
        )


def _halves_of_unseen(answers: ByModel, seed: int) -> Iterator[str]:
    """RF-JSD of the original on unseen images against itself: what chance alone makes of it."""
    unseen = answers.get("original", {}).get("unseen")
    if unseen is None or len(unseen.labels) < 2:
        return
    order = np.random.default_rng(seed).permutation(len(unseen.labels))
    one, two = np.array_split(order, 2)
    p, y = unseen.probabilities, unseen.labels
    chance = metrics.rf_js_divergence(p[one], y[one], p[two], y[two]).mean
    if math.isfinite(chance):
        yield (
            f"RF-JSD between two random halves of the unseen images, both seen by the original, "
            f"is {chance:.2g}: differences smaller than that mean nothing."
        )


def table(found: Measured, costs: Mapping[str, Mapping[str, float | None]]) -> list[dict[str, Any]]:
    """Rows of plain data, one per measure, as ``report`` wants them."""
    models = list(found.values)
    rows = [
        _row(name, found, models)
        for name in _LABELS
        if any(name in found.values[model] for model in models)
    ]
    for name, (label, unit, definition) in _COSTS.items():
        values = {model: costs.get(model, {}).get(name) for model in models}
        if any(value is not None for value in values.values()):
            rows.append(
                {
                    "measure": name,
                    "label": label,
                    "direction": "down",
                    "unit": unit,
                    "definition": definition,
                    "values": values,
                    "intervals": {},
                }
            )
    return rows


def _row(name: str, found: Measured, models: list[str]) -> dict[str, Any]:
    metric = METRICS[name]
    intervals = {model: found.intervals[model].get(name) for model in models}
    return {
        "measure": name,
        "label": _LABELS[name],
        "direction": metric.direction,
        "unit": metric.unit,
        "definition": metric.definition,
        "values": {model: finite(found.values[model].get(name)) for model in models},
        "intervals": {m: [v.low, v.high] for m, v in intervals.items() if v is not None},
    }


def finite(value: float | None) -> float | None:
    """``value``, or ``None`` where it is not a finite number (JSON knows no NaN)."""
    return value if value is not None and math.isfinite(value) else None
