"""Finished cells become numbers: means over seeds with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lotus_unlearning import metrics
from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.grid import Grid, Section
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.metrics import Interval

COSTS = ("seconds", "peak_memory_bytes")
"""Measures of the machine as much as of the method: shown as medians."""
Record = Mapping[str, Any]
Values = dict[tuple[int, int], float]
"""(seed of the choice of images, seed of unlearning) -> value."""


@dataclass
class Line:
    """One model or method in one block.

    Attributes:
        name: ``"original"``, ``"gold"`` or a key of METHODS.
        label: The name of the line in tables.
        settings: The sources of its settings.
        values: Each measure -> its values by seeds.
        failed: The reasons why cells have no values.
        records: As of values -> the record of the cell.
        spread: For the gold line, each measure -> its least and its largest value of all single
            gold models.
        apart: The seeds of cells that were measured against another original and other golds than
            those of the table: of the same seeds, made again on another machine.
    """

    name: str
    label: str
    settings: tuple[str, ...] = ()
    values: dict[str, Values] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    records: dict[tuple[int, int], Record] = field(default_factory=dict)
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)
    apart: set[tuple[int, int]] = field(default_factory=set)

    @property
    def is_method(self) -> bool:
        """Whether it is compared with others."""
        return self.name not in ("original", "gold")

    @property
    def machines(self) -> set[str]:
        """What its cells ran on, without which seconds cannot be compared."""
        return {machine(record["on"]) for record in self.records.values() if "on" in record}

    @property
    def is_known(self) -> bool:
        """Whether any of its cells was run."""
        return bool(self.values or self.failed)


def machine(on: Record) -> str:
    """A machine as cells recorded it, with precision and threads."""
    device, threads = on.get("device", "unknown"), on.get("threads")
    name = on.get("processor", device) if device == "cpu" else device
    words = [str(name), str(on.get("precision", "unknown precision"))]
    if device == "cpu" and threads is not None:
        words.append(f"{threads} thread{'s' if threads > 1 else ''}")
    return f"{words[0]} ({', '.join(words[1:])})"


@dataclass(frozen=True)
class Part:
    """A section of a grid, measured.

    Attributes:
        section: The block and the scenario.
        lines: The lines of the table: original, gold, then the methods.
        draws: The number of draws that were finished, and of all.
        images: Each split -> its number of images, in the first draw.
    """

    section: Section
    lines: list[Line]
    draws: tuple[int, int]
    images: Mapping[str, int]

    @property
    def choices(self) -> int:
        """How many are independent: choices of images, or originals, where all forget the same."""
        measured = {split for line in self.lines for split, _ in line.records}
        return len(measured) or self.draws[0]


def summarise(grid: Grid, store: Store) -> list[Part]:
    """What is known of each section of ``grid``; unfinished cells are left out."""
    return [_part(section, store) for section in grid.sections()]


def _part(section: Section, store: Store) -> Part:
    original, gold = Line("original", "original"), Line("gold", "gold")
    rows, draws = section.rows(), list(section.draws())
    lines = [Line(row.name, row.label, row.settings) for row in rows]
    finished, images = 0, dict[str, int]()
    for draw in draws:
        at = draw.at
        reference = store.record(draw.reference)
        if reference is None or "error" in reference:
            continue
        finished += 1
        images = images or reference["images"]
        _put(original, at, reference, store.record(draw.reference.original))
        _put_golds(gold, at, reference, [store.record(g) for g in draw.reference.golds])
        for row, line in zip(rows, lines, strict=True):
            _put_method(line, at, reference, store.record(draw.unlearning(row.method)))
    whole = [original, *([gold] if gold.values else []), *lines]
    _gaps_as_published(whole)
    _gaps_to_gold(whole)
    return Part(section, whole, (finished, len(draws)), images)


def _put(line: Line, at: tuple[int, int], record: Record, cost: Record | None) -> None:
    line.records[at] = record
    facts = {**record["values"], **{k: (cost or {}).get(k) for k in COSTS}}
    for measure, value in facts.items():
        if value is not None:
            line.values.setdefault(measure, {})[at] = float(value)


def _put_golds(
    line: Line, at: tuple[int, int], reference: Record, trained: Sequence[Record | None]
) -> None:
    """Each gold was measured against the others; the line holds their mean."""
    golds = [
        {**gold["values"], **{k: (cost or {}).get(k) for k in COSTS}}
        for gold, cost in zip(reference["golds"], trained, strict=True)
    ]
    if golds:
        line.records[at] = reference["golds"][0]
    for measure in golds[0] if golds else ():
        values = [gold[measure] for gold in golds if gold.get(measure) is not None]
        if len(values) == len(golds):
            low, high = line.spread.get(measure, (values[0], values[0]))
            line.spread[measure] = (min(low, *values), max(high, *values))
            mean = np.median(values) if measure in COSTS else np.mean(values)
            line.values.setdefault(measure, {})[at] = float(mean)


def _put_method(line: Line, at: tuple[int, int], reference: Record, record: Record | None) -> None:
    if record is None:
        return
    if "error" in record:
        line.failed.append(record["error"])
        return
    _put(line, at, record, record)
    if _is_apart(record, reference):
        line.apart.add(at)


def _is_apart(record: Record, reference: Record) -> bool:
    """Whether a cell was measured against others than the original and the golds of its table.

    Digests of what both were measured against say so; to older cells, which have none, the
    distance of the original from the golds, which each cell computes from its own, to the bit.
    """
    if "against" in record and "against" in reference:
        return bool(record["against"] != reference["against"])
    mine, theirs = (one["values"].get("distance_original") for one in (record, reference))
    return None not in (mine, theirs) and mine != theirs


def _gaps_as_published(lines: Sequence[Line]) -> None:
    gold = next((line for line in lines if line.name == "gold"), None)
    if gold is None:
        return
    for line in lines:
        if all(key in line.values for key in metrics.GAP_KEYS):
            known = [of.values[key] for of in (line, gold) for key in metrics.GAP_KEYS]
            seeds = [at for at in known[0] if all(at in values for values in known)]
            mine, theirs = (
                {key: [of.values[key][at] for at in seeds] for key in metrics.GAP_KEYS}
                for of in (line, gold)
            )
            if seeds:
                gap = metrics.average_gap_as_published(mine, theirs)
                line.values["average_gap_as_published"] = {(-1, -1): gap}


def _gaps_to_gold(lines: Sequence[Line]) -> None:
    """The distance from the golds' mean in measures that are to be near it, where cells lack it."""
    gold = next((line for line in lines if line.name == "gold"), None)
    for measure, column in COLUMNS.items():
        aims = gold.values.get(measure, {}) if gold is not None else {}
        if column.good != "near gold" or not aims:
            continue
        for line in lines:
            values = line.values.get(measure, {})
            if f"gap_{measure}" not in line.values and values:
                gaps = {at: abs(v - aims[at]) for at, v in values.items() if at in aims}
                line.values[f"gap_{measure}"] = gaps


def estimate(values: Values) -> Interval:
    """Mean and 95% interval over seeds.

    Where several originals share a choice of images, their values are not independent: they are
    averaged first, and the interval is over choices.
    """
    return metrics.mean_and_interval(list(by_split(values).values()))


def middle(values: Values) -> Interval:
    """The median, without an interval."""
    nan = float("nan")
    return Interval(float(np.median(list(values.values()))), nan, nan)


def by_split(values: Values) -> dict[int, float]:
    """Mean over originals and unlearnings for each choice of images."""
    splits: dict[int, list[float]] = {}
    for (split, _), value in values.items():
        splits.setdefault(split, []).append(value)
    return {split: float(np.mean(found)) for split, found in sorted(splits.items())}


def failures(parts: Sequence[Part]) -> Iterator[str]:
    """One sentence for each method that failed somewhere."""
    for part in parts:
        for line in part.lines:
            if line.failed:
                settings, planned = ", ".join(line.settings), part.draws[1]
                units = "models" if planned > part.section.grid.seeds.split else "seeds"
                yield (
                    f"{line.label} ({settings}): failed for {len(line.failed)} of {planned} "
                    f"{units}: {line.failed[0].splitlines()[-1]}"
                )
