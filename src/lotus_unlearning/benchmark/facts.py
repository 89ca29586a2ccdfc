"""What was run, as the cells recorded it: seeds, machines, versions and settings."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lotus_unlearning.benchmark.grid import Grid
from lotus_unlearning.benchmark.summary import Line, Part, machine
from lotus_unlearning.benchmark.tables import title

Record = Mapping[str, Any]


def summary(grid: Grid, parts: Sequence[Part]) -> Iterator[str]:
    """What was run, in a few sentences."""
    lines = [line for part in parts for line in part.lines if line.is_method]
    labels = list(dict.fromkeys(line.label for line in lines))
    settings = [name for name in grid.settings if any(name in line.settings for line in lines)]
    if labels:
        count = f"{len(labels)} method{'s' if len(labels) > 1 else ''}: {_listed(labels)}."
        yield f"{count} Settings: {_listed(settings)}."
    yield f"{_seeds(grid)} {_golds(grid)}"
    versions, machines = _versions(parts), _machines(parts)
    if versions:
        named = [f"{name} {_listed(found)}" for name, found in versions.items()]
        yield f"Measured with {_listed(named)} on {_listed(list(machines))}."
    if len({name.partition(" (")[0] for name in machines}) > 1:
        yield "Seconds and memory of different machines cannot be compared."
    apart, known = _apart(parts)
    if apart:
        yield (
            f"{apart} of {known} cells of methods were measured against an original and golds that "
            "were made again, on another machine or with other versions, and are not to the bit "
            "those of the rows above."
        )


def run(grid: Grid, parts: Sequence[Part]) -> dict[str, Any]:
    """Everything needed to judge whether numbers can be compared, nested and named."""
    settings = {_heading(part): dict(_settings(part)) for part in parts}
    found = {
        "seeds": _seeds(grid),
        "gold models": _golds(grid),
        "versions": {name: ", ".join(known) for name, known in _versions(parts).items()},
        "machines": {name: f"{count} cells" for name, count in _machines(parts).items()},
        "images": {_heading(part): _sizes(part) for part in parts},
        "settings of methods": {name: rows for name, rows in settings.items() if rows},
    }
    return {name: value for name, value in found.items() if value}


def _seeds(grid: Grid) -> str:
    seeds = grid.seeds
    if seeds.training * seeds.unlearning > 1:
        several = seeds.training > 1
        originals = f"{seeds.training} originals" if several else "one original"
        who = "each of which unlearns" if several else "which unlearns"
        times = f", {who} {seeds.unlearning} times" if seeds.unlearning > 1 else ""
        return (
            f"{seeds.split} choices of images to forget, each with {originals}{times}; intervals "
            "are over choices."
        )
    if seeds.split == 1:
        return "One seed: one choice of images to forget and one original."
    if not all(section.choices_differ for section in grid.sections()):
        return (
            f"{seeds.split} seeds, each with an original of its own; some forget the same images."
        )
    return f"{seeds.split} seeds, each with images to forget and an original of its own."


def _golds(grid: Grid) -> str:
    if not grid.golds:
        return "No gold models."
    return f"{grid.golds} gold model{'s' if grid.golds > 1 else ''} for each choice of images."


def _records(parts: Sequence[Part]) -> Iterator[Record]:
    """All cells with measures: those of methods, and one of each original with its golds."""
    for part in parts:
        for line in part.lines:
            yield from (r for _, r in sorted(line.records.items()) if "on" in r)


def _apart(parts: Sequence[Part]) -> tuple[int, int]:
    """Cells of methods that were measured against others than their reference, of all such."""
    lines = [line for part in parts for line in part.lines if line.is_method]
    return sum(len(line.apart) for line in lines), sum(len(line.records) for line in lines)


def _versions(parts: Sequence[Part]) -> dict[str, list[str]]:
    names = {"lotus-unlearning": "lotus-unlearning", "torch": "PyTorch"}
    found = {
        shown: sorted({str(r["on"][name]) for r in _records(parts) if name in r["on"]})
        for name, shown in names.items()
    }
    return {name: versions for name, versions in found.items() if versions}


def _machines(parts: Sequence[Part]) -> dict[str, int]:
    """Machine with precision and threads -> number of cells."""
    return dict(sorted(Counter(machine(record["on"]) for record in _records(parts)).items()))


def _heading(part: Part) -> str:
    return title(part).removeprefix(f"{part.section.grid.title}: ")


def _sizes(part: Part) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in part.images.items())


def _settings(part: Part) -> Iterator[tuple[str, str]]:
    for line in part.lines:
        method = next((r["method"] for r in line.records.values() if "method" in r), None)
        if method is not None:
            values = ", ".join(f"{k} {_value(v)}" for k, v in method["settings"].items())
            yield _row(line), f"{method['name']}: {values}" if values else method["name"]


def _row(line: Line) -> str:
    return f"{line.label} ({', '.join(line.settings)})" if line.settings else line.label


def _value(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _listed(words: Sequence[str]) -> str:
    """Words with commas and a final "and"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
