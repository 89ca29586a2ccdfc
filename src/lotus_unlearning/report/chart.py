"""What all charts share: a drawing with its title and legend, and how lines and axes look."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from lotus_unlearning.report.palette import Style, Symbol

_SHARES = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)
_SMALL_SHARES = (0.0, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True)
class Key:
    """One entry of a legend; `filled` for an area, a `symbol` for dots, otherwise a line."""

    name: str
    style: Style
    text: str = ""
    filled: bool = False
    symbol: Symbol | None = None


@dataclass(frozen=True)
class Chart:
    """A drawing with its title, caption and legend, which the page sets in its own type."""

    title: str
    svg: Markup
    keys: list[Key] = field(default_factory=list)
    caption: str = ""


def line(look: Style) -> dict[str, Any]:
    """A style as matplotlib wants it."""
    return {"color": look.colour, "linestyle": (0, look.dashes) if look.dashes else "-"}


def as_percent() -> FuncFormatter:
    """For axes of shares."""
    return FuncFormatter(lambda share, _: f"{100 * share:.4g} %".replace("-", "−"))


def root_axis(axes: Axes, top: float) -> None:
    """Upwards, shares of images on a square-root scale (Tukey's rootogram).

    Most images lie in one bin; of the few elsewhere, which may give forgotten images away, nothing
    would be seen beside it on a plain scale.

    Args:
        axes: Of a histogram.
        top: The largest share in it.
    """
    axes.set_yscale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
    axes.set_ylim(0, 1.05 * top)
    ticks = _SHARES if top > 0.2 else _SMALL_SHARES
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if tick <= 1.05 * top]))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.yaxis.set_major_formatter(as_percent())
