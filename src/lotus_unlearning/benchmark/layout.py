"""What a table is made of, before it is rendered."""

from dataclasses import dataclass, field
from typing import Literal

from lotus_unlearning.benchmark.grid import Scenario, Section
from lotus_unlearning.metrics import Interval

Mark = Literal["", "best", "as good"]
BOLD, ITALIC = "Bold", "Italic"
"""How notes call what is best and what cannot be told from it; a terminal has other marks."""
NOTHING = "–"
PRINTED = "printed"


@dataclass(frozen=True)
class Entry:
    """A cell of a table.

    Attributes:
        text: The text of the cell.
        mark: ``"best"``, ``"as good"`` (not significantly worse than the best), or nothing.
        estimate: The mean and the interval behind the text; ``None``: there are none.
    """

    text: str
    mark: Mark = ""
    estimate: Interval | None = None


@dataclass(frozen=True)
class Table:
    """A table, ready to be rendered.

    Attributes:
        name: The name of the block.
        title: The heading of the table.
        heads: The heading of each column.
        rows: The rows, each with as many entries as there are heads.
        notes: The sentences below the table.
        measures: The measure of each column, ``None`` for words and published values.
        names: The number of first columns that name a row.
        scenario: What is forgotten; nothing where rows say so.
    """

    name: str
    title: str
    heads: list[str]
    rows: list[list[Entry]]
    notes: list[str] = field(default_factory=list)
    measures: list[str | None] = field(default_factory=list)
    names: int = 2
    scenario: str = ""


def scenario_words(section: Section) -> str:
    """What is forgotten, in a word or two."""
    return in_words(section.scenario)


def in_words(scenario: Scenario) -> str:
    """A kind of images to forget, with their share where it says anything.

    >>> in_words(Scenario(fraction=0.5)), in_words(Scenario(kind="class", fraction=0.5))
    ('random 50%', 'class')
    """
    kind, share = scenario.kind, f"{100 * scenario.fraction:g}%"
    return kind if kind in ("class", "official") else f"{kind} {share}"


def scenario_name(section: Section) -> str:
    """As the published results name it."""
    scenario = section.scenario
    return "class" if scenario.kind == "class" else f"{scenario.fraction:.0%}"
