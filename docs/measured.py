"""What the committed cells in results/ say, for the pages that are written from them."""

import re
from pathlib import Path

from tabulate import tabulate

from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.benchmark.summary import COSTS, by_split, estimate, middle, summarise
from lotus_unlearning.jobs.store import Store

ROOT = Path(__file__).resolve().parents[1]
STORE = Store(ROOT / "results")
SEEDS = {
    ("elsewhere", "elpv"): 2,
    ("elsewhere", "fashion-mnist-augmented"): 2,
    ("elsewhere", "fashion-mnist-vit"): 2,
    ("salun", "digits"): 3,
    ("salun", "fashion-mnist"): 3,
    ("table1", "fashion-mnist-60000"): 1,
}
"""Grid and block -> how many choices of images were run, where it is not 5."""
BLOCKS = {
    "digits": "digits (1,197 training images, `resnet-thin`)",
    "fashion-mnist": "Fashion-MNIST (5,000 training images, `resnet10t`)",
    "fashion-mnist-60000": "all of Fashion-MNIST (60,000 training images, `resnet18`, on a GPU)",
}
ONLY = {"fashion-mnist-60000": ["table1"]}
"""Blocks of which some grids, and not all methods, were run; elsewhere they are left out."""
SCENARIOS = {
    "table1": "10% of the images",
    "table3": "half of the images",
    "table9": "a class",
}

TUNED_FOR_CLASSES = (
    "Tuned settings of classes were searched on class 0, which no seed here forgets, with a target "
    "that needs no gold: what the original answers to unseen images of the class once the class "
    "is struck from its answers."
)


def grid_of(name, block, **changes):
    """The grid as it was run on a block."""
    return read_grid(name, {"blocks": [block], "seeds": SEEDS.get((name, block), 5), **changes})


def measured(name, block, **changes):
    """The one section of a grid on a block; ``None`` where no choice of images is finished."""
    (part,) = summarise(grid_of(name, block, **changes), STORE)
    return part if part.draws[0] else None


def paired(line, measure):
    """By choice of images, where the cell was measured against the table's original and golds."""
    values = line.values[measure]
    return by_split({at: value for at, value in values.items() if at not in line.apart})


def cell(line, measure):
    """Mean and half the width of its 95% interval over seeds (Student's t); medians of costs."""
    values = line.values.get(measure)
    if not values or line.failed:
        return "failed" if line.failed else "–"
    column = COLUMNS[measure]
    if measure in COSTS:
        return column.text(middle(values).value)
    found = estimate(values)
    if line.name == "gold" and measure == "closes":
        low, high = line.spread[measure]
        return f"{column.text(found.value)} ({column.text(low)} to {column.text(high)})"
    half = (found.high - found.low) / 2
    text = column.text(found.value) + (f" ± {column.text(half)}" if half == half else "")
    few = measure == "closes" and len(values) < len(line.records)
    return f"{text} ({len(values)} of {len(line.records)})" if few else text


def table(rows, measures):
    """Markdown of pairs: label, line; how many seeds a line has, where that is fewer."""
    most = max(len(line.records) for _, line in rows)
    body = [
        [
            label
            + ("" if len(line.records) == most else f" ({len(line.records)} of {most} seeds)"),
            *(cell(line, measure) for measure in measures),
        ]
        for label, line in rows
    ]
    heads = ["", *(COLUMNS[measure].label for measure in measures)]
    sides = ["left", *("right" for _ in measures)]
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True, colalign=sides)


def seeds(part):
    """How many choices of images are in it."""
    return f"{part.draws[0]} seeds" if part.draws[0] > 1 else "1 seed"


def references(part):
    """Original and golds, in italics."""
    return [(f"*{line.label}*", line) for line in part.lines if not line.is_method]


def methods(part, settings):
    """The methods with some settings, by name."""
    lines = (line for line in part.lines if line.is_method and (line.values or line.failed))
    return {line.name: line for line in lines if settings in line.settings}


def between(text, mark, content):
    """``text`` with ``content`` between the comments of ``mark``."""
    pattern = rf"(?s)<!-- {mark} -->.*?<!-- /{mark} -->"
    if re.search(pattern, text) is None:
        raise ValueError(f"expected the comments <!-- {mark} --> and <!-- /{mark} -->, got neither")
    return re.sub(pattern, lambda _: f"<!-- {mark} -->\n{content}\n<!-- /{mark} -->", text)
