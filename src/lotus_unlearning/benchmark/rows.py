"""The rows of a table: methods with the settings that a block has for them."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lotus_unlearning.benchmark.blocks import Block
from lotus_unlearning.benchmark.cells import Kind
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.methods.settings import changed, method_class
from lotus_unlearning.own_code import is_own
from lotus_unlearning.unlearning import Method

Settings = Literal["paper", "authors", "tuned"]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A method with settings of its own, in a grid.

    Attributes:
        method: A key of METHODS, or ``python:MODULE:CLASS``.
        label: The name of the variant in tables.
        settings: Settings that differ from the block's, by name; those of records within the method
            have a dot. ``retrain``, with less training than gold had, can be compared in this way,
            too.
    """

    method: str
    label: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A method in a block.

    Attributes:
        name: A key of METHODS, or ``python:MODULE:CLASS``.
        label: The name of the row in tables.
        settings: The sources of its settings: more than one where they agree.
        method: The method with its settings.
    """

    name: str
    label: str
    settings: tuple[Settings, ...]
    method: Method


def rows(
    methods: Iterable[str | Variant], settings: Sequence[Settings], block: Block, kind: Kind
) -> list[Row]:
    """The methods with each of their settings, each once.

    Args:
        methods: The names of methods, or variants of them.
        settings: The sources of settings. A method of one's own has its defaults alone.
        block: The block whose presets are used.
        kind: The kind of images to forget.

    Raises:
        ValueError: If a name or setting is unknown.
    """
    found: dict[tuple[Method, str], Row] = {}
    for variant in methods:
        own = is_own(variant if isinstance(variant, str) else variant.method)
        for source in ("authors",) if own else settings:
            row = _row(variant, source, block, kind)
            if row is not None:
                known = found.get((row.method, row.label))
                before = known.settings if known is not None else ()
                joined = dataclasses.replace(row, settings=(*before, source))
                found[row.method, row.label] = joined
    return list(found.values())


def _row(variant: str | Variant, settings: Settings, block: Block, kind: Kind) -> Row | None:
    if isinstance(variant, str):
        method = method_of(variant, settings, block, kind)
        label = variant.rpartition(":")[2]
        return None if method is None else Row(variant, label, (settings,), method)
    name, label = variant.method, variant.label
    if name == "retrain":
        return Row(name, label, (settings,), changed(METHODS[name](), label, variant.settings))
    method = method_of(name, settings, block, kind)
    if method is None:
        return None
    made = changed(method, f"{name} ({label})", variant.settings)
    return Row(name, label, (settings,), made)


def method_of(name: str, settings: Settings, block: Block, kind: Kind) -> Method | None:
    """A method with the settings that a block has for it; ``None`` where it has none.

    Raises:
        ValueError: If the name is unknown.
    """
    if name == "retrain":
        raise ValueError(
            "methods: expected others than retrain, which makes the golds anyway; leave it out, or "
            "give it settings of its own in a variant"
        )
    cls = method_class(name, "methods")
    preset = {"paper": block.paper, "authors": "authors", "tuned": block.tuned}[settings]
    of_class = [f"{preset}-class"] if kind == "class" else []
    # what was tuned to forget single images says nothing of classes
    names = of_class if of_class and settings == "tuned" else [*of_class, preset]
    found = (PRESETS.get(known or "", {}).get(name) for known in names)
    default = cls() if settings == "authors" else None
    return next((method for method in found if method is not None), default)
