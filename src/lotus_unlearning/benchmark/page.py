"""The page of a grid's results, as plain data for the report: what was run, tables, charts."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lotus_unlearning import metrics
from lotus_unlearning.benchmark import facts
from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.correlations import in_words
from lotus_unlearning.benchmark.grid import Grid
from lotus_unlearning.benchmark.layout import Entry, Table, scenario_words
from lotus_unlearning.benchmark.summary import Line, Part, Values, estimate
from lotus_unlearning.benchmark.tables import title

CHARTED = 6
"""At most so many measures have a chart."""
LOGGED = ("epoch", "tau", "forget_accuracy", "unseen_accuracy", "target_accuracy")
Plain = dict[str, Any]


def page(grid: Grid, parts: Sequence[Part], tables: Sequence[Table]) -> Plain:
    """All that :func:`lotus_unlearning.report.render_results` needs.

    Args:
        grid: The grid that was run.
        parts: The sections of the grid, measured.
        tables: The tables that :func:`~lotus_unlearning.benchmark.tables.tables` made of them;
            columns may have been left out.
    """
    done = [part for part in parts if part.draws[0]]
    if grid.shows == "correlation":
        sections = [_correlations(grid, done, table) for table in tables if table.rows]
    else:
        sections = [_section(part, table) for part, table in zip(done, tables, strict=True)]
    return {
        "title": grid.title,
        "summary": list(facts.summary(grid, done)),
        "sections": sections,
        "glossary": list(_glossary(grid, done, tables)),
        "run": facts.run(grid, done),
    }


def _section(part: Part, table: Table) -> Plain:
    shows = part.section.grid.shows
    known = [line for line in part.lines if line.is_known]
    kinds = [line.name if not line.is_method else "method" for line in known]
    return {
        "name": _short(part),
        "title": title(part).removeprefix(f"{part.section.grid.title}: "),
        "table": _table(table, kinds),
        "notes": list(table.notes),
        "intervals": list(_intervals(part)) if shows == "methods" else [],
        "scatters": list(_tradeoff(part)) if shows == "methods" else [],
        "epochs": list(_epochs(part)) if shows == "epochs" else [],
        "entropies": list(_entropies(part)) if shows == "entropies" else [],
    }


def _correlations(grid: Grid, parts: Sequence[Part], table: Table) -> Plain:
    return {
        "name": "Correlations",
        "title": "Correlations over methods",
        "table": _table(table, ["method"] * len(table.rows)),
        "notes": list(table.notes),
        "scatters": [
            found
            for part in parts
            for settings in grid.settings
            for found in _agreement(part, settings)
        ],
    }


def _short(part: Part) -> str:
    """A section in the navigation."""
    section = part.section
    if len(section.grid.scenarios) == 1:
        return section.name
    return f"{section.name}, {scenario_words(section)}"


def _table(table: Table, kinds: Sequence[str]) -> Plain:
    """The first column and the settings become the head of a row."""
    at = table.heads.index("Settings") if "Settings" in table.heads else None
    kept = [i for i in range(1, len(table.heads)) if i != at]
    heads = []
    for i in kept:
        measure = table.measures[i] if table.measures else None
        texts = [row[i].text for row in table.rows]
        heads.append(
            {
                "label": _typeset(table.heads[i]),
                "good": COLUMNS[measure].good if measure else "",
                "printed": table.heads[i].startswith("printed"),
                "words": not any(text.lstrip("-")[:1].isdigit() for text in texts),
            }
        )
    rows = [
        {
            "kind": kind,
            "label": row[0].text,
            "settings": "" if at is None else row[at].text,
            "cells": [_cell(row[i]) for i in kept],
        }
        for kind, row in zip(kinds, table.rows, strict=True)
    ]
    return {"first": table.heads[0], "heads": heads, "rows": rows}


def _cell(entry: Entry) -> Plain:
    text, _, spread = _typeset(entry.text).partition(" ± ")
    return {"text": text, "spread": f"± {spread}" if spread else "", "mark": entry.mark}


def _typeset(text: str) -> str:
    """A real minus sign and powers of ten.

    >>> _typeset("-0.5 [-1.0, 1e-3]"), _typeset("JSD x1e4, as published")
    ('−0.5 [−1.0, 1e-3]', 'JSD ×10⁴, as published')
    """
    text = re.sub(r"(?<![\w.])-(?=\d)", "−", text)
    return re.sub(r"\bx1e([34])\b", lambda m: "×10" + {"3": "³", "4": "⁴"}[m[1]], text)


def _intervals(part: Part) -> Iterator[Plain]:
    """The first chosen measures of which there is a mean for some method."""
    methods = [line for line in part.lines if line.is_method]
    chosen = [
        measure
        for measure in part.section.grid.measures
        if not measure.endswith("_as_published") and any(measure in m.values for m in methods)
    ]
    for measure in chosen[:CHARTED]:
        column, (least, most) = COLUMNS[measure], _range(measure)
        yield {
            "label": _typeset(column.label),
            "good": column.good,
            "least": least,
            "most": most,
            "rows": [_interval(line, measure) for line in part.lines if line.is_known],
        }


def _range(measure: str) -> tuple[float | None, float | None]:
    """What values a measure can have, as it is written; ``None``: no end."""
    if measure == "closes":
        return None, None
    if COLUMNS[measure].label.endswith("%"):
        return 0.0, 100.0
    shares = measure.startswith("auc_") or measure in ("average_gap", "entropy_distance")
    return 0.0, 1.0 if shares else None


def _interval(line: Line, measure: str) -> Plain:
    values = line.values.get(measure)
    row = {**_who(line), "failed": bool(line.failed), "value": None, "low": None, "high": None}
    if not values:
        return row
    found, scale = estimate(values), COLUMNS[measure].scale
    ends = (found.low, found.high) if math.isfinite(found.low) else (None, None)
    if line.name == "gold" and measure == "closes":  # its mean is about 1 whatever the golds are
        ends = line.spread[measure]
    numbers = [None if end is None else scale * end for end in (found.value, *ends)]
    return {**row, "value": numbers[0], "low": numbers[1], "high": numbers[2]}


def _who(line: Line) -> Plain:
    kind = "method" if line.is_method else line.name
    return {"kind": kind, "label": line.label, "settings": ", ".join(line.settings)}


def _tradeoff(part: Part) -> Iterator[Plain]:
    """How well it forgot against what it lost; nothing without a gold model."""
    original = next(line for line in part.lines if line.name == "original")
    gold = next((line for line in part.lines if line.name == "gold"), None)
    if gold is None:
        return
    closable = len(original.values.get("closes", {})) == part.draws[0]
    measure = "closes" if closable else "js_divergence"
    label = "way to gold that was gone, %" if closable else "JSD to gold, ×10³ (less is closer)"
    least, _ = _range(measure)
    for kept in ("test", "retain"):
        known = gold.values.get(f"{kept}_accuracy")
        if known is None:
            continue
        points = []
        for line in part.lines:
            lost = _mean_difference(line.values.get(f"{kept}_accuracy", {}), known)
            if lost is not None and measure in line.values:
                y = COLUMNS[measure].scale * estimate(line.values[measure]).value
                points.append({**_who(line), "x": 100 * lost, "y": y})
        x = {"label": f"{kept} accuracy minus gold's, points", "least": -100.0, "most": 100.0}
        yield {"x": x, "y": {"label": label, "least": least, "most": None}, "points": points}


def _mean_difference(one: Values, other: Values) -> float | None:
    shared = {at: one[at] - other[at] for at in sorted(one.keys() & other.keys())}
    return estimate(shared).value if shared else None


def _agreement(part: Part, settings: str) -> Iterator[Plain]:
    """RF-JSD against JSD of all methods with some settings, as table 7 correlates them."""
    measures = ("js_divergence", "rf_js_divergence")
    lines = [
        line
        for line in part.lines
        if (line.name == "gold" or settings in line.settings)
        and all(measure in line.values for measure in measures)
    ]
    points = []
    for line in lines:
        x, y = (COLUMNS[m].scale * estimate(line.values[m]).value for m in measures)
        points.append(
            {**_who(line), "settings": settings if line.is_method else "", "x": x, "y": y}
        )
    methods = [point for point in points if point["kind"] == "method"]
    if len(methods) < 4 or len(methods) == len(points):
        return
    yield {
        "title": f"{part.section.name}, {scenario_words(part.section)}, {settings}",
        "caption": _caption(methods),
        "x": {"label": "JSD to gold, ×10³", "least": 0.0, "most": None},
        "y": {"label": "RF-JSD, ×10³", "least": 0.0, "most": None},
        "points": points,
        "fit": True,
    }


def _caption(methods: Sequence[Mapping[str, Any]]) -> str:
    x, y = [point["x"] for point in methods], [point["y"] for point in methods]
    if len(set(x)) < 2 or len(set(y)) < 2:
        return "r is not defined: all values are equal"
    return _typeset(f"r = {in_words(metrics.correlation(x, y))}")


def _epochs(part: Part) -> Iterator[Plain]:
    """What methods logged, for those that log their temperature or accuracy."""
    for line in part.lines:
        histories = [record.get("history") or [] for _, record in sorted(line.records.items())]
        runs = [[{k: row[k] for k in LOGGED if k in row} for row in rows] for rows in histories]
        if line.is_method and any(
            "tau" in row or "forget_accuracy" in row for r in runs for row in r
        ):
            yield {"label": line.label, "settings": list(line.settings), "runs": runs}


def _entropies(part: Part) -> Iterator[Plain]:
    """Counts of entropies, added up over seeds, and of gold over all golds."""
    references = next(line for line in part.lines if line.name == "original").records.values()
    golds = [gold for record in references for gold in record.get("golds") or ()]
    for line in part.lines:
        records = golds if line.name == "gold" else list(line.records.values())
        counts = [record["entropies"] for record in records if record.get("entropies")]
        if counts:
            forget, unseen = (
                [sum(values) for values in zip(*(c[split] for c in counts), strict=True)]
                for split in ("forget", "unseen")
            )
            distances = line.values.get("entropy_distance")
            distance = estimate(distances).value if distances else None
            yield {**_who(line), "forget": forget, "unseen": unseen, "distance": distance}


_SETTINGS = {
    "paper": "Settings of the LoTUS paper's tables for this kind of model.",
    "authors": "Settings that the authors of each method name.",
    "tuned": "Settings tuned on this data, every method on equal terms and without a gold model.",
}


def _glossary(grid: Grid, parts: Sequence[Part], tables: Sequence[Table]) -> Iterator[Plain]:
    measures = [m for table in tables for m in table.measures if m is not None]
    shown = ["rf_js_divergence", "js_divergence"] if grid.shows == "correlation" else measures
    for measure in dict.fromkeys(shown):
        column = COLUMNS[measure]
        yield {"label": _typeset(column.label), "good": column.good, "text": _typeset(column.about)}
    used = {name for part in parts for line in part.lines for name in line.settings}
    for name, text in _SETTINGS.items():
        if name in used:
            yield {"label": f"{name} (settings)", "text": text}
