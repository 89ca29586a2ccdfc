"""What all charts share: a drawing with its title and legend, and how lines and axes look."""

from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import FuncFormatter

from lotus_unlearning.report.palette import Style, Symbol


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
