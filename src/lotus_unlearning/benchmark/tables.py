"""Summaries become tables: each cell as it is written, what is best, and the published value."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.correlations import correlations
from lotus_unlearning.benchmark.grid import Grid, Section
from lotus_unlearning.benchmark.layout import (
    BOLD,
    ITALIC,
    NOTHING,
    PRINTED,
    Entry,
    Mark,
    Table,
    scenario_name,
    scenario_words,
)
from lotus_unlearning.benchmark.measures import GOLDS_TO_CLOSE
from lotus_unlearning.benchmark.published import Published, published
from lotus_unlearning.benchmark.ranking import DISTANCES, TESTED_FROM, Ranking, rank
from lotus_unlearning.benchmark.significance import by_choice, stouffer
from lotus_unlearning.benchmark.summary import COSTS, Line, Part, Values, estimate, failures, middle


def tables(grid: Grid, parts: Sequence[Part]) -> list[Table]:
    """The tables of a grid: one for each block, or the correlations of all of them."""
    if grid.shows == "correlation":
        return [correlations(grid, parts)]
    return [of_methods(part) for part in parts if part.draws[0]]


def of_methods(part: Part) -> Table:
    """Methods in rows, measures in columns, the published value beside each where there is one.

    Methods of which nothing was run are left out; a note names them.
    """
    heads, columns = ["Method", "Settings"], list[list[Entry]]()
    measures: list[str | None] = [None, None]
    grid, lines = part.section.grid, [line for line in part.lines if line.is_known]
    for measure in grid.measures:
        ranking = rank(lines, measure)
        columns.append([_entry(part, ln, i, measure, ranking) for i, ln in enumerate(lines)])
        heads.append(COLUMNS[measure].label)
        measures.append(measure)
        printed = [_printed(part.section, line, measure) for line in lines]
        if any(printed):
            heads.append(PRINTED)
            measures.append(None)
            columns.append([Entry(NOTHING if one is None else str(one)) for one in printed])
    names = [[Entry(_name(line)), Entry(", ".join(line.settings))] for line in lines]
    rows = [[*n, *(c[i] for c in columns)] for i, n in enumerate(names)]
    return Table(
        part.section.name,
        title(part),
        heads,
        rows,
        list(_notes(part)),
        measures,
        scenario=scenario_words(part.section),
    )


def _name(line: Line) -> str:
    """The label, marked where cells cannot be compared with those of other lines."""
    return f"{line.label} †" if line.apart else line.label


def title(part: Part) -> str:
    """Data, model and scenario of a section in words."""
    section, images = part.section, part.images
    setup, scenario = section.block.setup, _SCENARIOS[section.scenario.kind]
    size = f"{images['forget']:,} of {images['forget'] + images['retain']:,} images"
    return f"{section.grid.title}: {section.name} ({setup.model}), {scenario}, {size}, {_of(part)}"


def _of(part: Part) -> str:
    """Seeds, or choices and how many models they make."""
    choices, draws = part.choices, part.draws[0]
    if draws > choices:
        what = "choices of images" if part.section.choices_differ else "originals"
        return f"{choices} {what}, {draws} models"
    return f"{draws} seed{'s' if draws > 1 else ''}"


_SCENARIOS = {
    "random": "random images",
    "class": "a class",
    "group": "whole groups",
    "official": "the authors' choice",
    "memorised": "the most memorised images",
    "near-duplicates": "near-duplicates of retained images",
}


def _entry(part: Part, line: Line, at: int, measure: str, ranking: Ranking | None) -> Entry:
    values, column = line.values.get(measure), COLUMNS[measure]
    if not values:
        closable = measure == "closes" and _golds(part) >= GOLDS_TO_CLOSE
        nothing = closable and line.is_method and line.values
        return Entry("failed" if line.failed else "nothing" if nothing else NOTHING)
    found = estimate(values) if measure not in COSTS else middle(values)
    text = column.text(found.value)
    if line.name == "gold" and measure == "closes":
        low, high = line.spread[measure]
        text += f" ({column.text(low)} to {column.text(high)})"
    elif math.isfinite(found.low):
        text += f" ± {column.text((found.high - found.low) / 2)}"
    seeds = len({split for split, _ in values})
    if line.failed:
        text += " (some failed)"
    elif seeds < expected(part, measure):
        text += f" ({seeds} of {expected(part, measure)})"
    mark: Mark = ""
    if ranking is not None:
        mark = "best" if at in ranking.best else "as good" if at in ranking.as_good else ""
    return Entry(text, mark, found)


def expected(part: Part, measure: str) -> int:
    """For how many choices of images there is a value, if a method was run for all of them."""
    original = next(line for line in part.lines if line.name == "original")
    known = original.records if measure == "closes" else original.values.get(measure, {})
    known = known or original.records
    return (
        1 if measure.endswith("_as_published") and (-1, -1) in known else len({s for s, _ in known})
    )


def _printed(section: Section, line: Line, measure: str) -> Published | None:
    """What the paper prints for this line, if it is in the paper's settings."""
    name, table, place = COLUMNS[measure].published, section.grid.published, section.block.published
    if table is None or place is None or name is None:
        return None
    if line.is_method and "paper" not in line.settings:
        return None
    found = published().get((table, *place, scenario_name(section), line.label, name))
    return found and found.scaled(COLUMNS[measure].scale)


def _notes(part: Part) -> Iterator[str]:
    grid, (done, planned) = part.section.grid, part.draws
    yield _of_intervals(part)
    if done > 1 and not part.section.choices_differ:
        yield "All seeds forget the same images: intervals and tests are over originals alone."
    if done < planned:
        units = "models" if planned > part.section.grid.seeds.split else "seeds"
        yield f"{planned - done} of {planned} {units} are not finished."
    lines = [line for line in part.lines if line.is_known]
    yield from _spread_of_printed(part, lines)
    tests = [r.tests for m in grid.measures if (r := rank(lines, m)) is not None]
    if any(tests):
        limited = [COLUMNS[measure].label for measure in grid.measures if measure in DISTANCES]
        limit = f", nor worse than the original ({', '.join(limited)})" if limited else ""
        yield (
            f"{BOLD}: best mean. {ITALIC}: cannot be told from the best (paired t-tests over "
            f"seeds, Holm's correction for up to {max(tests)} comparisons, 5%){limit}. Tests are "
            "paired: whether intervals overlap says little."
        )
    elif tests:
        yield f"{BOLD}: best mean. Fewer than {TESTED_FROM} seeds: no tests between methods."
    if any(COLUMNS[measure].good == "near gold" for measure in grid.measures):
        yield "Of accuracies, attacks and RF-JSD the best is the one nearest to gold, seed by seed."
    if any(line.name == "gold" for line in part.lines):
        yield (
            f"gold: {grid.golds} models for each seed, each measured against the others, which is "
            "as near as retraining comes to itself. Other rows: mean distance from all of them."
            if grid.golds > 1
            else "gold: one model for each seed, from which distances are measured."
        )
    yield from _notes_of_rows(part)
    if "closes" in grid.measures:
        yield from _nothing_to_close(part)
    yield from failures([part])


def _of_intervals(part: Part) -> str:
    """Over what intervals are."""
    choices, draws = part.choices, part.draws[0]
    each = f", the mean of {draws / choices:.3g} models for each" if draws > choices else ""
    if choices > 1:
        what = "choices of images" if each and part.section.choices_differ else "seeds"
        return (
            f"Mean ± half of the 95% interval over {choices} {what}{each} (Student's t); of "
            "seconds and memory the median."
        )
    what = f"One choice of images{each}" if each else "One seed"
    return f"{what}: no interval and no test."


def _notes_of_rows(part: Part) -> Iterator[str]:
    """What is missing, and what cannot be compared."""
    apart = sum(len(line.apart) for line in part.lines)
    if apart:
        yield (
            f"†: {apart} cell{'s' if apart > 1 else ''} measured against an original and golds of "
            "the same seeds that were made again on another machine or with other versions, and "
            "have other bits. These rows are not compared with others: remove the cells, and the "
            "same command runs them again."
        )
    missing = [f"{ln.label} ({', '.join(ln.settings)})" for ln in part.lines if not ln.is_known]
    if missing:
        yield f"Not run: {', '.join(missing)}."
    if without := part.section.settings_without_rows:
        search = "; lotus tune searches them" if "tuned" in without else ""
        yield f"No settings {' or '.join(without)} for this data and kind of request{search}."


def _golds(part: Part) -> int:
    """For each choice of images; none where models are not trained."""
    return len(next(part.section.draws()).reference.golds)


def _spread_of_printed(part: Part, lines: Sequence[Line]) -> Iterator[str]:
    """It is not ours, beside which it stands."""
    measures = part.section.grid.measures
    printed = [_printed(part.section, line, measure) for line in lines for measure in measures]
    if any(one is not None and one.std is not None for one in printed):
        yield (
            "Printed: as in the paper, where ± is the standard deviation over three seeds; ours is "
            "half of the 95% interval."
        )


def _nothing_to_close(part: Part) -> Iterator[str]:
    reference = next(line for line in part.lines if line.name == "original")
    p_values = _once(part, reference.values.get("p_something_to_close", {}))
    closed = _once(part, reference.values.get("closes", {}))
    if (golds := _golds(part)) < GOLDS_TO_CLOSE:
        yield (
            f"Closes: left out; it needs {GOLDS_TO_CLOSE} or more gold models for each choice of "
            f"images (--golds), got {golds}."
        )
    if closed:
        yield (
            "Closes: 0 is the original, 100 gold; of gold, the mean and the range of single gold "
            "models. More than 100 is not counted as better than 100."
        )
    without = len(p_values) - len(closed)
    if without:
        far, near = (
            estimate(reference.values[f"distance_{name}"]).value for name in ("original", "gold")
        )
        units = "originals" if len(p_values) > part.choices else "seeds"
        pooled = ""
        if part.section.choices_differ:  # else all are measured from the same golds
            p_value = stouffer(list(by_choice(p_values).values()))
            pooled = f"; all seeds together: p = {p_value:.2g} (Stouffer)"
        yield (
            f"Closes: nothing to close that could be measured for {without} of {len(p_values)} "
            f"{units}, where the original is not significantly further from the golds than they "
            f"are from each other. Mean distances over all {units}: {1e3 * far:.1f} and "
            f"{1e3 * near:.1f} x1e3{pooled}."
            + (f" The column's means are of the other {units}." if closed else "")
        )


def _once(part: Part, values: Values) -> Values:
    """Those of the first time that each original unlearns: it stays what it is."""
    first = {draw.at for draw in part.section.draws() if draw.number == 0}
    return {at: value for at, value in values.items() if at in first}


def without_empty_columns(table: Table) -> Table:
    """Columns that say nothing anywhere are left out, but for those that name the rows."""
    kept = [
        i
        for i in range(len(table.heads))
        if i < table.names or any(r[i].text not in ("", NOTHING) for r in table.rows)
    ]
    return dataclasses.replace(
        table,
        heads=[table.heads[i] for i in kept],
        rows=[[row[i] for i in kept] for row in table.rows],
        measures=[table.measures[i] for i in kept] if table.measures else [],
    )
