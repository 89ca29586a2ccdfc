"""Grids by name, and from YAML files."""

import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from lotus_unlearning.benchmark.blocks import Block
from lotus_unlearning.benchmark.cells import DataChoice, Setup
from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.grid import (
    MOST,
    Grid,
    Scenario,
    Seeds,
    Shows,
    block_named,
)
from lotus_unlearning.benchmark.layout import in_words
from lotus_unlearning.benchmark.misread import in_short
from lotus_unlearning.benchmark.published import published
from lotus_unlearning.benchmark.rows import Settings, Variant
from lotus_unlearning.files.plain import from_yaml
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.training import Recipe
from lotus_unlearning.wording import did_you_mean

_ALL = [name for name in METHODS if name != "retrain"]
_MEASURES = (
    "average_gap", "js_divergence", "rf_js_divergence", "closes", "entropy_attack",
    "forget_accuracy", "retain_accuracy", "test_accuracy", "seconds", "peak_memory_bytes",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OwnBlock:
    """A block of one's own in a YAML file; see :class:`Setup` and :class:`Block`.

    Attributes:
        name: The name of the block in tables.
        data: The data that models are trained on.
        model: The name of the model, see ``lotus list models``.
        recipe: The recipe that models are trained by.
        pretrained: Whether training starts from published weights.
        batch_size: Images per step of methods that have no size of their own.
        precision: The type of number that models compute in, as for
            :func:`lotus_unlearning.unlearn`.
        paper: The preset for the settings ``paper``.
        tuned: The preset for the settings ``tuned``; ``None``: there is none.
        label: The class to forget in class unlearning; ``None``: drawn by the seed.
    """

    name: str
    data: DataChoice
    model: str
    recipe: Recipe = field(default_factory=Recipe)
    pretrained: bool = False
    batch_size: int = 128
    precision: str = "auto"
    paper: str = "lotus-tables-resnet18"
    tuned: str | None = None
    label: str | None = None

    def block(self) -> Block:
        """As the grid has it."""
        setup = Setup(
            data=self.data,
            model=self.model,
            recipe=self.recipe,
            pretrained=self.pretrained,
            batch_size=self.batch_size,
            precision=self.precision,
        )
        return Block(setup=setup, paper=self.paper, tuned=self.tuned, label=self.label)


@dataclass(frozen=True, kw_only=True)
class GridFile:
    """What a YAML file of a grid holds; see :class:`Grid`.

    Attributes:
        title: The heading of the table.
        blocks: The names of blocks, or blocks of one's own.
        scenarios: The kinds of images to forget.
        methods: The names of methods, or variants of them; all methods if none is named.
        settings: The sources of settings: ``paper``, ``authors``, ``tuned``.
        seeds: The number of choices of images to forget, or that and the number of originals for
            each.
        golds: The number of gold models for each choice of images.
        measures: The columns of the table.
        shows: The kind of table or figure: ``methods``, ``correlation``, ``epochs`` or
            ``entropies``.
        published: The number of the table in the paper whose values stand beside.
    """

    title: str
    blocks: list[str | OwnBlock]
    scenarios: list[Scenario] = field(default_factory=lambda: [Scenario()])
    methods: list[str | Variant] = field(default_factory=lambda: list(_ALL))
    settings: list[Settings] = field(default_factory=lambda: ["authors"])
    seeds: int | Seeds = 3
    golds: int = 4
    measures: list[str] = field(default_factory=lambda: list(_MEASURES))
    shows: Shows = "methods"
    published: str | None = None


def grids() -> dict[str, Path]:
    """The grids that come with the package: name -> file."""
    folder = Path(str(resources.files("lotus_unlearning.benchmark"))) / "grids"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=_by_number)}


def _by_number(path: Path) -> tuple[str, int]:
    digits = "".join(c for c in path.stem if c.isdigit())
    return path.stem.rstrip("0123456789"), int(digits or 0)


def read_grid(name: str, changes: dict[str, Any] | None = None) -> Grid:
    """A grid by name or from a YAML file.

    Args:
        name: The name of a grid that comes with the package, or the path of a YAML file.
        changes: Entries that stand in the place of the file's. A number of seeds is that of choices
            of images: each keeps as many originals as the file says.

    Raises:
        ValueError: If there is no such grid or its file is wrong.
    """
    path = grids().get(name, Path(name))
    if not path.is_file():
        if path.suffix in (".yaml", ".yml"):
            raise ValueError(f"bench: expected a file, but there is none at {name!r}")
        hint = did_you_mean(name, grids())
        raise ValueError(
            f"bench: expected one of {', '.join(grids())}, or a YAML file; got {name!r}{hint}"
        )
    file, changes = _yaml(path), dict(changes or {})
    if isinstance(file.get("seeds"), dict) and isinstance(changes.get("seeds"), int):
        changes["seeds"] = {**file["seeds"], "split": changes["seeds"]}
    for key, called in (("blocks", "name"), ("methods", "label")):
        if key in changes:
            own = _own(file.get(key), called)
            changes[key] = [
                own.get(one, one) if isinstance(one, str) else one for one in changes[key]
            ]
    return _checked({**file, **changes}, str(path))


def _own(entries: Any, called: str) -> dict[str, Any]:
    """What a file describes itself, by name."""
    described = (
        [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    )
    return {one[called]: one for one in described if isinstance(one.get(called), str)}


def _yaml(path: Path) -> dict[str, Any]:
    try:
        found = from_yaml(path)
    except ValueError as error:
        raise ValueError(f"bench: expected YAML in {str(path)!r}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(
            f"bench: expected a mapping with title, blocks and more in {str(path)!r}, got "
            f"{type(found).__name__}"
        )
    return found


def _checked(entries: dict[str, Any], source: str) -> Grid:
    from jsonargparse import ArgumentParser

    keys = [one.name for one in fields(GridFile)]
    if unknown := [str(key) for key in entries if key not in keys]:
        raise ValueError(
            f"bench: {source}: expected some of {', '.join(keys)}; got {', '.join(unknown)}"
            f"{did_you_mean(unknown[0], keys)}"
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(GridFile, "grid")
    try:
        parsed = parser.instantiate(parser.parse_object({"grid": copy.deepcopy(entries)}))
    except Exception as error:  # jsonargparse raises many kinds
        raise ValueError(f"bench: {source}: {in_short(str(error))}") from None
    file: GridFile = parsed.grid
    if problems := list(_problems(file)):
        raise ValueError("\n".join(problems))
    blocks = {_name(block): _block(block) for block in file.blocks}
    grid = Grid(
        title=file.title,
        blocks=blocks,
        scenarios=tuple(file.scenarios),
        methods=tuple(file.methods),
        settings=tuple(file.settings),
        seeds=Seeds(split=file.seeds) if isinstance(file.seeds, int) else file.seeds,
        golds=file.golds,
        measures=tuple(file.measures),
        shows=file.shows,
        published=file.published,
    )
    for section in grid.sections():
        section.rows()  # names and settings of methods are checked here
    return grid


def _problems(file: GridFile) -> Iterator[str]:
    """Names that nobody knows, or that stand there twice, and numbers that nobody means."""
    for key in ("blocks", "scenarios", "methods", "settings", "measures"):
        if not getattr(file, key):
            yield f"{key}: expected at least one, got none; leave the entry out for the usual ones"
    yield from _twice("blocks", map(_name, file.blocks))
    yield from _twice("methods", (m if isinstance(m, str) else m.label for m in file.methods))
    yield from _twice("scenarios", map(in_words, file.scenarios))
    yield from _twice("measures", file.measures)
    unknown = [measure for measure in file.measures if measure not in COLUMNS]
    if unknown:
        yield f"measures: expected some of {', '.join(COLUMNS)}; got {', '.join(unknown)}"
    if not 0 <= file.golds <= MOST:
        yield f"golds: expected 0 to {MOST:,}, got {file.golds:,}"
    printed = sorted({table for table, *_ in published()}, key=int)
    if file.published is not None and file.published not in printed:
        hint = did_you_mean(file.published, printed)
        yield (
            f"published: expected a table of the paper ({', '.join(printed)}) or null, got "
            f"{file.published!r}{hint}"
        )
    for block in file.blocks:
        if isinstance(block, OwnBlock):
            yield from _unknown_presets(block)
            numbers = {"data: limit": block.data.limit, "data: size": block.data.size}
            for key, number in {**numbers, "batch_size": block.batch_size}.items():
                if number is not None and number < 1:
                    yield f"blocks: {block.name}: {key}: expected at least 1, got {number}"


def _twice(key: str, names: Iterable[str]) -> Iterator[str]:
    """A table cannot tell apart what has the same name."""
    counts = Counter(names)
    if again := [name for name, count in counts.items() if count > 1]:
        yield f"{key}: expected each name once, got {', '.join(again)} more than once"


def _unknown_presets(block: OwnBlock) -> Iterator[str]:
    for key, name in (("paper", block.paper), ("tuned", block.tuned)):
        if name is not None and name not in PRESETS:
            known = [preset for preset in PRESETS if not preset.endswith("-class")]
            yield (
                f"blocks: {block.name}: {key}: expected one of {', '.join(known)}; got "
                f"{name!r}{did_you_mean(name, known)}"
            )


def _name(block: str | OwnBlock) -> str:
    return block if isinstance(block, str) else block.name


def _block(block: str | OwnBlock) -> Block:
    return block_named(block) if isinstance(block, str) else block.block()
