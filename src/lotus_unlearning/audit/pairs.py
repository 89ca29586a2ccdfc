"""Attack scores of forget images, and of what they are to be told from: see :data:`Pair`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lotus_unlearning import metrics
from lotus_unlearning.audit.subjects import Bench, Floats, Subject, margins
from lotus_unlearning.evaluation.predictions import Answers

Pair = tuple[Floats, Floats]
"""Scores ``[N]`` of forget images, high for members; and of images never trained on ``[M]``, or of
golds on the same images ``[G, N]``."""
Shadows = tuple[Floats, NDArray[np.bool_]]
"""Margins ``[S, N]`` of shadow models on the forget images, and which of these each was trained
on."""
CURVES = ("margin", "rmia", "lira", "lira_online")
"""Scores whose receiver curves are shown."""
_WIDER = ("margin", "lira")
RAREST = 0.001
"""Share of false alarms below which no rate is shown: it takes 1,000 images never trained on."""


def rmia(subject: Subject, golds: Sequence[Subject]) -> Pair | None:
    """RMIA with golds as references; test images are the population, else half of the unseen."""
    if subject.others is None or not golds:
        return None
    split = _population(subject)
    if split and len(subject.others.labels) < 2:
        return None
    mine, theirs = (
        _label_probabilities(subject, split),
        [_label_probabilities(gold, split) for gold in golds],
    )
    population = mine[2], np.stack([t[2] for t in theirs])
    found = [metrics.rmia(mine[i], np.stack([t[i] for t in theirs]), *population) for i in range(2)]
    return found[0], found[1]


def _population(subject: Subject) -> bool:
    """Whether unseen images have to be shared with the population."""
    return not {"unseen", "test"} <= subject.answers.keys()


def _label_probabilities(subject: Subject, shared: bool) -> list[Floats]:
    """Of forget images, of images never trained on, of the population."""
    assert subject.others is not None
    others = _label_probability(subject.others)
    if shared:
        return [_label_probability(subject.forget), others[::2], others[1::2]]
    population = _label_probability(subject.answers["test"])
    return [_label_probability(subject.forget), others, population]


def _label_probability(answers: Answers) -> Floats:
    return metrics.label_probability(answers.logits, answers.labels)


def lira(subject: Subject, golds: Sequence[Subject]) -> Pair | None:
    """LiRA offline with golds as models that saw none of the images."""
    if subject.others is None or len(golds) < 2:
        return None
    references = [[margins(a) for a in (g.forget, g.others) if a is not None] for g in golds]
    forget, others = (np.stack(bank) for bank in zip(*references, strict=True))
    variance = metrics.variance_for(len(golds))
    return (
        metrics.lira_offline(subject.margins, forget, variance=variance),
        metrics.lira_offline(margins(subject.others), others, variance=variance),
    )


def online(subject: Subject, shadows: Shadows) -> Floats:
    """Log-likelihood ratio ``[N]`` of each forget image: trained on, or not."""
    on = shadows[1].sum(axis=0)
    side = int(min(on.min(), (len(shadows[1]) - on).min()))
    return metrics.lira_online(subject.margins, *shadows, variance=metrics.variance_for(side))


def pair(score: str, subject: Subject, golds: Sequence[Subject]) -> Pair | None:
    """The scores of a model beside golds that it is not one of."""
    if score == "rmia":
        return rmia(subject, golds)
    if score == "lira":
        return lira(subject, golds)
    return subject.scores.get(score)


def auc(found: Pair) -> float:
    """Chance that a forget image scores higher than another one, or than golds on such images."""
    return metrics.attack_auc(found[0], found[1].ravel())


def auc_interval(found: Pair, seed: int) -> metrics.Interval:
    """The same with an interval, over images."""
    if found[1].ndim == 2:
        return metrics.bootstrap_auc_same_images(*found, seed=seed)
    return metrics.bootstrap_auc(*found, seed=seed)


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
    rows = [(column, pair(name, one, golds)) for column, one, golds in bench.judged()]
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
            yield column, (ratios[id(subject)], np.stack([ratios[id(gold)] for gold in golds]))
