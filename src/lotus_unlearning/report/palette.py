"""One colour and one line style per model, the same in every table and chart.

Colours: Okabe and Ito, "Color Universal Design", 2008, told apart with every common colour
vision. Dashes tell the lines apart in a grey print. The palette's black is softened to a grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass

GREY, BLUE, ORANGE = "#5f6368", "#0072B2", "#E69F00"
GREEN, PURPLE, SKY, VERMILION = "#009E73", "#CC79A7", "#56B4E9", "#D55E00"


@dataclass(frozen=True)
class Style:
    """How one model is drawn: a colour and the lengths of dashes and gaps (none: a full line)."""

    colour: str
    dashes: tuple[float, ...] = ()


_KNOWN = {
    "original": Style(GREY, (5, 2.2)),
    "unlearned": Style(BLUE),
    "gold": Style(ORANGE, (8, 2, 1.5, 2)),
}
_OTHERS = tuple(
    Style(colour, dashes)
    for dashes in ((), (5, 2.2), (1.5, 1.8))
    for colour in (GREEN, PURPLE, VERMILION, SKY, BLUE, GREY)
)


def styles(columns: Sequence[str]) -> dict[str, Style]:
    """The style of each column.

    Args:
        columns: Names of the models compared.

    Returns:
        One style per name; original, unlearned and gold always look the same.

    >>> styles(["unlearned", "mine"])["mine"].colour
    '#009E73'
    """
    others = iter(_OTHERS * (1 + len(columns) // len(_OTHERS)))
    return {name: _KNOWN.get(name) or next(others) for name in columns}


def ordered(columns: Sequence[str]) -> list[str]:
    """The columns with gold directly beside unlearned, otherwise in the order given.

    Args:
        columns: Names of the models compared.

    Returns:
        The same names.

    >>> ordered(["gold", "original", "unlearned"])
    ['original', 'unlearned', 'gold']
    """
    names = list(columns)
    if "gold" in names and "unlearned" in names:
        names.remove("gold")
        names.insert(names.index("unlearned") + 1, "gold")
    return names
