"""Figures that say where they come from: each names its place in the plain data of its page."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from lotus_unlearning.report.page import formatted

Figure = Callable[..., Markup]


def written(value: float, unit: str) -> str:
    """A figure as text.

    Args:
        value: What it is.
        unit: As for :func:`~lotus_unlearning.report.page.formatted`; or ``"sd"``, standard
            deviations, ``"p"``, a p-value, or ``"belief"``, the probability of a label.

    Returns:
        One decimal of standard deviations, two digits of a p-value, and of a belief near 1 as many
        as tell it from 1.

    >>> written(-3.7061, "sd"), written(-0.01, "sd"), written(0.000138, "p"), written(0.25, "share")
    ('−3.7', '0.0', '0.00014', '25.0 %')
    >>> written(0.99998, "belief"), written(0.9, "belief"), written(1 - 1e-9, "belief")
    ('99.998 %', '90.0 %', '> 99.9999 %')
    """
    rest = 1 - value
    if unit == "belief" and 0 <= rest < 5e-7:
        return "> 99.9999 %"
    if unit == "belief":
        digits = math.ceil(-math.log10(100 * rest)) if 0 < rest < 5e-4 else 0
        return f"{100 * value:.{digits}f} %" if digits else formatted(value, "share")
    if unit == "sd":
        return f"{value:z.1f}".replace("-", "−")
    if unit == "p":
        return f"{value:.2g}"
    return formatted(value, unit)


def at(page: Mapping[str, Any], place: str) -> Any:
    """What stands at a place, or ``None``.

    Args:
        page: Plain data.
        place: Keys and positions, with slashes between them.

    Returns:
        The value there.

    >>> at({"rows": [{"value": 2.5}]}, "rows/0/value"), at({"rows": []}, "rows/0/value")
    (2.5, None)
    """
    found: Any = page
    for key in place.split("/"):
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list | tuple) and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def figures(page: Mapping[str, Any]) -> Figure:
    """A function that writes figures of ``page``.

    Args:
        page: Plain data.

    Returns:
        Place and unit -> a ``<data>`` element with the exact value, its place, and the text that
        :func:`written` makes of it.

    >>> figures({"auc": 0.52341})("auc")
    Markup('<data value="0.52341" data-at="auc">0.5234</data>')
    """

    def figure(place: str, unit: str = "") -> Markup:
        """The number at a place of the page, with that place beside it."""
        value = at(page, place)
        if value is None:
            return Markup("–")
        made = Markup('<data value="{}" data-at="{}">{}</data>')
        return made.format(repr(value), place, written(value, unit))

    return figure
