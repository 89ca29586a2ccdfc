"""The verdict and its self-test: statistics chosen in advance, every gold against the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lotus_unlearning import metrics
from lotus_unlearning.audit.subjects import Subject, margins
from lotus_unlearning.evaluation.measures import finite
from lotus_unlearning.metrics import Scale, Verdict
from lotus_unlearning.metrics.power import FEWEST
from lotus_unlearning.metrics.verdict import scaled, unscaled

STATISTICS: Mapping[str, Scale] = {
    "jsd_to_golds": "cube root",
    "outside_gold_band": "identity",
    "margin": "identity",
    "forget_accuracy": "identity",
    "auc_margin": "identity",
    "entropy_distance": "identity",
}
"""What the verdict looks at, and the scale on which golds are compared; the last two need images
never trained on."""
LEVEL, POWER, LARGEST_EFFECT = 0.05, 0.8, 5.0


@dataclass(eq=False)
class Judge:
    """Judges models by the same golds; what golds are to each other is computed once.

    Attributes:
        golds: Retrained models.
    """

    golds: Sequence[Subject]
    _alone: dict[int, list[float]] = field(default_factory=dict)
    _beside: dict[tuple[int, frozenset[int]], list[float]] = field(default_factory=dict)
    _seen: list[Subject] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The statistics, without those that need images that are not there."""
        known = list(STATISTICS)
        return known if self.golds and self.golds[0].never_trained is not None else known[:-2]

    def verdict(self, subject: Subject, left_out: int | None = None) -> Verdict | None:
        """Judge a model against all golds, or against all but one.

        Args:
            subject: A model; with ``left_out``, that gold itself.
            left_out: Position of a gold that is not to be compared with.

        Returns:
            ``None`` with fewer than three golds to compare with.
        """
        at = [i for i in range(len(self.golds)) if i != left_out]
        if len(at) < FEWEST:
            return None
        without = frozenset() if left_out is None else frozenset({left_out})
        golds = [self.row(self.golds[i], without | {i}) for i in at]
        mine = [self.row(subject, without | {i}) for i in at]
        return metrics.verdict(
            golds,
            mine,
            self.names,
            scales=[STATISTICS[name] for name in self.names],
            level=LEVEL,
            power=POWER,
            largest_effect=LARGEST_EFFECT,
        )

    def row(self, subject: Subject, without: frozenset[int]) -> list[float]:
        """The statistics of a model against all golds but those at ``without``."""
        key = id(subject)
        if key not in self._alone:
            self._alone[key] = alone(subject)
            self._seen.append(subject)  # an id is unique only while it lives
        if (key, without) not in self._beside:
            rest = [gold for i, gold in enumerate(self.golds) if i not in without]
            self._beside[key, without] = beside(subject, rest)
        return self._beside[key, without] + self._alone[key]


def alone(subject: Subject) -> list[float]:
    """Mean margin, accuracy and, where there are other images, AUC and entropy distance."""
    found = [float(subject.margins.mean()), subject.accuracy("forget")]
    if subject.never_trained is not None:
        found.append(metrics.attack_auc(subject.margins, margins(subject.never_trained)))
        distance = metrics.ks_distance(subject.forget.entropy, subject.never_trained.entropy)
        found.append(distance.distance)
    return found


def beside(subject: Subject, golds: Sequence[Subject]) -> list[float]:
    """Mean divergence from the golds' mean, and share of images outside their band."""
    divergence = metrics.jsd_to_golds(
        subject.forget.probabilities, [gold.forget.probabilities for gold in golds]
    )
    band = metrics.gold_band(np.stack([gold.margins for gold in golds]))
    outside = (subject.margins < band.low) | (subject.margins > band.high)
    return [float(divergence.mean()), float(outside.mean())]


def effects(judge: Judge, found: Verdict) -> dict[str, list[float]]:
    """Statistic -> where each gold lies, in standard deviations from their mean, on its scale."""
    rows = np.array([judge.row(g, frozenset({i})) for i, g in enumerate(judge.golds)])
    there: dict[str, list[float]] = {}
    for column, finding in zip(rows.T, found.findings, strict=True):
        values = scaled(column, finding.scale)
        spread = values.std(ddof=1)
        away = values - values.mean()
        there[finding.name] = (away / spread if spread > 0 else np.zeros(len(values))).tolist()
    return there


def expected(judge: Judge, found: Verdict) -> dict[str, list[float]]:
    """Statistic -> low and high end of where one more gold is expected with 95%, on its scale."""
    rows = np.array([judge.row(g, frozenset({i})) for i, g in enumerate(judge.golds)])
    there: dict[str, list[float]] = {}
    for column, finding in zip(rows.T, found.findings, strict=True):
        band = metrics.gold_band(scaled(column, finding.scale)[:, None], 1 - LEVEL)
        ends = unscaled(np.array([band.low[0], band.high[0]]), finding.scale)
        metric = metrics.METRICS.get(finding.name)  # margins have no bounds
        if metric is not None:
            ends = np.clip(ends, metric.lower, metric.upper)
        there[finding.name] = ends.tolist()
    return there


def self_test(
    judge: Judge, original: Subject | None, put_back: Mapping[int, Sequence[Subject]]
) -> dict[str, Any]:
    """What the verdict says of models of which the truth is known.

    Args:
        judge: With the golds.
        original: Has not forgotten: is to be found.
        put_back: Number of images to forget that golds were trained on after all -> such models.

    Returns:
        Plain data: ``held_out``, ``original``, ``put_back``, ``caught_from``.
    """
    caught = {k: [_is_caught(judge, s) for s in subjects] for k, subjects in put_back.items()}
    verdict = None if original is None else judge.verdict(original)
    return {
        "held_out": _held_out(judge),
        "original": None if verdict is None else plain(verdict),
        "put_back": [
            {"images": k, "models": len(found), "caught": sum(found)}
            for k, found in sorted(caught.items())
        ],
        "caught_from": _caught_from(caught),
    }


def _is_caught(judge: Judge, subject: Subject) -> bool:
    verdict = judge.verdict(subject)
    return verdict is not None and verdict.outcome == "distinguishable"


def _held_out(judge: Judge) -> dict[str, Any] | None:
    """Every gold in turn, judged by the others."""
    found = [judge.verdict(gold, i) for i, gold in enumerate(judge.golds)]
    outcomes = [verdict.outcome for verdict in found if verdict is not None]
    if not outcomes:
        return None
    from scipy.stats import binomtest

    passed = sum(outcome != "distinguishable" for outcome in outcomes)
    ends = binomtest(passed, len(outcomes)).proportion_ci(0.95, method="exact")
    return {
        "golds": len(outcomes),
        "passed": passed,
        "share": passed / len(outcomes),
        "low": float(ends.low),
        "high": float(ends.high),
        "expected": 1 - LEVEL,
        "ok": bool(ends.high >= 1 - LEVEL),
    }


def _caught_from(caught: Mapping[int, Sequence[bool]]) -> int | None:
    """The smallest number from which on all models are caught."""
    found = None
    for k in sorted(caught, reverse=True):
        if not (caught[k] and all(caught[k])):
            break
        found = k
    return found


def plain(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain data."""
    return {
        "outcome": verdict.outcome,
        "golds": verdict.golds,
        "golds_needed": verdict.golds_needed,
        "smallest_effect": finite(verdict.smallest_effect),
        "largest_effect": verdict.largest_effect,
        "level": verdict.level,
        "power": verdict.power,
        "findings": list(_findings(verdict)),
    }


def _findings(verdict: Verdict) -> Iterator[dict[str, Any]]:
    for finding in verdict.findings:
        yield {
            "name": finding.name,
            "value": finding.value,
            "gold": finding.gold,
            "effect": finite(finding.effect),
            "p_value": finite(finding.p_value),
            "corrected": finite(finding.corrected),
            "distinguishable": finding.distinguishable,
            "found_below": _possible(finding.name, finding.found_below),
            "found_above": _possible(finding.name, finding.found_above),
            "scale": finding.scale,
        }


def _possible(name: str, value: float) -> float | None:
    """``None`` for what the statistic cannot be."""
    metric = metrics.METRICS.get(name)  # margins have no bounds
    if metric is not None and not metric.lower <= value <= metric.upper:
        return None
    return finite(value)
