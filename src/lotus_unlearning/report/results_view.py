"""A page of results as the template wants it: every chart already drawn."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lotus_unlearning.report.chart import Chart, Key
from lotus_unlearning.report.entropies import entropies
from lotus_unlearning.report.entropies import keys as keys_of_entropies
from lotus_unlearning.report.epochs import epochs
from lotus_unlearning.report.epochs import keys as keys_of_epochs
from lotus_unlearning.report.intervals import intervals, is_shown
from lotus_unlearning.report.page import ARROWS
from lotus_unlearning.report.palette import REFERENCE_SYMBOLS, Style, Symbol, styles, symbols
from lotus_unlearning.report.scatters import scatter


def view(page: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the template shows.

    Args:
        page: A page without problems.

    Returns:
        One entry per part, empty where the page has nothing.
    """
    looks = symbols(_settings(page["sections"]))
    sections = [_section(f"s{i}", s, looks) for i, s in enumerate(page["sections"])]
    kinds = {row["kind"] for s in page["sections"] for row in s["table"].get("rows") or ()}
    heads = [head for s in page["sections"] for head in s["table"]["heads"]]
    cells = [
        c for s in page["sections"] for row in s["table"].get("rows") or () for c in row["cells"]
    ]
    directions = {head.get("good") for head in heads} - {None, ""}
    return {
        "title": page["title"],
        "summary": list(page.get("summary") or ()),
        "sections": sections,
        "models": [kind for kind in ("original", "gold") if kind in kinds],
        "conventions": bool(directions or kinds - {"method"}),
        "directions": directions,
        "printed": any(head.get("printed") for head in heads),
        "marks": {cell.get("mark") for cell in cells},
        "spread": any(cell.get("spread") for cell in cells),
        "glossary": [
            {**row, "arrow": ARROWS[row.get("good", "")]} for row in page.get("glossary") or ()
        ],
        "run": dict(page.get("run") or {}),
    }


def _settings(sections: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where settings come from, single ones first: symbols are the same on the whole page."""
    found = []
    for section in sections:
        rows = [*(section["table"].get("rows") or ())]
        rows += [row for chart in section.get("intervals") or () for row in chart["rows"]]
        rows += [point for chart in section.get("scatters") or () for point in chart["points"]]
        found += [row.get("settings", "") for row in rows if row["kind"] == "method"]
    single = list(dict.fromkeys(part for name in found for part in name.split(", ")))
    places = {name: [single.index(part) for part in name.split(", ")] for name in found}
    return sorted(places, key=lambda name: (len(places[name]), places[name]))


def _section(name: str, section: Mapping[str, Any], looks: Mapping[str, Symbol]) -> dict[str, Any]:
    return {
        "anchor": name,
        "name": section["name"],
        "title": section["title"],
        "table": _table(section["table"]),
        "notes": list(section.get("notes") or ()),
        "charts": [found for found in _charts(name, section, looks) if found[2]],
    }


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    bare = {"good": "", "printed": False, "words": False}
    heads = [{**bare, **head, "arrow": ARROWS[head.get("good", "")]} for head in table["heads"]]
    rows, before = [], None
    for row in table.get("rows") or ():
        group = (row["kind"], row["label"])
        cells = [{"spread": "", "mark": "", **cell} for cell in row["cells"]]
        apart = row["kind"] != "method"
        rows.append(
            {
                "label": row["label"],
                "settings": row.get("settings", ""),
                "pairs": list(zip(heads, cells, strict=True)),
                "again": group == before,
                "apart": apart,
                "dot": REFERENCE_SYMBOLS[row["kind"]].colour if apart else "",
            }
        )
        before = group
    return {"first": table.get("first", ""), "heads": heads, "rows": rows}


Group = tuple[str, list[Key], list[Chart]]
"""What it is, the legend of all charts, the charts."""


def _charts(name: str, section: Mapping[str, Any], looks: Mapping[str, Symbol]) -> Iterator[Group]:
    dots = section.get("intervals") or ()
    drawn = [intervals(f"{name}-i{i}", chart, looks) for i, chart in enumerate(dots)]
    yield "intervals", _keys(dots, looks), [chart for chart in drawn if chart is not None]
    clouds = section.get("scatters") or ()
    size = (350, 290) if len(clouds) > 1 else (400, 310)
    found = [scatter(f"{name}-s{i}", chart, looks, size) for i, chart in enumerate(clouds)]
    kind = "agreement" if any(chart.get("fit") for chart in clouds) else "tradeoff"
    yield kind, _symbols(clouds, looks), [chart for chart in found if chart is not None]
    variants = section.get("epochs") or ()
    yield "epochs", keys_of_epochs(variants), epochs(f"{name}-e", variants)
    panels = section.get("entropies") or ()
    yield "entropies", keys_of_entropies(panels), entropies(f"{name}-h", panels)


def _keys(charts: Sequence[Mapping[str, Any]], looks: Mapping[str, Symbol]) -> list[Key]:
    """One legend for all charts of a section."""
    rows = [row for chart in charts for row in chart["rows"] if is_shown(row)]
    kinds, lines = {row["kind"] for row in rows}, styles(["gold", "original"])
    found = _known(rows, looks)
    if "gold" in kinds:
        found.append(Key("gold, with its interval", lines["gold"], filled=True))
    if "original" in kinds:
        found.append(Key("original", lines["original"]))
    return found


def _symbols(clouds: Sequence[Mapping[str, Any]], looks: Mapping[str, Symbol]) -> list[Key]:
    return _known([point for cloud in clouds for point in cloud["points"]], looks)


def _known(rows: Sequence[Mapping[str, Any]], looks: Mapping[str, Symbol]) -> list[Key]:
    used = {row["settings"] for row in rows if row["kind"] == "method"}
    shown = {name: look for name, look in looks.items() if name in used}
    return [Key(n or "methods", Style(look.colour), symbol=look) for n, look in shown.items()]
