"""An audit as plain data becomes one HTML file.

``title``, ``level``, ``columns``, ``verdict`` and ``ladder`` must be there; every other section may
be absent or empty, and then leaves no trace.

=========== ======================================================================================
title       str
summary     plain sentences
level       the highest rung of the ladder, 0 to 3
band        the chance with which one more gold is expected within gold's interval
columns     names of the models side by side, of ``original``, ``unlearned``, ``gold``
verdict     {outcome, sentences, golds, golds_needed, smallest_effect, level, power, findings}
statistics  rows {name, label, unit, value, gold, effect, corrected, distinguishable, found_below,
            found_above, golds: [effects], original: {value, effect, distinguishable} | None, reach}
self_test   {held_out: {golds, passed, share, low, high, expected, ok} | None, original: verdict |
            None, put_back: [{images, models, caught}], caught_from, sentences}
ladder      rows {measure, label, level, direction, unit, definition, models, perfect, values:
            {column: float | None}, intervals: {column: [low, high]}, golds: [..], note, detail:
            another row stands for it}
per_image   {ids, labels, original: [margins] | None, unlearned, gold, low, high, outside, band}
worst       rows {id, label, png (base64), z, beliefs: {column: probability}, gold: [low, high]}
roc         {score: {others: who raises false alarms, fpr, models: {column: {tpr, auc, low, high}},
            gold: {low, mean, high} | None}}
u_lira      {models, unlearned: [shares of right guesses], gold, edges, shares: [..],
            band: {low, mean, high}} | None
entropy     {edges, forget: {column: [..]}, unseen: {column: [..]}, gold: {low, mean, high} | None}
relearning  curves {name, words, steps, aim: accuracy to be reached | None, learning_rate, golds:
            [{accuracy, loss}], unlearned, original}
notes       caveats
manifest    nested mapping: hashes, ids, versions, seeds
=========== ======================================================================================
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lotus_unlearning.report.problems import DIRECTIONS, UNITS
from lotus_unlearning.wording import did_you_mean

OUTCOMES = (
    "indistinguishable from retraining at the tested power",
    "distinguishable",
    "not enough gold models to say",
)
COLUMNS = ("original", "unlearned", "gold")
KEYS = (
    "title", "summary", "level", "band", "columns", "verdict", "statistics", "self_test", "ladder",
    "per_image", "worst", "u_lira", "roc", "entropy", "relearning", "notes", "manifest",
)  # fmt: skip


def render_audit(page: Mapping[str, Any]) -> str:
    """The page as one HTML document that loads nothing from anywhere.

    Args:
        page: Plain data, see the top of this module.

    Returns:
        HTML with style, charts and images inside. Equal pages give equal text. Every figure is a
        ``<data>`` element that names its place in ``page``.

    Raises:
        ValueError: The page is incomplete or inconsistent; all problems at once.

    >>> verdict = {"outcome": "distinguishable", "sentences": ["By much."], "findings": []}
    >>> row = {"measure": "a", "label": "AUC", "level": 0, "direction": "near gold", "unit": ""}
    >>> row |= {"values": {"unlearned": 0.625}, "models": "none", "perfect": "gold's"}
    >>> page = {"title": "Audit", "level": 0, "columns": ["unlearned"], "verdict": verdict}
    >>> html = render_audit({**page, "ladder": [row]})
    >>> '<data value="0.625" data-at="ladder/0/values/unlearned">0.625</data>' in html
    True
    """
    from lotus_unlearning.report.audit_view import view
    from lotus_unlearning.report.view import environment

    found = list(_problems(page))
    if found:
        raise ValueError("This page cannot be rendered: " + "; ".join(found) + ".")
    return environment().get_template("audit.html").render(view(page))


def _problems(page: Mapping[str, Any]) -> Iterator[str]:
    for key in page:
        if key not in KEYS:
            yield f'"{key}" is no section of an audit{did_you_mean(str(key), KEYS)}'
    if not (isinstance(page.get("title"), str) and page["title"].strip()):
        yield '"title" must be a text'
    if page.get("level") not in (0, 1, 2, 3):
        yield f'"level" must be 0, 1, 2 or 3, got {page.get("level")!r}'
    columns = page.get("columns") or ()
    if "unlearned" not in columns or not set(columns) <= set(COLUMNS):
        yield f'"columns" must be "unlearned" and others of {list(COLUMNS)}, got {columns!r}'
    verdict = page.get("verdict")
    if not isinstance(verdict, Mapping) or verdict.get("outcome") not in OUTCOMES:
        yield f'"verdict" must have an outcome of {list(OUTCOMES)}'
    rows = page.get("ladder")
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        yield '"ladder" must be a list with at least one row'
        return
    for index, row in enumerate(rows):
        yield from (f"ladder row {index}: {problem}" for problem in _row(row))


def _row(row: Mapping[str, Any]) -> Iterator[str]:
    for key in ("measure", "label", "models", "perfect"):
        if not isinstance(row.get(key), str):
            yield f'"{key}" must be a text'
    for key, known in (("direction", DIRECTIONS), ("unit", UNITS), ("level", (0, 1, 2, 3))):
        if row.get(key) not in known:
            yield f'"{key}" must be one of {list(known)}, got {row.get(key)!r}'
    values = row.get("values")
    if not isinstance(values, Mapping) or "unlearned" not in values:
        yield '"values" must map columns to numbers, "unlearned" among them'
