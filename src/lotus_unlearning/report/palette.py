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


@dataclass(frozen=True)
class Symbol:
    """How one kind of dot is drawn.

    Attributes:
        marker: Its name in matplotlib.
        colour: Of its face.
        path: The same shape for a legend, in a square of 12 by 12.
        size: Points, so that all shapes look equally large.
    """

    marker: str
    colour: str
    path: str
    size: float


_SYMBOLS = (
    Symbol("o", BLUE, "M6 1.6a4.4 4.4 0 1 0 .01 0Z", 6.4),
    Symbol("s", GREEN, "M2 2h8v8H2Z", 5.8),
    Symbol("D", VERMILION, "M6 .6 11.4 6 6 11.4.6 6Z", 5.6),
    Symbol("^", PURPLE, "M6 1 11.2 10.4H.8Z", 6.8),
    Symbol("v", SKY, "M6 11 .8 1.6h10.4Z", 6.8),
    Symbol("P", "#882255", "M4 1h4v3h3v4H8v3H4V8H1V4h3Z", 7.2),
    Symbol(
        "X",
        "#332288",
        "M3.4 1 6 3.6 8.6 1 11 3.4 8.4 6 11 8.6 8.6 11 6 8.4 3.4 11 1 8.6 3.6 6 1 3.4Z",
        7.0,
    ),
)

REFERENCE_SYMBOLS = {
    "original": Symbol("o", GREY, "M6 1.6a4.4 4.4 0 1 0 .01 0Z", 6.4),
    "gold": Symbol("*", ORANGE, "M6 .5 7.5 4.3 11.6 4.5 8.4 7.1 9.5 11.1 6 8.8Z", 10.5),
}

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


def symbols(names: Sequence[str]) -> dict[str, Symbol]:
    """A shape and a colour for each kind of dot.

    Args:
        names: Say, where settings come from.

    Returns:
        One symbol per name; they begin anew after the seventh.

    >>> [symbol.marker for symbol in symbols(["paper", "tuned"]).values()]
    ['o', 's']
    """
    return {name: _SYMBOLS[i % len(_SYMBOLS)] for i, name in enumerate(dict.fromkeys(names))}


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
