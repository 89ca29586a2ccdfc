"""Requests as text for a terminal."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tabulate import tabulate

from lotus_unlearning.requests.answers import answer, deed, in_words
from lotus_unlearning.requests.entries import Request, Run
from lotus_unlearning.requests.ledger import Event
from lotus_unlearning.requests.workspace import RUNS, WEIGHTS

_HEADS = ("id", "received", "due", "state", "images", "run", "reference")


def table(requests: Sequence[Request], today: date) -> str:
    """One line per request."""
    rows = [
        (
            found.id,
            found.received,
            found.due + (" !" if is_overdue(found, today) else ""),
            found.state,
            len(found.images),
            "" if found.run is None else found.run,
            found.reference,
        )
        for found in requests
    ]
    return _table(rows, _HEADS)


def _table(rows: Sequence[Sequence[object]], heads: Sequence[str]) -> str:
    """References and names stay as they were written: 0812 and 1e3 are no numbers."""
    return str(tabulate(rows, heads, tablefmt="simple", disable_numparse=True))


def is_overdue(request: Request, today: date) -> bool:
    """Whether it is pending and past its due date."""
    return request.state == "pending" and date.fromisoformat(request.due) < today


def standing(run: Run, requests: Sequence[Request], today: date) -> list[str]:
    """Which model is served, what it lost since the first one, and what is to be done."""
    lines = [f"served: run {run.number}, since {run.at}"]
    if "drift" in run.record:
        lines += drift(run.record["drift"])
    pending = [found for found in requests if found.state == "pending"]
    late = [found for found in pending if is_overdue(found, today)]
    lines.append(f"pending: {len(pending)}" + (f", {len(late)} overdue (!)" if late else ""))
    return lines


def drift(found: Mapping[str, Any]) -> list[str]:
    """Accuracy since the first model."""
    lines = [
        f"{name.replace('_', ' ')}: {row['first']:.4f} at first, {row['now']:.4f} now"
        for name, row in found["measures"].items()
        if row["loss"] is not None
    ]
    if found["recommends_retraining"]:
        lines.append(
            "more accuracy was lost since the first model than lotus.yaml allows: retrain, with "
            "lotus request run --retrain"
        )
    return lines


def details(request: Request, history: Sequence[Event], run: Run | None) -> str:
    """Everything about a request."""
    done = "unlearned" if run is None else deed(run.record)
    images = [
        (
            found.asked,
            found.found_by,
            found.image or "",
            (found.content or "")[:16],
            in_words(found.verdict, request.state, done)
            + (f" ({found.note})" if found.note else ""),
        )
        for found in request.images
    ]
    rows = [
        (e.number, e.at, "" if e.run is None else e.run, e.state, e.why, e.hash[:16])
        for e in history
    ]
    parts = [
        f"request {request.id}: {request.state}\n{answer(request, run)}",
        f"reference: {request.reference or 'none given'}\nreceived: {request.received}\n"
        f"due: {request.due}\nsimilar images: {request.near}",
        _table(images, ("asked for", "found by", "image", "hash of pixels", "answer")),
        _table(rows, ("row", "time (UTC)", "run", "state", "why", "hash")),
    ]
    if run is not None:
        parts.append("\n".join(outcome(run)))
    return "\n\n".join(parts)


_STATES = {"served": "served since", "kept": "kept from being served,"}


def outcome(run: Run) -> list[str]:
    """How a run ended: the guard rails, and the hashes of the models."""
    found = run.record
    before = found["started_from"]
    return [
        f"run {run.number}: {_STATES.get(run.state, run.state)} {run.at}, by "
        f"{found['method']['name']}, "
        f"{found['images']['forget']:,} images of all requests so far",
        f"weights before: {before['weights_sha256']} (run {before['run']})",
        f"weights after:  {run.weights}",
        *(_kept(rail["holds"], rail["why"]) for rail in found["guard_rails"]),
        *_audit(found["audit"]),
    ]


def not_done(workspace: str) -> str:
    """What is left for a person to do."""
    return (
        "not done by this program: deleting the files of the images, and models before, which "
        f"still know them ({Path(workspace) / RUNS}/*/{WEIGHTS}, copies, backups)"
    )


def _audit(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    facts = found["facts"]
    said = [_kept(found["passed"], found["why"]), *facts.get("sentences", ())]
    new = facts.get("new_images")
    if new is not None:
        said += [f"new images alone: {line}" for line in new.get("sentences", ())]
    return said


def _kept(holds: bool, why: str) -> str:
    return f"{'ok ' if holds else 'NOT'} {why}"
