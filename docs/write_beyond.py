"""Write the tables and charts of docs/beyond.md from what was measured.

python docs/write_beyond.py
"""

import json
import runpy
import statistics
import sys

from charts import ALL, charts, clear
from findings import said
from measured import (
    BLOCKS,
    ROOT,
    SCENARIOS,
    STORE,
    between,
    cell,
    grid_of,
    measured,
    methods,
    paired,
    references,
    seeds,
    table,
)
from tabulate import tabulate

from lotus_unlearning.benchmark import render
from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.page import page
from lotus_unlearning.benchmark.significance import paired_p_value
from lotus_unlearning.benchmark.summary import by_split, estimate, summarise
from lotus_unlearning.benchmark.tables import tables, without_empty_columns
from lotus_unlearning.metrics import mean_and_interval
from lotus_unlearning.metrics.holm import holm

OWN = ("understudy", "regrow")
"""This package's own methods."""
UNTOUCHED = {
    "elpv": "Solar cells (ELPV, 2,624 photographs, `resnet10t`)",
    "fashion-mnist-vit": "A vision transformer (`timm:vit_tiny_patch16_224`, Fashion-MNIST, 5,000 "
    "images at 32 pixels)",
    "fashion-mnist-augmented": "Trained with shifts and flips (`resnet10t`, Fashion-MNIST, 5,000 "
    "images)",
}
"""Blocks of the grid ``elsewhere``."""
SHIFTED = (
    "Trained with shifts by up to a pixel (`resnet-thin`, digits, 8 x 8 pixels), each choice of "
    "images forgotten by three originals"
)
ASKED = [
    ("originals", "fashion-mnist"),
    ("table1", "fashion-mnist"),
    ("table3", "digits"),
    ("table3", "fashion-mnist"),
    ("table9", "digits"),
    ("table9", "fashion-mnist"),
]
"""Grids and blocks with something to close, of five choices of images."""
VARIANTS = str(ROOT / "benchmarks" / "variants.yaml")
MOVED = ["closes", "js_divergence", "average_gap", "forget_accuracy", "retain_accuracy",
         "test_accuracy", "seconds"]  # fmt: skip
HARMLESS = [
    ("table1", "digits", OWN),
    ("originals", "digits-augmented", OWN),
    ("moved-digits", "digits-augmented", ["understudy, as the original"]),
]
"""Grids, blocks with little to close, and rows."""
YARDSTICK = {"table9": "gold"}
"""Of accuracies: the original's, but where a class is gone no model gets its test images right."""
GOALS = {"closes": 90, "least": 70, "loss": 0.5, "times": 1.5}
"""Per cent on average and in each choice, points of accuracy, times of LoTUS's seconds."""
KEPT = ("test_accuracy", "retain_accuracy")
VIEWED = {
    "forget_accuracy": "accuracy on forget",
    "unseen_accuracy": "accuracy on unseen",
    "forget_entropy": "entropy on forget",
    "unseen_entropy": "entropy on unseen",
}


def main():
    """Write the page."""
    clear("beyond-*.svg")
    sys.path.append(str(ROOT))  # methods of benchmarks/variants.py are found there
    file = ROOT / "docs" / "beyond.md"
    text = file.read_text("utf-8")
    for mark, made in (
        ("views", views()),
        ("rules", rules()),
        ("variants", variants()),
        ("beyond", whole("beyond", "fashion-mnist")),
        ("goals", goals()),
        ("harmless", harmless()),
        ("elsewhere", elsewhere()),
        ("originals", originals("fashion-mnist", "digits")),
        ("untouched", untouched()),
        ("moved", moved()),
        ("memory", memory()),
    ):
        text = between(text, mark, made)
    file.write_text(text, encoding="utf-8")


def _viewed(block):
    """What benchmarks/views.py found: lines of strengths, lines of rules that choose one.

    Where there was nothing to close, none of it can be said.
    """
    lines = (ROOT / "benchmarks" / "results" / "views.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["block"] == block]
    rows = [row for row in rows if row["closes"] is not None]
    return [r for r in rows if "rule" not in r], [r for r in rows if "rule" in r]


def _range(rows):
    low, high = (end(row["closes"] for row in rows) for end in (min, max))
    return f"{COLUMNS['closes'].text(low)} to {COLUMNS['closes'].text(high)}"


def views():
    """Moved views: means over seeds for each strength."""
    rows = [row for row in _viewed("fashion-mnist")[0] if row["kind"] == "moved"]
    body = []
    for strength in dict.fromkeys(row["strength"] for row in rows):
        mine = [row for row in rows if row["strength"] == strength]
        means = [statistics.mean(row[key] for row in mine) for key in VIEWED]
        body.append([strength, _range(mine), *(f"{m:.3f}" for m in means)])
    gold = statistics.mean(row["gold_forget_accuracy"] for row in rows)
    heads = ["strength of views", "closes %, of all seeds", *VIEWED.values()]
    table = tabulate(body, heads, tablefmt="pipe", disable_numparse=True)
    return f"{table}\n\nGold models' accuracy on the forget images: {gold:.3f}."


def rules():
    """Kinds of views: the best strength, and what rules that see no gold choose and close."""
    return "\n\n".join(map(_rules, ("fashion-mnist", "fashion-mnist-augmented")))


def _rules(block):
    strengths, chosen = _viewed(block)
    count, body = len({row["seed"] for row in strengths}), []
    for kind in dict.fromkeys(row["kind"] for row in strengths):
        tried = [row for row in strengths if row["kind"] == kind]
        by_strength = {}
        for row in tried:
            by_strength.setdefault(row["strength"], []).append(row)
        means = {at: statistics.mean(r["closes"] for r in of) for at, of in by_strength.items()}
        best = max(means, key=lambda at: means[at])
        mine = [row for row in chosen if row["kind"] == kind]
        cells = []
        for rule in dict.fromkeys(row["rule"] for row in mine):
            found = [row for row in mine if row["rule"] == rule]
            mean = statistics.mean(row["strength"] for row in found)
            cells.append(f"{_range(found)} ({mean:.2f})")
        body.append([kind, f"{_range(by_strength[best])} ({best:.2f})", *cells])
    heads = ["views", "best in hindsight", *dict.fromkeys(row["rule"] for row in chosen)]
    table = tabulate(body, heads, tablefmt="pipe", disable_numparse=True)
    return f"`{block}`, {count} choices:\n\n{table}"


def variants():
    """Understudies that were tried and are not offered."""
    part = measured(VARIANTS, "fashion-mnist")
    rows = [*references(part), *((line.label, line) for line in part.lines if line.is_method)]
    return f"{seeds(part)}:\n\n{table(rows, MOVED)}"


def whole(name, block, *, drawn=True):
    """The table of a grid on a block, and its first charts."""
    grid = grid_of(name, block)
    parts = summarise(grid, STORE)
    (made,) = (without_empty_columns(table) for table in tables(grid, parts))
    (sections,) = page(grid, parts, [made])["sections"]
    text = [
        render.as_markdown(made).partition("\n\n")[2],
        *(charts(f"{name}-{block}", sections, cloud=1) if drawn else ()),
    ]
    return "\n".join(text).strip()


def originals(*blocks):
    """Our methods and two others, over originals as well as over choices of images."""
    body = [row for block in blocks for row in _over_originals(block)]
    heads = ["", "", "closes %", "least", "JSD x1e3", "minus Understudy's", "p", "test %",
             "retain %", "forget %", "models"]  # fmt: skip
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True)


def _over_originals(block):
    part = measured("originals", block)
    lines = [line for line in part.lines if line.name != "gold" and line.values]
    (mine,) = (line for line in lines if line.name == "understudy")
    others = [line for line in lines if line is not mine]
    apart = [_minus(line, mine, "js_divergence", 1e3) for line in others]
    p = holm([paired_p_value(gaps, dict.fromkeys(gaps, 0.0)) for gaps in apart])
    told = dict(zip((line.label for line in others), zip(apart, p, strict=True), strict=True))
    for line in lines:
        closes = [100 * value for value in line.values.get("closes", {}).values()]
        gaps, found = told.get(line.label, (None, None))
        yield [
            block,
            line.label if line.is_method else f"*{line.label}*",
            cell(line, "closes"),
            f"{min(closes):.0f}" if line.is_method and closes else "–",
            cell(line, "js_divergence"),
            "–" if gaps is None else _interval(gaps),
            "–" if found is None else f"{found:.2g}",
            *(cell(line, measure) for measure in (*KEPT, "forget_accuracy")),
            f"{len(line.records)}",
        ]


def untouched():
    """What was run once, with all settings fixed, on what none of them was chosen on."""
    known = (block for block in UNTOUCHED if measured("elsewhere", block) is not None)
    found = [f"{UNTOUCHED[one]}:\n\n{whole('elsewhere', one, drawn=False)}" for one in known]
    if measured("originals", "digits-augmented") is not None:
        found.append(f"{SHIFTED}:\n\n{originals('digits-augmented')}")
    return "\n\n".join(found) or "None of it has been run to the end yet."


def moved():
    """Understudies that were trained with the shifts and flips of the original."""
    found = []
    for name, block in (("moved", "fashion-mnist-augmented"), ("moved-digits", "digits-augmented")):
        part = measured(name, block)
        rows = [*references(part), *((line.label, line) for line in part.lines if line.is_method)]
        found.append(f"`{block}`, {seeds(part)}:\n\n{table(rows, MOVED)}")
    return "\n\n".join(found)


def goals():
    """What was asked of a method beyond the paper, and what came of it, block by block."""
    body = [row for own in OWN for row in _asked(own)]
    heads = ["", "images", "closes %: mean (least)", "retain, points", "test, points",
             "times LoTUS's s", "missed", "closes, against other results"]  # fmt: skip
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True)


def _asked(own):
    for name, block in ASKED:
        part = measured(name, block, **({} if name == "originals" else {"settings": ALL}))
        mine = methods(part, "authors").get(own)
        if mine is None or not mine.values.get("closes"):
            continue
        kept = next(line for line in part.lines if line.name == YARDSTICK.get(name, "original"))
        alone = name == "originals"  # with LoTUS and SCRUB alone
        others = "–" if alone else _against_others(part, mine)
        yield [f"`{own}`", _images(part, name, block), *_goals(part, mine, kept), others]


def _images(part, name, block):
    if name == "originals":
        return f"10%, {block}, {len(part.lines[0].records)} originals"
    return f"{SCENARIOS[name].removesuffix(' of the images')}, {block}"


def _goals(part, mine, kept):
    lotus = methods(part, "authors")["lotus"]
    closes = [100 * value for value in mine.values["closes"].values()]
    mean, least = statistics.mean(closes), min(closes)
    losses = {key: _minus(mine, kept, f"{key}_accuracy", 100) for key in ("retain", "test")}
    times = _times(mine, lotus)
    yield f"{mean:.0f} ({least:.0f})"
    yield from map(_interval, losses.values())
    yield f"{times:.1f}"
    missed = {
        "closes": mean < GOALS["closes"] or least < GOALS["least"],
        **{key: statistics.mean(v.values()) < -GOALS["loss"] for key, v in losses.items()},
        "time": times > GOALS["times"],
    }
    yield ", ".join(name for name, so in missed.items() if so) or "–"


def _times(mine, lotus):
    """The median over cells of one and the same original."""
    ours, theirs = mine.values["seconds"], lotus.values["seconds"]
    return statistics.median(ours[at] / theirs[at] for at in ours.keys() & theirs.keys())


def _against_others(part, mine):
    """How many results of other methods closed less, by paired tests with Holm's correction."""
    others = {
        tuple(values.values()): values
        for line in part.lines
        if line.is_method and line.name not in OWN and not line.apart and line.values.get("closes")
        if len(values := _at_most_all(line)) == part.draws[0]
    }
    before = _at_most_all(mine)
    p = holm([paired_p_value(values, before) for values in others.values()])
    less = [
        statistics.mean(values.values()) < statistics.mean(before.values())
        for values in others.values()
    ]
    told = [value <= 0.05 for value in p]
    more = sum(t and not s for t, s in zip(told, less, strict=True))
    return (
        f"{sum(t and s for t, s in zip(told, less, strict=True))} of {len(told)} less, "
        f"{told.count(False)} not told apart" + (f", {more} more" if more else "")
    )


def _at_most_all(line):
    """By choice of images, no more than all of the way: beyond it, more is not nearer."""
    values = {at: min(1.0, value) for at, value in line.values["closes"].items()}
    return by_split({at: value for at, value in values.items() if at not in line.apart})


def harmless():
    """How much further from gold than the original they are where there is little to close."""
    body = []
    for name, block, labels in HARMLESS:
        part = measured(name, block)
        lines = {line.label: line for line in part.lines}
        for label in labels:
            mine = lines[label]
            gaps = _minus(mine, lines["original"], "js_divergence", 1e3)
            p = paired_p_value(gaps, dict.fromkeys(gaps, 0.0))
            of = f"10%, {block}, {len(mine.records)} originals"
            body.append([label, of, _interval(gaps), f"{p:.2g}"])
    heads = ["", "images", "JSD to golds minus the original's, x1e3", "p"]
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True)


def _minus(line, other, measure, factor):
    """By choice of images."""
    mine, theirs = paired(line, measure), paired(other, measure)
    return {k: factor * (mine[k] - theirs[k]) for k in mine}


def _interval(values):
    found = mean_and_interval(list(values.values()))
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def elsewhere():
    """How far our methods go in each scenario, beside the method that goes furthest of the others.

    Where there are too few choices of images to say anything, nothing is said.
    """
    body = []
    for name, block in ((name, block) for name in SCENARIOS for block in BLOCKS):
        part = measured(name, block, settings=ALL)
        if part is None or part.draws[0] < 3:
            continue
        rows = [ln for ln in part.lines if ln.is_method and ln.values.get("closes")]
        ours = [methods(part, "authors").get(own) for own in OWN]
        if not rows or not all(line is not None and line.values.get("closes") for line in ours):
            continue
        others = (line for line in rows if line.name not in OWN)
        best = max(others, key=lambda ln: estimate(ln.values["closes"]).value)
        body.append(
            [
                f"{SCENARIOS[name]}, {block}",
                *(cell(line, "closes") for line in ours),
                said(best, "closes"),
                *(" / ".join(cell(one, key) for one in (*ours, best)) for key in KEPT),
            ]
        )
    heads = ["", "Understudy closes %", "Regrow closes %", "the other that closes most",
             "test %: Understudy / Regrow / other", "retain %: the same"]  # fmt: skip
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True)


def memory():
    """The table of benchmarks/memory.py.

    Raises:
        ValueError: If a line is of another original than the one in results.
    """
    found = runpy.run_path(str(ROOT / "benchmarks" / "memory.py"))
    rows = found["read"](ROOT / "benchmarks" / "results" / "memory.jsonl")
    records = (ROOT / "results" / "cells").glob("original-*.json")
    known = {json.loads(file.read_text("utf-8"))["weights_sha256"] for file in records}
    strange = [
        f"{row['block']}, seed {row['seed']}" for row in rows if row["original"] not in known
    ]
    if strange:
        raise ValueError(
            f"memory.jsonl: expected originals of results/cells, got others for {strange}; remove "
            "these lines and run benchmarks/memory.py again"
        )
    return found["table"](rows)


if __name__ == "__main__":
    main()
