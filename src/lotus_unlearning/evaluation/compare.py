"""evaluate(): how well did it forget, compared with before and with retraining?"""

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

import lotus_unlearning
from lotus_unlearning.checks import check_model
from lotus_unlearning.evaluation import sections
from lotus_unlearning.evaluation.describe import describe
from lotus_unlearning.evaluation.measures import Measured, measure, table
from lotus_unlearning.evaluation.predictions import predict
from lotus_unlearning.evaluation.record import Evaluation
from lotus_unlearning.report.page import formatted, percent
from lotus_unlearning.runtime import (
    Processes,
    Runtime,
    check_precision,
    choose_device,
    choose_precision,
    fingerprint,
)
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Trained
from lotus_unlearning.unlearning import Unlearned

Model = nn.Module | Unlearned | Trained


def evaluate(
    model: nn.Module | Unlearned,
    splits: Splits,
    *,
    original: Model | None = None,
    gold: Model | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str = "float32",
    title: str | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure how well ``model`` forgot ``splits.forget``.

    Each model predicts each split once, in evaluation mode; all measures come from those
    predictions. The given models stay as they are.

    Args:
        model: After unlearning. What :func:`unlearn` returned brings its history, time and
            memory along.
        splits: As they were for unlearning.
        original: Before unlearning; RF-JSD needs it.
        gold: Retrained without the forget images; JSD and average gap need it.
        seed: Of the bootstrap.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: float32 unless asked otherwise: measures should not depend on the hardware.
        title: Of the page.
        manifest: More facts about the runs, for the page.

    Raises:
        ValueError: If a model and the data do not fit; lists every problem.
    """
    given = {"original": original, "unlearned": model, "gold": gold}
    models = {name: _module(value) for name, value in given.items() if value is not None}
    for candidate in models.values():
        check_model(candidate, splits)
    place = choose_device(device)
    run = Runtime(place, choose_precision(precision, place), seed=seed, processes=Processes.start())
    for candidate in models.values():
        check_precision(run, candidate, splits.forget)
    answers = predict(models, splits, run)
    found = measure(answers, seed)
    names = _class_names(splits, answers["unlearned"]["forget"].logits.shape[1])
    method = _method(model)
    page = {
        "title": title or _title(method, splits),
        "summary": _summary(found, splits, model),
        "method": method,
        "columns": list(models),
        "table": table(found, {"unlearned": _cost(model), "gold": _cost(gold)}),
        "history": model.history if isinstance(model, Unlearned) else [],
        "entropy": sections.entropy(answers),
        "roc": sections.roc(answers, found),
        "class_divergence": sections.class_divergence(found.class_divergence, names),
        "class_accuracy": sections.class_accuracy(answers, names),
        "images": sections.images(
            splits.forget, answers, "original" if original is not None else None, names
        ),
        "notes": _notes(found, splits, models),
        "manifest": _manifest(models, splits, seed, run, manifest or {}),
    }
    return Evaluation(page)


def _module(model: Model) -> nn.Module:
    return model if isinstance(model, nn.Module) else model.model


def _class_names(splits: Splits, classes: int) -> list[str]:
    known = splits.classes or ()
    return [*known, *(str(c) for c in range(len(known), classes))][:classes]


def _cost(model: Model | None) -> dict[str, float | None]:
    if not isinstance(model, Unlearned | Trained):
        return {}
    return {"seconds": model.seconds, "peak_memory_bytes": model.peak_memory_bytes}


def _method(model: Model) -> dict[str, Any]:
    """Name, settings and source of the method that was run, if known."""
    method = getattr(model, "method", None)
    if method is None:
        return {}
    if isinstance(method, Mapping):  # from the manifest of a run
        return dict(method)
    return describe(method)


def _title(method: Mapping[str, Any], splits: Splits) -> str:
    by = f" by {method['name']}" if method else ""
    return f"Forgetting {len(splits.forget):,} images{by}"


def _summary(found: Measured, splits: Splits, model: Model) -> list[str]:
    values = found.values
    total = len(splits.forget) + len(splits.retain)
    sentences = [f"{len(splits.forget):,} of {total:,} training images were to be forgotten."]
    if isinstance(model, Unlearned):
        sentences[0] += f" That took {formatted(model.seconds, 's')}."
    for name, label in (("forget", "the forgotten images"), ("test", "test images")):
        key = f"{name}_accuracy"
        shares = [f"{m} {percent(values[m][key])}" for m in values if key in values[m]]
        if shares:
            sentences.append(f"Accuracy on {label}: {', '.join(shares)}.")
    attack = found.intervals["unlearned"].get("auc_loss")
    if attack is not None:
        sentences.append(
            "Someone who sees the loss tells forgotten from unseen images with an AUC of "
            f"{attack.value:.3f} [{attack.low:.3f}, {attack.high:.3f}] (0.5: a coin toss)"
            + (f", of gold with {values['gold']['auc_loss']:.3f}." if "gold" in values else ".")
        )
    return sentences


def _notes(found: Measured, splits: Splits, models: Mapping[str, nn.Module]) -> list[str]:
    notes = [
        "Shown for these images, these attacks and these seeds; other attacks may find more. "
        "Intervals are 95%, by bootstrap over images; they do not cover the randomness of training."
    ]
    if "gold" not in models:
        notes.append(
            "No gold model was given: whether the unlearned model behaves like a retrained one "
            "is not shown here."
        )
    for name in ("unseen", "test"):
        if getattr(splits, name) is None:
            notes.append(f"No {name} images were given: measures that need them are left out.")
    divergence = found.class_divergence.get("unlearned")
    if divergence is not None and divergence.missing_in_unseen:
        notes.append(
            f"{len(divergence.missing_in_unseen)} classes of forget have no unseen image and are "
            "not in RF-JSD."
        )
    return [*notes, *found.notes]


def _manifest(
    models: Mapping[str, nn.Module],
    splits: Splits,
    seed: int,
    run: Runtime,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    names = splits.forget.source.names
    ids = splits.forget.ids.tolist()
    parts = {n: getattr(splits, n) for n in ("forget", "retain", "unseen", "test")}
    return {
        **more,
        "images": {n: len(part) for n, part in parts.items() if part is not None},
        "forgotten": [names[i] for i in ids] if names else ids,
        "sha256 of weights": {name: fingerprint(model) for name, model in models.items()},
        "evaluation seed": seed,
        "evaluated on": f"{run.device}, {str(run.precision).removeprefix('torch.')}",
        "versions": {
            "lotus-unlearning": lotus_unlearning.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
