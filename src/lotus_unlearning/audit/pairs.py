"""Attack scores of forget images, and of what they are to be told from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lotus_unlearning import metrics
from lotus_unlearning.audit.subjects import Bench, Floats, Subject, margins
from lotus_unlearning.evaluation.predictions import Answers

_FEW = 2000
"""Images up to which a bootstrap takes a thousand draws."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Attack scores of one model, high for images that it was trained on.

    Attributes:
        forget: ``[N]`` of the forget images.
        against: What these are to be told from: ``[M]`` of images never trained on, or ``[G, N]``
            of golds on the same images.
    """

    forget: Floats
    against: Floats

    @property
    def same_images(self) -> bool:
        """Whether they are to be told from golds."""
        return self.against.ndim == 2

    @property
    def sides(self) -> tuple[Floats, Floats]:
        """``[N]`` and ``[M]``: all scores of either side."""
        return self.forget, self.against.ravel()

    def auc(self) -> float:
        """Chance that a forget image scores higher than what it is to be told from."""
        return metrics.attack_auc(*self.sides)

    def auc_interval(self, seed: int) -> metrics.Interval:
        """The same with an interval, over images."""
        if self.same_images:
            return metrics.bootstrap_auc_same_images(self.forget, self.against, seed=seed)
        return metrics.bootstrap_auc(*self.sides, seed=seed)

    def threshold_interval(self, seed: int) -> metrics.Interval:
        """Of the balanced accuracy of the held-out threshold, over images."""
        draws = 1000 if sum(map(len, self.sides)) <= _FEW else 200
        return metrics.bootstrap_threshold(*self.sides, seed=seed, repeats=draws)


Shadows = tuple[Floats, NDArray[np.bool_]]
"""Margins ``[S, N]`` of shadow models on the forget images, and which of these each was trained
on."""
CURVES = ("margin", "rmia", "lira", "lira_online")
"""Scores whose receiver curves are shown."""
_WIDER = ("entropy", "confidence", "loss", "margin", "modified_entropy", "lira")
RAREST = 0.001
"""Share of false alarms below which no rate is shown: it takes 1,000 images never trained on."""


def rmia(subject: Subject, golds: Sequence[Subject]) -> Pair | None:
    """RMIA with golds as references; test images are the population, else half of the unseen."""
    if subject.never_trained is None or not golds:
        return None
    split = _must_share_unseen(subject)
    if split and len(subject.never_trained.labels) < 2:
        return None
    mine, theirs = (
        _label_probabilities(subject, split),
        [_label_probabilities(gold, split) for gold in golds],
    )
    population = mine[2], np.stack([t[2] for t in theirs])
    found = [metrics.rmia(mine[i], np.stack([t[i] for t in theirs]), *population) for i in range(2)]
    return Pair(*found)


def _must_share_unseen(subject: Subject) -> bool:
    """Whether there are no test images to be the population."""
    return not {"unseen", "test"} <= subject.answers.keys()


def _label_probabilities(subject: Subject, shared: bool) -> list[Floats]:
    """Of forget images, of images never trained on, of the population."""
    assert subject.never_trained is not None
    others = _label_probability(subject.never_trained)
    if shared:
        return [_label_probability(subject.forget), others[::2], others[1::2]]
    population = _label_probability(subject.answers["test"])
    return [_label_probability(subject.forget), others, population]


def _label_probability(answers: Answers) -> Floats:
    return metrics.label_probability(answers.logits, answers.labels)


def lira(subject: Subject, golds: Sequence[Subject], variance: metrics.Variance) -> Pair | None:
    """LiRA offline with golds as models that saw none of the images."""
    if subject.never_trained is None or len(golds) < 2:
        return None
    theirs = [[margins(a) for a in (g.forget, g.never_trained) if a is not None] for g in golds]
    mine = (subject.margins, margins(subject.never_trained))
    banks = (np.stack(bank) for bank in zip(*theirs, strict=True))
    found = [
        metrics.lira_offline(m, bank, variance=variance)
        for m, bank in zip(mine, banks, strict=True)
    ]
    return Pair(*found)


def online(subject: Subject, shadows: Shadows) -> Floats:
    """Log-likelihood ratio ``[N]`` of each forget image: trained on, or not."""
    on = shadows[1].sum(axis=0)
    side = int(min(on.min(), (len(shadows[1]) - on).min()))
    return metrics.lira_online(subject.margins, *shadows, variance=metrics.variance_for(side))


Columns = list[tuple[str, Pair]]
"""Column and scores of every model."""


@dataclass(frozen=True)
class Scored:
    """The scores of all models.

    Attributes:
        by: Score -> those of every model.
        wider: The same against unseen and test images together, where unseen ones are too few to
            show the lowest rate of false alarms and both together are not.
    """

    by: dict[str, Columns]
    wider: dict[str, Columns] = field(default_factory=dict)


def scored(bench: Bench, level: int, shadows: Shadows | None = None) -> Scored:
    """All scores of a level and those below, of every model, each computed once."""
    names = [*bench.unlearned.scores]
    names += [name for name, least in (("rmia", 1), ("lira", 2)) if level >= least]
    by = {name: _columns(name, bench) for name in names}
    if shadows is not None and bench.golds:
        by["lira_online"] = list(_online(bench, shadows))
    known = {name: rows for name, rows in by.items() if "unlearned" in dict(rows)}
    few = _with_test(bench)
    if few is None:
        return Scored(known)
    return Scored(known, {name: _columns(name, few) for name in known if name in _WIDER})


def _columns(name: str, bench: Bench) -> Columns:
    variance = metrics.variance_for(len(bench.golds) - 1)  # as for a gold: the same for all

    def of(one: Subject, golds: Sequence[Subject]) -> Pair | None:
        """What the attack says of one model, by the golds."""
        if name == "rmia":
            return rmia(one, golds)
        if name == "lira":
            return lira(one, golds, variance)
        scores = one.scores.get(name)
        return None if scores is None else Pair(*scores)

    rows = [(column, of(one, golds)) for column, one, golds in bench.judged()]
    return [(column, scores) for column, scores in rows if scores is not None]


def _with_test(bench: Bench) -> Bench | None:
    """All models, with test images among the unseen ones, where that is needed and suffices."""
    answers = bench.unlearned.answers
    if not {"unseen", "test"} <= answers.keys():
        return None
    unseen, test = (len(answers[part].labels) for part in ("unseen", "test"))
    if unseen * RAREST >= 1 or (unseen + test) * RAREST < 1:
        return None
    return Bench(
        bench.unlearned.with_test(),
        None if bench.original is None else bench.original.with_test(),
        tuple(gold.with_test() for gold in bench.golds),
    )


def _online(bench: Bench, shadows: Shadows) -> Iterator[tuple[str, Pair]]:
    """LiRA online: of each model, and of the golds it is compared with, on the same images."""
    ratios = {id(one): online(one, shadows) for _, one, _ in bench.judged()}
    for column, subject, golds in bench.judged():
        if golds:
            theirs = np.stack([ratios[id(gold)] for gold in golds])
            yield column, Pair(ratios[id(subject)], theirs)
