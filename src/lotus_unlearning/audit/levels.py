"""The rungs of the ladder that need no probe: levels 0 to 2, from predictions alone."""

from collections.abc import Iterator, Sequence

import numpy as np

from lotus_unlearning import metrics
from lotus_unlearning.audit.attacks import attacks
from lotus_unlearning.audit.pairs import Scored, Shadows, online
from lotus_unlearning.audit.rows import LABELS, Meaning, Row, measured
from lotus_unlearning.audit.subjects import Bench, Subject, margins_of
from lotus_unlearning.metrics import Rung

_PLACE = Meaning(
    direction="near gold",
    unit="",
    lower=-np.inf,
    upper=np.inf,
    definition="Mean over forget images of the distance of the margin from the golds' mean, in "
    "standard deviations of a new gold; above 0: surer of the label than retrained models.",
    rung=Rung(1, "3 golds or more", "that of a gold among the others, near 0"),
)
_LIKE_SEEN = Meaning(
    direction="near gold",
    unit="share",
    lower=0.0,
    upper=1.0,
    definition="Share of forget images whose margin is more like that of shadow models that were "
    "trained on the image than of those that were not (LiRA, online).",
    rung=Rung(2, "shadow models, 2 or more on each side of every image", "gold's"),
)


def level_0(bench: Bench, scores: Scored, seed: int) -> Iterator[Row]:
    """Accuracies, attacks by scores of single images, distance of entropies."""
    for part in ("forget", "test"):
        name = f"{part}_accuracy"
        if part in bench.unlearned.answers:
            row = measured(name, LABELS[name], bench, lambda s, _, part=part: s.accuracy(part))  # type: ignore[misc]
            yield from [] if row is None else [row]
    yield from attacks(scores, bench.unlearned.scores, seed)
    name = "entropy_distance"
    row = measured(name, LABELS[name], bench, _entropy_distance)
    if row is not None:
        assert bench.unlearned.never_trained is not None
        answers = bench.unlearned.forget.entropy, bench.unlearned.never_trained.entropy
        p_value = metrics.ks_distance(*answers).p_value
        row.note = f"Images of one distribution would be so far apart with chance {p_value:.2g}."
        yield row


def _entropy_distance(subject: Subject, _: Sequence[Subject]) -> float | None:
    if subject.never_trained is None:
        return None
    return metrics.ks_distance(subject.forget.entropy, subject.never_trained.entropy).distance


def level_1(bench: Bench, scores: Scored, seed: int) -> Iterator[Row]:
    """Against a few golds: divergence, band, place among them, RMIA."""
    rows = [
        measured("jsd_to_golds", LABELS["jsd_to_golds"], bench, _divergence),
        measured("outside_gold_band", LABELS["outside_gold_band"], bench, _outside),
        measured("margin_place", "Place of the margin among golds", bench, _place, _PLACE),
    ]
    yield from (row for row in rows if row is not None)
    yield from attacks(scores, ["rmia"], seed)


def _divergence(subject: Subject, golds: Sequence[Subject]) -> float | None:
    if not golds:
        return None
    answers = [gold.forget.probabilities for gold in golds]
    return float(metrics.jsd_to_golds(subject.forget.probabilities, answers).mean())


def _outside(subject: Subject, golds: Sequence[Subject]) -> float | None:
    if len(golds) < 2:
        return None
    band = metrics.gold_band(margins_of(golds))
    return float(np.mean((subject.margins < band.low) | (subject.margins > band.high)))


def _place(subject: Subject, golds: Sequence[Subject]) -> float | None:
    if len(golds) < 2:
        return None
    z = metrics.margin_tails(subject.margins, margins_of(golds)).z
    return float(z.mean()) if np.isfinite(z).all() else None


def level_2(bench: Bench, scores: Scored, shadows: Shadows | None, seed: int) -> Iterator[Row]:
    """Likelihood ratios.

    Args:
        bench: Who is compared.
        scores: Of all attacks.
        shadows: What LiRA is online with.
        seed: Of bootstrap.
    """
    yield from attacks(scores, ["lira", "lira_online"], seed)
    if shadows is not None:

        def like_seen(subject: Subject, _: Sequence[Subject]) -> float:
            return float(np.mean(online(subject, shadows) > 0))

        row = measured("lira_online", "More like trained on, by LiRA", bench, like_seen, _LIKE_SEEN)
        yield from [] if row is None else [row]
