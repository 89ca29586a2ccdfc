"""The curves of an audit, each with the golds as a band behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from lotus_unlearning.report.audit_charts import LOOKS, WIDTH, band, shared_keys
from lotus_unlearning.report.chart import Chart, Key, as_percent, line, root_axis
from lotus_unlearning.report.figures import Figure
from lotus_unlearning.report.page import number, percent
from lotus_unlearning.report.palette import GREY, Style
from lotus_unlearning.report.svg import INK, MUTED, drawing, figure, plain, to_svg

_COLUMNS = ("original", "unlearned")
_UNSEEN = Style(INK, (3, 1.5))
_AIM = Style(GREY, (2, 2))
Section = Mapping[str, Any]


def roc(section: Section, write: Figure) -> list[Chart]:
    """How well forgotten images are found at few false alarms, on logarithmic axes.

    Args:
        section: As ``roc`` of an audit.
        write: Writes figures of the audit.

    Returns:
        One chart per score: models as lines, golds as a band from the lowest to the highest.
    """
    return [
        _roc(f"roc-{i}", score, curves, write) for i, (score, curves) in enumerate(section.items())
    ]


def _roc(name: str, score: str, curves: Section, write: Figure) -> Chart:
    rates = np.asarray(curves["fpr"], dtype=float)
    models = {c: curves["models"][c] for c in _COLUMNS if c in curves["models"]}
    least = _least(curves)
    keys = []
    with drawing(name):
        drawn = figure(WIDTH, 300)
        axes = drawn.subplots()
        axes.grid(axis="both")
        if curves["gold"]:
            low, high = (np.maximum(curves["gold"][end], least) for end in ("low", "high"))
            band(axes, rates, low, high)
        axes.plot([least, 1], [least, 1], color=MUTED, linewidth=1.1, linestyle=(0, (1, 2)))
        for column, curve in models.items():
            axes.plot(rates, np.maximum(curve["tpr"], least), **line(LOOKS[column]))
            places = [f"roc/{score}/models/{column}/{key}" for key in ("auc", "low", "high")]
            area = Markup("{} [{}, {}]").format(*(write(place) for place in places))
            keys.append(Key(column, LOOKS[column], area))
        axes.set(xscale="log", yscale="log", xlim=(rates[0], 1), ylim=(least, 1.12))
        axes.set_xlabel(f"{curves.get('others', 'images never trained on')}, taken for trained on")
        axes.set_ylabel("forgotten images found")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axis.set_major_formatter(as_percent())
            axis.set_minor_locator(NullLocator())
        areas = ", ".join(f"{column} {curve['auc']:.3f}" for column, curve in models.items())
        svg = to_svg(drawn, name, plain(f"{score}, on log axes; area: {areas}", 400))
    return Chart(plain(score), svg, [*keys, *shared_keys([], bool(curves["gold"]))])


def _least(curves: Section) -> float:
    """Where the upright axis begins: half of the smallest share that is seen."""
    rows = [curve["tpr"] for curve in curves["models"].values()]
    rows += [curves["gold"][end] for end in ("low", "high")] if curves["gold"] else []
    seen = [value for row in rows for value in row if value > 0]
    return float(max(1e-4, min([curves["fpr"][0], *seen]) / 2))


def entropy(section: Section) -> list[Chart]:
    """How unsure each model is about forget images, with golds behind it.

    Args:
        section: As ``entropy`` of an audit.

    Returns:
        One chart for each of original and unlearned, on the same axes.
    """
    rows = [v for part in ("forget", "unseen") for v in section[part].values()]
    rows += [section["gold"]["high"]] if section["gold"] else []
    top = max(max(row) for row in rows)
    columns = [column for column in _COLUMNS if column in section["forget"]]
    return [_entropy(f"entropy-{column}", column, section, top) for column in columns]


def _entropy(name: str, column: str, section: Section, top: float) -> Chart:
    edges, look = np.asarray(section["edges"], dtype=float), LOOKS[column]
    heights = np.asarray(section["forget"][column], dtype=float)
    unseen = section["unseen"].get(column)
    keys = [Key("forget", Style(look.colour))]  # dashes are for unseen images
    with drawing(name):
        drawn = figure(WIDTH, 225)
        axes = drawn.subplots()
        if section["gold"]:
            golds = section["gold"]
            low, high = ([*golds[end], golds[end][-1]] for end in ("low", "high"))
            band(axes, edges, low, high, step=True)
            keys.append(Key("golds on forget", LOOKS["gold"], filled=True))
        if unseen is not None:
            axes.stairs(unseen, edges, color=INK, linewidth=1.2, linestyle=(0, _UNSEEN.dashes))
            keys.append(Key("unseen", _UNSEEN))
        axes.stairs(heights, edges, color=look.colour, linewidth=2)
        root_axis(axes, top)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel("entropy of the prediction (nats)")
        axes.set_ylabel("share of images (root scale)")
        mean = float((heights * (edges[:-1] + edges[1:]) / 2).sum())
        label = f"Entropies of {column} on forget images, about {number(round(mean, 3))} nats"
        return Chart(column, to_svg(drawn, name, label), keys)


def told(section: Section) -> Chart:
    """How often a model's margin on one image gives away that it forgot that image.

    Args:
        section: As ``u_lira`` of an audit.

    Returns:
        Shares of images over shares of right guesses, with sets of golds as a band.
    """
    edges, look = np.asarray(section["edges"], dtype=float), LOOKS["unlearned"]
    rows = [section["shares"], section["band"]["high"]]
    with drawing("u-lira"):
        drawn = figure(WIDTH, 225)
        axes = drawn.subplots()
        low, high = ([*section["band"][end], section["band"][end][-1]] for end in ("low", "high"))
        band(axes, edges, low, high, step=True)
        axes.axvline(0.5, color=MUTED, linewidth=1.1, linestyle=(0, (1, 2)))
        axes.stairs(section["shares"], edges, color=look.colour, linewidth=2)
        root_axis(axes, max(max(row) for row in rows))
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_formatter(as_percent())
        axes.set_xlabel("right guesses on an image")
        axes.set_ylabel("share of images (root scale)")
        mean = float(np.mean(section["unlearned"]))
        label = f"Right guesses of U-LiRA on single images, on average {percent(mean)}"
        svg = to_svg(drawn, "u-lira", label)
    keys = [Key("unlearned", look), Key("sets of golds", LOOKS["gold"], filled=True)]
    return Chart("", svg, [*keys, Key("a coin toss", Style(MUTED, (1, 2)))])


def relearning(curves: Sequence[Section]) -> list[Chart]:
    """How fast forgotten images are known again when a model is trained on.

    Args:
        curves: As ``relearning`` of an audit.

    Returns:
        Accuracy and loss of each probe: models as lines, golds as a band.
    """
    found = []
    for curve in curves:
        for quantity in ("accuracy", "loss"):
            found.append(_relearning(f"relearning-{curve['name']}-{quantity}", curve, quantity))
    return found


def _relearning(name: str, curve: Section, quantity: str) -> Chart:
    steps = curve["steps"]
    models = {
        column: np.array(curve[column][quantity], dtype=float)  # none, where it diverged: a gap
        for column in _COLUMNS
        if column in curve
    }
    golds = np.array([gold[quantity] for gold in curve["golds"]], dtype=float)
    keys = shared_keys(list(models), bool(len(golds)))
    with drawing(name):
        drawn = figure(WIDTH, 225)
        axes = drawn.subplots()
        if len(golds):
            band(axes, steps, golds.min(axis=0), golds.max(axis=0))
        if quantity == "accuracy" and curve["aim"] is not None:
            axes.axhline(curve["aim"], linewidth=1.1, **line(_AIM))
            keys.append(Key("to be reached", _AIM))
        for column, values in models.items():
            axes.plot(steps, values, **line(LOOKS[column]))
        _frame(axes, quantity)
        said = ", ".join(
            f"{c} from {_text(v[0], quantity)} to {_text(v[-1], quantity)}"
            for c, v in models.items()
        )
        svg = to_svg(
            drawn, name, plain(f"{quantity} on forget images {curve['words']}: {said}", 300)
        )
    return Chart(plain(f"{quantity.capitalize()}, trained {curve['words']}"), svg, keys)


def _frame(axes: Axes, quantity: str) -> None:
    axes.set_xlabel("steps of fine-tuning")
    axes.set_ylabel(f"{quantity} on forget images")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.margins(x=0)
    if quantity == "accuracy":
        axes.yaxis.set_major_formatter(as_percent())
        low, high = axes.get_ylim()
        axes.set_ylim(low, min(1.01, high) if high > 0.9 else high)
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylim(bottom=0)


def _text(value: float, quantity: str) -> str:
    if not np.isfinite(value):
        return "no number"
    return percent(value) if quantity == "accuracy" else number(value)
