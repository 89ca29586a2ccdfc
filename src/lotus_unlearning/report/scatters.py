"""Two measures against each other: each method a dot, with its name beside it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    ScalarFormatter,
)

from lotus_unlearning.report.chart import Chart, line
from lotus_unlearning.report.labels import Box, Label, place
from lotus_unlearning.report.page import number
from lotus_unlearning.report.palette import REFERENCE_SYMBOLS, Style, Symbol, styles
from lotus_unlearning.report.scale import Bounds, window
from lotus_unlearning.report.svg import INK, MUTED, drawing, figure, plain, to_svg

_SIZE = 8.5
_WIDE, _ROOM = 8.0, 1.2
_REFERENCES = styles(["gold", "original"])

Dot = Mapping[str, Any]
Limits = tuple[float, float]


def scatter(
    name: str,
    section: Mapping[str, Any],
    looks: Mapping[str, Symbol],
    size: tuple[float, float],
) -> Chart | None:
    """Dots of methods; those of one method are joined by a thin line and share its name.

    Args:
        name: Prefix of the drawing's identifiers.
        section: ``title``, ``caption``; ``x`` and ``y``: label, least, most; ``points``: kind,
            label, settings, x, y; ``fit``: a straight line is drawn through the methods.
        looks: The symbol of each of the settings.
        size: Width and height in points.

    Returns:
        The chart; ``None`` if fewer than two dots can be drawn.
    """
    points = [p for p in section["points"] if math.isfinite(p["x"]) and math.isfinite(p["y"])]
    if len(points) < 2:
        return None
    wide = bool(section.get("fit")) and _is_wide(points)
    limits = {axis: _limits(section, points, axis, wide) for axis in ("x", "y")}
    with drawing(name):
        drawn = figure(*size)
        axes = drawn.subplots()
        _frame(axes, section, limits, wide)
        _references(axes, points)
        if section.get("fit"):
            _fit(axes, points, limits["x"])
        for group in _groups(points).values():
            _group(axes, group, looks, limits)
        drawn.draw_without_rendering()  # the layout decides where dots are
        _names(axes, points, limits)
        svg = to_svg(drawn, name, _label(section, points))
    return Chart(section.get("title", ""), svg, caption=section.get("caption", ""))


def _limits(section: Mapping[str, Any], points: Sequence[Dot], axis: str, wide: bool) -> Limits:
    least, most = section[axis].get("least"), section[axis].get("most")
    bounds = Bounds(-math.inf if least is None else least, math.inf if most is None else most)
    methods = [p[axis] for p in points if p["kind"] == "method"]
    every = [p[axis] for p in points]
    if wide:
        return min(every) / _ROOM, max(every) * _ROOM
    if section.get("fit"):  # a correlation is to be seen with all that it is made of
        return window([], every, bounds=bounds)
    return window(methods, [p[axis] for p in points if p["kind"] != "method"], bounds=bounds)


def _is_wide(points: Sequence[Dot]) -> bool:
    """Whether dots of one size would be a single blot beside one that is far larger."""
    ends = [(min(p[a] for p in points), max(p[a] for p in points)) for a in ("x", "y")]
    return all(low > 0 for low, _ in ends) and any(high > _WIDE * low for low, high in ends)


def _frame(
    axes: Axes, section: Mapping[str, Any], limits: Mapping[str, Limits], wide: bool
) -> None:
    axes.grid(axis="both")
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        low, high = limits[name]
        axis.set_label_text(section[name]["label"] + (", log scale" if wide else ""))
        if wide:
            axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_locator(NullLocator())
        else:
            room = 0.04 * (high - low)
            axes.set(**{f"{name}lim": (low - room, high + room)})
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(ScalarFormatter(useOffset=False))


def _references(axes: Axes, points: Sequence[Dot]) -> None:
    """Lines through gold, which say where a method should be."""
    for point in points:
        if point["kind"] == "gold":
            look = Style(_REFERENCES["gold"].colour, (3, 2))
            axes.axvline(point["x"], linewidth=1.1, **line(look))
            axes.axhline(point["y"], linewidth=1.1, **line(look))


def _fit(axes: Axes, points: Sequence[Dot], limits: Limits) -> None:
    """The line of least squares through the methods, as r sees them."""
    methods = [(p["x"], p["y"]) for p in points if p["kind"] == "method"]
    x, y = zip(*methods, strict=True) if methods else ((), ())
    if len(set(x)) < 2:
        return
    slope, start = np.polyfit(x, y, 1)
    at = np.geomspace(*limits, 100) if limits[0] > 0 else np.array(limits)
    axes.plot(at, start + slope * at, color=MUTED, linewidth=1.0, alpha=0.7, zorder=1.5)


def _groups(points: Sequence[Dot]) -> dict[tuple[str, str], list[Dot]]:
    found: dict[tuple[str, str], list[Dot]] = {}
    for point in points:
        found.setdefault((point["kind"], point["label"]), []).append(point)
    return found


def _group(
    axes: Axes, group: Sequence[Dot], looks: Mapping[str, Symbol], limits: Mapping[str, Limits]
) -> None:
    at = [_inside(point, limits) for point in group]
    axes.plot(*zip(*at, strict=True), color="#aab1b9", linewidth=0.9, zorder=1.8)
    for point, (x, y) in zip(group, at, strict=True):
        known = point["kind"] == "method"
        look = looks[point["settings"]] if known else REFERENCE_SYMBOLS[point["kind"]]
        far = (x, y) != (point["x"], point["y"])
        axes.plot(
            x, y, marker=look.marker, markersize=look.size + 0.8, clip_on=False, zorder=3,
            color="white" if far else look.colour,
            markeredgecolor=look.colour if far else "white", markeredgewidth=1.3 if far else 0.8,
        )  # fmt: skip


def _inside(point: Dot, limits: Mapping[str, Limits]) -> tuple[float, float]:
    """Where a dot is drawn: at the edge if it is far away from all others."""
    x, y = (min(max(point[axis], low), high) for axis, (low, high) in limits.items())
    return x, y


def _names(axes: Axes, points: Sequence[Dot], limits: Mapping[str, Limits]) -> None:
    """Each name beside one of its dots; a far one has its own, with its values."""
    texts: list[str] = []
    anchors: list[list[tuple[float, float]]] = []
    dots = []
    for (_, name), group in _groups(points).items():
        near = [p for p in group if _inside(p, limits) == (p["x"], p["y"])]
        far = [p for p in group if p not in near]
        for text, some in ((plain(name, 24), near), *((_far(p), [p]) for p in far)):
            if some:
                texts.append(text)
                anchors.append([_pixel(axes, _inside(p, limits)) for p in some])
                dots += [Box(x - 4.5, y - 4.5, x + 4.5, y + 4.5) for x, y in anchors[-1]]
    frame = axes.get_window_extent()
    room = Box(frame.x0 + 2, frame.y0 + 2, frame.x1 + 6, frame.y1)
    for text, label in zip(
        texts, place([_size(t) for t in texts], anchors, dots, room), strict=True
    ):
        _write(axes, text, label)


def _far(point: Dot) -> str:
    name = plain(point["label"], 20)
    return f"{name} ({_short(point['x'])}; {_short(point['y'])})"


def _short(value: float) -> str:
    return number(float(f"{value:.3g}"))


def _pixel(axes: Axes, at: tuple[float, float]) -> tuple[float, float]:
    x, y = axes.transData.transform(at)
    return float(x), float(y)


def _size(text: str) -> tuple[float, float]:
    box = TextPath((0, 0), text or " ", size=_SIZE).get_extents()
    return float(box.width) + 1, _SIZE


def _write(axes: Axes, text: str, label: Label) -> None:
    place = label.box.left, label.box.bottom + 1.5
    ground = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.6}
    drawn = axes.text(*place, text, transform=None, size=_SIZE, color=INK, zorder=4, bbox=ground)
    drawn.set_in_layout(False)
    if label.start is not None:
        (x0, y0), (x1, y1) = label.start, label.anchor
        lead = Line2D([x0, x1], [y0, y1], transform=None, color=MUTED, linewidth=0.6, zorder=2)
        lead.set_in_layout(False)
        axes.add_artist(lead)


def _label(section: Mapping[str, Any], points: Sequence[Dot]) -> str:
    places = "; ".join(
        f"{p['label']}{' (' + p['settings'] + ')' if p['settings'] else ''} "
        f"{number(p['x'])}, {number(p['y'])}"
        for p in points
    )
    return plain(f"{section['y']['label']} against {section['x']['label']}; x, y: {places}", 1500)
