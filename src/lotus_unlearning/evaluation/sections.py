"""The pictures of an evaluation as plain data: histograms, curves, classes, images."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lotus_unlearning import metrics
from lotus_unlearning.evaluation.measures import ATTACKS, Measured, finite
from lotus_unlearning.evaluation.predictions import SPLITS, Answers, BriefByModel, ByModel, outside
from lotus_unlearning.images import ImageTensors
from lotus_unlearning.metrics import ClassDivergence
from lotus_unlearning.splits import Split

BINS = 30
SHOWN = 24


def entropy(answers: ByModel) -> dict[str, Any]:
    """Entropies of forget and unseen images per model, as shares over the same bins.

    Where there are no unseen images, test images stand in their place.
    """
    classes = next(iter(answers.values()))["forget"].logits.shape[1]
    section: dict[str, Any] = {"edges": np.linspace(0, np.log(classes), BINS + 1).tolist()}
    pairs = {m: (splits["forget"], outside(splits)) for m, splits in answers.items()}
    compared = {
        "forget": {m: forget.entropy for m, (forget, _) in pairs.items()},
        "unseen": {m: other[1].entropy for m, (_, other) in pairs.items() if other is not None},
    }
    for name, by_model in compared.items():
        if by_model:
            histogram = metrics.entropy_histogram(by_model, BINS, classes)
            section[name] = {model: s.tolist() for model, s in histogram.shares.items()}
    return section


def roc(answers: ByModel, found: Measured) -> dict[str, Any]:
    """Receiver curves of the attacks, forget against unseen images."""
    section: dict[str, Any] = {}
    for score in ATTACKS:
        for model, splits in answers.items():
            interval = found.intervals[model].get(f"auc_{score}")
            other = outside(splits)
            if interval is None or other is None:
                continue
            fpr, tpr = metrics.roc_curve_points(
                splits["forget"].scores[score], other[1].scores[score]
            )
            section.setdefault(f"By {score}", {})[model] = {
                "fpr": fpr.tolist(),
                "tpr": tpr.tolist(),
                "auc": interval.value,
                "low": interval.low,
                "high": interval.high,
            }
    return section


def class_divergence(
    by_model: Mapping[str, ClassDivergence], names: Sequence[str]
) -> dict[str, Any]:
    """RF-JSD per class, and which classes could not be compared."""
    if not by_model:
        return {}
    first = next(iter(by_model.values()))
    missing = [
        *(f"{names[c]} (no forget images)" for c in first.missing_in_forget),
        *(f"{names[c]} (no unseen images)" for c in first.missing_in_unseen),
    ]
    return {
        "classes": [names[c] for c in first.values],
        "values": {
            model: [finite(d.values[c]) for c in first.values] for model, d in by_model.items()
        },
        "missing": missing,
    }


def class_accuracy(
    answers: ByModel, retained: BriefByModel, names: Sequence[str]
) -> dict[str, Any]:
    """Accuracy per class, split and model."""
    values = {}
    for model, splits in answers.items():
        found = {
            name: metrics.class_accuracies(split.logits, split.labels, len(names))
            for name, split in splits.items()
        }
        brief = retained[model]
        found["retain"] = metrics.class_shares(brief.right, brief.labels, len(names))
        values[model] = {
            name: [finite(share) for share in found[name].tolist()]
            for name in SPLITS
            if name in found
        }
    return {"classes": list(names), "values": values}


def images(
    forget: Split, answers: ByModel, before: str | None, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Some forgotten images, evenly spread, and what each model believes they show."""
    source = forget.source
    if not isinstance(source, ImageTensors) or source.images.dim() not in (3, 4):
        return []
    ids = forget.official_ids
    rows = np.unique(np.linspace(0, len(forget) - 1, min(SHOWN, len(forget))).round().astype(int))
    return [
        {
            "id": ids[row],
            "label": names[int(source.labels[position])],
            "png": _png(source.images[position]),
            "before": _belief(answers.get(before or ""), row, names),
            "after": _belief(answers.get("unlearned"), row, names),
            "gold": _belief(answers.get("gold"), row, names),
        }
        for row in rows.tolist()
        for position in [int(forget.ids[row])]
    ]


def _belief(
    splits: Mapping[str, Answers] | None, row: int, names: Sequence[str]
) -> dict[str, Any] | None:
    if splits is None:
        return None
    p = splits["forget"].probabilities[row]
    return {"class": names[int(p.argmax())], "probability": float(p.max())}


def _png(image: torch.Tensor) -> str:
    """Base64 of a PNG; floats are stretched to black and white, as their range is unknown."""
    from PIL import Image

    pixels = image.cpu()
    if pixels.dtype is not torch.uint8:
        low, high = pixels.amin(), pixels.amax()
        pixels = ((pixels - low) / (high - low).clamp_min(1e-12) * 255).round().to(torch.uint8)
    pixels = pixels[None] if pixels.dim() == 2 else pixels
    array = pixels[:3] if pixels.shape[0] >= 3 else pixels[:1]
    picture = Image.fromarray(array.permute(1, 2, 0).squeeze(-1).contiguous().numpy())
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()
