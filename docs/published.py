"""What the code behind the LoTUS tables did, and what difference it made, for docs/methods.md."""

import json

from measured import ROOT, SCENARIOS, cell, methods
from tabulate import tabulate

from lotus_unlearning import metrics

SHOWN = {
    ("table1", "fashion-mnist"): "10% of Fashion-MNIST",
    ("table3", "digits"): "half of digits",
}
"""Where the tables' settings are set beside the authors', on each card."""


def effect(name, found):
    """A sentence: how far a method closes with the tables' settings and with its authors'."""
    paper, authors = [], []
    for key in SHOWN:
        ours, theirs = (methods(found[key], s).get(name) for s in ("paper", "authors"))
        if ours is None or theirs is None:
            return ""
        paper.append(f"{cell(ours, 'closes')}%")
        authors.append(f"{cell(theirs, 'closes')}%")
    first, second = SHOWN.values()
    beside = "as much" if paper == authors else " and ".join(authors)
    return (
        f" Measured: with the tables' settings, the faults put right, it closes {paper[0]} of the "
        f"way to gold on {first} and {paper[1]} on {second}; with its authors' {beside}."
    )


def _rows():
    text = (ROOT / "benchmarks" / "results" / "published_code.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _percent(rows, key):
    """Mean over seeds and half of its 95% interval."""
    found = metrics.mean_and_interval([row[key] for row in rows])
    half = 50 * (found.high - found.low)
    return f"{100 * found.value:.0f}" + (f" ± {half:.0f}" if half == half else "")


def on_fashion():
    """What three of its faults did there."""
    rows = [row for row in _rows() if "grid" not in row]
    said = {
        key: _percent([row for row in rows if row["run"] == run], key)
        for run, key in (
            ("original", "attack_in_evaluation_mode"),
            ("original", "attack_in_training_mode"),
            ("neg-grad-plus", "closes"),
            ("neg-grad-plus", "forget_accuracy"),
        )
    }
    return f"""\
* **Attacks in training mode.** The entropy attack finds {said["attack_in_evaluation_mode"]}% of the
  forget images in the *original*, which was trained on all of them. With BatchNorm in training
  mode, as all methods but LoTUS, SCRUB and SSD were attacked, it finds
  {said["attack_in_training_mode"]}%: a model that forgot nothing passes.
* **NegGrad+ descending.** As it ran, it closes {said["closes"]}% of the way to gold, with a forget
  accuracy of {said["forget_accuracy"]}%. As meant: the row of `neg-grad-plus`, the LoTUS paper's
  settings, above.
* **SCRUB without effect.** As it ran, its result was the original, whose row stands above. As
  meant: the row of `scrub`, the LoTUS paper's settings.
"""


FAULTS = {
    ("table3", "lotus", "paper"): "LoTUS's accuracies rounded to two decimals",
    ("table9", "lotus", "paper"): "LoTUS's class mode that cannot stop (`published_class_mode`)",
    ("table9", "lotus", "tuned"): "The same at tuned settings",
    ("table3", "bad-teacher", "paper"): "The bad teacher's images in order, its loss averaged",
    ("table3", "salun", "paper"): "SalUn's mask in the forget pass alone, labels never right",
}
"""Grid, method and settings -> what the code did."""
HEADS = ("closes", "forget_accuracy", "test_accuracy")


def on_digits():
    """A row for each method as it is here, and below it as it ran."""
    rows, body = [row for row in _rows() if "grid" in row], []
    for (grid, run, settings), fault in FAULTS.items():
        of_fault = [
            row
            for row in rows
            if (row["grid"], row["run"], row["settings"]) == (grid, run, settings)
        ]
        for ran in dict.fromkeys(row["ran"] for row in of_fault):
            those = [row for row in of_fault if row["ran"] == ran]
            what = f"{fault}, {SCENARIOS[grid]}" if ran == "as here" else ""
            shown = [_percent(those, key) for key in HEADS]
            body.append([what, ran, str(len(those)), *shown])
    heads = ["", "", "seeds", "Closes %", "Forget acc. %", "Test acc. %"]
    sides = ["left", "left", *("right" for _ in heads[2:])]
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True, colalign=sides)


def published_code():
    """What benchmarks/published_code.py found."""
    return f"""## What the code behind the LoTUS tables did, measured

`python benchmarks/published_code.py` ran three of its defects on the originals of Fashion-MNIST
(10%, 3 seeds, means ± half of the 95% interval):

{on_fashion()}
And four on those of digits, each beside the method as it is here, with the same settings, original
and seed:

{on_digits()}

The order matters: with images in the order of their classes the bad teacher stays near the
original, and shuffled it moves far away from gold, in every seed. The other faults make next to no
difference, or none that three seeds could tell. That LoTUS cannot stop matters only once the class
is forgotten: until then the last epoch is the nearest one, and is kept here, too.

Most other differences are options that the paper's presets set, so that their effect is the
distance between a method's two rows; each card says it. Not measured: gold models of the last epoch
in the place of the best one, which differ only where training has patience; here it has none.
"""
