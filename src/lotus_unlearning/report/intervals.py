"""Dots and intervals: one row for each method and settings, gold as a band behind them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lotus_unlearning.report.chart import Chart, line
from lotus_unlearning.report.page import ARROWS, is_finite, number
from lotus_unlearning.report.palette import Style, Symbol, styles
from lotus_unlearning.report.scale import Bounds, window
from lotus_unlearning.report.svg import INK, MUTED, RULE, drawing, figure, plain, to_svg

WIDTH = 350
_ROW, _GAP = 12.5, 7.5
_REFERENCES = styles(["gold", "original"])

Row = Mapping[str, Any]


def intervals(name: str, section: Mapping[str, Any], looks: Mapping[str, Symbol]) -> Chart | None:
    """A measure of all methods.

    Args:
        name: Prefix of the drawing's identifiers.
        section: ``label``, ``least`` and ``most`` of the axis, and ``rows``: kind, label, settings,
            value, low, high, failed.
        looks: The symbol of each of the settings.

    Returns:
        The chart; ``None`` if no method has a value.
    """
    rows = [row for row in section["rows"] if row["kind"] == "method" and is_shown(row)]
    references = [row for row in section["rows"] if row["kind"] != "method" and _known(row)]
    if not any(_known(row) for row in rows):
        return None
    low, high = _limits(section, rows, references)
    heights, groups = _heights(rows)
    with drawing(name):
        drawn = figure(WIDTH, 40 + heights[-1] + _GAP)
        axes = drawn.subplots()
        for row in references:
            _reference(axes, row)
        for row, y in zip(rows, heights, strict=True):
            _row(axes, row, y, looks[row["settings"]], (low, high))
        _frame(axes, groups, heights, (low, high))
        label = plain(f"{section['label']}: {_said([*references, *rows])}", 1500)
        svg = to_svg(drawn, name, label)
    return Chart(f"{section['label']} {ARROWS[section['good']]}".strip(), svg)


def _limits(
    section: Mapping[str, Any], rows: Sequence[Row], references: Sequence[Row]
) -> tuple[float, float]:
    ends = [row[end] for row in (*rows, *references) for end in ("low", "high")]
    least, most = section.get("least"), section.get("most")
    bounds = Bounds(-math.inf if least is None else least, math.inf if most is None else most)
    return window(
        [row["value"] for row in rows if _known(row)],
        [row["value"] for row in references],
        [end for end in ends if end is not None],
        bounds,
    )


def _heights(rows: Sequence[Row]) -> tuple[list[float], list[tuple[str, float, float]]]:
    """Where each row is, and of each run of rows with one label its first and last place."""
    heights: list[float] = []
    groups: list[tuple[str, float, float]] = []
    for row in rows:
        same = bool(groups) and groups[-1][0] == row["label"]
        y = (heights[-1] + _ROW + (0 if same else _GAP)) if heights else _ROW
        first = groups.pop()[1] if same else y
        groups.append((row["label"], first, y))
        heights.append(y)
    return heights, groups


def _frame(
    axes: Axes,
    groups: Sequence[tuple[str, float, float]],
    heights: Sequence[float],
    limits: tuple[float, float],
) -> None:
    middles = [(first + last) / 2 for _, first, last in groups]
    axes.set_yticks(middles, [plain(label, 22) for label, _, _ in groups])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=10, pad=5)
    for _, first, _ in groups[1:]:
        axes.axhline(first - (_ROW + _GAP) / 2, color=RULE, linewidth=0.6)
    axes.set(
        xlim=limits, ylim=(heights[-1] + _ROW / 2 + _GAP / 2, heights[0] - _ROW / 2 - _GAP / 2)
    )
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(axis="x", useOffset=False)


def _reference(axes: Axes, row: Row) -> None:
    look = _REFERENCES[row["kind"]]
    if row["kind"] == "gold" and row["low"] is not None:
        axes.axvspan(row["low"], row["high"], color=look.colour, alpha=0.16, linewidth=0)
    style = look if row["kind"] == "original" else Style(look.colour)
    axes.axvline(row["value"], linewidth=1.5, **line(style))


def _row(axes: Axes, row: Row, y: float, look: Symbol, limits: tuple[float, float]) -> None:
    low, high = limits
    if not _known(row):
        place: Any = {"textcoords": "offset points", "va": "center"}
        axes.annotate("failed", (low, y), (3, 0), **place, color=MUTED, size=9)
        return
    if not low <= row["value"] <= high:
        _beyond(axes, row["value"], y, look, limits)
        return
    if row["low"] is not None:
        _line(axes, row, y, look, limits)
    dot: Any = {"marker": look.marker, "markersize": look.size + 0.4, "color": look.colour}
    edge: Any = {"markeredgecolor": "white", "markeredgewidth": 0.7}
    axes.plot(row["value"], y, **dot, **edge, clip_on=False, zorder=3)


def _line(axes: Axes, row: Row, y: float, look: Symbol, limits: tuple[float, float]) -> None:
    """An interval, with an arrow where it goes on beyond the axis."""
    low, high = limits
    ends = np.clip([row["low"], row["high"]], low, high)
    axes.plot(ends, [y, y], color=look.colour, linewidth=1.4, solid_capstyle="butt")
    arrow: Any = {"color": look.colour, "markersize": 3.6, "markeredgewidth": 0, "clip_on": False}
    if row["low"] < low:
        axes.plot(low, y, marker="<", **arrow)
    if row["high"] > high:
        axes.plot(high, y, marker=">", **arrow)


def _beyond(axes: Axes, value: float, y: float, look: Symbol, limits: tuple[float, float]) -> None:
    """A value that is far away from all others: written at the edge it lies behind."""
    right = value > limits[1]
    axes.annotate(
        f"{number(value)} →" if right else f"← {number(value)}",
        (limits[1] if right else limits[0], y),
        (-1 if right else 1, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        va="center",
        color=look.colour,
        size=9,
    )


def is_shown(row: Row) -> bool:
    """Whether a row has a value or failed; what was not run leaves no trace."""
    return bool(row["failed"]) or _known(row)


def _known(row: Row) -> bool:
    return is_finite(row["value"])


def _said(rows: Sequence[Row]) -> str:
    return "; ".join(_words(row) for row in rows)


def _words(row: Row) -> str:
    name = f"{row['label']} ({row['settings']})" if row["settings"] else row["label"]
    if not _known(row):
        return f"{name} failed"
    spread = "" if row["low"] is None else f" [{number(row['low'])}, {number(row['high'])}]"
    return f"{name} {number(row['value'])}{spread}"
