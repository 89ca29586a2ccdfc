"""An audit as the template wants it: every figure with its place, every chart drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from lotus_unlearning.report import audit_charts, audit_curves
from lotus_unlearning.report.audit_charts import LOOKS
from lotus_unlearning.report.figures import Figure, figures
from lotus_unlearning.report.page import ARROWS
from lotus_unlearning.report.view import checked_png

Plain = Mapping[str, Any]
_KINDS = {
    "distinguishable": "found",
    "indistinguishable from retraining at the tested power": "none",
    "not enough gold models to say": "open",
}
_LEVELS = (
    ("Level 0", "scores of single images; needs no other model"),
    ("Level 1", "against a few gold models"),
    ("Level 2", "likelihood ratios; a bank of models, or several unlearned ones"),
    ("Level 3", "probes: trained on, or read by a linear model"),
)


def view(page: Plain) -> dict[str, Any]:
    """Everything the template shows.

    Args:
        page: A page without problems.

    Returns:
        One entry per section, empty where the page has nothing.
    """
    figure = figures(page)
    columns = [name for name in LOOKS if name in page["columns"]]
    per_image, rows = page.get("per_image"), page["ladder"]
    return {
        "title": page["title"],
        "summary": list(page.get("summary") or ()),
        "figure": figure,
        "looks": {name: LOOKS[name] for name in columns},
        "outcome": page["verdict"]["outcome"],
        "kind": _KINDS[page["verdict"]["outcome"]],
        "sentences": list(page["verdict"].get("sentences") or ()),
        "statistics": [
            _statistic(i, row, figure) for i, row in enumerate(page.get("statistics") or ())
        ],
        "strip": audit_charts.statistics(page.get("statistics") or ()),
        "self_test": _self_test(page.get("self_test"), figure),
        "scatter": audit_charts.images(per_image) if per_image else None,
        "outside": sum(per_image["outside"]) if per_image else 0,
        "images": len(per_image["ids"]) if per_image else 0,
        "worst": [
            _image(i, image, columns, figure) for i, image in enumerate(page.get("worst") or ())
        ],
        "told": audit_curves.told(page["u_lira"]) if page.get("u_lira") else None,
        "roc": audit_curves.roc(page.get("roc") or {}, figure),
        "entropy": audit_curves.entropy(page["entropy"]) if page.get("entropy") else [],
        "relearning": audit_curves.relearning(page.get("relearning") or ()),
        "ladder": _ladder(rows, columns, figure),
        "notes": list(page.get("notes") or ()),
        "manifest": dict(page.get("manifest") or {}),
        "glossary": [
            {"arrow": ARROWS[r["direction"]], "label": r["label"], "definition": r["definition"]}
            for r in rows
            if r.get("definition") and not r.get("detail")
        ],
    }


def _statistic(index: int, row: Plain, figure: Figure) -> dict[str, Any]:
    base, unit = f"statistics/{index}", row["unit"]
    return {
        "label": row["label"],
        "found": row["distinguishable"],
        "value": figure(f"{base}/value", unit),
        "original": figure(f"{base}/original/value", unit),
        "gold": figure(f"{base}/gold", unit),
        "effect": figure(f"{base}/effect", "sd"),
        "p": figure(f"{base}/corrected", "p"),
        "below": figure(f"{base}/found_below", unit),
        "above": figure(f"{base}/found_above", unit),
    }


def _self_test(found: Plain | None, figure: Figure) -> dict[str, Any] | None:
    if found is None:
        return None
    held_out, original = found.get("held_out"), found.get("original")
    base = "self_test/held_out"
    return {
        "sentences": found["sentences"],
        "held_out": None
        if held_out is None
        else {
            "passed": figure(f"{base}/passed"),
            "golds": figure(f"{base}/golds"),
            "ok": held_out["ok"],
        },
        "original": None if original is None else original["outcome"],
        "forgotten_before": figure("self_test/forgotten_before")
        if found.get("forgotten_before")
        else None,
        "put_back": [
            {
                "images": figure(f"self_test/put_back/{i}/images"),
                "caught": figure(f"self_test/put_back/{i}/caught"),
                "models": figure(f"self_test/put_back/{i}/models"),
                "share": row["caught"] / row["models"] if row["models"] else 0.0,
            }
            for i, row in enumerate(found.get("put_back") or ())
        ],
    }


def _image(index: int, image: Plain, columns: Sequence[str], figure: Figure) -> dict[str, Any]:
    png, tiny = checked_png(image.get("png"))
    base = f"worst/{index}"
    low, high = (100 * min(1.0, max(0.0, end)) for end in image["gold"])
    return {
        "id": image["id"],
        "label": image["label"],
        "png": png,
        "tiny": tiny,
        "z": figure(f"{base}/z", "sd"),
        "side": "" if image["z"] is None else "surer" if image["z"] > 0 else "less sure",
        "span": (round(low, 2), round(max(high - low, 0.5), 2)),
        "range": (figure(f"{base}/gold/0", "belief"), figure(f"{base}/gold/1", "belief")),
        "beliefs": [
            (
                name,
                figure(f"{base}/beliefs/{name}", "belief"),
                round(100 * image["beliefs"][name], 2),
                LOOKS[name].colour,
            )
            for name in columns
            if name in image["beliefs"]
        ],
    }


def _ladder(rows: Sequence[Plain], columns: Sequence[str], figure: Figure) -> list[dict[str, Any]]:
    """Rows by level, details apart."""
    found = []
    for level, (name, about) in enumerate(_LEVELS):
        mine: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for index, row in enumerate(rows):
            if row["level"] == level:
                mine[bool(row.get("detail"))].append(_row(index, row, columns, figure))
        if any(mine.values()):
            found.append({"name": name, "about": about, "rows": mine[False], "details": mine[True]})
    return found


def _row(index: int, row: Plain, columns: Sequence[str], figure: Figure) -> dict[str, Any]:
    base, unit = f"ladder/{index}", row["unit"]
    gold = (row.get("intervals") or {}).get("gold")
    value = row["values"]["unlearned"]
    outside = gold is not None and value is not None and not gold[0] <= value <= gold[1]
    return {
        "label": row["label"],
        "arrow": ARROWS[row["direction"]],
        "direction": row["direction"],
        "unit": "nats" if unit == "nats" else "",
        "definition": row.get("definition") or "",
        "models": row["models"],
        "perfect": row["perfect"],
        "note": row.get("note") or "",
        "outside": outside,
        "marks": _marks(row),
        "cells": [
            {
                "column": name,
                "text": figure(f"{base}/values/{name}", unit),
                "interval": _interval(row, base, name, figure),
            }
            for name in columns
        ],
    }


def _interval(row: Plain, base: str, name: str, figure: Figure) -> Markup:
    if not (row.get("intervals") or {}).get(name):
        return Markup("")
    ends = (figure(f"{base}/intervals/{name}/{i}", row["unit"]) for i in (0, 1))
    return Markup("{} to {}").format(*ends)


def _marks(row: Plain) -> list[dict[str, Any]]:
    """Where models and the golds' interval lie on a scale of their own."""
    known = {n: v for n, v in row["values"].items() if v is not None}
    gold = (row.get("intervals") or {}).get("gold")
    ends = [*known.values(), *(gold or ())]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    if high <= low:
        return []

    def place(value: float) -> float:
        return round(4 + 92 * (value - low) / (high - low), 2)

    marks: list[dict[str, Any]] = []
    if gold:
        width = round(place(gold[1]) - place(gold[0]), 2)
        look = {"kind": "span", "at": place(gold[0]), "width": width}
        marks.append({**look, "colour": LOOKS["gold"].colour})
    for name, value in known.items():
        kind = "tick" if name == "gold" else "mark"
        marks.append({"kind": kind, "at": place(value), "colour": LOOKS[name].colour})
    return marks
