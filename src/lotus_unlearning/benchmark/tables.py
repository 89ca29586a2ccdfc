"""Summaries become tables: each cell as it is written, what is best, and the published value."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lotus_unlearning import metrics
from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.grid import Grid, Section
from lotus_unlearning.benchmark.published import published
from lotus_unlearning.benchmark.summary import (
    COSTS,
    Line,
    Part,
    Ranking,
    estimate,
    failures,
    middle,
    rank,
)
from lotus_unlearning.metrics import Interval

Mark = Literal["", "best", "as good"]
NOTHING = "–"


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


def tables(grid: Grid, parts: Sequence[Part]) -> list[Table]:
    """The tables of a grid: one for each block, or the correlations of all of them."""
    if grid.shows == "correlation":
        return [correlations(grid, parts)]
    return [of_methods(part) for part in parts if part.draws[0]]


def of_methods(part: Part) -> Table:
    """Methods in rows, measures in columns, the published value beside each where there is one."""
    heads, columns = ["Method", "Settings"], list[list[Entry]]()
    measures: list[str | None] = [None, None]
    grid = part.section.grid
    for measure in grid.measures:
        ranking = rank(part.lines, measure)
        columns.append([_entry(line, i, measure, ranking) for i, line in enumerate(part.lines)])
        heads.append(COLUMNS[measure].label)
        measures.append(measure)
        printed = [_printed(part.section, line, measure) for line in part.lines]
        if any(printed):
            heads.append("printed")
            measures.append(None)
            columns.append([Entry(text or NOTHING) for text in printed])
    names = [[Entry(line.label), Entry(", ".join(line.settings))] for line in part.lines]
    rows = [[*n, *(c[i] for c in columns)] for i, n in enumerate(names)]
    name = part.section.name
    return Table(name, title(part), heads, rows, list(_notes(part)), measures)


def title(part: Part) -> str:
    """Data, model and scenario of a section in words."""
    section, images = part.section, part.images
    setup, scenario = section.block.setup, _SCENARIOS[section.scenario.kind]
    size = f"{images['forget']:,} of {images['forget'] + images['retain']:,} images"
    seeds = f"{part.draws[0]} seed{'s' if part.draws[0] > 1 else ''}"
    return f"{section.grid.title}: {section.name} ({setup.model}), {scenario}, {size}, {seeds}"


_SCENARIOS = {
    "random": "random images",
    "class": "a class",
    "group": "whole groups",
    "official": "the authors' choice",
    "memorised": "the most memorised images",
    "near-duplicates": "near-duplicates of retained images",
}


def _entry(line: Line, at: int, measure: str, ranking: Ranking | None) -> Entry:
    values = line.values.get(measure)
    if not values:
        return Entry("failed" if line.failed else NOTHING)
    found = estimate(values) if measure not in COSTS else middle(values)
    text = COLUMNS[measure].text(found.value)
    if math.isfinite(found.low):
        text += f" ± {COLUMNS[measure].text((found.high - found.low) / 2)}"
    if line.failed:
        text += " (some failed)"
    mark: Mark = ""
    if ranking is not None:
        mark = "best" if at == ranking.best else "as good" if at in ranking.as_good else ""
    return Entry(text, mark, found)


def _printed(section: Section, line: Line, measure: str) -> str:
    """What the paper prints for this line, if it is in the paper's settings."""
    name, table, place = COLUMNS[measure].published, section.grid.published, section.block.published
    if table is None or place is None or name is None:
        return ""
    if line.is_method and "paper" not in line.settings:
        return ""
    found = published().get((table, *place, _scenario(section), line.label, name))
    return str(found) if found is not None else ""


def _scenario(section: Section) -> str:
    """As the published results name it."""
    scenario = section.scenario
    return "class" if scenario.kind == "class" else f"{scenario.fraction:.0%}"


def _notes(part: Part) -> Iterator[str]:
    grid, (done, planned) = part.section.grid, part.draws
    yield (
        f"Mean ± half of the 95% interval over {done} seeds (Student's t); of seconds and memory "
        "the median."
        if done > 1
        else "One seed: no interval and no test."
    )
    if done < planned:
        yield f"{planned - done} of {planned} seeds are not finished."
    tests = [r.tests for m in grid.measures if (r := rank(part.lines, m)) is not None]
    if any(tests):
        yield (
            "Bold: best mean. Italic: not significantly worse than the best (paired t-tests over "
            f"seeds, Holm's correction for {max(tests)} comparisons, 5%)."
        )
    if any(line.name == "gold" for line in part.lines):
        yield (
            f"gold: {grid.golds} models for each seed, each measured against the others, which is "
            "as near as retraining comes to itself. Other rows: mean distance from all of them."
        )
    if "closes" in grid.measures:
        yield from _nothing_to_close(part)
    yield from failures([part])


def _nothing_to_close(part: Part) -> Iterator[str]:
    reference = next(line for line in part.lines if line.name == "original")
    p_values = reference.values.get("p_something_to_close", {})
    closed = reference.values.get("closes", {})
    without = len(p_values) - len(closed)
    if without:
        yield (
            f"Closes: nothing to close for {without} of {len(p_values)} seeds, where the original "
            "is already as near to the golds as they are to each other."
        )


def correlations(grid: Grid, parts: Sequence[Part]) -> Table:
    """Does RF-JSD, which needs no gold model, order methods as JSD does? (Table 7)."""
    heads = [
        "Data", "Model", "Settings", "Methods", "Pearson", "p", "Pearson with gold", "Spearman",
        "p", "Rank of gold's RF-JSD", "printed r",
    ]  # fmt: skip
    rows = []
    for part in parts:
        for settings in grid.settings:
            lines = [ln for ln in part.lines if ln.is_method and settings in ln.settings]
            gold = next((line for line in part.lines if line.name == "gold"), None)
            if gold is not None and len(pairs := _pairs(lines)) >= 4:
                rows.append(_correlation(part, settings, pairs, gold))
    notes = [
        "Over methods: mean RF-JSD against mean JSD to gold over seeds, with the 95% interval.",
        "Rank of gold's RF-JSD among all methods and gold: a measure that retraining does not "
        "win rewards something other than being like retraining.",
    ]
    return Table("all", grid.title, heads, rows, notes)


def _pairs(lines: Sequence[Line]) -> list[tuple[float, float]]:
    measures = ("rf_js_divergence", "js_divergence")
    known = [line for line in lines if all(measure in line.values for measure in measures)]
    found = [[estimate(line.values[m]).value for m in measures] for line in known]
    return [(rf, js) for rf, js in found]


def _correlation(
    part: Part, settings: str, pairs: Sequence[tuple[float, float]], gold: Line
) -> list[Entry]:
    x, y = zip(*pairs, strict=True)
    (reference,) = _pairs([gold])
    pearson, spearman = metrics.correlation(x, y), metrics.correlation(x, y, "spearman")
    with_gold = metrics.correlation([*x, reference[0]], [*y, reference[1]])
    rank_of_gold = 1 + sum(value < reference[0] for value in x)
    place = part.section.block.published or ("", "")
    key = ("7", *place, _scenario(part.section), "all", "rf_jsd~jsd pearson")
    printed = published().get(key)
    texts = [
        f"{part.section.name}, {part.section.scenario.fraction:.0%}",
        part.section.block.setup.model,
        settings,
        str(len(pairs)),
        _with_interval(pearson),
        f"{pearson.p_value:.2g}",
        _with_interval(with_gold),
        _with_interval(spearman),
        f"{spearman.p_value:.2g}",
        f"{rank_of_gold} of {len(pairs) + 1}",
        str(printed or NOTHING),
    ]
    return [Entry(text) for text in texts]


def _with_interval(found: metrics.Correlation) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def without_empty_columns(table: Table) -> Table:
    """Columns that say nothing anywhere are left out."""
    kept = [
        i
        for i in range(len(table.heads))
        if any(r[i].text not in ("", NOTHING) for r in table.rows)
    ]
    return dataclasses.replace(
        table,
        heads=[table.heads[i] for i in kept],
        rows=[[row[i] for i in kept] for row in table.rows],
        measures=[table.measures[i] for i in kept] if table.measures else [],
    )
