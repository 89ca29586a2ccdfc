"""Serving all pending requests in one batch: forget, measure, and swap the model if it may be."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from lotus_unlearning import audit as audits
from lotus_unlearning import runs
from lotus_unlearning.evaluation import Evaluation, describe, evaluate
from lotus_unlearning.files import folders
from lotus_unlearning.methods import Retrain
from lotus_unlearning.requests import auditing, entries, evidence, guards, ledger
from lotus_unlearning.requests.auditing import Audited, Auditor
from lotus_unlearning.requests.canonical import file_digest, settle
from lotus_unlearning.requests.entries import Run
from lotus_unlearning.requests.plan import (
    Batch,
    architecture_of,
    from_start,
    method_of,
    plan,
    recipe_of,
    runtime,
)
from lotus_unlearning.requests.settings import Settings
from lotus_unlearning.requests.workspace import (
    WEIGHTS,
    Workspace,
    mark_served,
    point_to,
    served_run,
)
from lotus_unlearning.runtime import choose_device, choose_precision, fingerprint
from lotus_unlearning.runtime.hardware import machine
from lotus_unlearning.unlearning import Unlearned, unlearn


@dataclass(frozen=True)
class Served:
    """What came of a run.

    Attributes:
        run: The run as it is in the ledger: ``served``, or ``kept`` with the reason.
        warnings: Warnings about the data, one sentence each.
    """

    run: Run
    warnings: list[str]


def serve(
    workspace: Workspace, *, retrain: bool = False, audit: Auditor | None = None
) -> Served | None:
    """Forget the images of all pending requests and of all that were served before.

    Args:
        workspace: The workspace, opened alone.
        retrain: Whether to train anew by the recipe in ``lotus.yaml``, without these images.
        audit: The audit that ``audit_level`` asks for; ``None``: :func:`auditing.against_golds`.

    Returns:
        ``None`` if no request is pending.

    Raises:
        ValueError: If the served model or the data are not those of the ledger; nothing is
            changed then.
    """
    chosen = workspace.settings
    architecture_of(chosen)  # else the work would be lost when it is written
    recipe = recipe_of(chosen)
    method = Retrain(recipe=recipe) if retrain else method_of(chosen)
    pending = entries.requests(workspace.db, "pending")
    if not pending:
        auditing.clear(workspace)  # golds of requests that were withdrawn since
        return None
    before, audit = served_run(workspace), audit or auditing.against_golds(workspace, chosen)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batch = plan(workspace, chosen, before, pending, retrain)
        model = runs.read(workspace.run_folder(before.number)).model()
        method = from_start(method, chosen, batch.number)
        seed = chosen.seed + batch.number
        made = unlearn(model, batch.splits, method, seed=seed, **_how(chosen))
        evaluation = evaluate(made, batch.splits, original=model, seed=seed, device=chosen.device)
        found = None
        if chosen.audit_level and _may_be_served(chosen, model, made, evaluation):
            found = _audited(chosen, batch, audit, (model, made.model))
            found = auditing.of_retrained(found) if retrain else found
        record = _measured(workspace, chosen, batch, model, made, evaluation, found)
        record["notes"] += [*_switched_off(chosen, retrain), *_texts(caught)]
    title = f"Run {batch.number}: forgetting {len(batch.splits.forget):,} images"
    page = evidence.without_pictures(evaluation, title)
    run = _kept(workspace, chosen, batch, made, record, page, found)
    return Served(run, _said(caught))


def _may_be_served(
    chosen: Settings, before: nn.Module, made: Unlearned, evaluation: Evaluation
) -> bool:
    """Whether the rails hold that need no golds: else golds would be trained for nothing."""
    changed = guards.changed(fingerprint(before), fingerprint(made.model))
    values = evaluation.values
    rails = guards.accuracies(values["original"], values["unlearned"], chosen.guards)
    return all(rail.holds for rail in (changed, *rails))


def _audited(
    chosen: Settings, batch: Batch, audit: Auditor, models: tuple[nn.Module, nn.Module]
) -> Audited:
    """The audit over all images of all requests and, after earlier ones, over the new alone."""
    how: dict[str, Any] = {"level": chosen.audit_level, "seed": chosen.seed + batch.number}
    new, forget = batch.new(), batch.splits.forget
    found = audit(*models, batch.splits, forgotten_before=len(forget) - len(new), **how)
    if not 0 < len(new) < len(forget):
        return found
    narrow = replace(batch.splits, forget=new)
    return auditing.with_new(found, audit(*models, narrow, forgotten_before=0, **how), len(new))


def _said(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """Warnings about data and science, once each; all others go on their way."""
    for found in caught:
        if found.category is not UserWarning:
            warnings.warn_explicit(found.message, found.category, found.filename, found.lineno)
    return _texts(caught)


def _texts(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    ours = (str(found.message) for found in caught if found.category is UserWarning)
    return list(dict.fromkeys(ours))


def _switched_off(chosen: Settings, retrain: bool) -> list[str]:
    """A rail that no run could fail is said to be none."""
    if retrain or chosen.guards.attack is not None:
        return []
    return ["The guard rail on attacks was switched off (guards.attack in lotus.yaml)."]


def _how(chosen: Settings) -> dict[str, Any]:
    return {
        "batch_size": chosen.batch_size,
        "device": chosen.device,
        "precision": chosen.precision,
    }


def _measured(
    workspace: Workspace,
    chosen: Settings,
    batch: Batch,
    model: nn.Module,
    made: Unlearned,
    evaluation: Evaluation,
    audited: Audited | None,
) -> dict[str, Any]:
    """All that the ledger is to know of a run."""
    splits = batch.splits
    both = {"before": model, "after": made.model}
    requests = [*batch.earlier, *batch.pending]
    first = entries.runs(workspace.db)[0].record["first"]
    return {
        **_facts(chosen, batch, made),
        **evidence.of_evaluation(evaluation, splits, chosen.audit_level, audited is not None),
        "of_requests": evidence.of_requests(requests, splits.forget, both, runtime(chosen)),
        "guard_rails": [
            asdict(guards.changed(fingerprint(model), fingerprint(made.model))),
            *(asdict(rail) for rail in _rails(chosen, made, evaluation, audited)),
        ],
        "drift": guards.drift(first, evaluation.values["unlearned"], chosen.drift),
        "audit": _of_audit(audited),
    }


def _of_audit(found: Audited | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"passed": found.passed, "why": found.why, "facts": dict(found.facts)}


def _facts(chosen: Settings, batch: Batch, made: Unlearned) -> dict[str, Any]:
    """What can be said of a run without measuring."""
    splits, seed = batch.splits, chosen.seed + batch.number
    parts = {name: getattr(splits, name) for name in ("forget", "retain", "unseen", "test")}
    counts = {name: len(part) for name, part in parts.items() if part is not None}
    return {
        "started_from": {"run": batch.before.number, "weights_sha256": batch.before.weights},
        "weights_sha256": fingerprint(made.model),
        "architecture": dict(chosen.architecture),
        "parameters": sum(values.numel() for values in made.model.parameters()),
        "method": describe(made.method),
        "retrained": isinstance(made.method, Retrain),
        "made_on": _made_on(chosen),
        "pretrained": chosen.pretrained,
        "seeds": {"unlearning": seed, "evaluation": seed, "data": chosen.data.seed},
        "data": asdict(chosen.data),
        "seconds": made.seconds,
        "peak_memory_bytes": made.peak_memory_bytes,
        "images": {**counts, "gone_from_the_data": batch.gone},
    }


def _made_on(chosen: Settings) -> dict[str, Any]:
    """What bits depend on besides the method, data, seeds and versions; no ``auto`` is left."""
    place = choose_device(chosen.device)
    precision = choose_precision(chosen.precision, place)
    return {**machine(place, precision), "batch_size": chosen.batch_size}


def _rails(
    chosen: Settings, made: Unlearned, evaluation: Evaluation, audited: Audited | None
) -> list[guards.Check]:
    limits = chosen.guards
    if isinstance(made.method, Retrain):  # what an attack sees of a gold model is as it should be
        limits = replace(limits, attack=None)
    interval = evaluation.intervals["original"].get(str(limits.attack))
    values = evaluation.values
    golds = None if audited is None else auditing.where_golds_are(audited.page, limits.attack)
    return guards.check(values["original"], values["unlearned"], interval, limits, golds)


def _kept(
    workspace: Workspace,
    chosen: Settings,
    batch: Batch,
    made: Unlearned,
    record: dict[str, Any],
    evaluation: Evaluation,
    audited: Audited | None,
) -> Run:
    """Write the run, and swap the model if it may be; ``workspace`` tells why in this order."""
    reasons = [rail["why"] for rail in record["guard_rails"] if not rail["holds"]]
    if record["audit"] is not None and not record["audit"]["passed"]:
        reasons.append(record["audit"]["why"])
    folder = workspace.run_folder(batch.number)
    with folders.folder(folder) as path:
        record = {**record, "audit": _written(record["audit"], audited, path)}
        runs.write(
            path,
            config={"lotus.yaml": asdict(chosen)},
            model=None if reasons else made.model,
            architecture=architecture_of(chosen),
            history=made.history,
            manifest={"command": "request run", **_public(record)},
            evaluation=evaluation,
        )
    settle(folder)
    _write(workspace, batch, record, reasons)
    if not reasons:
        auditing.clear(workspace)  # first: a kill later on would leave them for good
        point_to(workspace, batch.number)
        mark_served(workspace, entries.runs(workspace.db, "prepared")[-1])
    return entries.runs(workspace.db)[-1]


def _written(
    audit: dict[str, Any] | None, audited: Audited | None, path: Path
) -> dict[str, Any] | None:
    """Write the page of the audit into the run's folder; ``audit`` then knows the hash of it."""
    if audit is None or audited is None or not audited.page:
        return audit
    path.mkdir(exist_ok=True)
    page = audits.Audit(audited.page)
    page.to_html(path / "audit.html")
    return {**audit, "audit_json_sha256": file_digest(page.to_json(path / "audit.json"))}


def _write(
    workspace: Workspace, batch: Batch, record: Mapping[str, Any], reasons: Sequence[str]
) -> None:
    file = workspace.run_folder(batch.number) / WEIGHTS
    with ledger.transaction(workspace.db):
        entries.add_run(
            workspace.db,
            batch.number,
            "kept" if reasons else "prepared",
            weights=record["weights_sha256"],
            file="" if reasons else file_digest(file),
            record=record,
            requests=[request.id for request in batch.pending],
            why="; ".join(reasons),
        )


def _public(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest of the run's folder holds: all but the tables."""
    tables = ("measures", "notes", "of_requests")
    return {key: value for key, value in record.items() if key not in tables}
