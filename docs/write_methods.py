"""Write docs/methods.md and the tables of README.md and performance.md from what was measured.

python docs/write_methods.py
"""

import runpy

from measured import BLOCKS, ROOT, SCENARIOS, between, measured, methods, references, table

from lotus_unlearning.benchmark.summary import by_split
from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.cards import CARDS, about, differs, formula
from lotus_unlearning.methods.presets import PRESETS

SETTINGS = {"authors": "authors'", "tuned": "tuned", "paper": "the LoTUS paper's"}
OVERVIEW = (
    "closes", "js_divergence", "forget_accuracy", "retain_accuracy", "test_accuracy", "forget_loss",
    "rf_js_divergence", "auc_loss", "seconds", "peak_memory_bytes",
)  # fmt: skip
ON_CARDS = (
    "closes", "js_divergence", "forget_accuracy", "test_accuracy", "forget_loss", "auc_loss",
    "seconds", "peak_memory_bytes",
)  # fmt: skip
IN_README = ("closes", "js_divergence", "forget_accuracy", "test_accuracy", "auc_loss", "seconds")
RAISES = {
    "neg-grad-plus": "its weight of the ascent is small beside that of the retain batches",
    "random-labels": "in one epoch, wrong labels are taught as often as right ones of others",
    "scrub": "it is meant to end near gold's loss, not above: fine-tuning follows the ascent",
    "bad-teacher": "one epoch at its authors' rate, for large networks, moves a small one little",
}
"""Methods that by their papers raise the loss on forget images -> why they may not above gold's."""


def parts():
    """Scenario and block -> what was measured."""
    found = {(n, b): measured(n, b, settings=list(SETTINGS)) for n in SCENARIOS for b in BLOCKS}
    return {key: part for key, part in found.items() if part is not None}


def overview(part, settings):
    """A row for each method."""
    lines = methods(part, settings).items()
    return table([*references(part), *((f"`{name}`", line) for name, line in lines)], OVERVIEW)


def claims(part):
    """Whether the methods that should raise the loss on forget images above gold's do."""
    gold = by_split(next(ln for ln in part.lines if ln.name == "gold").values["forget_loss"])
    for settings in SETTINGS:
        for name, line in methods(part, settings).items():
            values = by_split(line.values.get("forget_loss", {}))
            if name in RAISES and values:
                above = sum(value > gold[split] for split, value in values.items())
                why = f": {RAISES[name]}" if above < len(values) and settings == "authors" else ""
                yield (
                    f"* `{name}`, {SETTINGS[settings]} settings: above gold's for {above} of "
                    f"{len(values)} seeds{why}."
                )


def card(name, found):
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
    for (scenario, block), part in found.items():
        rows = [
            (f"{SETTINGS[settings]} settings", line)
            for settings in SETTINGS
            if (line := methods(part, settings).get(name)) is not None
        ]
        if rows:
            title = f"{SCENARIOS[scenario]} of {BLOCKS[block]}, {part.draws[0]} seeds"
            lines.append(f"Forgetting {title}:\n\n{table([*references(part), *rows], ON_CARDS)}\n")
    return "\n".join(line for line in lines if line)


def page(found):
    """All of docs/methods.md."""
    text = [
        "# Methods\n",
        "Written by `python docs/write_methods.py` from the code and from the cells in results/, "
        "which `lotus bench` left there ([results.md](results.md) has the commands). Every seed "
        "has its own original and its own choice of images to forget, and each choice four gold "
        "models. Mean ± half of the 95% interval over seeds (Student's t); of seconds and memory "
        "the median. *Closes*: how much of the way from the original to the golds was gone, on "
        "forget images; below 0, the method moved away. AUC: forget against unseen images, where "
        "0.5 is a coin toss and gold's is the aim. FB is a forward and a backward pass over "
        "images, F a forward pass.\n",
    ]
    for (scenario, block), part in found.items():
        for settings in ("authors", "tuned"):
            if methods(part, settings):
                seeds = f"{SETTINGS[settings]} settings, {part.draws[0]} seeds"
                text.append(f"## {SCENARIOS[scenario].capitalize()}: {BLOCKS[block]}, {seeds}\n")
                text.append(overview(part, settings) + "\n")
        if scenario == "table1":
            text.append("Loss on forget images, as their papers claim:\n")
            text.append("\n".join(claims(part)) + "\n")
    text += [card(name, found) for name in METHODS]
    return "\n".join(text)


def read_speed():
    """The tables of benchmarks/lotus_speed.py."""
    found = runpy.run_path(str(ROOT / "benchmarks" / "lotus_speed.py"))
    lines = ROOT / "benchmarks" / "results" / "lotus_speed.jsonl"
    return found["table"](found["read"](lines)).strip()


def main():
    """Write the pages and the README's table of methods."""
    found = parts()
    (ROOT / "docs" / "methods.md").write_text(page(found), encoding="utf-8")
    part = found["table1", "fashion-mnist"]
    lines = methods(part, "authors").items()
    rows = [*references(part), *((f"`{name}`", line) for name, line in lines)]
    readme, performance = ROOT / "README.md", ROOT / "docs" / "performance.md"
    for file, mark, content in (
        (readme, "methods", table(rows, IN_README)),
        (performance, "speed", read_speed()),
    ):
        file.write_text(between(file.read_text("utf-8"), mark, content), encoding="utf-8")


if __name__ == "__main__":
    main()
