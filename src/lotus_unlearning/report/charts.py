"""The charts of a page. Each function gets a section of the page and returns small drawings.

All drawings are as wide as a phone and stand in a grid, so that text is readable at any width.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lotus_unlearning.report.chart import Chart, Key, as_percent, line, root_axis
from lotus_unlearning.report.page import number, percent
from lotus_unlearning.report.palette import GREEN, PURPLE, SKY, VERMILION, Style
from lotus_unlearning.report.svg import INK, MUTED, drawing, figure, plain, to_svg

WIDTH, HEIGHT = 350, 225
LARGEST = 30
_TRACES = {
    "forget_accuracy": Style(VERMILION),
    "unseen_accuracy": Style(GREEN, (8, 2, 1.5, 2)),
    "target_accuracy": Style(GREEN, (8, 2, 1.5, 2)),
    "tau": Style(PURPLE, (3, 2)),
}
_UNSEEN = Style(INK, (3, 1.5))


def history(rows: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """What a method logged over its epochs; with tau, figure 2 of the LoTUS paper.

    Args:
        rows: One mapping per epoch; whatever is numeric is drawn.

    Returns:
        Accuracies with tau on a second axis, then one chart for each other quantity.
    """
    names = [name for row in rows for name in row if name not in ("epoch", "step")]
    traces = {name: _trace(rows, name) for name in dict.fromkeys(names)}
    traces = {name: values for name, values in traces.items() if np.isfinite(values).any()}
    epochs = _trace(rows, "epoch")
    epochs = epochs if np.isfinite(epochs).all() else np.arange(len(rows), dtype=float)
    accuracies = [name for name in traces if name.endswith("_accuracy")]
    first = [*accuracies, *(["tau"] if "tau" in traces else [])] if accuracies else []
    groups = [first, *([name] for name in traces if name not in first)]
    return [
        _history_chart(f"history-{index}", epochs, {name: traces[name] for name in group})
        for index, group in enumerate(groups)
        if group
    ]


def _history_chart(name: str, epochs: Any, traces: Mapping[str, Any]) -> Chart:
    spare = iter([SKY, PURPLE, VERMILION, GREEN] * len(traces))
    looks = {trace: _TRACES.get(trace) or Style(next(spare)) for trace in traces}
    words = {trace: _words(trace) for trace in traces}
    with drawing(name):
        drawn = figure(WIDTH, HEIGHT)
        axes = drawn.subplots()
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        rates = [trace for trace in traces if trace.endswith("_accuracy")]
        if rates:
            axes.yaxis.set_major_formatter(as_percent())
            axes.set_ylabel("accuracy")
        for trace, values in traces.items():
            place = _second_axis(axes) if trace == "tau" and rates else axes
            marker = "o" if len(epochs) < 40 else ""
            place.plot(epochs, values, marker=marker, markersize=3.2, **line(looks[trace]))
        ends = ", ".join(f"{words[t]} {_ends(traces[t], t in rates)}" for t in traces)
        svg = to_svg(drawn, name, f"Over {len(epochs)} epochs: {ends}")
    title = "Accuracy and temperature" if "tau" in traces and rates else "Accuracy"
    title = title if rates else words[next(iter(traces))].capitalize()
    return Chart(title, svg, [Key(words[t], looks[t]) for t in traces if rates])


def entropy(section: Mapping[str, Any], looks: Mapping[str, Style]) -> list[Chart]:
    """How unsure each model is about forgotten and about unseen images.

    Args:
        section: Edges of the bins, and per split and column their counts or densities.
        looks: The style of each column.

    Returns:
        One histogram per column on the same axes; heights are shares of the images, on a
        square-root scale.
    """
    edges = np.asarray(section["edges"], dtype=float)
    heights = {
        split: {c: _shares(v, edges) for c, v in (section.get(split) or {}).items()}
        for split in ("forget", "unseen")
    }
    columns = [c for c in looks if any(c in heights[split] for split in heights)]
    top = max((float(v.max()) for split in heights.values() for v in split.values()), default=1)
    return [
        _entropy_chart(f"entropy-{i}", column, looks[column], edges, heights, top or 1)
        for i, column in enumerate(columns)
    ]


def _entropy_chart(
    name: str, column: str, look: Style, edges: Any, heights: Mapping[str, Any], top: float
) -> Chart:
    forget, unseen = heights["forget"].get(column), heights["unseen"].get(column)
    keys, said = [], []
    with drawing(name):
        drawn = figure(WIDTH, HEIGHT)
        axes = drawn.subplots()
        if forget is not None:
            axes.stairs(forget, edges, fill=True, color=look.colour, alpha=0.55, linewidth=0)
            axes.stairs(forget, edges, color=look.colour, linewidth=1.2)
            keys.append(Key("forget", look, filled=True))
            said.append(f"forget {_where(forget, edges)}")
        if unseen is not None:
            axes.stairs(unseen, edges, color=INK, linewidth=1.5, linestyle=(0, _UNSEEN.dashes))
            keys.append(Key("unseen", _UNSEEN))
            said.append(f"unseen {_where(unseen, edges)}")
        root_axis(axes, top)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel("entropy of the prediction (nats)")
        axes.set_ylabel("share of images (root scale)")
        label = f"Entropy of the predictions of {column}: " + ", ".join(said)
        return Chart(column, to_svg(drawn, name, label), keys)


def roc(section: Mapping[str, Any], looks: Mapping[str, Style]) -> list[Chart]:
    """How well an attacker tells forgotten images from unseen ones.

    Args:
        section: Per score and column, the curve and its area.
        looks: The style of each column.

    Returns:
        One chart per score, one line per column, the coin toss as a dotted diagonal.
    """
    charts = []
    for index, (score, curves) in enumerate(section.items()):
        shown = {column: curves[column] for column in looks if column in curves}
        keys = [Key(column, looks[column], _area(curve)) for column, curve in shown.items()]
        if shown:
            charts.append(Chart(plain(score), _roc_svg(f"roc-{index}", shown, keys, score), keys))
    return charts


def _roc_svg(name: str, curves: Mapping[str, Any], keys: Sequence[Key], score: str) -> Markup:
    with drawing(name):
        drawn = figure(WIDTH, 300)
        axes = drawn.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (1, 2)))
        for key in keys:
            axes.plot(curves[key.name]["fpr"], curves[key.name]["tpr"], **line(key.style))
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set_xlabel("unseen images taken for forgotten ones")
        axes.set_ylabel("forgotten images found")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(as_percent())
            axis.set_ticks([0, 0.25, 0.5, 0.75, 1])
        areas = ", ".join(f"{key.name} {key.text}" for key in keys)
        return to_svg(drawn, name, plain(f"Receiver curves of {score}; area: {areas}", 400))


def class_divergence(section: Mapping[str, Any], looks: Mapping[str, Style]) -> Chart | None:
    """How far forgotten images of each class lie from unseen ones.

    Args:
        section: Classes and, per column, one value per class or None.
        looks: The style of each column.

    Returns:
        Bars for the classes with the largest values, largest first; None without any value.
    """
    columns = [column for column in looks if column in section.get("values", {})]
    values = {c: np.array(section["values"][c], dtype=float) for c in columns}
    stacked = np.array(list(values.values()), dtype=float).reshape(len(columns), -1)
    if not np.isfinite(stacked).any():
        return None
    largest = np.where(np.isfinite(stacked), stacked, -np.inf).max(axis=0)
    order = [i for i in np.argsort(-largest, kind="stable") if np.isfinite(largest[i])][:LARGEST]
    names = [plain(section["classes"][i], 22) for i in order]
    with drawing("divergence"):
        drawn = figure(WIDTH, 58 + len(order) * (6 + 8 * len(columns)))
        axes = drawn.subplots()
        for offset, column in enumerate(columns):
            at = np.arange(len(order)) + (offset - (len(columns) - 1) / 2) * 0.8 / len(columns)
            axes.barh(at, values[column][order], 0.74 / len(columns), color=looks[column].colour)
        axes.set_yticks(range(len(order)), names)
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.set_xlabel("divergence")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        worst = f"largest for {names[0]}, {number(float(largest[order[0]]))}"
        svg = to_svg(drawn, "divergence", f"Divergence of {len(order)} classes, {worst}")
    return Chart("", svg, [Key(column, looks[column], filled=True) for column in columns])


def _trace(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    values = [row.get(name) for row in rows]
    good = [isinstance(v, int | float) and not isinstance(v, bool) for v in values]
    return np.array([v if ok else np.nan for v, ok in zip(values, good, strict=True)], dtype=float)


def _second_axis(axes: Axes) -> Axes:
    twin = axes.twinx()
    twin.set_ylabel("temperature τ", color=MUTED)
    twin.grid(visible=False)
    twin.spines["right"].set_visible(True)
    return twin


def _words(name: str) -> str:
    return "temperature τ" if name == "tau" else plain(name.replace("_", " "), 30)


def _ends(values: Any, rate: bool) -> str:
    known = values[np.isfinite(values)]
    text = percent if rate else number
    return f"from {text(float(known[0]))} to {text(float(known[-1]))}"


def _shares(values: Sequence[float | None], edges: Any) -> Any:
    heights, widths = np.nan_to_num(np.array(values, dtype=float)), np.diff(edges)
    if np.isclose((heights * widths).sum(), 1):  # a density, not counts
        heights = heights * widths
    return heights / (heights.sum() or 1)


def _where(shares: Any, edges: Any) -> str:
    mean = float((shares * (edges[:-1] + edges[1:]) / 2).sum())
    return f"about {number(round(mean, 3))} nats on average"


def _area(curve: Mapping[str, Any]) -> str:
    low, high = curve.get("low"), curve.get("high")
    spread = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{curve['auc']:.3f}{spread}" if curve.get("auc") is not None else ""
