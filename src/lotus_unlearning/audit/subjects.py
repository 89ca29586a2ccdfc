"""Who is compared: the unlearned model, the original and the golds, each by what it answers."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lotus_unlearning import metrics
from lotus_unlearning.audit.banks import Bank
from lotus_unlearning.audit.gradients import spread
from lotus_unlearning.audit.members import Member
from lotus_unlearning.evaluation.predictions import SPLITS, Answers, outside, predict
from lotus_unlearning.runtime import Runtime, fingerprint, restore
from lotus_unlearning.splits import Split, Splits

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, by what it answers to the images of each split.

    Attributes:
        name: For lists.
        answers: ``"forget"``, ``"retain"`` and, where there are some, ``"unseen"`` and ``"test"``.
        gradients: Norms ``[M]`` of the gradients of some forget and some unseen images, if known.
        model: The model itself, if it is at hand.
        weights: SHA-256 of its weights, if known.
        bank: Folder of the bank that it is a model of.
    """

    name: str
    answers: Mapping[str, Answers]
    gradients: Mapping[str, Floats] = field(default_factory=dict)
    model: nn.Module | None = None
    weights: str | None = None
    bank: Path | None = None

    @cached_property
    def forget(self) -> Answers:
        """To the images to forget."""
        return self.answers["forget"]

    @cached_property
    def never_trained(self) -> Answers | None:
        """To images never trained on: unseen ones, else those of test."""
        found = outside(self.answers)
        return None if found is None else found[1]

    @cached_property
    def margins(self) -> Floats:
        """``[N]`` of the forget images."""
        return margins(self.forget)

    @cached_property
    def scores(self) -> dict[str, tuple[Floats, Floats]]:
        """Score of level 0 -> those of forget images, those of images never trained on."""
        if self.never_trained is None:
            return {}
        mine, theirs = (
            metrics.membership_scores(a.logits, a.labels) for a in (self.forget, self.never_trained)
        )
        found = {name: (mine[name], theirs[name]) for name in mine}
        norms = [self.gradients.get(name, np.empty(0)) for name in ("forget", "unseen")]
        if all(map(len, norms)):
            found["gradient_norm"] = -norms[0], -norms[1]
        return found

    def with_test(self) -> "Subject":
        """The same with the answers to test images among those to unseen ones."""
        both = (self.answers["unseen"], self.answers["test"])
        together = Answers(
            np.concatenate([a.logits for a in both]), np.concatenate([a.labels for a in both])
        )
        return Subject(self.name, {"forget": self.forget, "unseen": together})

    def accuracy(self, part: str) -> float:
        """Share of a split that is classified right."""
        return metrics.accuracy(self.answers[part].logits, self.answers[part].labels)


def margins(answers: Answers) -> Floats:
    """Log-odds ``[N]`` of the label."""
    return metrics.margin(answers.logits, answers.labels)


def margins_of(subjects: Sequence[Subject]) -> Floats:
    """``[models, N]`` of the forget images."""
    return np.stack([subject.margins for subject in subjects])


def of_models(
    models: Mapping[str, nn.Module], splits: Splits, run: Runtime, *, gradients: bool
) -> tuple[dict[str, Subject], list[str]]:
    """Subjects from models, and what could not be computed of them."""
    found, notes = {}, []
    for name, answers in predict(models, splits, run).items():
        norms: dict[str, Floats] = {}
        if gradients:
            try:
                norms = _gradients(models[name], splits, run)
            except ValueError as error:
                notes.append(f"{error}; it is left out.")
        found[name] = Subject(name, answers, norms, models[name], fingerprint(models[name]))
    return found, list(dict.fromkeys(notes))


def _gradients(model: nn.Module, splits: Splits, run: Runtime) -> dict[str, Floats]:
    if splits.unseen is None:
        return {}
    with run.prepared(copy.deepcopy(model)) as ready:
        forget = splits.forget.take(splits.forget.ids.argsort())
        everywhere = {"train": spread(forget, ready, run)}
        # the sample is that of a bank, which knows nothing of copies that were dropped
        source = splits.unseen.source
        whole = Split("unseen", source, splits.unseen.ids.new_tensor(range(len(source))))
        everywhere["unseen"] = spread(whole, ready, run)
    return _sampled(everywhere, splits)


def _sampled(everywhere: Mapping[str, NDArray[np.float32]], splits: Splits) -> dict[str, Floats]:
    assert splits.unseen is not None
    rows = {
        "forget": everywhere["train"][splits.forget.ids.numpy()],
        "unseen": everywhere["unseen"][splits.unseen.ids.numpy()],
    }
    return {name: norms[np.isfinite(norms)].astype(np.float64) for name, norms in rows.items()}


def of_bank(bank: Bank, member: Member, splits: Splits, like: nn.Module | None) -> Subject:
    """A subject from the predictions of a bank, with its model where the weights were kept.

    Args:
        bank: Of the same images.
        member: Which of its models.
        splits: What the images are for.
        like: A model of the same architecture, if models are wanted.
    """
    arrays = bank.predictions(member)
    answers = {}
    for name in SPLITS:
        split = getattr(splits, name)
        if split is not None and len(split):
            part = name if name in ("unseen", "test") else "train"
            logits = arrays[part][split.ids.numpy()].astype(np.float64)
            answers[name] = Answers(logits, split.labels.numpy())
    norms: dict[str, Floats] = {}
    if splits.unseen is not None and {"gradient_train", "gradient_unseen"} <= arrays.keys():
        known = {part: arrays[f"gradient_{part}"] for part in ("train", "unseen")}
        norms = _sampled(known, splits)
    model = None
    weights = bank.weights(member) if like is not None else None
    if like is not None and weights is not None:
        model = copy.deepcopy(like)
        restore(model, weights)
    sha256: str | None = bank.record(member).get("weights_sha256")
    if model is not None:
        sha256 = fingerprint(model)  # those that were made again have other bits
    return Subject(member.title, answers, norms, model, sha256, bank.folder)


Measure = Callable[[Subject, Sequence[Subject]], float | None]
"""Of a model beside golds that it is not one of; ``None`` where it is not defined."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Who is compared with whom.

    Attributes:
        unlearned: The model under audit.
        original: The model before unlearning, if it is at hand.
        golds: Retrained models.
        others: The same method with other seeds, if there are some.
    """

    unlearned: Subject
    original: Subject | None = None
    golds: tuple[Subject, ...] = ()
    others: tuple[Subject, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Names of what stands side by side."""
        known = [("original", self.original), ("unlearned", self.unlearned), ("gold", self.golds)]
        return [name for name, there in known if there]

    def rest(self, gold: int) -> tuple[Subject, ...]:
        """The golds without one."""
        return self.golds[:gold] + self.golds[gold + 1 :]

    def judged(self) -> Iterator[tuple[str, Subject, tuple[Subject, ...]]]:
        """Column, subject, and the golds that it is compared with: every gold with the others."""
        if self.original is not None:
            yield "original", self.original, self.golds
        yield "unlearned", self.unlearned, self.golds
        for i, gold in enumerate(self.golds):
            yield "gold", gold, self.rest(i)


def require_distinct(bench: Bench) -> None:
    """No model is its own yardstick, and none counts twice.

    Raises:
        ValueError: If a gold is the model under audit, the original or another gold, or if two
            unlearned models are one.
    """
    unlearned, golds = (bench.unlearned, *bench.others), bench.golds
    before = () if bench.original is None else (bench.original,)
    same = [*_same((*unlearned, *golds)), *(pair for g in golds for pair in _same((*before, g)))]
    if same:
        named = "; ".join(f"{one} is {other}" for one, other in same)
        raise ValueError(
            "models: expected golds that differ from each other and from the model under audit, "
            f"and other unlearned models that differ from it, but by their weights {named}; train "
            "each with a seed of its own"
        )


def _same(subjects: Sequence[Subject]) -> Iterator[tuple[str, str]]:
    first: dict[str, str] = {}
    for subject in subjects:
        if subject.weights is not None:
            if subject.weights in first:
                yield first[subject.weights], subject.name
            first.setdefault(subject.weights, subject.name)
