"""Write docs/results.md and its charts from the cells in results/.

python docs/write_results.py
"""

import re

from charts import ALL, charts, clear
from findings import sentences
from measured import BLOCKS, ONLY, ROOT, STORE, TUNED_FOR_CLASSES, grid_of, seeds

from lotus_unlearning.benchmark import facts, render
from lotus_unlearning.benchmark.page import page
from lotus_unlearning.benchmark.summary import summarise
from lotus_unlearning.benchmark.tables import tables, without_empty_columns

HERE = ROOT / "docs"
GRIDS = {
    "table1": ("Table 1: 10% of the images, drawn at random", ALL),
    "table3": ("Table 3: half of the images, drawn at random", ALL),
    "table9": ("Table 9: a whole class", ALL),
    "salun": ("SalUn with LoTUS under its mask: 10% of the images", ["authors"]),
    "table7": ("Table 7: does RF-JSD order methods as JSD does?", ALL),
    "table10": ("Table 10: Gumbel-softmax or softmax", ["paper", "tuned"]),
    "figure2": ("Figure 2: dynamic and fixed temperatures", ["tuned", "paper"]),
    "streisand": ("Streisand effect: do entropies give forgotten images away?", ALL),
}
REMARKS = {"table9": TUNED_FOR_CLASSES}
SHOWN = {
    "table1": ["closes", "js_divergence", "average_gap", "rf_js_divergence", "forget_accuracy",
               "retain_accuracy", "test_accuracy", "entropy_attack", "seconds",
               "peak_memory_bytes"],
    "table10": ["closes", "js_divergence", "average_gap", "rf_js_divergence", "forget_accuracy",
                "retain_accuracy", "test_accuracy"],
}  # fmt: skip
SHOWN["table3"] = SHOWN["table9"] = SHOWN["table1"]
INTRO = """# Results

Written by `python docs/write_results.py` from the cells in results/cells, one file for each model
that was trained, unlearned or measured. Nothing here was typed. The commands that made the cells,
which take up what is there and run only what is missing:

```console
{commands}
```

The same commands with `--show` write these tables, with columns of the formulas as published (JSD,
RF-JSD, average gap) beside the textbook's, as LaTeX, CSV and a page with all charts, to
results/tables. {machine} Cells
ran one at a time, with OMP_NUM_THREADS=1, in several runs. Weights are not kept here, so that later
runs trained originals and golds of the same seeds again. On the same kind of processor they have
the same bits; on another they are other samples of the same training, and what was measured against
them is no pair of what was not. A row with such a cell has a † and is compared with no other.

How to read the tables: *gold* are models retrained without the images to forget, each measured
against the others, which is as near as retraining comes to itself. *Closes* says how much
of the way from the original to the golds a method went on the forgotten images: 100 is gold, 0 is
the original, below 0 the method moved away. More than 100 can be had by soft answers, which are
nearer to the mean of the golds than a gold model is, and is no better. *Nothing* there: nothing to
close could be measured, as the original is not significantly further from the golds than they are
from each other. Settings: those of the LoTUS paper's tables
(*paper*), of each method's authors (*authors*), and found by a search with the same number of
trials for all that sees neither gold models nor test images (*tuned*). Table 10 and Figure 2 have
no rows of authors' settings: they run LoTUS alone, whose authors' settings are the paper's. The
table of SalUn with LoTUS has authors' rows alone. Where settings were not run on a block, its
command above names those that were (`--settings`), or its table lists the rows under *Not run*;
Table 7 leaves out the row. A method without a preset for a block has no row of it. None of these
data sets is in the paper, whose data cannot be had everywhere; [reproduce.md](reproduce.md) has the
commands for those, with the published values beside the measured ones.

`understudy` and `regrow` are this package's own methods. Their defaults, here as *authors*, were
chosen with gold models at hand, on 10% of Fashion-MNIST: Regrow's on seeds 0 to 2, Understudy's on
seed 3, and on seed 3 of digits. For the other methods nothing was chosen so, which is to be kept in
mind where these two are best ([beyond.md](beyond.md)). Tuned settings were searched where 10% of
the images are forgotten, or class 0: where half of them are, they are used as they are.

In the charts blue circles are the paper's settings, green squares the authors', red diamonds tuned
ones, and pink triangles those of rows that several have in common; the orange line is gold, the
dashed one the original.
"""


def main():
    """Write the page."""
    clear("results-*.svg")
    wanted = [(grid, block) for grid in GRIDS for block in BLOCKS if grid in ONLY.get(block, GRIDS)]
    found = [(grid, block, *read(grid, block)) for grid, block in wanted]
    done = [row for row in found if row[3] and any(part.draws[0] for part in row[3])]
    text = [
        INTRO.format(commands="\n".join(commands(done)), machine=machine(done)),
        "## What they show\n",
        "\n".join(f"* {sentence}" for sentence in sentences(done)) + "\n",
    ]
    for name, (heading, _) in GRIDS.items():
        sections = [row[1:] for row in done if row[0] == name]
        if sections:
            text.append(f"## {heading}\n")
            if name in REMARKS:
                text.append(f"{REMARKS[name]}\n")
            for block, grid, parts in sections:
                text += section(name, block, grid, parts)
    (HERE / "results.md").write_text("\n".join(text), encoding="utf-8")


def read(name, block):
    """A grid as it was run on a block, and its parts."""
    changes = {"settings": GRIDS[name][1]}
    if name in SHOWN:
        changes["measures"] = SHOWN[name]
    grid = grid_of(name, block, **changes)
    return grid, summarise(grid, STORE)


def commands(done):
    """One line for each grid and block."""
    for name, block, grid, parts in done:
        used = [
            s for s in grid.settings if any(s in ln.settings and ln.values for ln in lines(parts))
        ]
        chosen = "" if used == list(GRIDS[name][1]) or not used else f" --settings {' '.join(used)}"
        yield f"lotus bench {name} --blocks {block} --seeds {parts[0].draws[1]}{chosen}"


def lines(parts):
    """Those of methods, of all parts."""
    return [line for part in parts for line in part.lines if line.is_method]


def machine(done):
    """Versions and machines, as the cells recorded them."""
    every = [part for _, _, _, parts in done for part in parts if part.draws[0]]
    said = facts.summary(done[0][2], every)
    told = ("Measured with", "Seconds and memory", "cells of methods were measured against")
    return " ".join(s for s in said if any(words in s for words in told))


def section(name, block, grid, parts):
    """Tables and charts of a grid on a block."""
    plain = page(grid, parts, made := [without_empty_columns(t) for t in tables(grid, parts)])
    for table, drawn in zip(made, plain["sections"], strict=True):
        yield re.sub(
            r"^### [^\n]*", f"### {BLOCKS[block]}, {seeds(parts[0])}", render.as_markdown(table)
        )
        yield from charts(f"results-{name}-{block}", drawn)


if __name__ == "__main__":
    main()
