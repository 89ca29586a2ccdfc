"""Every measure of one model beside its original and its golds, from stored predictions."""

import warnings
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lotus_unlearning import metrics
from lotus_unlearning.evaluation.predictions import SPLITS, Answers
from lotus_unlearning.splits import Splits

Logits = Mapping[str, NDArray[np.float32]]
"""``"train"``, ``"unseen"``, ``"test"`` -> ``[N, C]``."""
BINS = 30
GOLDS_TO_CLOSE = 3
"""With fewer other golds, how far golds are from each other is not known well enough."""
_ATTACKS = ("entropy", "confidence", "loss")
_KNOWN: dict[bytes, dict[str, float]] = {}
"""By content of predictions and splits, what :func:`_alone` found: some 2 kB each."""


def measure(
    model: Logits, original: Logits, golds: Sequence[Logits], splits: Splits
) -> dict[str, float | None]:
    """All that can be said of a model in numbers.

    Distances to gold are means over the gold models, so that the luck of one of them counts less.

    Args:
        model: Predictions of the model that is measured.
        original: Predictions of the model before unlearning.
        golds: Predictions of models retrained without the images to forget; a gold that is itself
            measured is not among them.
        splits: The images to forget, to retain, unseen and for test.

    Returns:
        Name -> value, ``None`` where it is not defined. Names of METRICS mean what they mean
        there; ``*_loss`` are mean cross-entropies, ``*_as_published`` the authors' formulas,
        ``entropy_distance`` the Kolmogorov-Smirnov distance between the entropies of forget and
        unseen images, ``gap_*`` the mean absolute distances from the golds' values.
    """
    mine, before = (_answers(logits, splits, ("forget", "unseen")) for logits in (model, original))
    values: dict[str, float | None] = dict(_alone(model, splits))
    values |= _beside_original(mine, before)
    others = [_answers(gold, splits, ("forget",)) for gold in golds]
    if others:
        values |= _beside_golds(mine, values, others, [_alone(gold, splits) for gold in golds])
    if len(others) >= GOLDS_TO_CLOSE:
        values |= _closes(mine, before, others)
    return values


def _answers(logits: Logits, splits: Splits, names: Sequence[str] = SPLITS) -> dict[str, Answers]:
    found = {}
    for name in names:
        split = getattr(splits, name)
        if split is not None and len(split):
            part = "train" if name in ("forget", "retain") else name
            rows = logits[part][split.ids.numpy()].astype(np.float64)
            found[name] = Answers(rows, split.labels.numpy())
    return found


def _alone(logits: Logits, splits: Splits) -> Mapping[str, float]:
    """What is said of a model without another, computed once per process.

    Every method, and every other gold, is compared with the same golds; the entropy attack alone
    fits a regression to all retained images.
    """
    key = _key(logits, splits)
    if key not in _KNOWN:
        _KNOWN[key] = _alone_anew(_answers(logits, splits))
    return _KNOWN[key]


def _key(logits: Logits, splits: Splits) -> bytes:
    """Equal for equal predictions of equal splits."""
    content = blake2b(digest_size=16)
    for name in SPLITS:
        split = getattr(splits, name)
        for array in () if split is None else (split.ids.numpy(), split.labels.numpy()):
            content.update(f"{name} {array.shape}".encode() + array.tobytes())
    for part, rows in sorted(logits.items()):
        content.update(f"{part} {rows.dtype} {rows.shape}".encode())
        content.update(np.ascontiguousarray(rows).data)
    return content.digest()


def _alone_anew(mine: Mapping[str, Answers]) -> dict[str, float]:
    from scipy.stats import ks_2samp

    values = {}
    for name, part in mine.items():
        values[f"{name}_accuracy"] = metrics.accuracy(part.logits, part.labels)
        values[f"{name}_loss"] = float(metrics.cross_entropy(part.logits, part.labels).mean())
    forget, unseen = mine["forget"], mine["unseen"]
    others = [mine[name].entropy for name in ("unseen", "test") if name in mine]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # one-sided attacks show in the values
        values["entropy_attack"] = metrics.entropy_attack(
            mine["retain"].entropy, np.concatenate(others), forget.entropy
        )
    for score in _ATTACKS:
        values[f"auc_{score}"] = metrics.attack_auc(forget.scores[score], unseen.scores[score])
    values["entropy_distance"] = float(ks_2samp(forget.entropy, unseen.entropy).statistic)
    return values


def _beside_original(
    mine: Mapping[str, Answers], original: Mapping[str, Answers]
) -> dict[str, float | None]:
    forget, unseen = mine["forget"], original["unseen"]
    rows = forget.probabilities, forget.labels, unseen.probabilities, unseen.labels
    found = metrics.rf_js_divergence(*rows)
    complete = not found.missing_in_unseen
    return {
        "rf_js_divergence": found.mean if found.values else None,
        "rf_jsd_as_published": metrics.rf_jsd_as_published(*rows) if complete else None,
    }


def _beside_golds(
    mine: Mapping[str, Answers],
    values: Mapping[str, float | None],
    golds: Sequence[Mapping[str, Answers]],
    theirs: Sequence[Mapping[str, float]],
) -> dict[str, float | None]:
    p = mine["forget"].probabilities
    q = [gold["forget"].probabilities for gold in golds]
    own = {key: value for key, value in values.items() if value is not None}
    found: dict[str, float | None] = {
        "js_divergence": float(np.mean([metrics.js_divergence(p, gold).mean() for gold in q])),
        "jsd_as_published": float(np.mean([metrics.jsd_as_published(p, gold) for gold in q])),
    }
    for name in theirs[0]:
        found[f"gap_{name}"] = float(np.mean([abs(own[name] - gold[name]) for gold in theirs]))
    keys = [f"gap_{name}" for name in metrics.GAP_KEYS]
    parts = [found.get(key) for key in keys]
    found["average_gap"] = float(np.mean(parts)) if None not in parts else None  # type: ignore[arg-type]
    return found


def _closes(
    mine: Mapping[str, Answers],
    original: Mapping[str, Answers],
    golds: Sequence[Mapping[str, Answers]],
) -> dict[str, float | None]:
    found = metrics.closes(
        mine["forget"].probabilities,
        original["forget"].probabilities,
        [gold["forget"].probabilities for gold in golds],
    )
    return {
        "closes": found.closes,
        "distance": found.d_unlearned,
        "distance_original": found.d_original,
        "distance_gold": found.d_gold,
        "p_something_to_close": found.p_value,
    }


def entropies(model: Logits, splits: Splits) -> dict[str, Any]:
    """How many forget and unseen images have each entropy: counts over equal bins up to ln C."""
    mine = _answers(model, splits)
    classes = mine["forget"].logits.shape[1]
    edges = np.linspace(0.0, np.log(classes), BINS + 1)
    return {
        name: np.histogram(np.clip(mine[name].entropy, 0, edges[-1]), edges)[0].tolist()
        for name in ("forget", "unseen")
        if name in mine
    }
