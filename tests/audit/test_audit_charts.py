"""Every point, line and band of the page's charts is where the JSON beside it says.

What is drawn is read back from the page alone: axes by the numbers at their ticks, series by what
the legend says of colours and dashes.
"""

import copy
import math

import numpy as np
import pytest
from drawn import Look, charts, same_curve, same_places

from lotus_unlearning.report.audit import render_audit

COLUMNS = ("original", "unlearned")
LOG, ROOT, ODDS = math.log, math.sqrt, lambda p: math.log(p / (1 - p))


def plain(value):
    return value


def along(x, y, xs, ys):
    """Pixels ``[N, 2]`` of points."""
    return np.array([(x(a), y(b)) for a, b in zip(xs, ys, strict=True)]).reshape(-1, 2)


def found(charts_, words):
    (chart,) = (c for c in charts_ if words in (c.title, c.label) or c.label.startswith(words))
    return chart


def one_line(chart, look, expected):
    """Whether a line of this look is the expected one, among others of other charts' looks."""
    return any(same_curve(chart, line, expected) for line in chart.lines(look))


def one_band(chart, corners):
    (area,) = chart.areas(Look(chart.keys["golds"].colour))
    return same_places(area, corners)


def off_statistics(page, drawn):
    chart, rows = found(drawn, "Distance from the golds' mean"), page["statistics"]
    x = chart.axis(True, plain)
    left, _, right, _ = chart.box
    size = {text: y for text, _, y, style in chart.texts if style["text-anchor"] == "end"}
    heights = [size[row["label"]] for row in rows]

    def dots(name):
        places = chart.dots(chart.keys[name])
        rows_ = np.abs(places[:, 1:] - np.array(heights)).argmin(axis=1)
        return [sorted(places[rows_ == i, 0]) for i in range(len(rows))]

    golds, unlearned, original = map(dots, ("each gold", "unlearned", "original"))
    for i, row in enumerate(rows):
        for name, places, effects in (
            ("golds", golds[i], row["golds"]),
            ("unlearned", unlearned[i], [row["effect"]]),
            ("original", original[i], [row["original"]["effect"]]),
        ):
            expected = sorted(np.clip([x(e) for e in effects if e is not None], left, right))
            if len(places) != len(expected) or not np.allclose(places, expected, atol=0.1):
                yield f"{row['label']}, {name}"
    band = [area for area in chart.areas(chart.keys["each gold"]) if len(area) < 6]
    ends = {round(float(v), 1) for area in band for v in area[:, 0]}
    if ends != {round(float(x(s * rows[0]["reach"])), 1) for s in (-1, 1)}:
        yield "reach"


def off_images(page, drawn):
    section = page["per_image"]
    chart = found(drawn, f"{len(section['ids'])} images, ")
    x, y = (chart.axis(across, ODDS) for across in (True, False))
    # margins are log-odds already
    across, upwards = (lambda m, f=f: f(1 / (1 + math.exp(-m))) for f in (x, y))
    outside = np.array(section["outside"])
    places = along(across, upwards, section["original"], section["unlearned"])
    for name, chosen in (("within the golds' interval", ~outside), ("outside", outside)):
        dots = chart.dots(chart.keys[name])
        if not same_places(chart.inside(dots, -1), chart.inside(places[chosen], -1)):
            yield name
    spans = chart.lines(chart.keys["where one more gold is expected"])
    for end, name in ((-1, "low"), (1, "high")):  # upwards is down in pixels
        drawn_ends = [line[np.argmin(end * line[:, 1])] for line in spans]
        expected = along(across, upwards, section["original"], section[name])
        if not same_places(chart.inside(drawn_ends, -1), chart.inside(expected, -1)):
            yield name


def off_roc(page, drawn):
    for score, curves in page["roc"].items():
        chart = found(drawn, f"{score}, on log axes")
        x, y = (chart.axis(across, LOG) for across in (True, False))
        foot = chart.box[3]

        def seen(rates, y=y, foot=foot):
            return [min(y(rate), foot) if rate > 0 else foot for rate in rates]

        across = [x(rate) for rate in curves["fpr"]]
        for column in COLUMNS:
            expected = np.stack([across, seen(curves["models"][column]["tpr"])], axis=1)
            if not one_line(chart, chart.keys[column], expected):
                yield f"{score}, {column}"
        ends = [np.stack([across, seen(curves["gold"][e])], axis=1) for e in ("low", "high")]
        if not one_band(chart, np.concatenate(ends)):
            yield f"{score}, golds"


def off_entropy(page, drawn):
    section = page["entropy"]
    edges = np.repeat(section["edges"], 2)
    for column in COLUMNS:
        chart = found(drawn, f"Entropies of {column} ")
        x, y = chart.axis(True, plain), chart.axis(False, ROOT)

        def steps(heights, x=x, y=y):
            return along(x, y, edges[1:-1], np.repeat(heights, 2))

        for name, part in (("forget", "forget"), ("unseen", "unseen")):
            look = chart.keys[name]
            if not any(
                same_curve(chart, line[1:-1], steps(section[part][column]))
                for line in chart.lines(look)
            ):
                yield f"{column}, {name}"
        (area,) = chart.areas(Look(chart.keys["golds on forget"].colour))
        corners = np.concatenate([steps(section["gold"][end]) for end in ("low", "high")])
        if not same_places(area, corners):
            yield f"{column}, golds"


def off_u_lira(page, drawn):
    section = page["u_lira"]
    chart = found(drawn, "Right guesses of U-LiRA")
    x, y = chart.axis(True, plain), chart.axis(False, ROOT)
    edges = np.repeat(section["edges"], 2)[1:-1]

    def steps(heights):
        return along(x, y, edges, np.repeat(heights, 2))

    lines = [line[1:-1] for line in chart.lines(chart.keys["unlearned"])]
    if not any(same_curve(chart, line, steps(section["shares"])) for line in lines):
        yield "shares"
    (area,) = chart.areas(Look(chart.keys["sets of golds"].colour))
    ends = [steps(section["band"][end]) for end in ("low", "high")]
    if not same_places(area, np.concatenate(ends)):
        yield "sets of golds"


def off_relearning(page, drawn):
    for curve in page["relearning"]:
        for quantity in ("accuracy", "loss"):
            chart = found(drawn, f"{quantity.capitalize()}, trained {curve['words']}")
            x, y = chart.axis(True, plain), chart.axis(False, plain)
            for column in COLUMNS:
                expected = along(x, y, curve["steps"], curve[column][quantity])
                if not one_line(chart, chart.keys[column], expected):
                    yield f"{chart.title}, {column}"
            golds = np.array([gold[quantity] for gold in curve["golds"]])
            ends = [along(x, y, curve["steps"], e) for e in (golds.min(axis=0), golds.max(axis=0))]
            if not one_band(chart, np.concatenate(ends)):
                yield f"{chart.title}, golds"
            if quantity == "accuracy":
                aim = along(x, y, [curve["steps"][0], curve["steps"][-1]], [curve["aim"]] * 2)
                if not one_line(chart, chart.keys["to be reached"], aim):
                    yield f"{chart.title}, aim"


CHARTS = {
    "statistics": off_statistics,
    "per_image": off_images,
    "u_lira": off_u_lira,
    "roc": off_roc,
    "entropy": off_entropy,
    "relearning": off_relearning,
}


def off(page, drawn):
    """What is not drawn where ``page`` says."""
    return [problem for check in CHARTS.values() for problem in check(page, drawn)]


@pytest.fixture(scope="module")
def drawn(page):
    return charts(render_audit(page))


def test_every_point_line_and_band_is_where_the_json_says(page, drawn):
    assert off(page, drawn) == []
    sections = [page["roc"], page["relearning"] * 2, [*page["entropy"]["forget"]]]
    assert len(drawn) == 3 + sum(map(len, sections)), "none is left unread"


def series(value, place=()):
    """Places of all rows of numbers, and of single numbers in the charts' sections."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from series(part, (*place, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict | list):
        for i, part in enumerate(value):
            yield from series(part, (*place, i))
    elif isinstance(value, list) and value and isinstance(value[0], float):
        yield place


NOT_DRAWN = {
    ("u_lira", "unlearned"),  # the shares of these are drawn
    ("statistics", "expected"),  # for the records of requests
    *((name, last) for name in CHARTS for last in ("gold", "mean")),
}


def shifts(page):
    """Copies of the page, each with one thing that is drawn in another place, and which."""
    for name in CHARTS:
        for place in series(page[name], (name,)):
            if "golds" not in place[:-1] and (place[0], place[-1]) not in NOT_DRAWN:
                yield place, shifted(page, place)
    for i, curve in enumerate(page["relearning"]):
        yield ("relearning", i, "aim"), shifted(page, ("relearning", i, "aim"))
        for quantity in ("accuracy", "loss"):  # the band is of all golds
            other = copy.deepcopy(page)
            for number in range(len(curve["golds"])):
                other = shifted(other, ("relearning", i, "golds", number, quantity))
            yield ("relearning", i, "golds", quantity), other
    for i in range(len(page["statistics"])):
        for place in (("effect",), ("original", "effect")):
            yield ("statistics", i, *place), shifted(page, ("statistics", i, *place))
    yield ("statistics", 0, "reach"), shifted(page, ("statistics", 0, "reach"))
    other = copy.deepcopy(page)
    other["per_image"]["outside"][0] = not other["per_image"]["outside"][0]
    yield ("per_image", "outside"), other


def shifted(page, place):
    """By a twentieth of the row's own spread, and by what can be seen."""
    other = copy.deepcopy(page)
    inner = other
    for key in place[:-1]:
        inner = inner[key]
    row = np.array(inner[place[-1]])
    inner[place[-1]] = (row + 0.05 * max(np.ptp(row), 1)).tolist()
    return other


def test_no_series_can_be_shifted_unnoticed(page, drawn):
    unnoticed = [at for at, other in shifts(page) if not [*CHARTS[at[0]](other, drawn)]]
    assert unnoticed == []
    assert len([*shifts(page)]) > 50


def test_no_two_models_can_be_swapped_unnoticed(page, drawn):
    sections = [page["per_image"], *page["relearning"]]
    sections += [curves["models"] for curves in page["roc"].values()]
    sections += [page["entropy"]["forget"], page["entropy"]["unseen"]]
    for section in sections:
        section["original"], section["unlearned"] = section["unlearned"], section["original"]
        try:
            assert off(page, drawn)
        finally:
            section["original"], section["unlearned"] = section["unlearned"], section["original"]
    assert off(page, drawn) == []
