"""audit(): is a model distinguishable from one that never saw the images to forget?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from lotus_unlearning.audit.asked import failed, lacking, level_of
from lotus_unlearning.audit.banks import Bank
from lotus_unlearning.audit.curves import Relearning
from lotus_unlearning.audit.evidence import Evidence, manifest
from lotus_unlearning.audit.features import linear_probes
from lotus_unlearning.audit.members import KINDS, Chosen
from lotus_unlearning.audit.pairs import Shadows
from lotus_unlearning.audit.record import Audit
from lotus_unlearning.audit.relearning import relearning
from lotus_unlearning.audit.rows import Row
from lotus_unlearning.audit.subjects import (
    Bench,
    Subject,
    of_bank,
    of_models,
    require_distinct,
)
from lotus_unlearning.audit.triggers import Trigger, attack_success
from lotus_unlearning.checks import check_model
from lotus_unlearning.evaluation.made import Model, module_of
from lotus_unlearning.metrics import margin
from lotus_unlearning.report.page import percent
from lotus_unlearning.runtime import Runtime, choose_device, choose_precision
from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Unlearned

Level = Literal[0, 1, 2, 3]
Golds = Bank | Sequence[Model]
_POORER = 0.02
"""Of accuracy on test images: golds that are so much below the original are said to be."""


@dataclass(frozen=True, kw_only=True)
class Probes:
    """What level 3 does to a model.

    Attributes:
        relearning: How it is trained on.
        trigger: Of poisoned images, if there were any.
    """

    relearning: Relearning = field(default_factory=Relearning)
    trigger: Trigger | None = None


def audit(
    model: Model,
    splits: Splits,
    *,
    original: Model | None = None,
    golds: Golds | None = None,
    shadows: Bank | None = None,
    others: Sequence[Model] = (),
    level: Level | None = None,
    probes: Probes | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str = "float32",
    title: str | None = None,
    facts: Mapping[str, Any] | None = None,
    forgotten_before: int = 0,
) -> Audit:
    """Compare a model with what retraining would have given, by a ladder of attacks.

    * Level 0 needs no other model: scores of single images, forget against unseen.
    * Level 1 needs golds: distances to them, and a verdict that is tested on them.
    * Level 2: likelihood ratios; with ``shadows`` online, with ``others`` of distributions.
    * Level 3 trains on: relearning, linear probes, and triggers of poisons; against golds where
      their weights are at hand.

    Args:
        model: After unlearning.
        splits: As they were for unlearning.
        original: Before unlearning: it should be found out.
        golds: A bank, or models that were retrained without the images to forget.
        shadows: A bank with models that were trained on random halves.
        others: The same method with other seeds.
        level: The highest one; by default 1 with golds, else 0, and higher where shadows, others or
            a trigger are given.
        probes: Of level 3.
        seed: Of bootstraps.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: Of predictions; those of a bank are float32.
        title: Of the page.
        facts: More to be written down, such as seeds of runs.
        forgotten_before: How many of the images ``original`` had forgotten by an earlier run: it
            is not expected to be found out then.

    Returns:
        The outcome in one sentence, the ladder, the self-test; as JSON and as a page.

    Raises:
        ValueError: If models and data do not fit, a bank is of something else, a level lacks what
            it needs, or a model is there twice.

    >>> splits = Splits.random("digits", fraction=0.1)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    >>> audit(model, splits, device="cpu").outcome
    'not enough gold models to say'
    """
    probes = probes or Probes()
    rung = _rung(level, golds, shadows, others, probes)
    place = choose_device(device)
    run = Runtime(place, choose_precision(precision, place), seed=seed)
    bench, put_back, notes = _compared(
        {"original": original, "unlearned": model}, splits, golds, others, run, rung
    )
    probed = _probed(bench, splits, run, probes) if rung == 3 else _NOTHING
    found = Evidence(
        bench=bench,
        splits=splits,
        level=rung,
        put_back=put_back,
        shadows=None if shadows is None or rung < 2 else _shadows(shadows, splits),
        probes=probed.rows,
        relearning=probed.curves,
        notes=[*notes, *probed.notes, *lacking(rung, shadows, others), *failed(golds, shadows)],
        forgotten_before=forgotten_before,
        seed=seed,
    )
    more = {"level": rung, **_banks(golds, shadows), **(facts or {})}
    page = found.page(title or _title(model, splits), manifest(bench, splits, run, seed, more))
    return Audit(page)


def _rung(
    level: Level | None,
    golds: Golds | None,
    shadows: Bank | None,
    others: Sequence[Model],
    probes: Probes,
) -> int:
    """The level that is asked for, or the highest that what is given allows."""
    given = {
        "shadows": shadows is not None,
        "others": bool(others),
        "trigger": probes.trigger is not None,
    }
    return level_of(level, golds is not None, given)


def _compared(
    given: Mapping[str, Model | None],
    splits: Splits,
    golds: Golds | None,
    others: Sequence[Model],
    run: Runtime,
    level: int,
) -> tuple[Bench, dict[int, list[Subject]], list[str]]:
    """Who is compared, golds with images put back, and what could not be computed."""
    modules = {n: module_of(m, n) for n, m in given.items() if m is not None or n == "unlearned"}
    for module in (*modules.values(), *(module_of(m, "others") for m in others)):
        check_model(module, splits)
    subjects, notes = of_models(modules, splits, run, gradients=True)
    retrained, put_back = _retrained(golds, splits, modules["unlearned"], run, level)
    bench = Bench(
        unlearned=subjects["unlearned"],
        original=subjects.get("original"),
        golds=tuple(retrained),
        others=tuple(_plain_subjects("unlearned", others, splits, run)),
    )
    require_distinct(bench)
    if bench.original is not None and bench.original.weights == bench.unlearned.weights:
        notes.append("The model has the weights of the original: nothing was changed.")
    if not len(splits.gone):  # without a class no gold gets its test images right
        notes += _of_golds(bench)
    return bench, put_back, notes


def _of_golds(bench: Bench) -> list[str]:
    """A note where golds are less right on test images than the model before: a poor yardstick."""
    known = [gold for gold in bench.golds if "test" in gold.answers]
    if not known or bench.original is None or "test" not in bench.original.answers:
        return []
    before = bench.original.accuracy("test")
    golds = sum(gold.accuracy("test") for gold in known) / len(known)
    if golds >= before - _POORER:
        return []
    return [
        f"Golds are right on {percent(golds)} of test images, the model before on "
        f"{percent(before)}: if they were not trained as it was, or for fewer steps, some of what "
        "differs is that."
    ]


def _plain_subjects(
    name: str, models: Sequence[Model], splits: Splits, run: Runtime, *, gradients: bool = False
) -> list[Subject]:
    named = {f"{name} {i}": module_of(model, name) for i, model in enumerate(models)}
    return list(of_models(named, splits, run, gradients=gradients)[0].values())


def _retrained(
    golds: Golds | None, splits: Splits, like: nn.Module, run: Runtime, level: int
) -> tuple[list[Subject], dict[int, list[Subject]]]:
    """Golds, and those with images put back."""
    if golds is None:
        return [], {}
    if not isinstance(golds, Bank):
        return _plain_subjects("gold", golds, splits, run, gradients=True), {}
    golds.require(splits)
    wanted = like if level == 3 else None
    found = [of_bank(golds, member, splits, wanted) for member in golds.members("gold")]
    if not found:
        why = [error.strip().splitlines()[-1] for error in golds.failed().values()]
        raise ValueError(
            f"golds: expected a bank with gold models, {golds.folder} has none"
            + (f"; {len(why)} could not be trained: {why[0]}" if why else "")
        )
    put_back: dict[int, list[Subject]] = {}
    same = golds.chosen == Chosen.of(splits)  # else what is put back is not all to be forgotten
    for member in golds.members("put-back") if same else ():
        put_back.setdefault(member.put_back, []).append(of_bank(golds, member, splits, None))
    return found, put_back


def _shadows(bank: Bank, splits: Splits) -> Shadows:
    """Margins ``[S, N]`` of shadows on the forget images, and which of these each saw."""
    bank.require(splits, forget=False)
    members = bank.members("shadow")
    if len(members) < 4:
        raise ValueError(
            f"shadows: expected a bank with 4 shadow models or more, {bank.folder} has "
            f"{len(members)}; train them with lotus bank --shadows"
        )
    ids = splits.forget.ids.numpy()
    labels, all_labels = splits.forget.labels.numpy(), splits.forget.source.labels.numpy()
    found = np.stack([margin(bank.predictions(m)["train"][ids], labels) for m in members])
    return found, np.stack([bank.trained_on(m, all_labels)[ids] for m in members])


@dataclass(frozen=True)
class _Probed:
    """What level 3 found."""

    rows: Sequence[Row] = ()
    curves: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()


_NOTHING = _Probed()


def _probed(bench: Bench, splits: Splits, run: Runtime, probes: Probes) -> _Probed:
    rows, curves = relearning(bench, splits, run, probes.relearning)
    rows += linear_probes(bench, splits, run)
    if probes.trigger is not None:
        rows += attack_success(bench, splits, run, probes.trigger)
    notes = []
    if not any(gold.model is not None for gold in bench.golds):
        notes.append(
            "Level 3 has no gold to compare with: the bank keeps no weights (lotus bank "
            "--keep weights)."
        )
    return _Probed(rows, curves, notes)


def _banks(golds: Golds | None, shadows: Bank | None) -> dict[str, Any]:
    found = {"bank of golds": golds, "bank of shadows": shadows}
    return {
        name: {
            "folder": f"{bank.folder}",
            "made of": bank.facts["golds_made_of"],
            "models": {kind: len(bank.members(kind)) for kind in KINDS},
        }
        for name, bank in found.items()
        if isinstance(bank, Bank)
    }


def _title(model: Model, splits: Splits) -> str:
    """A model that no method made, such as the original or a gold, has forgotten nothing yet."""
    if not isinstance(model, Unlearned):
        return f"Audit: {len(splits.forget):,} images to forget"
    method: Any = model.method  # as a run folder has it: plain data
    name = method["name"] if isinstance(method, Mapping) else type(method).__name__
    return f"Audit: {len(splits.forget):,} images forgotten by {name}"
