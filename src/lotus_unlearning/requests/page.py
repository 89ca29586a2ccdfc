"""The record as a page in the look of the report: one HTML file, to be read and printed."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import ChoiceLoader, PackageLoader

from lotus_unlearning.report.figures import written
from lotus_unlearning.report.page import ARROWS, formatted
from lotus_unlearning.report.view import environment
from lotus_unlearning.requests.answers import deed, headline, in_words

_SHORT = 16


def render(record: Mapping[str, Any], fingerprint: str) -> str:
    """HTML that loads nothing from anywhere.

    Args:
        record: The record that :func:`lotus_unlearning.requests.record.record` gave.
        fingerprint: The fingerprint of the key that signs the folder.
    """
    both = [PackageLoader("lotus_unlearning", f) for f in ("requests", "report")]
    pages = environment().overlay(loader=ChoiceLoader(both))
    return pages.get_template("record.html").render(view(record, fingerprint))


def view(record: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    """What the template shows, as text."""
    request, run, evidence = record["request"], record["run"], record["evidence"]
    state, done = request["state"], "" if run is None else deed(run)
    return {
        "title": headline(request["id"], state, done, record["audit"]),
        "summary": [record["answer"]],
        "request": _request(record),
        "images": [_image(image, state, done) for image in record["images"]],
        "run": {} if run is None else _run(run),
        "method": {} if run is None else run["method"],
        "own": [] if evidence is None else _own(evidence["of_this_request"], record["since_then"]),
        "own_measured": "" if evidence is None else evidence["of_this_request_measured"],
        "rows": [] if evidence is None else [_row(r) for r in evidence["of_all_forgotten_images"]],
        "rails": [] if evidence is None else evidence["guard_rails"],
        "drift": {} if evidence is None else _drift(evidence["drift"]),
        "notes": [] if evidence is None else evidence["notes"],
        "kept": record["kept_from_being_served"],
        "audit": {} if record["audit"] is None else _audit(record["audit"]),
        "limits": record["limits"],
        "not_covered": [*record["not_covered"], *_earlier(record["earlier_models_kept"])],
        "history": record["history"],
        "issued": {
            **record["issued"],
            "rows of the ledger": record["ledger"]["rows"],
            "hash of its last row": record["ledger"]["last_hash"],
            "fingerprint of the key": fingerprint,
        },
    }


_SHOWN_APART = ("sentences", "statistics", "ladder", "self_test", "notes", "new_images")


def _audit(audit: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict, what it rests on, and how far it can be trusted."""
    facts = audit["facts"]
    self_test = dict(facts.get("self_test") or {})
    ladder = facts.get("ladder", ())
    return {
        "passed": audit["passed"],
        "why": audit["why"],
        "sentences": facts.get("sentences", ()),
        "rows": [_statistic(row) for row in facts.get("statistics", ())],
        "ladder": [_rung(row) for row in ladder if not row.get("detail")],
        "details": sum(bool(row.get("detail")) for row in ladder),
        "trust": self_test.pop("sentences", ()),
        "tested": self_test,
        "notes": facts.get("notes", ()),
        "how": {
            **{k.replace("_", " "): v for k, v in facts.items() if k not in _SHOWN_APART},
            **_new_images(facts.get("new_images")),
            "SHA-256 of the run's audit.json": audit.get("audit_json_sha256") or "none written",
        },
    }


def _new_images(facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was found on the new images alone; all of it is in ``record.json``."""
    if facts is None:
        return {}
    outcome = facts.get("outcome", "see record.json")
    return {f"the {facts['images']:,} new images alone": outcome}


def _rung(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the ladder, each value with its interval."""
    shown: dict[str, Any] = {"label": f"{row['label']} {ARROWS[row['direction']]}"}
    for key in ("level", "note"):
        shown[key] = row[key]
    for column in ("original", "unlearned", "gold"):
        shown[column] = formatted(row["values"].get(column), row["unit"])
        shown[f"{column}_interval"] = _ends(row["intervals"].get(column), row["unit"])
    return shown


def _ends(ends: Sequence[float] | None, unit: str) -> str:
    return " to ".join(formatted(end, unit) for end in ends) if ends else ""


def _statistic(row: Mapping[str, Any]) -> dict[str, str]:
    keys = ("before", "value", "gold", "found_below", "found_above")
    shown = {key: formatted(row[key], row["unit"]) for key in keys}
    below, above = shown["found_below"], shown["found_above"]
    seen = [f"below {below}"] if row["found_below"] is not None else []
    seen += [f"above {above}"] if row["found_above"] is not None else []
    effect = row["effect"]
    return {
        "label": row["label"],
        **shown,
        "expected": _ends(row.get("expected"), row["unit"]),
        "effect": "–" if effect is None else f"{written(effect, 'sd')} sd",
        "found": " or ".join(seen) or "–",
        "differs": "yes" if row["distinguishable"] else "no",
    }


def _earlier(kept: Sequence[int]) -> list[str]:
    if not kept:
        return []
    which = ", ".join(str(number) for number in kept)
    return [f"Models before the one that is served are still in the workspace: of run {which}."]


def _request(record: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(record["request"])
    named = {"id": "request", "reference": "reference of the subject"}
    shown = {named.get(str(key), str(key)): value or "none given" for key, value in found.items()}
    if not found["why"]:
        del shown["why"]
    served = "" if record["run"] is None else str(record["run"]["served_since"])[:10]
    if found["state"] == "served" and served > str(found["due"]):
        shown["due"] = f"{found['due']}; served later, on {served}"
    more = {"similar images": record["similar_images"], "hash of pixels": record["hash_of_images"]}
    return {**shown, **more}


def _image(image: Mapping[str, Any], state: str, done: str) -> dict[str, str]:
    by = image["found_by"]
    if image["distance"] is not None:
        by += f", {image['distance']} of 64 bits apart"
    return {
        "asked": image["asked"],
        "found_by": by,
        "image": image["image"] or "–",
        "content": (image["content"] or "–")[:_SHORT],
        "verdict": in_words(image["verdict"], state, done)
        + (f": {image['note']}" if image["note"] else ""),
    }


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("_", " "): value for key, value in run.items() if key != "method"}


def _row(row: Mapping[str, Any]) -> dict[str, str]:
    shown = {"label": f"{row['label']} {ARROWS[row['direction']]}", "definition": row["definition"]}
    for column in ("before", "after"):
        shown[column] = formatted(row["values"].get(column), row["unit"])
        shown[f"{column}_interval"] = _ends(row["intervals"].get(column), row["unit"])
    return shown


def _own(own: Mapping[str, Any] | None, since: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """One row per model: before, after, and the one that is served now."""
    rows = []
    if own is not None:
        rows = [(name, own[name]) for name in ("before", "after") if name in own]
    if since is not None and since["of_this_request"] is not None:
        rows.append((f"served now (run {since['run']})", since["of_this_request"]["after"]))
    return [
        {
            "model": name,
            "accuracy": formatted(found["accuracy"], "share"),
            "interval": " to ".join(formatted(e, "share") for e in found["accuracy_interval"]),
            "loss": formatted(found["loss"], "nats"),
        }
        for name, found in rows
    ]


def _drift(drift: Mapping[str, Any]) -> dict[str, str]:
    shown = {}
    for name, row in drift["measures"].items():
        first, now = (formatted(row[key], "share") for key in ("first", "now"))
        limit = formatted(row["limit"], "share")
        shown[name.replace("_", " ")] = f"first model {first}, now {now}; may lose {limit}"
    advice = "retraining is recommended" if drift["recommends_retraining"] else "within limits"
    return {**shown, "advice": advice}
