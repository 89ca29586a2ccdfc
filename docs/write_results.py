"""Write docs/results.md and its charts from the cells in results/.

python docs/write_results.py
"""

import json
import re
import runpy
import statistics

from measured import (
    BLOCKS,
    ONLY,
    ROOT,
    SCENARIOS,
    STORE,
    TUNED_FOR_CLASSES,
    between,
    cell,
    grid_of,
    seeds,
)
from tabulate import tabulate

from lotus_unlearning.benchmark import facts, render
from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.page import page
from lotus_unlearning.benchmark.significance import paired_p_value, stouffer
from lotus_unlearning.benchmark.summary import (
    by_split,
    estimate,
    rank,
    summarise,
)
from lotus_unlearning.benchmark.tables import tables, without_empty_columns
from lotus_unlearning.metrics import mean_and_interval
from lotus_unlearning.metrics.holm import holm
from lotus_unlearning.report.entropies import entropies
from lotus_unlearning.report.epochs import epochs
from lotus_unlearning.report.intervals import intervals
from lotus_unlearning.report.palette import symbols
from lotus_unlearning.report.scatters import scatter

HERE = ROOT / "docs"
FIGURES = HERE / "figures"
ALL = ["paper", "authors", "tuned"]
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
ALONE = 'xmlns="http://www.w3.org/2000/svg" style="background: #fff; font-family: sans-serif"'
"""What a drawing needs that stands outside a page."""
REMARKS = {"table9": TUNED_FOR_CLASSES}
ENTROPIES = ("original", "gold", "lotus", "bad-teacher")
SHOWN = {
    "table1": ["closes", "js_divergence", "average_gap", "rf_js_divergence", "forget_accuracy",
               "retain_accuracy", "test_accuracy", "entropy_attack", "seconds",
               "peak_memory_bytes"],
    "table10": ["closes", "js_divergence", "average_gap", "rf_js_divergence", "forget_accuracy",
                "retain_accuracy", "test_accuracy"],
}  # fmt: skip
VIEWED = {
    "forget_accuracy": "accuracy on forget",
    "unseen_accuracy": "accuracy on unseen",
    "forget_entropy": "entropy on forget",
    "unseen_entropy": "entropy on unseen",
}
SHOWN["table3"] = SHOWN["table9"] = SHOWN["table1"]
INTRO = """# Results

Written by `python docs/write_results.py` from the cells in results/cells, one file for each model
that was trained, unlearned or measured. Nothing here was typed. The commands that made the cells,
which take up what is there and run only what is missing:

```console
{commands}
```

The same commands with `--show` write these tables as LaTeX, CSV and a page with all charts, to
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
    FIGURES.mkdir(exist_ok=True)
    for old in FIGURES.glob("results-*.svg"):
        old.unlink()
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
    page_of_regrow = HERE / "beyond.md"
    beyond = between(page_of_regrow.read_text("utf-8"), "views", views())
    beyond = between(beyond, "beyond", regrow("fashion-mnist"))
    beyond = between(beyond, "elsewhere", elsewhere(done))
    beyond = between(beyond, "memory", memory())
    page_of_regrow.write_text(beyond, encoding="utf-8")


def memory():
    """The table of benchmarks/memory.py."""
    found = runpy.run_path(str(ROOT / "benchmarks" / "memory.py"))
    return found["table"](found["read"](ROOT / "benchmarks" / "results" / "memory.jsonl"))


def views():
    """What benchmarks/views.py found: means over seeds for each strength."""
    lines = (ROOT / "benchmarks" / "results" / "views.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["block"] == "fashion-mnist"]
    closes, body = COLUMNS["closes"], []
    for strength in dict.fromkeys(row["strength"] for row in rows):
        mine = [row for row in rows if row["strength"] == strength]
        low, high = (end(row["closes"] for row in mine) for end in (min, max))
        means = [statistics.mean(row[key] for row in mine) for key in VIEWED]
        body.append(
            [strength, f"{closes.text(low)} to {closes.text(high)}", *(f"{m:.3f}" for m in means)]
        )
    gold = statistics.mean(row["gold_forget_accuracy"] for row in rows)
    heads = ["strength of views", "closes %, of all seeds", *VIEWED.values()]
    table = tabulate(body, heads, tablefmt="pipe", disable_numparse=True)
    return f"{table}\n\nGold models' accuracy on the forget images: {gold:.3f}."


def elsewhere(done):
    """How far Regrow goes in each scenario, beside the method that goes furthest of the others."""
    body = []
    for name, block, _, parts in done:
        if name not in SCENARIOS or block in ONLY:
            continue
        part = parts[0]
        rows = [ln for ln in part.lines if ln.is_method and ln.values.get("closes")]
        mine = [line for line in rows if line.name == "regrow"]
        others = [line for line in rows if line.name != "regrow"]
        for line in mine:
            next_best = max(others, key=lambda ln: estimate(ln.values["closes"]).value)
            both = (line, next_best)
            body.append(
                [
                    f"{SCENARIOS[name]}, {block}",
                    ", ".join(line.settings),
                    cell(line, "closes"),
                    said(next_best, "closes"),
                    *(
                        cell(one, key)
                        for key in ("test_accuracy", "retain_accuracy")
                        for one in both
                    ),
                ]
            )
    heads = ["", "settings", "Regrow closes %", "next best", "test %", "next best's", "retain %",
             "next best's"]  # fmt: skip
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True)


def regrow(block):
    """The table of the grid ``beyond``, and its first charts."""
    grid = grid_of("beyond", block)
    parts = summarise(grid, STORE)
    (made,) = (without_empty_columns(table) for table in tables(grid, parts))
    (drawn,) = page(grid, parts, [made])["sections"]
    text = [
        render.as_markdown(made).partition("\n\n")[2],
        *charts(f"results-beyond-{block}", drawn),
    ]
    return "\n".join(text).strip()


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


def charts(name, drawn):
    """A section's first intervals and scatter, its temperatures and entropies, as files."""
    for number, made in enumerate(_drawn(name, drawn)):
        file = FIGURES / f"{name}-{number}.svg"
        svg = str(made.svg)
        svg = svg.replace("<svg ", f"<svg {ALONE} ", 1)
        file.write_text(svg, encoding="utf-8")
        title = made.title or _axes(drawn["scatters"][0])
        words = f"{title}. {made.caption}" if made.caption else title
        yield f"![{title}](figures/{file.name})\n\n*{words}*\n"


def _axes(cloud):
    return f"{cloud['y']['label']}, against {cloud['x']['label']}"


def _drawn(name, drawn):
    rows = [row for row in drawn["table"]["rows"] if row["kind"] == "method"]
    looks = symbols([*ALL, *(row["settings"] for row in rows)])
    found = [intervals(name, data, looks) for data in drawn.get("intervals", ())[:1]]
    found += [
        scatter(f"{name}-s", data, looks, (400, 310)) for data in drawn.get("scatters", ())[:1]
    ]
    if drawn.get("epochs"):
        found += epochs(f"{name}-e", drawn["epochs"])
    panels = [p for p in drawn.get("entropies", ()) if p["label"] in ENTROPIES]
    found += entropies(f"{name}-h", panels) if panels else []
    return [chart for chart in found if chart is not None]


def sentences(done):
    """What can be said of each block, by rule."""
    for name, block, grid, parts in done:
        if name == "table7":
            yield from of_correlations(BLOCKS[block], tables(grid, parts)[0])
        if name == "table10":
            yield from of_smoothing(BLOCKS[block], parts[0])
        if name == "streisand":
            yield from of_entropies(BLOCKS[block], parts[0])
        if name in SHOWN and name != "table10":
            for part in parts:
                yield from of_part(SCENARIOS[name].capitalize(), BLOCKS[block], part)


def of_correlations(where, table):
    """Whether retraining wins RF-JSD, and whether it orders methods as JSD does."""
    at = {head: i for i, head in enumerate(table.heads)}
    ranks = [row[at["Rank of gold's RF-JSD"]].text for row in table.rows]
    places = [int(rank.partition(" ")[0]) for rank in ranks]
    means = (
        "so that a lower RF-JSD is not a sign of being more like retraining"
        if max(places) > 3
        else "as it should be"
    )
    said = [
        f"{row[at['Data']].text}, {row[at['Settings']].text}: rank {rank}, r = "
        f"{row[at['Spearman']].text}"
        for row, rank in zip(table.rows, ranks, strict=True)
    ]
    yield (
        f"RF-JSD on {where}, gold's rank from the least, {means}, and Spearman's correlation with "
        f"JSD over methods: {'; '.join(said)}."
    )


def of_smoothing(where, part):
    """Gumbel-softmax minus softmax, in the divergence from gold."""
    lines = {(ln.label, ln.settings): ln for ln in part.lines if ln.is_method and ln.values}
    told = set()
    for (label, settings), line in lines.items():
        other = lines.get(("lotus, softmax", settings))
        if label != "lotus, gumbel-softmax" or other is None:
            continue
        mine, theirs = (paired(ln, "js_divergence") for ln in (line, other))
        both = mine.keys() & theirs.keys()
        gap = mean_and_interval([1e3 * (mine[k] - theirs[k]) for k in sorted(both)])
        if (alike := tuple(mine.values())) in told:
            continue
        told.add(alike)
        yield (
            f"LoTUS with Gumbel-softmax minus with softmax on {where}, {', '.join(settings)} "
            f"settings, JSD to gold x1e3: {gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}] over "
            f"{len(both)} seeds."
        )


def paired(line, measure):
    """By choice of images, where the cell was measured against the table's original and golds."""
    values = line.values[measure]
    return by_split({at: value for at, value in values.items() if at not in line.apart})


def of_entropies(where, part):
    """Whose entropies give forgotten images away more than gold's do."""
    measure = "entropy_distance"
    gold, original = (
        next(line for line in part.lines if line.name == name) for name in ("gold", "original")
    )
    limit = estimate(gold.values[measure]).high
    rows = [ln for ln in part.lines if ln.is_method and measure in ln.values]
    shown = [ln for ln in rows if estimate(ln.values[measure]).low > limit]
    shown.sort(key=lambda line: -estimate(line.values[measure]).value)
    yield (
        f"Entropies of forget and unseen images on {where} are further apart than gold's "
        f"({cell(gold, measure)}; the original's: {cell(original, measure)}), interval beyond "
        f"interval, for {listed(shown[:6], measure)}"
        + (f" and {len(shown) - 6} more." if len(shown) > 6 else ".")
    )


def of_part(what, where, part):
    """How LoTUS and the best method did, and what could be told apart."""
    original = next(line for line in part.lines if line.name == "original")
    measure = "closes"
    if not original.values.get(measure):
        yield f"{what} of {where}: {together(original)}; {harm(part)}"
        return
    ranking = rank(part.lines, measure)
    if ranking is None:
        return
    rows = [line for line in part.lines if line.is_method and measure in line.values]
    best = [part.lines[i] for i in sorted(ranking.best)]
    ours = [line for line in rows if line.name == "lotus"]
    away = [ln for ln in rows if estimate(ln.values[measure]).high < -0.005]
    against = "" if any(line in best for line in ours) else ", and is not the best"
    yield (
        f"{what} of {where}: {listed(best, measure)} closes most, with {of_test(part, best[0])}. "
        f"LoTUS closes {listed(ours, measure)}{against}; of {len(rows)} rows, {ahead(rows, ours)} "
        f"have a higher mean. Away from gold, with the whole interval: {listed(away, measure)}. "
        f"{tested(part, ranking)}{not_run(part, rows)}"
    )


def together(original):
    """What all seeds say of an original that in no single one is further than golds are."""
    p = stouffer(list(original.values["p_something_to_close"].values()))
    said = "in no seed alone could it be measured that there was something to close"
    return f"{said}; all seeds together, p = {p:.2g} (Stouffer)"


def not_run(part, rows):
    """Methods of which nothing was run, where others were."""
    ran = {line.label for line in rows}
    missing = [ln.label for ln in part.lines if ln.is_method and ln.label not in ran]
    names = ", ".join(f"`{label}`" for label in dict.fromkeys(missing))
    return f" Not run: {names}." if names else ""


def ahead(rows, ours):
    """How many rows of other methods close more than LoTUS at its best."""
    most = max(estimate(line.values["closes"]).value for line in ours)
    return sum(estimate(ln.values["closes"]).value > most for ln in rows if ln not in ours)


def tested(part, ranking):
    """What the tests between methods say."""
    if not ranking.tests:
        return f"With {seeds(part)} there are no tests between methods."
    count = len(distinct(part, ranking.undecided))
    return (
        f"{count} of {ranking.tests} other results cannot be told from the best by paired tests "
        f"over {seeds(part)}."
    )


def distinct(part, lines):
    """The results at ``lines``: settings that come to the same are one."""
    return {tuple(part.lines[i].values["closes"].values()) for i in lines}


def of_test(part, line):
    """The test accuracy of a method beside gold's."""
    gold = next(found for found in part.lines if found.name == "gold")
    mine, theirs = (cell(found, "test_accuracy") for found in (line, gold))
    return f"{mine} % of test images right (gold: {theirs})"


def listed(rows, measure):
    """Methods and their values."""
    return ", ".join(said(line, measure) for line in rows) or "none"


def harm(part):
    """Which methods are significantly further from gold than the original is."""
    original = next(line for line in part.lines if line.name == "original")
    before = by_split(original.values["js_divergence"])
    rows = [ln for ln in part.lines if ln.is_method and ln.values.get("js_divergence")]
    further = [
        {
            split: value - before[split]
            for split, value in by_split(ln.values["js_divergence"]).items()
        }
        for ln in rows
    ]
    p = holm([paired_p_value(values, dict.fromkeys(values, 0.0)) for values in further])
    worse = [
        f"`{line.label}` ({', '.join(line.settings)})"
        for line, values, value in zip(rows, further, p, strict=True)
        if value < 0.05 and sum(values.values()) > 0
    ]
    if not worse:
        return "no method is significantly further from gold than the original is."
    return f"significantly further from gold than the original: {', '.join(worse)}."


def said(line, measure):
    """A method and its value."""
    found, column = estimate(line.values[measure]), COLUMNS[measure]
    half = (found.high - found.low) / 2
    spread = f" ± {column.text(half)}" if half == half else ""
    return f"`{line.label}` ({', '.join(line.settings)}) {column.text(found.value)}{spread}"


if __name__ == "__main__":
    main()
