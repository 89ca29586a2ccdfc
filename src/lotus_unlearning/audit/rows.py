"""Rows of the ladder: a measure of every model, what it costs, and what a perfect one would get."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lotus_unlearning import metrics
from lotus_unlearning.audit.pairs import Pair, Scored
from lotus_unlearning.audit.subjects import Bench, Measure
from lotus_unlearning.metrics import LADDER, METRICS, Interval, Rung

Plain = dict[str, Any]
BAND = 0.95

LABELS = {
    "forget_accuracy": "Accuracy on forget",
    "test_accuracy": "Accuracy on test",
    "entropy_distance": "Entropy distance",
    "jsd_to_golds": "JSD to golds",
    "outside_gold_band": "Outside the gold band",
    "margin": "Mean margin",
    "auc_margin": "AUC by margin",
}
_ACCURACY = Rung(0, "none; one gold to compare with", "gold's")


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a measure is, where it is not a row of METRICS and LADDER.

    Attributes:
        direction: As in METRICS.
        unit: As in METRICS.
        lower: Smallest possible value.
        upper: Largest possible value.
        definition: One sentence.
        rung: Its place on the ladder.
    """

    direction: str
    unit: str
    lower: float
    upper: float
    definition: str
    rung: Rung


@dataclass(kw_only=True)
class Row:
    """One measure of all models.

    Attributes:
        measure: Its name.
        label: For people.
        meaning: What it is.
        values: ``"original"``, ``"unlearned"`` -> value.
        golds: The value of every gold in the unlearned model's place.
        interval: Of the unlearned model's value, over images.
        note: What else is to be said.
    """

    measure: str
    label: str
    meaning: Meaning
    values: dict[str, float | None] = field(default_factory=dict)
    golds: list[float] = field(default_factory=list)
    interval: tuple[float, float] | None = None
    note: str = ""

    def plain(self) -> Plain:
        """As the page wants it; gold's interval is where one more gold is expected.

        What is not defined for the images at hand is ``None``, with a note.
        """
        rung, note = self.meaning.rung, self.note
        values = {who: value if _is_number(value) else None for who, value in self.values.items()}
        golds = [value for value in self.golds if _is_number(value)]
        if values.get("unlearned") is None and not note:
            note = "Not measurable: it is not defined for these images, of which there are too few."
        intervals: dict[str, list[float]] = {}
        if self.interval is not None:
            intervals["unlearned"] = list(self.interval)
        if golds:
            values["gold"] = float(np.mean(golds))
        if len(golds) >= 3:
            intervals["gold"] = self._expected(golds)
        return {
            "measure": self.measure,
            "label": self.label,
            "level": rung.level,
            "direction": self.meaning.direction,
            "unit": self.meaning.unit,
            "definition": self.meaning.definition,
            "models": rung.models,
            "perfect": rung.perfect,
            "values": values,
            "intervals": intervals,
            "golds": golds,
            "note": note,
        }

    def _expected(self, golds: Sequence[float]) -> list[float]:
        band = metrics.gold_band(np.array(golds)[:, None], BAND)
        ends = (float(band.low[0]), float(band.high[0]))
        return np.clip(ends, self.meaning.lower, self.meaning.upper).tolist()  # type: ignore[no-any-return]


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def known(name: str) -> Meaning:
    """The meaning of a measure of METRICS."""
    metric, rung = METRICS[name], LADDER.get(name, _ACCURACY)
    return Meaning(
        direction="near gold" if name == "forget_accuracy" else metric.direction,
        unit=metric.unit,
        lower=metric.lower,
        upper=metric.upper,
        definition=metric.definition,
        rung=rung,
    )


def measured(
    name: str, label: str, bench: Bench, measure: Measure, meaning: Meaning | None = None
) -> Row | None:
    """A measure of every model; ``None`` if it is not defined for the unlearned one."""
    row = Row(measure=name, label=label, meaning=meaning or known(name))
    for column, subject, golds in bench.judged():
        value = measure(subject, golds)
        if value is not None and column == "gold":
            row.golds.append(value)
        elif value is not None:
            row.values[column] = value
    return row if "unlearned" in row.values else None


def of_scores(
    name: str,
    label: str,
    scores: Iterable[tuple[str, Pair]],
    value: Callable[[Pair], float],
    interval: Callable[[Pair], Interval | None],
    meaning: Meaning | None = None,
) -> Row:
    """A measure of the attack scores of every model."""
    row = Row(measure=name, label=label, meaning=meaning or known(name))
    for column, found in scores:
        if column == "gold":
            row.golds.append(value(found))
            continue
        row.values[column] = value(found)
        ends = interval(found) if column == "unlearned" else None
        if ends is not None:
            row.interval = (ends.low, ends.high)
    return row


_BY = {
    "entropy": "entropy",
    "confidence": "confidence",
    "loss": "loss",
    "margin": "margin",
    "modified_entropy": "modified entropy",
    "gradient_norm": "gradient norm",
    "rmia": "RMIA",
    "lira": "LiRA",
}


_HELD_OUT = Meaning(
    direction="near gold",
    unit="share",
    lower=0.0,
    upper=1.0,
    definition="Mean of the shares of forget and of unseen images that a threshold puts on the "
    "right side, which was the best one for one half of the images, among the other half.",
    rung=Rung(0, "none; one gold to compare with", "gold's, near 0.5"),
)


def attacks(scores: Scored, seed: int) -> Iterator[Row]:
    """AUC by every score; threshold and true positive rates by the margin and by LiRA."""
    for score, rows in scores.items():
        row = of_scores(
            f"auc_{score}",
            f"AUC by {_BY[score]}",
            rows,
            lambda pair: metrics.attack_auc(*pair),
            lambda pair: metrics.bootstrap_auc(*pair, seed=seed),
        )
        if score == "gradient_norm":  # one backward pass for each image
            forget, others = dict(rows)["unlearned"]
            row.note = f"Of {len(forget):,} forget and {len(others):,} unseen images."
        yield row
    for score in ("margin", "lira"):
        if score in scores:
            yield from _rates(score, scores[score], seed)


def _rates(score: str, rows: Sequence[tuple[str, Pair]], seed: int) -> Iterator[Row]:
    if score == "margin":
        yield of_scores(
            "best_threshold",
            "Best threshold on the margin",
            rows,
            lambda pair: metrics.best_threshold(*pair, seed=seed).held_out,
            lambda pair: None,
            _HELD_OUT,
        )
    for name, fpr in (("tpr_at_1_percent", 0.01), ("tpr_at_0_1_percent", 0.001)):
        label = f"Found at {100 * fpr:g} % false alarms, by {_BY[score]}"
        meaning = replace(known(name), rung=LADDER[f"auc_{score}"])  # as dear as its score
        measure = name if score == "margin" else f"{name}_{score}"
        rate = metrics.tpr_at_fpr(*dict(rows)["unlearned"], fpr=fpr, seed=seed)
        if rate.reason:
            row = Row(measure=measure, label=label, meaning=meaning, values={"unlearned": None})
            row.note = f"Not measurable: {rate.reason}."
            yield row
            continue
        row = of_scores(
            measure,
            label,
            rows,
            lambda pair, fpr=fpr: metrics.tpr_at_fpr(*pair, fpr=fpr, repeats=1).tpr.value,  # type: ignore[misc]
            lambda pair, rate=rate: rate.tpr,  # type: ignore[misc]
            meaning,
        )
        row.note = (
            f"The interval is Clopper and Pearson's; with the threshold drawn anew, by bootstrap, "
            f"it is {rate.bootstrap.low:.3f} to {rate.bootstrap.high:.3f}. Exchangeable images "
            f"would give {rate.chance:.3f}, and this much or more with chance {rate.p_value:.2g}."
        )
        yield row
