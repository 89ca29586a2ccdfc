"""The pictures of an audit as plain data: single images, curves, entropies, and golds behind."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lotus_unlearning import metrics
from lotus_unlearning.audit.pairs import CURVES, Pair, Scored
from lotus_unlearning.audit.rows import BAND
from lotus_unlearning.audit.subjects import Bench, Floats
from lotus_unlearning.evaluation import sections
from lotus_unlearning.evaluation.measures import finite
from lotus_unlearning.evaluation.predictions import Answers
from lotus_unlearning.splits import Splits

Plain = dict[str, Any]
WORST = 12
_POINTS = 80
_BY = {
    "margin": "By the margin",
    "rmia": "By RMIA",
    "lira": "By LiRA",
    "lira_online": "By LiRA online, against golds",
}


def per_image(bench: Bench, splits: Splits, names: Sequence[str]) -> Plain:
    """The margin of each forget image: of each model, and where one more gold is expected."""
    golds = np.stack([gold.margins for gold in bench.golds])
    band = metrics.gold_band(golds, BAND)
    mine = bench.unlearned.margins
    return {
        "ids": list(splits.forget.official_ids),
        "labels": [names[label] for label in splits.forget.labels.tolist()],
        "original": None if bench.original is None else bench.original.margins.tolist(),
        "unlearned": mine.tolist(),
        "gold": golds.mean(axis=0).tolist(),
        "low": band.low.tolist(),
        "high": band.high.tolist(),
        "outside": ((mine < band.low) | (mine > band.high)).tolist(),
        "band": BAND,
    }


def worst(bench: Bench, splits: Splits, names: Sequence[str]) -> list[Plain]:
    """The images on which the model is least like a gold, with pictures and beliefs."""
    golds = np.stack([gold.margins for gold in bench.golds])
    z = metrics.margin_tails(bench.unlearned.margins, golds).z
    order = np.argsort(-np.abs(z), kind="stable")[:WORST]
    band = metrics.gold_band(golds, BAND)
    subjects = {"original": bench.original, "unlearned": bench.unlearned}
    answers = {
        name: {"forget": Answers(subject.forget.logits[order], subject.forget.labels[order])}
        for name, subject in subjects.items()
        if subject is not None
    }
    some = splits.forget.take(splits.forget.ids.new_tensor(order))
    before = "original" if bench.original is not None else None
    pictures = sections.images(some, answers, before, names)
    ids, labels = some.official_ids, some.labels.tolist()
    found = []
    for place, row in enumerate(order.tolist()):
        beliefs = {
            name: _probability(subject.margins[row])
            for name, subject in subjects.items()
            if subject is not None
        }
        found.append(
            {
                "id": ids[place],
                "label": names[labels[place]],
                "png": pictures[place]["png"] if pictures else None,
                "z": finite(float(z[row])),
                "beliefs": {**beliefs, "gold": _probability(golds[:, row].mean())},
                "gold": [_probability(band.low[row]), _probability(band.high[row])],
            }
        )
    return found


def _probability(margin: float) -> float:
    """Of the label, from its log-odds."""
    return float(1 / (1 + np.exp(-np.clip(margin, -700, 700))))


def roc(scores: Scored, seed: int) -> Plain:
    """Receiver curves at the same false positive rates for all; golds as a band."""
    found: Plain = {}
    for score in CURVES:
        rows = scores.by.get(score, [])
        if not rows:
            continue
        rates = _rates(rows[0][1].against.size)
        curves = [(column, pair, _found_at(pair, rates)) for column, pair in rows]
        models = {
            column: _curve(pair, tpr, seed) for column, pair, tpr in curves if column != "gold"
        }
        golds = np.array([tpr for column, _, tpr in curves if column == "gold"])
        found[_BY[score]] = {
            "others": "answers of golds" if rows[0][1].same_images else "images never trained on",
            "fpr": rates.tolist(),
            "models": models,
            "gold": _band(golds),
        }
    return found


def _rates(count: int) -> Floats:
    """False positive rates that ``count`` images can show, thinned evenly on a log axis."""
    steps = np.unique(np.geomspace(1, count, _POINTS).round())
    rates: Floats = steps / count
    return rates


def _found_at(pair: Pair, rates: Floats) -> Floats:
    """Share of forget images above the threshold of each false positive rate."""
    fpr, tpr = metrics.roc_curve_points(*pair.sides, points=100_000)
    at = np.searchsorted(fpr, rates + 1e-12, "right") - 1
    return tpr[at]


def _curve(pair: Pair, tpr: Floats, seed: int) -> Plain:
    area = pair.auc_interval(seed)
    return {"tpr": tpr.tolist(), "auc": area.value, "low": area.low, "high": area.high}


def _band(rows: Floats) -> Plain | None:
    """Lowest, mean and highest of golds, point by point."""
    if not len(rows):
        return None
    return {
        "low": rows.min(axis=0).tolist(),
        "mean": rows.mean(axis=0).tolist(),
        "high": rows.max(axis=0).tolist(),
    }


def entropy(bench: Bench) -> Plain:
    """Entropies of forget images, as shares over the same bins, with golds as a band."""
    classes = bench.unlearned.forget.logits.shape[1]
    models = {"unlearned": bench.unlearned}
    if bench.original is not None:
        models = {"original": bench.original, **models}
    found: Plain = {"edges": np.linspace(0, np.log(classes), sections.BINS + 1).tolist()}
    found["forget"] = _shares({n: s.forget.entropy for n, s in models.items()}, classes)
    others = {n: s.never_trained.entropy for n, s in models.items() if s.never_trained is not None}
    found["unseen"] = _shares(others, classes) if others else {}
    golds = {f"{i}": gold.forget.entropy for i, gold in enumerate(bench.golds)}
    rows = np.array(list(_shares(golds, classes).values())) if golds else np.empty((0, 0))
    found["gold"] = _band(rows)
    return found


def _shares(by_model: Mapping[str, Floats], classes: int) -> dict[str, list[float]]:
    shares = metrics.entropy_histogram(by_model, sections.BINS, classes).shares
    return {model: values.tolist() for model, values in shares.items()}
