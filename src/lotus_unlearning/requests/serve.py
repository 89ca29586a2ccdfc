"""Serving all pending requests in one batch: forget, measure, and swap the model if it may be."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from torch import nn

from lotus_unlearning import runs
from lotus_unlearning.evaluation import Evaluation, describe, evaluate
from lotus_unlearning.methods import Retrain
from lotus_unlearning.requests import entries, evidence, guards, ledger
from lotus_unlearning.requests.canonical import file_digest, settle
from lotus_unlearning.requests.entries import Run
from lotus_unlearning.requests.plan import (
    Batch,
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
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Unlearned, unlearn


@dataclass(frozen=True)
class Audited:
    """What an audit says of the new model.

    Attributes:
        passed: Whether the new model may be served.
        why: In words.
        facts: For the record: the verdict, and the self-test of the yardstick under ``self_test``.
    """

    passed: bool
    why: str
    facts: Mapping[str, Any]


class Audit(Protocol):
    """A function that compares the models before and after, more deeply than the guard rails."""

    def __call__(
        self, before: nn.Module, after: nn.Module, splits: Splits, *, level: int, seed: int
    ) -> Audited:
        """Audit ``after`` at ``level``."""


@dataclass(frozen=True)
class Served:
    """What came of a run.

    Attributes:
        run: As it is in the ledger: ``served``, or ``kept`` with the reason.
        warnings: Of the data, one sentence each.
    """

    run: Run
    warnings: list[str]


def serve(
    workspace: Workspace, *, retrain: bool = False, audit: Audit | None = None
) -> Served | None:
    """Forget the images of all pending requests and of all that were served before.

    Args:
        workspace: Opened alone.
        retrain: Train anew by the recipe in ``lotus.yaml``, without these images.
        audit: What ``audit_level`` asks for.

    Returns:
        ``None`` if no request is pending.

    Raises:
        ValueError: If the served model or the data are not those of the ledger, or ``audit_level``
            asks for an audit that there is none for; nothing is changed then.
    """
    chosen = workspace.settings
    method = Retrain(recipe=recipe_of(chosen)) if retrain else method_of(chosen)
    if chosen.audit_level and audit is None:
        raise ValueError(
            f"audit_level: expected 0, as no audit is installed, got {chosen.audit_level}; "
            "set it in lotus.yaml"
        )
    pending = entries.requests(workspace.db, "pending")
    if not pending:
        return None
    before = served_run(workspace)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batch = plan(workspace, chosen, before, pending, retrain)
        model = runs.read(workspace.run_folder(before.number)).model()
        if retrain:
            method = from_start(method, chosen, batch.number)
        made = unlearn(model, batch.splits, method, seed=chosen.seed + batch.number, **_how(chosen))
        record, evaluation = _measured(workspace, chosen, batch, model, made, audit)
    run = _kept(workspace, chosen, batch, made, record, evaluation)
    return Served(run, _said(caught))


def _said(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """Warnings about data and science, once each; all others go on their way."""
    for found in caught:
        if found.category is not UserWarning:
            warnings.warn_explicit(found.message, found.category, found.filename, found.lineno)
    ours = (str(found.message) for found in caught if found.category is UserWarning)
    return list(dict.fromkeys(ours))


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
    audit: Audit | None,
) -> tuple[dict[str, Any], Evaluation]:
    """All that the ledger is to know of a run, and the page of its folder."""
    seed, splits = chosen.seed + batch.number, batch.splits
    evaluation = evaluate(made, splits, original=model, seed=seed, device=chosen.device)
    found = None
    if audit is not None and chosen.audit_level:
        found = audit(model, made.model, splits, level=chosen.audit_level, seed=seed)
    both = {"before": model, "after": made.model}
    requests = [*batch.earlier, *batch.pending]
    first = entries.runs(workspace.db)[0].record["first"]
    record = {
        **_facts(chosen, batch, made),
        **evidence.of_evaluation(evaluation),
        "of_requests": evidence.of_requests(requests, splits.forget, both, runtime(chosen)),
        "guard_rails": [asdict(rail) for rail in _rails(chosen, made, evaluation)],
        "drift": guards.drift(first, evaluation.values["unlearned"], chosen.drift),
        "audit": None if found is None else {**asdict(found), "facts": dict(found.facts)},
    }
    title = f"Run {batch.number}: forgetting {len(splits.forget):,} images"
    return record, evidence.without_pictures(evaluation, title)


def _facts(chosen: Settings, batch: Batch, made: Unlearned) -> dict[str, Any]:
    """What can be said of a run without measuring."""
    splits, seed = batch.splits, chosen.seed + batch.number
    parts = {name: getattr(splits, name) for name in ("forget", "retain", "unseen", "test")}
    counts = {name: len(part) for name, part in parts.items() if part is not None}
    return {
        "started_from": {"run": batch.before.number, "weights_sha256": batch.before.weights},
        "weights_sha256": fingerprint(made.model),
        "architecture": dict(chosen.architecture),
        "method": describe(made.method),
        "retrained": isinstance(made.method, Retrain),
        "seeds": {"unlearning": seed, "evaluation": seed, "data": chosen.data.seed},
        "data": asdict(chosen.data),
        "seconds": made.seconds,
        "peak_memory_bytes": made.peak_memory_bytes,
        "images": {**counts, "gone_from_the_data": batch.gone},
    }


def _rails(chosen: Settings, made: Unlearned, evaluation: Evaluation) -> list[guards.Check]:
    limits = chosen.guards
    if isinstance(made.method, Retrain):  # what an attack sees of a gold model is as it should be
        limits = replace(limits, attack=None)
    rows = {row["measure"]: row for row in evaluation.page["table"]}
    interval = (rows.get(str(limits.attack), {}).get("intervals") or {}).get("original")
    values = evaluation.values
    return guards.check(values["original"], values["unlearned"], interval, limits)


def _kept(
    workspace: Workspace,
    chosen: Settings,
    batch: Batch,
    made: Unlearned,
    record: dict[str, Any],
    evaluation: Evaluation,
) -> Run:
    """Write the run, and swap the model if it may be; ``workspace`` tells why in this order."""
    reasons = [rail["why"] for rail in record["guard_rails"] if not rail["holds"]]
    if record["audit"] is not None and not record["audit"]["passed"]:
        reasons.append(record["audit"]["why"])
    folder = workspace.run_folder(batch.number)
    with runs.folder(folder) as path:
        runs.write(
            path,
            config={"lotus.yaml": asdict(chosen)},
            model=None if reasons else made.model,
            architecture=runs.Architecture(**chosen.architecture),
            history=made.history,
            manifest={"command": "request run", **_public(record)},
            evaluation=evaluation,
        )
    settle(folder)
    _write(workspace, batch, record, reasons)
    if not reasons:
        point_to(workspace, batch.number)
        mark_served(workspace, entries.runs(workspace.db, "prepared")[-1])
    return entries.runs(workspace.db)[-1]


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
