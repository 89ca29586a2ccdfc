"""Relearning curves: a model is trained on, and looked at every few steps."""

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotus_unlearning.audit.kept import kept
from lotus_unlearning.audit.material import content
from lotus_unlearning.audit.members import digest
from lotus_unlearning.audit.subjects import Subject
from lotus_unlearning.checks import require
from lotus_unlearning.evaluation.measures import finite
from lotus_unlearning.files.kinds import misfits
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.runtime.seeds import seeded
from lotus_unlearning.splits import Split

FORMAT = 2
"""Of what is kept. To be raised when code changes what earlier curves would be today."""


RATES = (0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Learning rates to choose from."""
HARMLESS = 0.01
"""Accuracy that the original may lose by training on retained images."""


@dataclass(frozen=True, kw_only=True)
class Relearning:
    """How a model is trained on.

    Attributes:
        steps: At most so many.
        every: Steps between two looks at the forget images.
        learning_rate: Of SGD with momentum 0.9. ``None``: the largest of :data:`RATES` at which the
            original stays as it is: what damages every model shows what none of them remembers.
            Rows say whether there is one.
        batch_size: Images per step.
        share: Of the forget images, to relearn from, in the second probe.
        seed: Of the order of images and of that share.
    """

    steps: int = 60
    every: int = 4
    learning_rate: float | None = None
    batch_size: int = 64
    share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "steps and every >= 1, and steps a multiple of every": self.every >= 1
            and self.steps >= 1
            and self.steps % self.every == 0,
            "learning_rate > 0": self.learning_rate is None or self.learning_rate > 0,
            "batch_size >= 2, as BatchNorm learns nothing from one image": self.batch_size >= 2,
            "share in (0, 1)": 0 < self.share < 1,
        }
        require(self, limits)


class Curve(TypedDict):
    """On the images asked for, before the first step and after every few.

    Attributes:
        accuracy: Share that is classified right.
        loss: Cross-entropy; ``None`` where it is not finite.
    """

    accuracy: list[float]
    loss: list[float | None]


def facts_of(
    name: str, taught: Split, asked: Split, run: Runtime, how: Relearning
) -> dict[str, Any]:
    """All but the model that determines its curve, up to the order of sums."""
    return {
        "format": FORMAT,
        "probe": f"relearning on {name}",
        "how": asdict(how),
        "images": content(taught.source),
        "taught": digest(taught.ids.tolist()),
        "asked": digest(asked.ids.tolist()),
        "on": f"{run.device.type}, {run.precision}, PyTorch {torch.__version__}",
    }


def with_rate(
    original: Subject | None, taught: Split, asked: Split, run: Runtime, how: Relearning
) -> tuple[Relearning, str]:
    """With a learning rate that does no harm, where none was chosen; and why that one, in words.

    Args:
        original: Before unlearning; ``None``: a rate in the middle is taken.
        taught: Retained images.
        asked: Forget images.
        run: Device and precision.
        how: Steps, rate, batches.
    """
    if how.learning_rate is not None:
        return how, "as it was chosen"
    if original is None or original.model is None:
        return replace(how, learning_rate=RATES[2]), "untried, as there is no original at hand"
    for rate in RATES:
        tried = replace(how, learning_rate=rate)
        accuracy = _curve(original.model, taught, asked, run, tried)["accuracy"]
        if min(accuracy) >= accuracy[0] - HARMLESS:
            return tried, "the largest that was tried and leaves the original as it is"
    return tried, "the least that was tried, which harms the original, too"


def curve_of(
    subject: Subject,
    taught: Split,
    asked: Split,
    run: Runtime,
    how: Relearning,
    facts: dict[str, Any],
) -> Curve:
    """How a model relearns; of a model of a bank perhaps from an earlier audit.

    Args:
        subject: A model that is at hand.
        taught: Images it is trained on.
        asked: Images it is asked about.
        run: Device and precision.
        how: Steps, rate, batches.
        facts: From :func:`facts_of`.
    """
    model, looks = subject.model, how.steps // how.every + 1
    if model is None:
        raise ValueError(f"{subject.name}: expected a model to train on, got its answers alone")
    found: Curve = kept(
        subject.bank if subject.weights else None,
        {**facts, "weights": subject.weights},
        lambda: _curve(model, taught, asked, run, how),
        lambda found: not [*misfits(found, Curve)] and {*map(len, found.values())} == {looks},
    )
    return found


def _curve(model: nn.Module, taught: Split, asked: Split, run: Runtime, how: Relearning) -> Curve:
    mine = Runtime(run.device, run.precision, how.batch_size, how.seed)
    learner = copy.deepcopy(model).requires_grad_(True)
    accuracies, losses = list[float](), list[float | None]()

    def look() -> None:
        """Note accuracy and loss of now."""
        logits = mine.predict(learner, asked)
        labels = asked.labels.to(logits.device)
        right = (logits.argmax(1) == labels) & logits.isfinite().all(1)  # training may diverge
        accuracies.append(right.double().mean().item())
        losses.append(finite(F.cross_entropy(logits, labels).item()))

    rate = how.learning_rate
    assert rate is not None  # chosen by now
    with seeded(how.seed, run.device), mine.prepared(learner):
        optimizer = torch.optim.SGD(learner.parameters(), lr=rate, momentum=0.9)
        look()
        for step, (x, y) in zip(range(1, how.steps + 1), _batches(taught, mine), strict=False):
            learner.train()
            mine.step(optimizer, F.cross_entropy(learner(x), y))
            if step % how.every == 0:
                look()
    return {"accuracy": accuracies, "loss": losses}


def _batches(split: Split, run: Runtime) -> Iterator[tuple[Tensor, Tensor]]:
    """Passes without end."""
    while True:
        yield from ((x, y) for x, y, _ in run.batches(split))
