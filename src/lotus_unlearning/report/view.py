"""A page as the template wants it: every value already text, every chart already drawn."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lotus_unlearning.report import charts
from lotus_unlearning.report.page import ARROWS, formatted, number, percent
from lotus_unlearning.report.palette import BLUE, Style, ordered, styles

_PNG = b"\x89PNG\r\n\x1a\n"
_TINY = 96


@cache
def environment() -> Environment:
    """Jinja with escaping on, reading the templates beside this file.

    Returns:
        The environment; a name that the view lacks is an error.
    """
    made = Environment(
        loader=PackageLoader("lotus_unlearning", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = _plain_value
    made.tests["nested"] = lambda value: isinstance(value, Mapping)
    made.tests["listed"] = lambda value: isinstance(value, list | tuple)
    return made


def view(page: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the template shows.

    Args:
        page: A page without problems.

    Returns:
        One entry per section, empty where the page has nothing.
    """
    looks = styles(ordered(page["columns"]))
    divergence = page.get("class_divergence") or {}
    method = page.get("method") or {}
    return {
        "title": page["title"],
        "summary": list(page.get("summary") or ()),
        "method": {k: method.get(k) for k in ("name", "settings", "citation")} if method else None,
        "looks": looks,
        "rows": [_row(row, looks) for row in page["table"]],
        "directions": {row["direction"] for row in page["table"]},
        "gaps": any(_gap(row) is not None for row in page["table"]),
        "intervals": any(_interval(row, name) for row in page["table"] for name in looks),
        "history": charts.history(page.get("history") or ()),
        "entropy": charts.entropy(page["entropy"], looks) if page.get("entropy") else [],
        "roc": charts.roc(page.get("roc") or {}, looks),
        "divergence": charts.class_divergence(divergence, looks) if divergence else None,
        "divergence_missing": list(divergence.get("missing") or ()),
        "divergence_hidden": _hidden(divergence),
        "accuracy": _class_accuracy(page.get("class_accuracy") or {}, looks),
        "images": [_image(image, looks) for image in page.get("images") or ()],
        "notes": list(page.get("notes") or ()),
        "manifest": dict(page.get("manifest") or {}),
    }


def _row(row: Mapping[str, Any], looks: Mapping[str, Style]) -> dict[str, Any]:
    gap = _gap(row)
    return {
        "label": row["label"],
        "direction": row["direction"],
        "arrow": ARROWS[row["direction"]],
        "unit": "nats" if row["unit"] == "nats" else "",
        "definition": row.get("definition") or "",
        "gap": None if gap is None else _gap_text(gap, row["unit"]),
        "cells": [
            {
                "column": name,
                "text": formatted(row["values"][name], row["unit"]),
                "interval": _interval_text(row, name),
            }
            for name in looks
        ],
        "marks": _marks(row, looks),
    }


def _gap(row: Mapping[str, Any]) -> float | None:
    unlearned, gold = row["values"].get("unlearned"), row["values"].get("gold")
    if row["direction"] != "near gold" or unlearned is None or gold is None:
        return None
    return float(abs(unlearned - gold))


def _gap_text(gap: float, unit: str) -> str:
    return formatted(gap, unit).replace("%", "points") if unit == "share" else formatted(gap, unit)


def _interval(row: Mapping[str, Any], name: str) -> Sequence[float] | None:
    found: Sequence[float] | None = (row.get("intervals") or {}).get(name)
    return found


def _interval_text(row: Mapping[str, Any], name: str) -> str:
    pair = _interval(row, name)
    if pair is None:
        return ""
    low, high = (formatted(value, row["unit"]) for value in pair)
    unit = low.rpartition(" ")[2]
    if " " in low and high.endswith(" " + unit):
        low = low.rpartition(" ")[0]
    return f"{low} to {high}"


def _marks(row: Mapping[str, Any], looks: Mapping[str, Style]) -> list[dict[str, Any]]:
    """Where each value lies between zero (or the smallest) and one for shares, else the largest."""
    known = {name: row["values"][name] for name in looks if row["values"][name] is not None}
    spans = {name: _interval(row, name) or (value, value) for name, value in known.items()}
    ends = [*known.values(), *(end for span in spans.values() for end in span)]
    low, high = min([0.0, *ends]), max([1.0 if row["unit"] == "share" else 0.0, *ends])
    if high <= low or high - low == float("inf"):
        return []

    def place(value: float) -> float:
        share: float = (value - low) / (high - low)
        return round(100 * share, 2)

    return [
        {
            "colour": looks[name].colour,
            "gold": name == "gold",
            "at": place(value),
            "start": place(spans[name][0]),
            "width": round(place(spans[name][1]) - place(spans[name][0]), 2),
        }
        for name, value in known.items()
        if value == value
    ]


def _hidden(section: Mapping[str, Any]) -> int:
    rows = list((section.get("values") or {}).values())
    shown = sum(any(value is not None for value in values) for values in zip(*rows, strict=True))
    return max(0, shown - charts.LARGEST)


def _class_accuracy(section: Mapping[str, Any], looks: Mapping[str, Style]) -> dict[str, Any]:
    values = section.get("values") or {}
    heads = [(column, split) for column in looks for split in values.get(column, {})]
    if not heads or not section.get("classes"):
        return {}
    rows = []
    for index, name in enumerate(section["classes"]):
        numbers = [values[column][split][index] for column, split in heads]
        rows.append((name, [(percent(value), _shade(value)) for value in numbers]))
    groups = [(column, len(values[column])) for column in looks if values.get(column)]
    return {"groups": groups, "splits": [split for _, split in heads], "rows": rows}


def _shade(value: float | None) -> str:
    red, green, blue = (int(BLUE[i : i + 2], 16) for i in (1, 3, 5))
    depth = 0.0 if value is None else round(0.42 * min(1.0, max(0.0, value)), 3)
    return f"rgba({red},{green},{blue},{depth})"


def _image(image: Mapping[str, Any], looks: Mapping[str, Style]) -> dict[str, Any]:
    names = {"before": "original", "after": "unlearned", "gold": "gold"}
    columns = list(looks)
    spare = dict(zip(("before", "after"), columns, strict=False)) if len(columns) > 1 else {}
    beliefs = []
    for when, usual in names.items():
        belief = image.get(when)
        if belief:
            column = usual if usual in looks else spare.get(when, usual)
            look = looks[column] if column in looks else styles([usual])[usual]
            share = belief.get("probability")
            width = round(100 * min(1.0, max(0.0, share or 0.0)), 1)
            beliefs.append((when, belief.get("class"), percent(share), width, look.colour))
    png, tiny = checked_png(image.get("png"))
    shown = {"id": image.get("id"), "label": image.get("label"), "beliefs": beliefs}
    return {**shown, "png": png, "tiny": tiny}


def checked_png(text: str | None) -> tuple[str, bool]:
    """The image again if it is a PNG, and whether it is so small that it should show its pixels."""
    try:
        data = base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data.startswith(_PNG) or len(data) < 24:
        return "", False
    return base64.b64encode(data).decode(), int.from_bytes(data[16:20], "big") <= _TINY


def _plain_value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) and value % 1 != 0 else str(value)
