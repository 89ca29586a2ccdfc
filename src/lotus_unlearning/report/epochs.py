"""Temperature and accuracy over epochs, as figure 2 of the LoTUS paper: means over seeds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lotus_unlearning.report.chart import Chart, Key, as_percent, line
from lotus_unlearning.report.page import number, percent
from lotus_unlearning.report.palette import Style, styles
from lotus_unlearning.report.svg import INK, drawing, figure, plain, to_svg

WIDTH, HEIGHT = 350, 225
_TITLES = {"tau": "Temperature τ", "forget_accuracy": "Accuracy on forget images"}
_AIMS = ("target_accuracy", "unseen_accuracy")
_AIM = Style(INK, (4, 2.5))
_DASHES: list[tuple[float, ...]] = [(), (7, 4), (2, 3), (9, 3, 2, 3)]

Runs = Sequence[Sequence[Mapping[str, Any]]]
"""A row per epoch, for each seed."""


def epochs(name: str, variants: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """What variants of a method logged.

    Args:
        name: Prefix of the drawings' identifiers.
        variants: ``label``, ``settings`` (a list) and ``runs``.

    Returns:
        For each of the settings a chart of tau and one of forget accuracy, as far as logged.
    """
    sources = list(dict.fromkeys(s for variant in variants for s in variant["settings"]))
    looks = _looks(variants)
    charts = []
    for i, source in enumerate(sources):
        shown = {v["label"]: v["runs"] for v in variants if source in v["settings"]}
        for what in _TITLES:
            traces = {k: t for k, runs in shown.items() if (t := trace(runs, what)).size}
            if traces:
                title = f"{_TITLES[what]}, {source}" if len(sources) > 1 else _TITLES[what]
                aims = _aims(shown.values()) if what == "forget_accuracy" else []
                charts.append(_chart(f"{name}-{i}-{what}", plain(title), traces, looks, aims))
    return charts


def keys(variants: Sequence[Mapping[str, Any]]) -> list[Key]:
    """The legend of all charts."""
    found = [Key(plain(label, 30), look) for label, look in _looks(variants).items()]
    return [*found, Key("target", _AIM)] if _aims(v["runs"] for v in variants) else found


def _looks(variants: Sequence[Mapping[str, Any]]) -> dict[str, Style]:
    """Dashes differ as well as colours: lines that lie on each other are all seen."""
    looks = styles(list(dict.fromkeys(variant["label"] for variant in variants)))
    return {k: Style(s.colour, _DASHES[i % 4]) for i, (k, s) in enumerate(looks.items())}


def trace(runs: Runs, what: str) -> NDArray[np.float64]:
    """Values ``[seeds, epochs]``; a seed that stopped early keeps its last value.

    >>> trace([[{"tau": 2.0}], [{"tau": 4.0}, {"tau": 5.0}]], "tau").tolist()
    [[2.0, 2.0], [4.0, 5.0]]
    """
    rows = [[float(row[what]) for row in run if _is_number(row.get(what))] for run in runs]
    rows = [row for row in rows if row]
    longest = max((len(row) for row in rows), default=0)
    return np.array([row + row[-1:] * (longest - len(row)) for row in rows], dtype=float)


def _aims(shown: Iterable[Runs]) -> list[float]:
    """The accuracies that forget accuracy should come down to, as means over seeds."""
    everything = list(shown)
    for what in _AIMS:
        found = [trace(runs, what) for runs in everything]
        known = [float(values[:, -1].mean()) for values in found if values.size]
        if known:
            return sorted({round(value, 6) for value in known})
    return []


def _chart(
    name: str,
    title: str,
    traces: Mapping[str, NDArray[np.float64]],
    looks: Mapping[str, Style],
    aims: Sequence[float],
) -> Chart:
    rate = name.endswith("accuracy")
    with drawing(name):
        drawn = figure(WIDTH, HEIGHT)
        axes = drawn.subplots()
        for aim in aims:
            axes.axhline(aim, linewidth=1.4, zorder=1.9, **line(_AIM))
        for label, values in traces.items():
            look, at = looks[label], np.arange(values.shape[1])
            axes.fill_between(
                at, values.min(0), values.max(0), color=look.colour, alpha=0.14, linewidth=0
            )
            axes.plot(at, values.mean(0), marker="o", markersize=3, **line(look))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if rate:
            axes.yaxis.set_major_formatter(as_percent())
        svg = to_svg(drawn, name, _label(title, traces, aims, rate))
    return Chart(title, svg)


def _label(title: str, traces: Mapping[str, Any], aims: Sequence[float], rate: bool) -> str:
    text = percent if rate else number
    said = [
        f"{label} from {text(float(v[:, 0].mean()))} to {text(float(v[:, -1].mean()))} in "
        f"{v.shape[1]} epochs"
        for label, v in traces.items()
    ]
    target = [f"target {text(aim)}" for aim in aims]
    return plain(f"{title}, mean over seeds: {'; '.join([*said, *target])}", 1500)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
