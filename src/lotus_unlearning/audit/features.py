"""Linear probes: what a linear model reads off a model's penultimate features.

A new last layer can make a model look forgetful whose features still hold everything.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lotus_unlearning import metrics
from lotus_unlearning.audit.relearning import KEPT
from lotus_unlearning.audit.rows import Meaning, Row
from lotus_unlearning.audit.subjects import Bench, Floats
from lotus_unlearning.metrics import Rung
from lotus_unlearning.runtime import Penultimate, Runtime
from lotus_unlearning.splits import Split, Splits

_FOLDS, _FITTED, _PENALTY = 5, 2000, 10.0
_RUNG = Rung(3, KEPT, "gold's")
_LABELS = Meaning(
    direction="near gold",
    unit="share",
    lower=0.0,
    upper=1.0,
    definition="Share of forget images whose label a linear model (ridge regression) reads off the "
    "penultimate features; it is fitted on retain images and on four fifths of the forget images, "
    "and asked about the last fifth, five times.",
    rung=_RUNG,
)
_MEMBERS = Meaning(
    direction="near gold",
    unit="",
    lower=0.0,
    upper=1.0,
    definition="AUC of a linear model (ridge regression) that tells forget from unseen images by "
    "their penultimate features, fitted on four fifths of them and asked about the last fifth, "
    "five times.",
    rung=_RUNG,
)


def linear_probes(bench: Bench, splits: Splits, run: Runtime) -> Iterator[Row]:
    """Labels, and membership where there are unseen images, of every model that is at hand.

    Membership takes two images of each kind at least: one to fit on, one to ask about.
    """
    labels = Row(measure="probe_labels", label="Labels in the features", meaning=_LABELS)
    members = Row(measure="probe_members", label="Membership in the features", meaning=_MEMBERS)
    for column, subject, _ in bench.judged():
        if subject.model is None:
            continue
        forget = features(subject.model, splits.forget, run)
        labels.add(column, labels_read(subject.model, forget, splits, run))
        if splits.unseen is not None and min(len(splits.forget), len(splits.unseen)) > 1:
            unseen = features(subject.model, splits.unseen, run)
            members.add(column, members_read(forget, unseen))
    yield from (row for row in (labels, members) if "unlearned" in row.values)


def features(model: nn.Module, split: Split, run: Runtime) -> Floats:
    """Inputs ``[N, D]`` of the last linear layer."""
    with run.prepared(Penultimate(copy.deepcopy(model))) as ready:
        found: Floats = run.predict(ready, split).double().cpu().numpy()
    return found


def labels_read(model: nn.Module, forget: Floats, splits: Splits, run: Runtime) -> float:
    """Share of forget images whose label is read off."""
    count = len(splits.retain)
    retain = splits.retain.take(torch.linspace(0, count - 1, min(_FITTED, count)).long())
    known, y_known = features(model, retain, run), retain.labels.numpy()
    y = splits.forget.labels.numpy()
    right = np.zeros(len(y), dtype=bool)
    for asked in _folds(len(y)):
        x = np.concatenate([known, forget[~asked]])
        linear = _linear(x, np.concatenate([y_known, y[~asked]]))
        right[asked] = linear.predict(forget[asked]) == y[asked]
    return float(right.mean())


def members_read(forget: Floats, unseen: Floats) -> float:
    """How well forget and unseen images are told apart: an AUC.

    Over pairs of images that one fit was asked about. Scores of different fits cannot be compared:
    a fit knows less of the kind that it is asked about more of, and calls it less likely, so that
    over all pairs 7 and 80 exchangeable images would give 0.44 on average.

    Args:
        forget: Features ``[N, D]``, of two images or more.
        unseen: Features ``[M, D]``, of two images or more.
    """
    x = np.concatenate([forget, unseen])
    is_forget = np.repeat([True, False], [len(forget), len(unseen)])
    folds = min(_FOLDS, len(forget), len(unseen))
    right, pairs = 0.0, 0
    for number in range(folds):
        held = np.concatenate([_fold(number, folds, len(group)) for group in (forget, unseen)])
        scores = _linear(x[~held], is_forget[~held]).decision_function(x[held])
        asked = is_forget[held]
        count = int(asked.sum() * (~asked).sum())
        right += count * metrics.attack_auc(scores[asked], scores[~asked])
        pairs += count
    return right / pairs


def _folds(count: int) -> list[NDArray[np.bool_]]:
    """Masks ``[count]`` of the images that are asked about; every image once."""
    folds = min(_FOLDS, count)
    return [_fold(number, folds, count) for number in range(folds)]


def _fold(number: int, folds: int, count: int) -> NDArray[np.bool_]:
    """The mask ``[count]`` of every image whose position leaves ``number`` when divided."""
    found: NDArray[np.bool_] = np.arange(count) % folds == number
    return found


def _linear(x: Floats, targets: NDArray[Any]) -> Any:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeClassifier(_PENALTY)).fit(x, targets)
