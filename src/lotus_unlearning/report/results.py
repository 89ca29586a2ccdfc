"""The results of a benchmark as plain data become one HTML file.

``title`` and ``sections`` (maybe none) must be there; everything else may be absent or empty, and
then leaves no trace.

=========== ======================================================================================
title       str
summary     plain sentences: what was run
sections    mappings, see below
glossary    rows {label, good, text}
run         nested mapping: seeds, versions, machines, settings of methods
=========== ======================================================================================

A section, that is a block of data and model with a scenario:

=========== ======================================================================================
name        for the navigation
title       heading
table       {heads: [{label, good: "up" | "down" | "near gold" | "", printed: bool, words: bool}],
            rows: [{kind: "method" | "gold" | "original", label, settings, cells: [{text, spread,
            mark: "" | "best" | "as good"}]}], first: heading of the labels}; cells as many as heads
notes       sentences below the table
intervals   charts {label, good, least, most, rows: [{kind, label, settings, value, low, high,
            failed}]}
scatters    charts {title, caption, x: {label, least, most}, y, points: [{kind, label, settings,
            x, y}], fit: bool}
epochs      {label, settings: [names], runs: [[{epoch, tau, forget_accuracy, unseen_accuracy}]]}
entropies   {kind, label, settings, forget: [counts], unseen: [counts], distance}
=========== ======================================================================================
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

KINDS = ("method", "gold", "original")
GOOD = ("up", "down", "near gold", "")
MARKS = ("", "best", "as good")
_KEYS = ("title", "summary", "sections", "glossary", "run")
_SECTION = ("name", "title", "table", "notes", "intervals", "scatters", "epochs", "entropies")


def render_results(page: Mapping[str, Any]) -> str:
    """The page as one HTML document that loads nothing from anywhere.

    Args:
        page: Plain data, see the top of this module.

    Returns:
        HTML with style and charts inside. Equal pages give equal text.

    Raises:
        ValueError: The page is incomplete or inconsistent; all problems at once.

    >>> head = {"label": "Seconds", "good": "down", "printed": False, "words": False}
    >>> row = {"kind": "method", "label": "lotus", "settings": "tuned"}
    >>> row["cells"] = [{"text": "1.5", "spread": "± 0.1", "mark": "best"}]
    >>> table = {"first": "Method", "heads": [head], "rows": [row]}
    >>> section = {"name": "digits", "title": "digits, 10%", "table": table}
    >>> html = render_results({"title": "Table 1", "sections": [section]})
    >>> "± 0.1" in html, "https:" in html
    (True, False)
    """
    from lotus_unlearning.report.results_view import view
    from lotus_unlearning.report.view import environment

    found = list(_problems(page))
    if found:
        raise ValueError("This page cannot be rendered: " + "; ".join(found) + ".")
    return environment().get_template("results.html").render(view(page))


def _problems(page: Mapping[str, Any]) -> Iterator[str]:
    yield from (f'"{key}" is no part of a page' for key in page if key not in _KEYS)
    if not isinstance(page.get("title"), str):
        yield '"title" must be a text'
    sections = page.get("sections")
    if not isinstance(sections, Sequence) or isinstance(sections, str):
        yield '"sections" must be a list'
        return
    for i, section in enumerate(sections):
        where = f'section {i} ("{section.get("name", "no name")}")'
        yield from (f"{where}: {problem}" for problem in _section(section))


def _section(section: Mapping[str, Any]) -> Iterator[str]:
    yield from (f'"{key}" is no part of a section' for key in section if key not in _SECTION)
    for key in ("name", "title"):
        if not isinstance(section.get(key), str):
            yield f'"{key}" must be a text'
    table = section.get("table")
    if not isinstance(table, Mapping) or not isinstance(table.get("heads"), Sequence):
        yield '"table" must have a list of heads'
        return
    yield from _table(table)
    for chart in section.get("intervals") or ():
        yield from _kinds(chart["rows"], f'intervals of "{chart.get("label")}"')
    for chart in section.get("scatters") or ():
        yield from _kinds(chart["points"], "scatter")


def _table(table: Mapping[str, Any]) -> Iterator[str]:
    heads, rows = table["heads"], table.get("rows") or ()
    for head in heads:
        if head.get("good", "") not in GOOD:
            yield f'"good" must be one of {list(GOOD)}, got {head["good"]!r}'
    yield from _kinds(rows, "table")
    for row in rows:
        if len(row["cells"]) != len(heads):
            yield f"{row['label']!r} has {len(row['cells'])} cells for {len(heads)} heads"
        yield from (
            f'"mark" must be one of {list(MARKS)}, got {cell["mark"]!r}'
            for cell in row["cells"]
            if cell.get("mark", "") not in MARKS
        )


def _kinds(rows: Sequence[Mapping[str, Any]], where: str) -> Iterator[str]:
    for row in rows:
        if row.get("kind") not in KINDS:
            yield f'{where}: "kind" must be one of {list(KINDS)}, got {row.get("kind")!r}'
