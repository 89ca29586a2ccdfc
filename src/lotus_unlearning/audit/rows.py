"""Rows of the ladder: a measure of every model, what it costs, and what a perfect one would get."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lotus_unlearning import metrics
from lotus_unlearning.audit.pairs import Columns, Pair
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
        of_sets: Whether ``golds`` are values of sets of golds that overlap: their interval is where
            these are, not where another is expected.
        detail: Whether another row stands for it where there is little room.
    """

    measure: str
    label: str
    meaning: Meaning
    values: dict[str, float | None] = field(default_factory=dict)
    golds: list[float] = field(default_factory=list)
    interval: tuple[float, float] | None = None
    note: str = ""
    of_sets: bool = False
    detail: bool = False

    def add(self, column: str, value: float) -> None:
        """The value of a model; of golds there are several."""
        if column == "gold":
            self.golds.append(value)
        else:
            self.values[column] = value

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
            "detail": self.detail,
        }

    def _expected(self, golds: Sequence[float]) -> list[float]:
        if self.of_sets:
            return np.quantile(golds, [(1 - BAND) / 2, (1 + BAND) / 2]).tolist()  # type: ignore[no-any-return]
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
        if value is not None:
            row.add(column, value)
    return row if "unlearned" in row.values else None


def of_scores(
    name: str,
    label: str,
    scores: Columns,
    value: Callable[[Pair], float],
    interval: Callable[[Pair], Interval | None],
    meaning: Meaning | None = None,
) -> Row:
    """A measure of the attack scores of every model."""
    row = Row(measure=name, label=label, meaning=meaning or known(name))
    for column, found in scores:
        row.add(column, value(found))
        ends = interval(found) if column == "unlearned" else None
        if ends is not None:
            row.interval = (ends.low, ends.high)
    return row
