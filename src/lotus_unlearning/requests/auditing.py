"""The audit of a run: the new model beside models that were retrained without the images."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from lotus_unlearning import audit as audits
from lotus_unlearning import runs
from lotus_unlearning.audit.members import Chosen, digest
from lotus_unlearning.jobs.pace import Pace
from lotus_unlearning.report.page import seconds
from lotus_unlearning.requests.plan import architecture_of, recipe_of
from lotus_unlearning.requests.settings import Settings
from lotus_unlearning.requests.workspace import Workspace
from lotus_unlearning.runtime import choose_device, choose_precision
from lotus_unlearning.runtime.hardware import machine
from lotus_unlearning.splits import Split, Splits

BANKS = "banks"
_FINDING = ("name", "label", "unit", "value", "gold", "effect", "corrected", "distinguishable")
_REACH = ("expected", "found_below", "found_above")
_RUNG = (
    "level", "measure", "label", "direction", "unit", "values", "intervals", "note", "detail"
)  # fmt: skip


@dataclass(frozen=True)
class Audited:
    """What an audit says of the new model.

    Attributes:
        passed: Whether the new model may be served.
        why: The reason, in words.
        facts: Plain data for the record: the verdict, and the self-test of the yardstick under
            ``self_test``.
        page: The page for the run's folder, see :class:`lotus_unlearning.audit.Audit`; empty: there
            is none.
    """

    passed: bool
    why: str
    facts: Mapping[str, Any]
    page: Mapping[str, Any] = field(default_factory=dict)


class Auditor(Protocol):
    """A function that compares the models before and after, more deeply than the guard rails."""

    def __call__(
        self,
        before: nn.Module,
        after: nn.Module,
        splits: Splits,
        *,
        level: int,
        seed: int,
        forgotten_before: int,
    ) -> Audited:
        """Audit ``after`` at ``level``; ``before`` had forgotten some of the images already."""


def against_golds(
    workspace: Workspace, chosen: Settings, say: Callable[[str], None] = lambda _: None
) -> Auditor:
    """The audit that ``audit_level`` and ``audit_golds`` ask for.

    Its golds are kept in ``banks`` until a run is served: a run that was killed, or whose model
    was kept from being served, does not train them again.

    Args:
        workspace: The workspace whose folder ``banks`` keeps the golds.
        chosen: Settings that say how golds are trained, and how many.
        say: A function that is told of every gold that is done.
    """

    def compare(
        before: nn.Module,
        after: nn.Module,
        splits: Splits,
        *,
        level: int,
        seed: int,
        forgotten_before: int,
    ) -> Audited:
        """By golds of these splits, which are trained now where they are not there yet."""
        bank = _bank(workspace.folder / BANKS, before, splits, chosen, level, say)
        found = audits.audit(
            after,
            splits,
            original=before,
            golds=bank,
            level=level,  # type: ignore[arg-type]
            seed=seed,
            device=chosen.device,
            forgotten_before=forgotten_before,
        )
        page = _without_pictures(found.page)
        passed, why = judged(page)
        return Audited(passed, why, {**_facts(page, chosen), **_of_bank(bank, chosen)}, page)

    return compare


def with_new(whole: Audited, new: Audited, images: int) -> Audited:
    """What is said of all images, and of those alone that this run is the first to forget.

    Many that were forgotten before would hide a few that were not. Both must pass.

    Args:
        whole: The audit over all images.
        new: The audit over the new ones.
        images: How many are new.
    """
    parts = [("all images", whole), (f"the {images:,} new images alone", new)]
    parts.sort(key=lambda part: part[1].passed)  # first what keeps the model from being served
    said = [
        (name, part.why.removeprefix("audit").removeprefix(":").strip()) for name, part in parts
    ]
    why = "audit: " + "; ".join(f"{name}: {text}" for name, text in said)
    facts = {**whole.facts, "new_images": {"images": images, **new.facts}}
    return replace(whole, passed=whole.passed and new.passed, why=why, facts=facts)


def of_retrained(found: Audited) -> Audited:
    """What is said of a model that was trained anew: it is a gold, which no rail is to stop."""
    if found.passed:
        return found
    return replace(found, passed=True, why=f"{found.why}; no rail for a model trained anew")


def judged(page: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a model may be served, and why: its audit is not worse than that of the one before.

    Farther from the golds is worse: by the largest distance of a statistic, in standard deviations
    of the golds. A model that is not distinguishable from them passes.
    """
    verdict, original = page["verdict"], (page["self_test"] or {}).get("original")
    outcome = str(verdict["outcome"])
    if outcome != "distinguishable":
        return True, f"audit: {outcome}"
    after = _farthest(verdict["findings"])
    before = _farthest(original["findings"]) if original else 0.0
    holds = after <= before
    return holds, (
        f"audit {'not worse' if holds else 'worse'}: distinguishable from retraining; farthest "
        f"statistic {_away(before)} before, {_away(after)} after"
    )


def where_golds_are(page: Mapping[str, Any], measure: str | None) -> Sequence[float] | None:
    """In which interval one more gold is expected; ``None`` where that is not known."""
    rows = (row for row in page.get("ladder", ()) if row["measure"] == measure)
    found: Sequence[float] | None = next((row["intervals"].get("gold") for row in rows), None)
    return found


def clear(workspace: Workspace) -> None:
    """Take the golds away; the caller is alone."""
    shutil.rmtree(workspace.folder / BANKS, ignore_errors=True)


def _farthest(findings: Sequence[Mapping[str, Any]]) -> float:
    """Infinite where all golds agree and the verdict finds that the model differs.

    Golds often agree on few images. That a model differs by one of these need not mean anything:
    the verdict says.
    """
    away = [abs(f["effect"]) for f in findings if f["effect"] is not None]
    if any(f["effect"] is None and f["distinguishable"] for f in findings):
        return float("inf")
    return max(away, default=0.0)


def _away(effect: float) -> str:
    if effect == float("inf"):
        return "where all golds agree on another value"
    shown = f"{effect:.1f}" if effect < 1000 else f"{effect:.0e}"
    return f"{shown} standard deviations from the golds"


@dataclass(frozen=True)
class _Pretrained:
    """Models that begin from published weights."""

    architecture: runs.Architecture

    def __call__(self, seed: int) -> nn.Module:
        return self.architecture.build(pretrained=True, seed=seed)


def _bank(
    folder: Path,
    model: nn.Module,
    splits: Splits,
    chosen: Settings,
    level: int,
    say: Callable[[str], None],
) -> audits.Bank:
    """Golds for what is to be forgotten; those that are there already are not trained again."""
    material = audits.of_model(model, splits, recipe_of(chosen), precision=chosen.precision)
    if chosen.pretrained:
        start = _Pretrained(architecture_of(chosen))
        facts = {**material.facts, "pretrained": True}
        material = replace(material, fresh=start, facts=facts)
    splits = _with_all_that_golds_do_not_see(splits)
    name = digest([dict(material.facts), asdict(Chosen.of(splits))])

    pace = Pace()

    def watch(members: Sequence[audits.Member], done: int, total: int) -> None:
        """Say how many gold models are there, and how long the others take."""
        rest = pace.rest(total - done, done=len(members))
        left = f", about {seconds(rest)} left" if done < total else ""
        say(f"audit: {done} of {total} gold models{left}")

    made = audits.bank(
        material,
        splits,
        folder / name,
        audits.Wanted(golds=chosen.audit_golds, put_back=_put_back(chosen, splits)),
        keep_weights=level >= 3,
        where=audits.Where(device=chosen.device),
        watch=watch,
    )
    for member, error in made.failed().items():
        say(f"audit: {member.title} could not be trained: {error.strip().splitlines()[-1]}")
    return made


def _of_bank(bank: audits.Bank, chosen: Settings) -> dict[str, Any]:
    """What is needed to train its golds again, besides recipe, data and model."""
    place = choose_device(chosen.device)
    return {
        "seeds_of_golds": [member.seed for member in bank.members("gold")],
        "seeds_of_put_back": [member.seed for member in bank.members("put-back")],
        "golds_trained_on": machine(place, choose_precision(chosen.precision, place)),
    }


def _put_back(chosen: Settings, splits: Splits) -> tuple[int, ...]:
    """How many images are put back into some golds: no more than there are."""
    return tuple(sorted({min(k, len(splits.forget)) for k in chosen.audit_put_back}))


def _with_all_that_golds_do_not_see(splits: Splits) -> Splits:
    """What is gone already is to be forgotten, too: one bank serves every choice among both."""
    source = splits.retain.source
    unknown = np.setdiff1d(np.arange(len(source)), splits.retain.ids.numpy())
    return replace(splits, forget=Split("forget", source, torch.from_numpy(unknown)))


def _without_pictures(page: Mapping[str, Any]) -> dict[str, Any]:
    """A record of a deletion must not keep the images."""
    return {**page, "worst": [{**image, "png": None} for image in page["worst"]]}


def _facts(page: Mapping[str, Any], chosen: Settings) -> dict[str, Any]:
    """What the record tells; nothing of single images."""
    verdict, self_test = page["verdict"], page["self_test"] or {}
    original = self_test.get("original") or {}
    before = {f["name"]: f["value"] for f in original.get("findings", ())}
    rows = [
        {key: row[key] for key in (*_FINDING, *_REACH)} | {"before": before.get(row["name"])}
        for row in page["statistics"]
    ]
    return {
        "outcome": verdict["outcome"],
        "sentences": list(verdict["sentences"]),
        "level": page["level"],
        "golds": verdict["golds"],
        "golds_needed": verdict["golds_needed"],
        "recipe_of_golds": dict(chosen.recipe),
        "statistics": rows,
        "ladder": [{key: row[key] for key in _RUNG} for row in page["ladder"]],
        "self_test": {
            "sentences": list(self_test.get("sentences", ())),
            "held_out": self_test.get("held_out"),
            "original": original.get("outcome"),
            "put_back": list(self_test.get("put_back", ())),
            "caught_from": self_test.get("caught_from"),
        },
        "notes": list(page["notes"]),
    }
