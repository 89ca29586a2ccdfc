"""Matplotlib figures as inline SVG: no header, no date, no address, no identifier used twice."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import style
from matplotlib.figure import Figure

INK, MUTED, RULE = "#24292f", "#57606a", "#d8dce1"
_SETTINGS = {
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and is small
    "text.parse_math": False,  # a class may be called "$1 bill"
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#9aa1a9",
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "lines.linewidth": 2.0,
    "lines.scale_dashes": False,
    "legend.frameon": False,
}


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """Matplotlib's own defaults and this package's look, whatever the user's settings are.

    Args:
        name: Salt for the identifiers inside the drawing; different for every chart of a page.

    Yields:
        Nothing; make and save the figure inside.
    """
    settings = {**_SETTINGS, "svg.hashsalt": name}
    with style.context(["default", settings]), warnings.catch_warnings():
        # the browser has the glyphs that matplotlib's font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure for `to_svg`.

    Args:
        width: In points; one point of the drawing is about one pixel on a phone.
        height: In points.

    Returns:
        A figure that belongs to no window.
    """
    return Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")


def to_svg(drawn: Figure, name: str, label: str) -> Markup:
    """A figure as an element to put into HTML.

    Args:
        drawn: The figure.
        name: Prefix of its identifiers.
        label: What it shows, for those who cannot see it.

    Returns:
        An `<svg>` that scales to the width of its place.
    """
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    used = set(re.findall(r"#([\w.-]+)", " ".join(_references(root))))
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = dict(_attributes(element, name, used))
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    return Markup(ElementTree.tostring(root, encoding="unicode").strip())


def plain(text: object, longest: int = 60) -> str:
    r"""A label that XML can hold, on one line and not too long.

    Args:
        text: Any value, say the name of a class.
        longest: Characters kept.

    Returns:
        The text without control characters, cut with an ellipsis.

    >>> plain("a\x00 very\nlong name", 8)
    'a very …'
    """
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return words if len(words) <= longest else words[: longest - 1] + "…"


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for key, value in element.attrib.items():
            if _local(key) == "href" or "url(#" in value:
                yield value


def _attributes(
    element: ElementTree.Element, name: str, used: set[str]
) -> Iterator[tuple[str, str]]:
    for key, value in element.attrib.items():
        key = _local(key)
        if key == "id":
            if value in used:
                yield key, f"{name}-{value}"
        elif key == "href":
            yield key, value.replace("#", f"#{name}-", 1)
        elif key == "style":
            value = re.sub(r"font-family: [^;]*(; |$)", "", value)  # the page's font
            yield key, value.replace("url(#", f"url(#{name}-")
        else:
            yield key, value.replace("url(#", f"url(#{name}-")
