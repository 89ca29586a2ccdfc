"""Several unlearned models against golds: what the method does, not one run of it.

What is normal is said by sets of golds: one in the place of the unlearned models, one to compare
with, of the same sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lotus_unlearning import metrics
from lotus_unlearning.audit.rows import Row, known
from lotus_unlearning.audit.subjects import Bench, Floats, margins_of

Plain = dict[str, Any]
_SETS = 20  # random pairs of sets of golds
_ENOUGH = 3  # unlearned models
_EDGES = np.linspace(0, 1, 12)  # chance is within a bin, not between two
_LABELS = {
    "klom": "KLOM",
    "u_lira": "U-LiRA",
    "forgetting_quality": "Forgetting quality",
}


@dataclass(frozen=True)
class Several:
    """What was found.

    Attributes:
        rows: KLOM, U-LiRA and forgetting quality, averaged over images.
        u_lira: U-LiRA of single images, as the page has it; ``None`` without enough models.
    """

    rows: Sequence[Row] = ()
    u_lira: Plain | None = None


def several(bench: Bench, seed: int) -> Several:
    """Measures of distributions: nothing with fewer than 3 unlearned models or 6 golds.

    Args:
        bench: Who is compared.
        seed: Of the random sets of golds.
    """
    unlearned = margins_of([bench.unlearned, *bench.others])
    if len(unlearned) < _ENOUGH or len(bench.golds) < 2 * _ENOUGH:
        return Several()
    golds = margins_of(bench.golds)
    draw = np.random.default_rng(seed)
    size = min(len(unlearned), len(golds) // 2)
    orders = [draw.permutation(len(golds)) for _ in range(_SETS)]
    mine = [_Compared.of(unlearned[:size], golds[order[size:]]) for order in orders]
    theirs = [_Compared.of(golds[order[:size]], golds[order[size:]]) for order in orders]
    note = (
        f"{size} unlearned models and {len(golds) - size} golds, mean over {_SETS} random "
        f"choices of these golds; gold: {size} other golds in the place of the unlearned, and "
        "where 95% of such sets are, which share golds: not where one more gold is expected."
    )
    rows = []
    for name, label in _LABELS.items():
        row = Row(measure=name, label=label, meaning=known(name), note=note, of_sets=True)
        row.values["unlearned"] = float(np.mean([one.means[name] for one in mine]))
        row.golds = [one.means[name] for one in theirs]
        rows.append(row)
    per_image = _per_image([one.told for one in mine], [one.told for one in theirs])
    return Several(rows, {"models": size, **per_image})


@dataclass(frozen=True, eq=False)
class _Compared:
    """A set of models against a set of golds.

    Attributes:
        means: Measure -> its value over all images.
        told: ``[N]`` share of right guesses whether a model forgot the image or never saw it.
    """

    means: dict[str, float]
    told: Floats

    @classmethod
    def of(cls, forgot: Floats, never: Floats) -> "_Compared":
        """Means and accuracies, by the scores of both."""
        variance = metrics.variance_for(min(len(forgot), len(never)) - 1)  # one is held out
        found = metrics.u_lira(forgot, never, variance=variance)
        means = {
            "klom": float(metrics.klom(forgot, never).mean()),
            "u_lira": found.accuracy,
            "forgetting_quality": metrics.forgetting_quality(forgot, never).score,
        }
        return cls(means, found.per_image)


def _per_image(mine: Sequence[Floats], theirs: Sequence[Floats]) -> Plain:
    """Single images, and how many of them are told how well; golds as a band over their sets."""
    unlearned, golds = np.mean(mine, axis=0), np.mean(theirs, axis=0)
    rows = np.array([_shares(told) for told in theirs])
    return {
        "unlearned": unlearned.tolist(),
        "gold": golds.tolist(),
        "edges": _EDGES.tolist(),
        "shares": np.mean([_shares(told) for told in mine], axis=0).tolist(),
        "band": {
            "low": rows.min(axis=0).tolist(),
            "mean": rows.mean(axis=0).tolist(),
            "high": rows.max(axis=0).tolist(),
        },
    }


def _shares(told: Floats) -> Floats:
    """Of the images, in each bin."""
    found: Floats = np.histogram(np.round(told, 9), _EDGES)[0] / len(told)
    return found
