"""What a table is made of, before it is rendered."""

from dataclasses import dataclass, field
from typing import Literal

from lotus_unlearning.benchmark.grid import Section
from lotus_unlearning.metrics import Interval

Mark = Literal["", "best", "as good"]
NOTHING = "–"
PRINTED = "printed"


@dataclass(frozen=True)
class Entry:
    """A cell of a table.

    Attributes:
        text: As it is written.
        mark: ``"best"``, or ``"as good"``: not significantly worse than the best.
        estimate: The numbers behind it, where there are any.
    """

    text: str
    mark: Mark = ""
    estimate: Interval | None = None


@dataclass(frozen=True)
class Table:
    """A table, ready to be rendered.

    Attributes:
        name: Of the block.
        title: Heading.
        heads: One for each column.
        rows: Entries, as many as heads.
        notes: Below it.
        measures: The measure of each column, ``None`` for words and published values.
    """

    name: str
    title: str
    heads: list[str]
    rows: list[list[Entry]]
    notes: list[str] = field(default_factory=list)
    measures: list[str | None] = field(default_factory=list)


def scenario_name(section: Section) -> str:
    """As the published results name it."""
    scenario = section.scenario
    return "class" if scenario.kind == "class" else f"{scenario.fraction:.0%}"
