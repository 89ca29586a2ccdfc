"""A grid: blocks, a scenario, methods with their settings, and seeds; and the cells it needs."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lotus_unlearning.benchmark.blocks import BLOCKS, Block
from lotus_unlearning.benchmark.cells import (
    HARD,
    Cell,
    Forget,
    Gold,
    Kind,
    Original,
    Reference,
    Unlearning,
)
from lotus_unlearning.benchmark.rows import Row, Settings, Variant, rows
from lotus_unlearning.methods import METHODS
from lotus_unlearning.unlearning import Method
from lotus_unlearning.wording import did_you_mean

Shows = Literal["methods", "correlation", "epochs", "entropies"]
FIRST_GOLD_SEED = 1000
"""Gold models have seeds of their own, so that none begins where the original began."""
FIRST_REPEAT = 1_000_000
"""Between the seeds of an original's unlearnings."""
MOST = 1_000  # seeds of a kind, gold models of a choice: more are a slip of the keyboard


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Which seeds are crossed with which.

    Attributes:
        split: The number of choices of images to forget, where they differ.
        training: The number of originals for each choice; 1: each choice has its own.
        unlearning: The number of times that each original unlearns; what methods draw differs.
    """

    split: int = 3
    training: int = 1
    unlearning: int = 1

    def __post_init__(self) -> None:
        if not all(1 <= n <= MOST for n in (self.split, self.training, self.unlearning)):
            raise ValueError(f"seeds: expected 1 to {MOST:,} of each, got {self}")

    def pairs(self) -> Iterator[tuple[int, int]]:
        """(split seed, training seed)."""
        for split in range(self.split):
            for training in range(self.training) if self.training > 1 else (split,):
                yield split, training


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is to be forgotten; see :class:`~lotus_unlearning.benchmark.cells.Forget`.

    Attributes:
        kind: The kind of choice of images to forget.
        fraction: The share of the training images to forget, between 0 and 1.
    """

    kind: Kind = "random"
    fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise ValueError(
                f"scenarios: fraction: expected a share between 0 and 1, got {self.fraction}"
            )


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What a table is made of.

    Attributes:
        title: The heading of the table.
        blocks: The name of each block -> the block.
        scenarios: The kinds of images to forget; each block has a part for each of them.
        methods: The names of methods, or variants of them; a method of one's own is
            ``python:MODULE:CLASS``, whose defaults are its authors' settings.
        settings: The sources of the settings of methods; variants add their own.
        seeds: The number of choices of images, and of originals for each.
        golds: The number of gold models for each choice of images; 4 or more make ``closes``
            meaningful.
        measures: The columns; names as :func:`lotus_unlearning.benchmark.measures.measure` gives
            them, ``seconds`` and ``peak_memory_bytes``.
        shows: The kind of table or figure that is made of the cells.
        published: The number of the table in the paper whose values stand beside; ``None``: none.
    """

    title: str
    blocks: dict[str, Block]
    scenarios: Sequence[Scenario] = (Scenario(),)
    methods: Sequence[str | Variant] = tuple(name for name in METHODS if name != "retrain")
    settings: Sequence[Settings] = ("authors",)
    seeds: Seeds = field(default_factory=Seeds)
    golds: int = 4
    measures: Sequence[str] = ("average_gap", "js_divergence", "rf_js_divergence", "seconds")
    shows: Shows = "methods"
    published: str | None = None

    def sections(self) -> "Iterator[Section]":
        """Every block with every scenario."""
        for name, block in self.blocks.items():
            for scenario in self.scenarios:
                yield Section(self, name, block, scenario)

    def cells(self) -> Iterator[Cell]:
        """Every cell of the grid; what they need is not among them."""
        for section in self.sections():
            rows = section.rows()
            for draw in section.draws():
                yield draw.reference
                for row in rows:
                    yield draw.unlearning(row.method)


@dataclass(frozen=True)
class Section:
    """A block and a scenario of a grid: one table.

    Attributes:
        grid: The grid that this is a part of.
        name: The name of the block.
        block: The data, the model, the recipe and the presets.
        scenario: The kind of images to forget.
    """

    grid: Grid
    name: str
    block: Block
    scenario: Scenario

    def rows(self) -> list[Row]:
        """The methods with each of their settings, each once."""
        grid = self.grid
        return rows(grid.methods, grid.settings, self.block, self.scenario.kind)

    @property
    def settings_without_rows(self) -> list[Settings]:
        """What the grid asks for, and the block has for no method."""
        known = {settings for row in self.rows() for settings in row.settings}
        return [settings for settings in self.grid.settings if settings not in known]

    @property
    def choices_differ(self) -> bool:
        """Whether other seeds forget other images, or all forget the same ones."""
        kind = self.scenario.kind
        return not (kind == "official" or (kind == "class" and self.block.label is not None))

    def draws(self) -> "Iterator[Draw]":
        """One for each pair of seeds and each time that it unlearns: what all methods share."""
        setup, kind = self.block.setup, self.scenario.kind
        for split, training in self._pairs():
            original = Original(setup=setup, seed=training)
            forget = Forget(
                kind=kind,
                fraction=self.scenario.fraction,
                label=self.block.label if kind == "class" else None,
                seed=split if self.choices_differ else 0,
                ranked_by=original if kind in HARD else None,
            )
            count = self.grid.golds if setup.recipe is not None else 0
            golds = tuple(
                Gold(setup=setup, forget=forget, seed=FIRST_GOLD_SEED + i) for i in range(count)
            )
            reference = Reference(original=original, forget=forget, golds=golds)
            for number in range(self.grid.seeds.unlearning):
                yield Draw(split, training, reference, number)

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Seeds; each original once where no seed draws: it makes the choice, or none does."""
        if self.choices_differ and self.scenario.kind not in HARD:
            return self.grid.seeds.pairs()
        training = dict.fromkeys(training for _, training in self.grid.seeds.pairs())
        return ((seed, seed) for seed in training)


@dataclass(frozen=True)
class Draw:
    """A choice of images and an original.

    Attributes:
        split: The seed of the choice of images; that of the original where no seed draws.
        training: The seed of the original.
        reference: The cell that measures original and golds.
        number: Counts the times that the original unlearns from 0.
    """

    split: int
    training: int
    reference: Reference
    number: int = 0

    @property
    def at(self) -> tuple[int, int]:
        """By choice of images, and by what was made with it."""
        return self.split, self.unlearning_seed

    @property
    def unlearning_seed(self) -> int:
        """Of what methods draw: at first that of the original."""
        return self.training + FIRST_REPEAT * self.number

    def unlearning(self, method: Method) -> Unlearning:
        """The cell of a method."""
        shared = self.reference
        return Unlearning(
            original=shared.original,
            forget=shared.forget,
            golds=shared.golds,
            method=method,
            seed=self.unlearning_seed,
        )


def block_named(name: str) -> Block:
    """One of BLOCKS.

    Raises:
        ValueError: If there is none of this name; lists the known ones and the nearest.
    """
    if name not in BLOCKS:
        hint = did_you_mean(name, BLOCKS)
        raise ValueError(f"blocks: expected some of {', '.join(BLOCKS)}; got {name!r}{hint}")
    return BLOCKS[name]


def with_pretrained(grid: Grid, pretrained: bool) -> Grid:
    """The grid with originals and golds that start from published weights, or from scratch.

    Printed values are of models that started as the blocks say: no others stand beside them.

    Raises:
        ValueError: If models that are not trained at all would start from scratch.
    """
    untrained = [name for name, block in grid.blocks.items() if block.setup.recipe is None]
    if untrained and not pretrained:
        raise ValueError(
            f"pretrained: expected true for {', '.join(untrained)}, whose original is the "
            "published model itself; leave the block out"
        )
    return dataclasses.replace(
        grid, blocks={name: _started(block, pretrained) for name, block in grid.blocks.items()}
    )


def _started(block: Block, pretrained: bool) -> Block:
    if block.setup.pretrained == pretrained:
        return block
    setup = dataclasses.replace(block.setup, pretrained=pretrained)
    return dataclasses.replace(block, setup=setup, published=None)
