"""Reads a chart of a page back: what is drawn, in the units that its axes and legend say."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

NEAR = 0.1
"""Pixels of 350: a line of many points is drawn through fewer, within this."""
_NUMBER = re.compile(r"[−-]?\d+(?:\.\d+)?(?: %)?")
_PAIR = re.compile(r"[ML] (\S+) (\S+)")
_BELOW = 0.38
"""How far the foot of a number stands below its tick, as a share of its size."""


def numeric(text):
    value = float(text.replace("−", "-").removesuffix(" %"))
    return value / 100 if text.endswith("%") else value


def points(path):
    return np.array([[float(a), float(b)] for a, b in _PAIR.findall(path)])


def styled(element):
    pairs = (part.split(":", 1) for part in element.get("style", "").split(";") if ":" in part)
    return {key.strip(): value.strip().lower() for key, value in pairs}


@dataclass(frozen=True)
class Look:
    """What a legend shows of something: colour, and dashes of a line."""

    colour: str
    dashes: str = ""


class Drawn:
    """A chart.

    Attributes:
        title: Above it.
        label: For those who cannot see it.
        keys: Legend: name -> look.
        box: Of the axes: left, top, right, bottom, in pixels.
        texts: ``[text, x, y]`` of all that is written.
    """

    def __init__(self, figure):
        root = ElementTree.fromstring(figure)
        caption = root.find("figcaption")
        self.title = "" if caption is None else "".join(caption.itertext()).strip()
        self.keys = {}
        for item in root.iter("li"):
            swatch = item.find("svg")
            self.keys[(swatch.tail or "").strip()] = _look(swatch[0])
        svg = root.findall("svg")[-1]
        self.label = svg.get("aria-label")
        self._svg = svg
        self._defined = {e.get("id"): points(e.get("d")) for e in svg.iter("path") if e.get("id")}
        frame = points(svg[1][1][0][0].get("d"))
        self.box = (*frame.min(axis=0), *frame.max(axis=0))
        self.texts = [
            (t.text or "", float(t.get("x")), float(t.get("y")), styled(t))
            for t in svg.iter("text")
        ]

    def axis(self, across: bool, scale: Callable[[float], float]):
        """Value -> pixels, by what is written at the ticks; their places fit the scale."""
        at = []
        for text, x, y, style in self.texts:
            if _NUMBER.fullmatch(text) and (style["text-anchor"] == "middle") == across:
                size = float(style["font-size"].removesuffix("px"))
                at.append((scale(numeric(text)), x if across else y - _BELOW * size))
        assert len(at) >= 2, f"{self.label}: {len(at)} numbers at an axis"
        values, places = np.array(at).T
        slope, start = np.polyfit(values, places, 1)
        assert np.abs(start + slope * values - places).max() < NEAR, self.label
        return lambda value: start + slope * scale(value)

    def lines(self, look):
        """Polylines ``[N, 2]``, in pixels."""
        found = []
        for path in self._svg.iter("path"):
            style = styled(path)
            dashes = style.get("stroke-dasharray", "").replace(",", " ")
            if path.get("clip-path") and (style.get("stroke"), dashes) == (
                look.colour,
                look.dashes,
            ):
                found.append(points(path.get("d")))
        return found

    def areas(self, look):
        """Corners ``[N, 2]`` of what is filled, in pixels."""
        found = [
            self._defined[use.get("href")[1:]] + _place(use)
            for use in self._svg.iter("use")
            if styled(use).get("fill") == look.colour and float(use.get("x")) == 0
        ]
        for path in self._svg.iter("path"):
            if styled(path).get("fill") == look.colour and path.get("clip-path"):
                found.append(points(path.get("d")))
        return found

    def dots(self, look):
        """``[N, 2]``, in pixels."""
        found = [
            _place(use)
            for use in self._svg.iter("use")
            if styled(use).get("fill") == look.colour and float(use.get("x")) != 0
        ]
        return np.array(found).reshape(-1, 2)

    def inside(self, places, room=0.0):
        """Those within the axes."""
        left, top, right, bottom = self.box
        x, y = np.asarray(places, dtype=float).reshape(-1, 2).T
        kept = (left - room <= x) & (x <= right + room) & (top - room <= y) & (y <= bottom + room)
        return np.stack([x[kept], y[kept]], axis=1)


def charts(html):
    """All charts of a page."""
    return [Drawn(figure) for figure in re.findall(r"<figure>.*?</figure>", html, re.DOTALL)]


def _look(shape):
    if shape.tag == "path" and shape.get("stroke"):
        return Look(shape.get("stroke").lower(), shape.get("stroke-dasharray", ""))
    return Look(shape.get("fill").lower())


def _place(use):
    return np.array([float(use.get("x")), float(use.get("y"))])


def same_places(one, other, near=NEAR):
    """Whether there is one of ``other`` at each of ``one``, and the other way round."""
    one, other = (np.asarray(p, dtype=float).reshape(-1, 2) for p in (one, other))
    if not len(one) or not len(other):
        return len(one) == len(other)
    apart = np.abs(one[:, None] - other[None]).max(axis=2)
    return bool(apart.min(axis=0).max() < near and apart.min(axis=1).max() < near)


def same_curve(chart, one, other, near=NEAR):
    """Whether each corner of either polyline, within the axes, lies on the other."""
    return all(
        len(chart.inside(corners)) == 0 or _apart(chart.inside(corners), curve).max() < near
        for corners, curve in ((one, other), (other, one))
    )


def _apart(places, curve):
    """Distances ``[N]`` of places from a polyline."""
    start, along = curve[:-1], np.diff(curve, axis=0)
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    share = ((places[:, None] - start) * along).sum(axis=2) / length
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    return np.sqrt(((places[:, None] - nearest) ** 2).sum(axis=2)).min(axis=1)
