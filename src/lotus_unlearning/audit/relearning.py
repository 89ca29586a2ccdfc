"""Relearning: how many steps of fine-tuning until forgotten images are known as they were before?

On retained images alone, and on a few of the forgotten ones (the others are measured). A model that
only hides what it knows relearns faster than a gold does. Every model gets the same batches in the
same order.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.audit.rows import Meaning, Row
from lotus_unlearning.audit.subjects import Bench
from lotus_unlearning.checks import require
from lotus_unlearning.evaluation.measures import finite
from lotus_unlearning.metrics import Rung
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits

Plain = dict[str, Any]
KEPT = "golds whose weights were kept"


@dataclass(frozen=True, kw_only=True)
class Relearning:
    """How a model is trained on.

    Attributes:
        steps: At most so many.
        every: Steps between two looks at the forget images.
        learning_rate: Of SGD with momentum 0.9.
        batch_size: Images per step.
        share: Of the forget images, to relearn from, in the second probe.
        seed: Of the order of images and of that share.
    """

    steps: int = 60
    every: int = 4
    learning_rate: float = 0.01
    batch_size: int = 64
    share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "steps and every >= 1": min(self.steps, self.every) >= 1,
            "learning_rate > 0": self.learning_rate > 0,
            "batch_size >= 2, as BatchNorm learns nothing from one image": self.batch_size >= 2,
            "share in (0, 1)": 0 < self.share < 1,
        }
        require(self, limits)


def relearning(
    bench: Bench, splits: Splits, run: Runtime, how: Relearning
) -> tuple[list[Row], list[Plain]]:
    """Rows, and the curves of all models.

    The second probe is left out, and its row says so, where there are fewer than three forget
    images: two to learn from, and one to ask for.
    """
    tasks = {"retain": ("on retain alone", splits.retain, splits.forget)}
    few, rest = _shared(splits.forget, how)
    if len(rest):
        tasks["forget"] = (f"on {len(few)} of the forget images", few, rest)
    rows, curves = [], []
    for name, (words, taught, asked) in tasks.items():
        found = {
            (column, subject.name): _curve(subject.model, taught, asked, run, how)
            for column, subject, _ in bench.judged()
            if subject.model is not None
        }
        aim = _aim(found)
        curves.append(_plain_curves(name, words, found, how, aim))
        rows.append(_steps_row(name, words, found, how, aim))
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


Curve = tuple[list[float], list[float | None]]
"""Accuracy and loss (none, where it is not finite) on the forget images, before the first step and
after every few."""
Curves = Mapping[tuple[str, str], Curve]


def _curve(model: nn.Module, taught: Split, asked: Split, run: Runtime, how: Relearning) -> Curve:
    mine = Runtime(run.device, run.precision, how.batch_size, how.seed)
    learner = copy.deepcopy(model).requires_grad_(True)
    accuracies, losses = list[float](), list[float | None]()

    def look() -> None:
        logits = mine.predict(learner, asked)
        labels = asked.labels.to(logits.device)
        accuracies.append((logits.argmax(1) == labels).double().mean().item())
        losses.append(finite(F.cross_entropy(logits, labels).item()))  # training may diverge

    with mine.prepared(learner):
        optimizer = torch.optim.SGD(learner.parameters(), lr=how.learning_rate, momentum=0.9)
        look()
        for step, (x, y) in zip(range(1, how.steps + 1), _batches(taught, mine), strict=False):
            learner.train()
            mine.step(optimizer, F.cross_entropy(learner(x), y))
            if step % how.every == 0:
                look()
    return accuracies, losses


def _batches(split: Split, run: Runtime) -> Iterator[tuple[Tensor, Tensor]]:
    """Passes without end."""
    while True:
        yield from ((x, y) for x, y, _ in run.batches(split))


def _aim(curves: Curves) -> float | None:
    """The accuracy of the original before any step."""
    return next((c[0][0] for (column, _), c in curves.items() if column == "original"), None)


def _steps(curve: Curve, how: Relearning, aim: float) -> int | None:
    """Steps until the accuracy is back; ``None``: not within those that were made."""
    reached = [i for i, accuracy in enumerate(curve[0]) if accuracy >= aim]
    return reached[0] * how.every if reached else None


def _row(name: str, words: str, how: Relearning) -> Row:
    meaning = Meaning(
        direction="near gold",
        unit="",
        lower=0.0,
        upper=float(how.steps),
        definition=f"Steps of fine-tuning {words} until the accuracy on the forget images "
        "(not trained on) is the original's; fewer than a gold needs: something was left.",
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
        value = float(how.steps if steps is None else steps)
        if column == "gold":
            row.golds.append(value)
        else:
            row.values[column] = value
    if late:
        row.note = f"{late} of {len(curves)} models did not get there within {how.steps} steps."
    return row


def _plain_curves(
    name: str, words: str, curves: Curves, how: Relearning, aim: float | None
) -> Plain:
    found: Plain = {"name": name, "words": words, "aim": aim, "golds": []}
    found["steps"] = [how.every * i for i in range(how.steps // how.every + 1)]
    for (column, _), (accuracies, losses) in curves.items():
        curve = {"accuracy": accuracies, "loss": losses}
        if column == "gold":
            found["golds"].append(curve)
        else:
            found[column] = curve
    return found
