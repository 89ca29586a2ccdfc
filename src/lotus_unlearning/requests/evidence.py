"""What was measured on the models before and after a run, as plain data for the ledger."""

import copy
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch.nn.functional as F
from scipy.stats import binomtest
from torch import Tensor, nn

from lotus_unlearning.evaluation import Evaluation
from lotus_unlearning.evaluation.compare import NO_GOLD
from lotus_unlearning.evaluation.measures import finite
from lotus_unlearning.requests.entries import Request
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits

_ALSO = ("torchvision", "timm")
"""Packages that results depend on: how images are read, how models are built."""
_COLUMNS = {"original": "before", "unlearned": "after"}
NOT_AUDITED = (
    "No audit was made: rails that need no gold models were broken already, so that the new model "
    "could not be served."
)


def of_evaluation(
    evaluation: Evaluation, splits: Splits, level: int, audited: bool
) -> dict[str, Any]:
    """Measures, caveats, versions, and on what it was measured.

    Args:
        evaluation: The evaluation, which knows of no gold model.
        splits: The images that it is of; accuracies have intervals by their numbers.
        level: The level of the audit that was asked for.
        audited: Whether the audit knows gold models: then their absence here is no caveat.
    """
    page = evaluation.page
    notes = [note for note in page["notes"] if not (audited and note == NO_GOLD)]
    if level and not audited:
        notes.append(NOT_AUDITED)
    return {
        "measures": _measures(evaluation, splits),
        "notes": notes,
        "versions": {**page["manifest"]["versions"], **{name: version(name) for name in _ALSO}},
        "measured_on": page["manifest"]["evaluated on"],
    }


def _measures(evaluation: Evaluation, splits: Splits) -> list[dict[str, Any]]:
    """Rows of the table, with the columns ``before`` and ``after``."""
    rows = []
    for row in evaluation.page["table"]:
        values = {new: row["values"].get(old) for old, new in _COLUMNS.items()}
        intervals = row.get("intervals") or {}
        ends = {new: list(intervals[old]) for old, new in _COLUMNS.items() if old in intervals}
        part = getattr(splits, row["measure"].removesuffix("_accuracy"), None)
        if row["measure"].endswith("_accuracy") and part is not None:
            known = {new: share for new, share in values.items() if share is not None}
            ends = {new: _interval(round(v * len(part)), len(part)) for new, v in known.items()}
        keys = ("measure", "label", "direction", "unit", "definition")
        rows.append({**{k: row.get(k, "") for k in keys}, "values": values, "intervals": ends})
    return rows


def without_pictures(evaluation: Evaluation, title: str) -> Evaluation:
    """The same without the forgotten images: a record of a deletion must not keep them."""
    page = {**evaluation.page, "images": [], "title": title}
    return Evaluation(page)


def of_requests(
    requests: Sequence[Request], forget: Split, models: Mapping[str, nn.Module], run: Runtime
) -> dict[str, dict[str, Any]]:
    """How each model does on the images of each request that was served so far.

    Args:
        requests: All requests whose images are among those to forget.
        forget: The images to forget, of all runs.
        models: ``before`` and ``after`` -> the model.
        run: The runtime that predicts.

    Returns:
        For each request's id the number of its images, and by model accuracy with its 95%
        Clopper-Pearson interval and mean loss.
    """
    logits = {name: _logits(model, forget, run) for name, model in models.items()}
    names = [str(found) for found in forget.official_ids]
    place = {name: at for at, name in enumerate(names)}
    found = {}
    for request in requests:
        at = [place[image] for image in request.trained_on if image in place]
        if at:
            found[str(request.id)] = {
                "images": len(at),
                **{name: _answers(z[at], forget.labels[at]) for name, z in logits.items()},
            }
    return found


def _logits(model: nn.Module, split: Split, run: Runtime) -> Tensor:
    with run.prepared(copy.deepcopy(model)) as ready:
        return run.predict(ready, split).double().cpu()


def _answers(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    right, count = int((logits.argmax(dim=1) == labels).sum()), len(labels)
    loss = float(F.cross_entropy(logits, labels))
    return {
        "accuracy": right / count,
        "accuracy_interval": _interval(right, count),
        "loss": finite(loss),
    }


def _interval(right: int, count: int) -> list[float]:
    """Of an accuracy, by Clopper and Pearson."""
    ends = binomtest(right, count).proportion_ci(method="exact")
    return [float(ends.low), float(ends.high)]
