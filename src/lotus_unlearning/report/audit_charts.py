"""The charts of an audit that compare one model with many golds: statistics, and single images."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from lotus_unlearning.report.chart import Chart, Key, line
from lotus_unlearning.report.page import number, percent
from lotus_unlearning.report.palette import VERMILION, Style, Symbol, styles
from lotus_unlearning.report.svg import INK, MUTED, RULE, drawing, figure, plain, to_svg

WIDTH = 350
LOOKS = styles(["original", "unlearned", "gold"])
_DISC = "M6 1.6a4.4 4.4 0 1 0 .01 0Z"
_ROW, _FARTHEST = 26.0, 12.0
_DRAWN = 600
_MOST_TICKS = 4
_ODDS = (1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
Row = Mapping[str, Any]


def statistics(rows: Sequence[Row]) -> Chart | None:
    """What the verdict looked at, in standard deviations of the golds.

    Args:
        rows: As ``statistics`` of an audit.

    Returns:
        One line per statistic with all golds as dots, the model, and the original.
    """
    if not rows:
        return None
    farthest = max(abs(v) for row in rows for v in _effects(row))
    edge = max(1.35 * rows[0]["reach"], min(_FARTHEST, 1.1 * farthest))
    with drawing("statistics"):
        drawn = figure(WIDTH, 48 + _ROW * len(rows))
        axes = drawn.subplots()
        reach = rows[0]["reach"]
        axes.axvspan(-reach, reach, color=LOOKS["gold"].colour, alpha=0.13, linewidth=0)
        axes.axvline(0, color=LOOKS["gold"].colour, linewidth=1.2)
        for y, row in enumerate(rows):
            _statistic(axes, row, y, edge)
        axes.set(xlim=(-edge, edge), ylim=(len(rows) - 0.5, -0.5))
        axes.set_yticks(range(len(rows)), [plain(row["label"], 22) for row in rows])
        axes.tick_params(axis="y", labelcolor=INK, labelsize=10)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("standard deviations of the golds")
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        said = "; ".join(f"{row['label']} {number(row['effect'])}" for row in rows)
        svg = to_svg(drawn, "statistics", plain(f"Distance from the golds' mean: {said}", 900))
    return Chart("", svg, _keys(any(row["original"] for row in rows)))


def _effects(row: Row) -> list[float]:
    found = [row["effect"], *row["golds"]]
    found.append(row["original"]["effect"] if row["original"] else None)
    return [value for value in found if value is not None]


def _keys(original: bool) -> list[Key]:
    names = ["gold", "unlearned", *(["original"] if original else [])]
    dots = {name: Symbol("o", LOOKS[name].colour, _DISC, 6) for name in names}
    return [Key("each gold" if n == "gold" else n, LOOKS[n], symbol=dots[n]) for n in names]


def _statistic(axes: Axes, row: Row, y: int, edge: float) -> None:
    axes.axhline(y + 0.5, color=RULE, linewidth=0.6)
    golds = np.clip(row["golds"], -edge, edge)
    lift = 0.26 * np.sin(2.4 * np.arange(len(golds)))  # so that equal ones are seen
    dots: Any = {"linestyle": "", "marker": "o", "clip_on": False}
    colour = LOOKS["gold"].colour
    axes.plot(golds, y + lift, **dots, markersize=3.4, color=colour, alpha=0.6, markeredgewidth=0)
    if row["original"]:
        _mark(axes, row["original"]["effect"], y, edge, "original")
    _mark(axes, row["effect"], y, edge, "unlearned")


def _mark(axes: Axes, effect: float | None, y: float, edge: float, column: str) -> None:
    if effect is None:
        return
    look: Any = {"color": LOOKS[column].colour, "clip_on": False, "zorder": 4}
    size = 8.5 if column == "unlearned" else 6.5
    edges: Any = {"markeredgecolor": "white", "markeredgewidth": 0.9}
    if abs(effect) <= edge:
        axes.plot(effect, y, marker="o", markersize=size, **edges, **look)
        return
    at = math.copysign(edge, effect)
    axes.plot(at, y, marker=">" if effect > 0 else "<", markersize=size, **edges, **look)


def images(section: Row) -> Chart | None:
    """What each model believes of each forget image, with the interval of golds.

    Args:
        section: As ``per_image`` of an audit.

    Returns:
        One dot per image: across, the belief of the original (without one, of the golds on
        average), upwards that of the unlearned model; the golds' intervals as upright lines.
    """
    before = section["original"] or section["gold"]
    at = _shown(section)
    x, y = (np.asarray(values, dtype=float)[at] for values in (before, section["unlearned"]))
    low, high = (np.asarray(section[end], dtype=float)[at] for end in ("low", "high"))
    outside = np.asarray(section["outside"], dtype=bool)[at]
    across, upwards = _limits(x), _limits(np.concatenate([y, low, high]))
    with drawing("per-image"):
        drawn = figure(WIDTH, 340)
        axes = drawn.subplots()
        axes.grid(axis="both")
        axes.vlines(x, low, high, color=LOOKS["gold"].colour, alpha=0.32, linewidth=1.5)
        axes.plot(upwards, upwards, color=MUTED, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1.9)
        dots: Any = {"linestyle": "", "marker": "o", "markeredgecolor": "white"}
        for chosen, colour, size in (
            (~outside, LOOKS["unlearned"].colour, 4.0),
            (outside, VERMILION, 5.2),
        ):
            axes.plot(
                x[chosen], y[chosen], **dots, markersize=size, color=colour, markeredgewidth=0.4
            )
        axes.set(xlim=across, ylim=upwards)
        axes.set_xlabel(
            f"{'original' if section['original'] else 'golds, mean'}: label's probability"
        )
        axes.set_ylabel("unlearned: label's probability")
        for axis in (axes.xaxis, axes.yaxis):
            _as_odds(axis)
        count = int(np.sum(section["outside"]))
        label = f"{len(section['ids'])} images, {count} of them outside the golds' interval"
        svg = to_svg(drawn, "per-image", label)
    return Chart("", svg, _image_keys(section))


def _shown(section: Row) -> Any:
    """At most ``_DRAWN`` images: those outside first, the others evenly spread."""
    outside = np.flatnonzero(section["outside"])[:_DRAWN]
    inside = np.flatnonzero(~np.asarray(section["outside"], dtype=bool))
    room = min(len(inside), _DRAWN - len(outside))
    some = inside[np.linspace(0, len(inside) - 1, room).round().astype(int)] if room else inside[:0]
    return np.concatenate([some, outside])


def _limits(values: Any) -> tuple[float, float]:
    low, high = np.quantile(values, [0.005, 0.995])
    room = 0.05 * (high - low) or 0.5
    return float(low - room), float(high + room)


def _as_odds(axis: Any) -> None:
    """An axis of log-odds with probabilities written beside it."""
    low, high = axis.get_view_interval()
    at = [math.log(p / (1 - p)) for p in _ODDS]
    inside = [(v, p) for v, p in zip(at, _ODDS, strict=True) if low <= v <= high]
    if axis.axis_name == "x" and len(inside) > _MOST_TICKS:
        inside = inside[::2]
    words = {v: percent(p) if p <= 0.99 else f"{100 * p:.10g} %" for v, p in inside}
    axis.set_major_locator(FixedLocator([v for v, _ in inside]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: words.get(value, "")))


def _image_keys(section: Row) -> list[Key]:
    dot = {c: Symbol("o", c, _DISC, 6) for c in (LOOKS["unlearned"].colour, VERMILION)}
    inside, outside = dot.values()
    return [
        Key("within the golds' interval", LOOKS["unlearned"], symbol=inside),
        Key("outside", Style(VERMILION), symbol=outside),
        Key("where one more gold is expected", Style(LOOKS["gold"].colour)),
        Key("no change" if section["original"] else "as golds", Style(MUTED, (1, 2))),
    ]


def band(axes: Axes, x: Any, low: Any, high: Any, step: bool = False) -> None:
    """Where golds are."""
    look: Any = {"color": LOOKS["gold"].colour, "alpha": 0.28, "linewidth": 0}
    axes.fill_between(x, low, high, step="post" if step else None, **look)


def shared_keys(columns: Sequence[str], golds: bool, words: str = "golds") -> list[Key]:
    """A legend of lines, and of the golds' band."""
    found = [Key(name, LOOKS[name]) for name in columns]
    return [*found, *([Key(words, LOOKS["gold"], filled=True)] if golds else [])]


__all__ = ["LOOKS", "band", "images", "line", "shared_keys", "statistics"]
