"""Entropies of forget and unseen images, one small histogram for each method."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lotus_unlearning.report.chart import Chart, Key, root_axis
from lotus_unlearning.report.page import number
from lotus_unlearning.report.palette import BLUE, ORANGE, Style
from lotus_unlearning.report.svg import INK, drawing, figure, plain, to_svg

WIDTH, HEIGHT = 250, 150
_FORGET, _UNSEEN = Style(BLUE), Style(INK, (3, 1.5))
_GOLD = Style(ORANGE)

Shares = NDArray[np.float64]


def entropies(name: str, panels: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Small multiples on the same axes.

    Args:
        name: Prefix of the drawings' identifiers.
        panels: ``kind``, ``label``, ``settings``, ``forget`` and ``unseen`` (counts over equal
            bins from certain to as unsure as can be), ``distance`` (Kolmogorov-Smirnov).

    Returns:
        One chart for each; gold's forget images are an outline in all of them.
    """
    drawable = [p for p in panels if sum(p["forget"]) and sum(p["unseen"])]
    gold = next((_shares(p["forget"]) for p in drawable if p["kind"] == "gold"), None)
    heights = [(_shares(p["forget"]), _shares(p["unseen"])) for p in drawable]
    top = max((float(v.max()) for pair in heights for v in pair), default=1.0)
    return [
        _panel(f"{name}-{i}", panel, pair, None if panel["kind"] == "gold" else gold, top)
        for i, (panel, pair) in enumerate(zip(drawable, heights, strict=True))
    ]


def keys(panels: Sequence[Mapping[str, Any]]) -> list[Key]:
    """The legend of all panels."""
    found = [Key("forget images", _FORGET, filled=True), Key("unseen images", _UNSEEN)]
    golden = any(panel["kind"] == "gold" for panel in panels)
    return [*found, *([Key("forget images of gold", _GOLD)] if golden else [])]


def _panel(
    name: str,
    panel: Mapping[str, Any],
    pair: tuple[Shares, Shares],
    gold: Shares | None,
    top: float,
) -> Chart:
    forget, unseen = pair
    edges = np.linspace(0, 1, len(forget) + 1)
    with drawing(name):
        drawn = figure(WIDTH, HEIGHT)
        axes = drawn.subplots()
        axes.stairs(forget, edges, fill=True, color=_FORGET.colour, alpha=0.5, linewidth=0)
        if gold is not None:
            axes.stairs(gold, edges, color=_GOLD.colour, linewidth=1.4)
        axes.stairs(unseen, edges, color=INK, linewidth=1.2, linestyle=(0, _UNSEEN.dashes))
        _frame(axes, top)
        svg = to_svg(drawn, name, plain(_label(panel, forget, unseen), 300))
    distance = panel.get("distance")
    said = [panel["settings"], "" if distance is None else f"KS {distance:.3f}"]
    return Chart(plain(panel["label"], 30), svg, caption=" · ".join(filter(None, said)))


def _frame(axes: Axes, top: float) -> None:
    root_axis(axes, top)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "½ ln C", "ln C"])


def _title(panel: Mapping[str, Any]) -> str:
    settings = f", {panel['settings']}" if panel["settings"] else ""
    return plain(f"{panel['label']}{settings}", 40)


def _label(panel: Mapping[str, Any], forget: Shares, unseen: Shares) -> str:
    middles = (np.arange(len(forget)) + 0.5) / len(forget)
    means = [number(round(float((v * middles).sum()), 3)) for v in (forget, unseen)]
    distance = panel.get("distance")
    said = "" if distance is None else f"; Kolmogorov-Smirnov distance {distance:.3f}"
    return (
        f"Entropies of {_title(panel)} as a share of the largest possible, on average: "
        f"forget images {means[0]}, unseen images {means[1]}{said}"
    )


def _shares(counts: Sequence[float]) -> Shares:
    found = np.asarray(counts, dtype=float)
    return np.asarray(found / found.sum())
