"""What an audit found, put together as the plain data of its page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lotus_unlearning.audit import sections, sentences
from lotus_unlearning.audit.judge import (
    LARGEST_EFFECT,
    LEVEL,
    POWER,
    STATISTICS,
    Judge,
    effects,
    expected,
    plain,
)
from lotus_unlearning.audit.judge import self_test as tested
from lotus_unlearning.audit.levels import level_0, level_1, level_2
from lotus_unlearning.audit.pairs import Scored, Shadows, scored
from lotus_unlearning.audit.rows import BAND, LABELS, Row
from lotus_unlearning.audit.several import Several, several
from lotus_unlearning.audit.subjects import Bench, Subject
from lotus_unlearning.evaluation import versions
from lotus_unlearning.evaluation.compare import class_names
from lotus_unlearning.evaluation.predictions import missing
from lotus_unlearning.metrics import golds_needed
from lotus_unlearning.runtime import Runtime, fingerprint
from lotus_unlearning.splits import Splits

Plain = dict[str, Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """All that a page is made of.

    Attributes:
        bench: Who is compared.
        splits: What the images are for.
        level: The highest rung of the ladder that was asked for.
        put_back: Number of images -> golds that were trained on so many of the forget images.
        shadows: What LiRA is online with.
        probes: Rows of level 3.
        relearning: Curves of level 3.
        notes: Caveats.
        forgotten_before: How many of the images the original had forgotten by an earlier run.
        seed: Of bootstraps.
    """

    bench: Bench
    splits: Splits
    level: int
    put_back: Mapping[int, Sequence[Subject]] = field(default_factory=dict)
    shadows: Shadows | None = None
    probes: Sequence[Row] = ()
    relearning: Sequence[Plain] = ()
    notes: Sequence[str] = ()
    forgotten_before: int = 0
    seed: int = 0

    def page(self, title: str, manifest: Plain) -> Plain:
        """The sections of ``audit.html``; see :mod:`lotus_unlearning.report.audit`."""
        bench = self.bench
        names = class_names(self.splits, bench.unlearned.forget.logits.shape[1])
        judge = Judge(bench.golds)
        verdict = self._verdict(judge)
        checks = self._self_test(judge) if self.level >= 1 else None
        verdict["sentences"] = sentences.of_verdict(verdict, checks, self.forgotten_before)
        scores = scored(bench, self.level, self.shadows)
        known = len(bench.golds) >= 3
        many = several(bench, self.seed) if self.level >= 2 else Several()
        return {
            "title": title,
            "summary": list(self._summary()),
            "level": self.level,
            "band": BAND,
            "columns": bench.columns,
            "verdict": verdict,
            "statistics": self._statistics(judge, verdict, checks),
            "self_test": checks,
            "ladder": [row.plain() for row in self._rows(scores, many.rows)],
            "per_image": sections.per_image(bench, self.splits, names) if known else None,
            "worst": sections.worst(bench, self.splits, names) if known else [],
            "u_lira": many.u_lira,
            "roc": sections.roc(scores, self.seed),
            "entropy": sections.entropy(bench),
            "relearning": list(self.relearning),
            "notes": [*self._caveats(), *self.notes],
            "manifest": manifest,
        }

    def _verdict(self, judge: Judge) -> Plain:
        found = judge.verdict(self.bench.unlearned) if self.level >= 1 else None
        if found is not None:
            return plain(found)
        count = len(self.bench.golds)
        needed = golds_needed(len(STATISTICS), effect=LARGEST_EFFECT, level=LEVEL, power=POWER)
        return {
            "outcome": sentences.NOT_ENOUGH,
            "golds": count,
            "golds_needed": needed,
            "smallest_effect": None,
            "largest_effect": LARGEST_EFFECT,
            "level": LEVEL,
            "power": POWER,
            "findings": [],
        }

    def _self_test(self, judge: Judge) -> Plain:
        found = tested(judge, self.bench.original, self.put_back)
        found["forgotten_before"] = self.forgotten_before
        return {**found, "sentences": sentences.of_self_test(found, self.forgotten_before)}

    def _statistics(self, judge: Judge, verdict: Plain, checks: Plain | None) -> list[Plain]:
        """What the verdict looked at: the model, the original and every gold on one scale."""
        found = judge.verdict(self.bench.unlearned) if self.level >= 1 else None
        if found is None:
            return []
        golds, ends = effects(judge, found), expected(judge, found)
        original = (checks or {}).get("original")
        theirs = {f["name"]: f for f in original["findings"]} if original else {}
        return [
            {
                **finding,
                "label": LABELS[finding["name"]],
                "unit": sentences.unit(finding["name"]),
                "golds": golds[finding["name"]],
                "expected": ends[finding["name"]],
                "original": theirs.get(finding["name"]),
                "reach": _reach(len(self.bench.golds), len(verdict["findings"])),
            }
            for finding in verdict["findings"]
        ]

    def _rows(self, scores: Scored, of_several: Sequence[Row]) -> Iterator[Row]:
        yield from level_0(self.bench, scores, self.seed)
        if self.level >= 1:
            yield from level_1(self.bench, scores, self.seed)
        if self.level >= 2:
            yield from level_2(self.bench, scores, self.shadows, self.seed)
        yield from of_several
        yield from self.probes

    def _summary(self) -> Iterator[str]:
        forget, golds = len(self.splits.forget), len(self.bench.golds)
        total = forget + len(self.splits.retain)
        yield f"{forget:,} of {total:,} training images were to be forgotten."
        if golds:
            yield (
                f"The model is compared with {golds} gold models, retrained from scratch without "
                "these images: what they do is what perfect forgetting looks like."
            )
        else:
            yield (
                "There is no gold model to compare with, so that this page describes and does not "
                "judge."
            )

    def _caveats(self) -> Iterator[str]:
        yield (
            "Shown for these images, these attacks and this model; other attacks may find more. "
            "Intervals of the unlearned model are 95%, over images; those of gold are where one "
            "more gold is expected with 95%, which is the randomness of training."
        )
        if self.bench.golds:
            yield (
                "Gold models are judged by each other, so that their results hang together; the "
                "self-test's interval takes them as independent."
            )
        yield from missing(self.splits)


def _reach(golds: int, statistics: int) -> float:
    """Distance in standard deviations beyond which a statistic is found whatever the others say."""
    from scipy.stats import t

    limit = t.ppf(1 - LEVEL / (2 * statistics), golds - 1)
    return float(limit * np.sqrt(1 + 1 / golds))


def manifest(bench: Bench, splits: Splits, run: Runtime, seed: int, more: Plain) -> Plain:
    """What is needed to check the page or to make it again."""
    parts = {n: getattr(splits, n) for n in ("forget", "retain", "unseen", "test")}
    models = {"original": bench.original, "unlearned": bench.unlearned}
    weights = {
        name: fingerprint(subject.model)
        for name, subject in models.items()
        if subject is not None and subject.model is not None
    }
    return {
        **more,
        "images": {n: len(part) for n, part in parts.items() if part is not None},
        "forgotten": list(splits.forget.official_ids),
        "golds": len(bench.golds),
        "other unlearned models": len(bench.others),
        "sha256 of weights": weights,
        "audit seed": seed,
        "audited on": f"{run.device}, {str(run.precision).removeprefix('torch.')}",
        "versions": versions(),
    }
