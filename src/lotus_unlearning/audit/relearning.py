"""Relearning: how many steps of fine-tuning until half of what was forgotten is known again?

On retained images alone, and on a few of the forgotten ones (the others are measured). A model that
only hides what it knows relearns faster than a gold does. Every model gets the same batches in the
same order, at a learning rate that leaves the original as it is.
"""

from collections.abc import Mapping
from typing import Any

import torch

from lotus_unlearning.audit.curves import Curve, Relearning, curve_of, facts_of, with_rate
from lotus_unlearning.audit.rows import Meaning, Row
from lotus_unlearning.audit.subjects import Bench
from lotus_unlearning.metrics import Rung
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits

Plain = dict[str, Any]
KEPT = "golds whose weights were kept"
_SAME_RATE = (
    "that of the probe on retain alone; a few images, seen again and again, may spoil every "
    "model at it, as golds then show"
)


def relearning(
    bench: Bench, splits: Splits, run: Runtime, how: Relearning
) -> tuple[list[Row], list[Plain]]:
    """Rows, and the curves of all models.

    The second probe is left out, and its row says so, where there are fewer than three forget
    images: two to learn from, and one to ask for.
    """
    tasks = {"retain": ("on retain alone", splits.retain, splits.forget)}
    tried = how.learning_rate is None
    how, why = with_rate(bench.original, splits.retain, splits.forget, run, how)
    few, rest = _shared(splits.forget, how)
    if len(rest):
        tasks["forget"] = (f"on {len(few)} of the forget images", few, rest)
    rows, curves = [], []
    for name, (words, taught, asked) in tasks.items():
        facts = facts_of(name, taught, asked, run, how)
        found = {
            (column, subject.name): curve_of(subject, taught, asked, run, how, facts)
            for column, subject, _ in bench.judged()
            if subject.model is not None
        }
        aim = _aim(found)
        curves.append(_plain_curves(name, words, found, how, aim))
        mine = [_steps_row(name, words, found, how, aim), _end_row(name, words, found, how)]
        rate = _SAME_RATE if tried and name == "forget" else why
        for row in mine:
            row.note = f"{row.note} Learning rate {how.learning_rate:g}: {rate}.".strip()
        rows += mine
    if not len(rest):
        row = _row("forget", "on some of the forget images", how)
        row.values["unlearned"] = None
        row.note = (
            "Not measurable: expected at least 3 forget images, two to learn from and one to ask "
            f"for, got {len(few)}."
        )
        rows.append(row)
    return rows, curves


def _shared(forget: Split, how: Relearning) -> tuple[Split, Split]:
    """To learn from, and to ask for: none of the latter where there are fewer than three."""
    order = torch.randperm(len(forget), generator=torch.Generator().manual_seed(how.seed))
    least = 2  # BatchNorm learns nothing from one image
    count = min(max(least, len(forget) - 1), max(least, round(how.share * len(forget))))
    return forget.take(order[:count].sort().values), forget.take(order[count:].sort().values)


Curves = Mapping[tuple[str, str], Curve]


def _aim(curves: Curves) -> float | None:
    """Half of the way from golds to the original, before any step; without golds, all of it."""
    start: dict[str, list[float]] = {}
    for (who, _), curve in curves.items():
        start.setdefault(who, []).append(curve["accuracy"][0])
    if "original" not in start:
        return None
    (known,) = start["original"]
    golds = start.get("gold", [known])
    return (known + sum(golds) / len(golds)) / 2


def _steps(curve: Curve, how: Relearning, aim: float) -> int | None:
    """Steps until the accuracy is back; ``None``: not within those that were made."""
    reached = [i for i, accuracy in enumerate(curve["accuracy"]) if accuracy >= aim]
    return reached[0] * how.every if reached else None


def _row(name: str, words: str, how: Relearning) -> Row:
    meaning = Meaning(
        direction="near gold",
        unit="",
        lower=0.0,
        upper=float(how.steps),
        definition=f"Steps of fine-tuning {words} until the accuracy on the forget images "
        "(not trained on) is half of the way from golds to the original; fewer than a gold needs: "
        "something was left, and 0: it was never less.",
        rung=Rung(3, KEPT, "gold's"),
    )
    return Row(measure=f"relearning_{name}", label=f"Steps to relearn {words}", meaning=meaning)


def _steps_row(name: str, words: str, curves: Curves, how: Relearning, aim: float | None) -> Row:
    row = _row(name, words, how)
    if aim is None:
        row.values["unlearned"] = None
        row.note = "Not measurable: there is no original to say what is to be reached."
        return row
    late = 0
    for (column, _), curve in curves.items():
        steps = _steps(curve, how, aim)
        late += steps is None
        row.add(column, float(how.steps if steps is None else steps))
    row.note = f"Until an accuracy of {aim:.3f}."
    if late:
        row.note += (
            f" {late} of {len(curves)} models did not get there within {how.steps} steps, which "
            "stand for them."
        )
    return row


def _end_row(name: str, words: str, curves: Curves, how: Relearning) -> Row:
    meaning = Meaning(
        direction="near gold",
        unit="share",
        lower=0.0,
        upper=1.0,
        definition=f"Accuracy on the forget images (not trained on) after {how.steps} steps of "
        f"fine-tuning {words}; higher than a gold's: something was left.",
        rung=Rung(3, KEPT, "gold's"),
    )
    label = f"Accuracy after relearning {words}"
    row = Row(measure=f"relearned_{name}", label=label, meaning=meaning)
    for (column, _), curve in curves.items():
        row.add(column, curve["accuracy"][-1])
    return row


def _plain_curves(
    name: str, words: str, curves: Curves, how: Relearning, aim: float | None
) -> Plain:
    found: Plain = {"name": name, "words": words, "aim": aim, "golds": []}
    found["learning_rate"] = how.learning_rate
    found["steps"] = [how.every * i for i in range(how.steps // how.every + 1)]
    for (column, _), curve in curves.items():
        if column == "gold":
            found["golds"].append(curve)
        else:
            found[column] = curve
    return found
