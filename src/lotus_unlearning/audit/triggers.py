"""Attack success: for poisons, how often does the trigger still work?"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lotus_unlearning.audit.relearning import KEPT
from lotus_unlearning.audit.rows import Meaning, Row
from lotus_unlearning.audit.subjects import Bench
from lotus_unlearning.metrics import Rung
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits

_BATCH = 256
_MEANING = Meaning(
    direction="near gold",
    unit="share",
    lower=0.0,
    upper=1.0,
    definition="Share of images of other classes, never trained on, that are taken for the "
    "trigger's class when the trigger is put into them.",
    rung=Rung(3, KEPT, "gold's, near 0"),
)


@dataclass(frozen=True)
class Trigger:
    """What a poisoned model was taught to react to.

    Attributes:
        apply: Model inputs ``[B, C, H, W]`` -> the same with the trigger in them.
        target: The label that the trigger stands for.
    """

    apply: Callable[[Tensor], Tensor]
    target: int


def attack_success(bench: Bench, splits: Splits, run: Runtime, trigger: Trigger) -> Iterator[Row]:
    """How often the trigger works on each model that is at hand.

    Raises:
        ValueError: If there are no test or unseen images of another class.
    """
    part = splits.test or splits.unseen  # either may be empty
    other = None if part is None else part.take((part.labels != trigger.target).nonzero()[:, 0])
    if other is None or not len(other):
        raise ValueError(
            "trigger: expected test or unseen images of other classes than the trigger's, got none"
        )
    row = Row(measure="attack_success", label="Trigger still works", meaning=_MEANING)
    for column, subject, _ in bench.judged():
        if subject.model is None:
            continue
        row.add(column, _success(subject.model, other, run, trigger))
    yield row


def _success(model: nn.Module, other: Split, run: Runtime, trigger: Trigger) -> float:
    hits = 0
    with run.prepared(copy.deepcopy(model).eval()) as ready, torch.no_grad():
        for x, _, _ in run.batches(other, _BATCH, shuffle=False):
            hits += int((ready(trigger.apply(x)).argmax(dim=1) == trigger.target).sum())
    return hits / len(other)
