"""Write docs/methods.md and the tables of README.md and performance.md from what was measured.

python docs/write_methods.py
"""

import json
import re
import runpy
import statistics
from collections import defaultdict
from pathlib import Path

from scipy import stats

from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.cards import CARDS, about, differs, formula
from lotus_unlearning.methods.presets import PRESETS

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
DATA = {
    "digits": "digits (1,197 training images, `resnet-thin`, 30 epochs)",
    "fashion-mnist": "Fashion-MNIST (5,000 training images, `resnet-thin`, 15 epochs)",
}
COLUMNS = {
    "forget_loss": ("loss on forget", "{:.3f}"),
    "forget_accuracy": ("accuracy on forget", "{:.3f}"),
    "test_accuracy": ("accuracy on test", "{:.3f}"),
    "js_divergence": ("JSD to gold", "{:.4f}"),
    "rf_js_divergence": ("RF-JSD", "{:.4f}"),
    "auc_loss": ("attack AUC", "{:.3f}"),
    "seconds": ("seconds", "{:.1f}"),
    "peak_memory_bytes": ("peak MB", "{:.0f}"),
}
RAISES = ("neg-grad-plus", "random-labels", "scrub", "bad-teacher")


def read(data):
    """Preset and method -> rows, one per seed."""
    file = RESULTS / f"behaviour-{data}.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    groups = defaultdict(list)
    for row in rows:
        groups[row["preset"], row["method"]].append(row)
    return groups


def cell(rows, measure, pattern):
    """Mean and half the width of its 95% interval (Student's t)."""
    values = [r[measure] for r in rows if r.get(measure) is not None]
    if not values:
        return "–"
    values = [v / 1e6 for v in values] if measure == "peak_memory_bytes" else values
    text = pattern.format(statistics.mean(values))
    if len(values) < 2 or measure in ("seconds", "peak_memory_bytes"):
        return text
    spread = statistics.stdev(values) / len(values) ** 0.5
    return f"{text} ± {pattern.format(spread * stats.t.ppf(0.975, len(values) - 1))}"


def table(groups, keys, columns):
    """Markdown: one row per key that was measured."""
    lines = [
        "| | " + " | ".join(COLUMNS[c][0] for c in columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    for key, label in keys:
        rows = [r for r in groups.get(key, []) if "error" not in r]
        if rows:
            cells = [cell(rows, c, COLUMNS[c][1]) for c in columns]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
        elif groups.get(key):
            lines.append(f"| {label} | " + " | ".join("failed" for _ in columns) + " |")
    return "\n".join(lines)


def keys(preset):
    """Original and gold, then every method with the settings of ``preset``."""
    ends = [(("", "original"), "*original*"), (("", "gold"), "*gold*")]
    return ends + [((preset, name), f"`{name}`") for name in METHODS if name != "retrain"]


def claims(groups):
    """Whether the methods that should raise the loss on forget images above gold's do."""
    gold = {r["seed"]: r["forget_loss"] for r in groups.get(("", "gold"), [])}
    for name in RAISES:
        rows = [r for r in groups.get(("authors", name), []) if "error" not in r]
        above = sum(r["forget_loss"] > gold[r["seed"]] for r in rows)
        if rows:
            yield f"* `{name}`: above gold's in {above} of {len(rows)} seeds."


def card(name, measured):
    """The section of one method."""
    record, facts = describe(METHODS[name]()), CARDS[name]
    settings = ", ".join(f"`{k}` {v}" for k, v in record["settings"].items())
    presets = [p for p, methods in PRESETS.items() if name in methods]
    lines = [
        f"## {METHODS[name].__name__} (`{name}`)\n",
        f"{about(name)[0].upper()}{about(name)[1:]}\n",
        f"{facts.does}\n",
        f"```\n{formula(name)}\n```\n" if formula(name) else "",
        f"**When it works.** {facts.works}\n",
        f"**Settings.** {settings}." + (f" Presets: {', '.join(presets)}." if presets else ""),
        f"\n**Cost.** {facts.cost}\n",
        f"**Differs from the paper.** {differs(name)}\n",
        f"**Differs from the code behind the LoTUS tables.** {facts.tables}\n",
        f"**Source.** {record['citation']}\n",
    ]
    for data, groups in measured.items():
        rows = [((p, name), f"{p} settings") for p in ("authors", *PRESETS)]
        if name != "retrain" and any(groups.get(key) for key, _ in rows):
            kept = [(("", "original"), "*original*"), (("", "gold"), "*gold*"), *rows]
            lines.append(f"Measured on {DATA[data]}:\n\n{table(groups, kept, COLUMNS)}\n")
    return "\n".join(line for line in lines if line)


def page(measured):
    """All of docs/methods.md."""
    parts = [
        "# Methods\n",
        "Written by `python docs/write_methods.py` from the code and from the lines that "
        "`python benchmarks/behaviour.py` left in benchmarks/results. Every seed has its own "
        "original, its own choice of 10% of the training images and its own gold model. Mean ± "
        "half of the 95% interval of the mean over seeds (Student's t). Attack AUC: forget against "
        "unseen images by the loss, 0.5 is a coin toss, gold's is the aim. FB is a forward and a "
        "backward pass over images, F a forward pass.\n",
    ]
    for data, groups in measured.items():
        if groups:
            seeds = len(groups["", "gold"])
            parts.append(f"## On {DATA[data]}, authors' settings, {seeds} seeds\n")
            parts.append(table(groups, keys("authors"), COLUMNS) + "\n")
            parts.append("Loss on forget images, as their papers claim:\n")
            parts.append("\n".join(claims(groups)) + "\n")
    parts += [card(name, measured) for name in METHODS]
    return "\n".join(parts)


def between(text, mark, content):
    """``text`` with ``content`` between the comments of ``mark``."""
    pattern = rf"(?s)<!-- {mark} -->.*?<!-- /{mark} -->"
    return re.sub(pattern, lambda _: f"<!-- {mark} -->\n{content}\n<!-- /{mark} -->", text)


def read_speed():
    """The tables of benchmarks/lotus_speed.py."""
    script = HERE.parent / "benchmarks" / "lotus_speed.py"
    lines = RESULTS / "lotus_speed.jsonl"
    found = runpy.run_path(str(script))
    return found["table"](found["read"](lines)).strip()


def main():
    """Write the page and the README's table of methods."""
    measured = {data: read(data) for data in DATA}
    (HERE / "methods.md").write_text(page(measured), encoding="utf-8")
    readme = HERE.parent / "README.md"
    short = ("forget_loss", "forget_accuracy", "test_accuracy", "js_divergence", "auc_loss")
    rows = table(measured["digits"], keys("authors"), (*short, "seconds"))
    speed, page_file = read_speed(), HERE / "performance.md"
    page_file.write_text(between(page_file.read_text("utf-8"), "speed", speed), encoding="utf-8")
    readme.write_text(between(readme.read_text("utf-8"), "methods", rows), encoding="utf-8")


if __name__ == "__main__":
    main()
