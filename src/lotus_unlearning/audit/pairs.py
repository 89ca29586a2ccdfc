"""Attack scores of forget images and of images never trained on, with and without golds."""

from collections.abc import Sequence

import numpy as np

from lotus_unlearning import metrics
from lotus_unlearning.audit.subjects import Bench, Floats, Subject, margins
from lotus_unlearning.evaluation.predictions import Answers

Pair = tuple[Floats, Floats]
"""Scores of forget images, scores of images never trained on; members score high."""
CURVES = ("margin", "rmia", "lira")
"""Scores whose receiver curves are shown."""


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
    return (
        metrics.lira_offline(subject.margins, forget),
        metrics.lira_offline(margins(subject.others), others),
    )


def pair(score: str, subject: Subject, golds: Sequence[Subject]) -> Pair | None:
    """The scores of a model beside golds that it is not one of."""
    if score == "rmia":
        return rmia(subject, golds)
    if score == "lira":
        return lira(subject, golds)
    return subject.scores.get(score)


Scored = dict[str, list[tuple[str, Pair]]]
"""Score -> column and scores of every model."""


def scored(bench: Bench, level: int) -> Scored:
    """All scores of a level and those below, of every model, each computed once."""
    names = [*bench.unlearned.scores]
    names += [name for name, least in (("rmia", 1), ("lira", 2)) if level >= least]
    found: Scored = {}
    for name in names:
        rows = [(column, pair(name, one, golds)) for column, one, golds in bench.judged()]
        known = [(column, scores) for column, scores in rows if scores is not None]
        if any(column == "unlearned" for column, _ in known):
            found[name] = known
    return found
