"""Write docs/methods.md and tables of README.md and other pages from what was measured.

python docs/write_methods.py
"""

import json
import runpy

from measured import (
    BLOCKS,
    ONLY,
    ROOT,
    SCENARIOS,
    TUNED_FOR_CLASSES,
    between,
    cell,
    measured,
    methods,
    references,
    seeds,
    table,
)
from published import effect, published_code
from tabulate import tabulate

from lotus_unlearning import metrics
from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.summary import by_split
from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.cards import CARDS, about, differs, formula, mind, settings_of
from lotus_unlearning.methods.form import Sizes, passes
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.methods.settings import default
from lotus_unlearning.methods.spaces import SPACES, bounds_of

SETTINGS = {"authors": "authors'", "tuned": "tuned", "paper": "the LoTUS paper's"}
OVERVIEW = (
    "closes", "js_divergence", "forget_accuracy", "retain_accuracy", "test_accuracy", "forget_loss",
    "rf_js_divergence", "auc_loss", "seconds", "peak_memory_bytes",
)  # fmt: skip
ON_CARDS = (
    "closes", "js_divergence", "forget_accuracy", "test_accuracy", "forget_loss", "auc_loss",
    "seconds", "peak_memory_bytes",
)  # fmt: skip
IN_README = ("closes", "forget_accuracy", "test_accuracy", "auc_loss", "seconds")
TUNED_IN_README = ("closes", "test_accuracy")


def parts():
    """Scenario and block -> what was measured."""
    blocks = [block for block in BLOCKS if block not in ONLY]
    found = {(n, b): measured(n, b, settings=list(SETTINGS)) for n in SCENARIOS for b in blocks}
    return {key: part for key, part in found.items() if part is not None}


def overview(part, settings):
    """A row for each method."""
    lines = methods(part, settings).items()
    return table([*references(part), *((f"`{name}`", line) for name, line in lines)], OVERVIEW)


def for_readme(part):
    """A row for each method: its authors' settings, and beside them the most of tuned ones."""
    authors, tuned = methods(part, "authors"), methods(part, "tuned")
    rows = [*references(part), *((f"`{name}`", line) for name, line in authors.items())]
    body = []
    for label, line in rows:
        beside = tuned.get(line.name) if line.is_method else line
        shown = ["–" if beside is None else cell(beside, measure) for measure in TUNED_IN_README]
        body.append([label, *(cell(line, measure) for measure in IN_README), *shown])
    heads = [COLUMNS[m].label for m in IN_README] + [
        f"Tuned: {COLUMNS[m].label[0].lower()}{COLUMNS[m].label[1:]}" for m in TUNED_IN_README
    ]
    sides = ["left", *("right" for _ in heads)]
    return tabulate(body, ["", *heads], tablefmt="pipe", disable_numparse=True, colalign=sides)


def claims(part):
    """The loss on forget images of every method, minus the original's and minus gold's."""
    lines = {line.name: by_split(line.values["forget_loss"]) for line in part.lines[:2]}
    gold, original, body = lines["gold"], lines["original"], []
    for name in METHODS:
        for settings in SETTINGS:
            line = methods(part, settings).get(name)
            values = by_split(line.values.get("forget_loss", {})) if line is not None else {}
            if values:
                beside = [
                    metrics.mean_and_interval([values[k] - other[k] for k in values])
                    for other in (original, gold)
                ]
                above = sum(value > gold[split] for split, value in values.items())
                shown = [f"{d.value:+.2g} [{d.low:+.2g}, {d.high:+.2g}]" for d in beside]
                body.append([f"`{name}`", SETTINGS[settings], *shown, f"{above} of {len(values)}"])
    heads = ["", "settings", "loss minus original's", "minus gold's", "seeds above gold's"]
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True)


WHY_NOT = """\
What the tables of the loss on forget images say. Every method is to raise it towards gold's. On
Fashion-MNIST all that push do raise it above the original's. Where one does not, or stays below
gold's:

* **Single images of digits.** The original's loss on them is 0.001, so that they have next to no
  gradient to climb: at their authors' settings NegGrad+ and gradient ascent move it by about
  0.0001, and down. Those that teach other answers (random labels, SalUn, the bad teacher, SCRUB)
  raise it there, too.
* **Held back by the other half.** SCRUB's distillation follows each ascent and is meant to stop
  near gold's loss. At their authors' settings random labels are taught for three epochs and the
  bad teacher's beliefs for one, at a rate of 1e-4, beside right ones; at the LoTUS paper's
  settings, ten epochs and a higher rate, they go above gold's where many images are to be
  forgotten.
* **SSD** at its authors' alpha changes nothing: where a tenth of the images or more is to be
  forgotten, no weight is ten times as important for them as for all.
* **Classes.** Gold never saw the class: its loss on it is 14 on digits and 10 on Fashion-MNIST.
  Nearly all methods stay far below that, also those that answer as wrong as gold and close most of
  the way, as wrong answers need no such confidence. On Fashion-MNIST all but SSD raise the
  original's. On digits, of which the original is sure, finetuning and L1-sparse lower it at their
  authors' settings by 0.0007: they make the model surer of everything. Random labels and SalUn do
  so, too, at the LoTUS paper's settings, where each short pass over the class is followed by one
  over nine times as many retained images, which undoes it; with tuned settings both end at a loss
  of 4.
* **Finetuning, L1-sparse, LoTUS, Understudy and Regrow** never climb. They come from below and end
  there.

Above gold's is not nearer to gold: at its authors' settings NegGrad+ on a class of Fashion-MNIST
ends at a loss above a thousand and a quarter of the test images right.
"""


def flat(settings):
    """Settings; of records within a method, ``record.setting``."""
    for key, value in settings.items():
        if isinstance(value, dict) and {f"{key}.{k}" for k in value} & settings_of_all():
            yield from ((f"{key}.{k}", v) for k, v in value.items() if k != "name")
        else:
            yield key, value


def settings_of_all():
    """The names of all settings of all methods."""
    return {key for name in METHODS for key in settings_of(name)}


def searched(name):
    """What ``lotus tune`` searches, and what it found."""
    if name not in SPACES:
        return
    bounds = []
    for key, rule in SPACES[name].items():
        at, high = bounds_of(rule, default(name, key)), " (in the logarithm)"
        bounds.append(f"`{key}` {at.low:.4g} to {at.high:g}{high if at.log else ''}")
    found = []
    for preset in (p for p in PRESETS if p.startswith("tuned-") and name in PRESETS[p]):
        other = "by_instance." if preset.endswith("-class") else "by_class."
        keys = [key for key in SPACES[name] if not key.startswith(other)]
        chosen = [f"`{key}` {_get(PRESETS[preset][name], key):.4g}" for key in keys]
        found.append(f"{preset}: {', '.join(chosen)}")
    yield f"**Searched by `lotus tune`.** {', '.join(bounds)}. Found: {'; '.join(found)}.\n"


def _get(method, key):
    for part in key.split("."):
        method = getattr(method, part)
    return method


def plain(value):
    """A default as it is written in a config; of records within a method, their names."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {plain(v)}" for k, v in value.items() if k != "name")
    return "none" if value is None else str(value)


def card(name, found):
    """The section of one method."""
    record, facts = describe(METHODS[name]()), CARDS[name]
    meaning = settings_of(name)
    defaults = dict(flat(record["settings"]))
    settings = [[f"`{k}`", plain(v), meaning.get(k, "")] for k, v in defaults.items()]
    presets = [p for p, methods in PRESETS.items() if name in methods]
    lines = [
        f"## {METHODS[name].__name__} (`{name}`)\n",
        f"{about(name)[0].upper()}{about(name)[1:]}\n",
        f"{facts.does}\n",
        *([f"```\n{formula(name)}\n```\n"] if formula(name) else []),
        f"**When it works.** {facts.works}\n",
        *([f"**Mind.** {mind(name)}\n"] if mind(name) else []),
        tabulate(settings, ["setting", "default", ""], tablefmt="pipe", disable_numparse=True)
        + "\n",
        *([f"Presets: {', '.join(presets)}.\n"] if presets else []),
        *searched(name),
        f"**Cost.** {facts.cost}\n",
        f"**Differs from the paper.** {differs(name)}\n",
        f"**Differs from the code behind the LoTUS tables.** {facts.tables}{effect(name, found)}\n",
        f"**Source.** {record['citation']}\n",
    ]
    for (scenario, block), part in found.items():
        rows = [
            (f"{SETTINGS[settings]} settings", line)
            for settings in SETTINGS
            if (line := methods(part, settings).get(name)) is not None
        ]
        if rows or name == "retrain":
            title = f"{SCENARIOS[scenario]} of {BLOCKS[block]}, {seeds(part)}"
            lines.append(f"Forgetting {title}:\n\n{table([*references(part), *rows], ON_CARDS)}\n")
    return "\n".join(lines)


def page(found):
    """All of docs/methods.md."""
    text = [
        "# Methods\n",
        "Written by `python docs/write_methods.py` from the code and from the cells in results/, "
        "which `lotus bench` left there ([results.md](results.md) has the commands). Every seed "
        "has its own original and its own choice of images to forget, and each choice four gold "
        "models. Mean ± half of the 95% interval over seeds (Student's t); of seconds and memory "
        "the median. *Closes*: how much of the way from the original to the golds was gone, on "
        "forget images; below 0, the method moved away; of gold, the mean and the range of "
        "single golds; a dash where nothing to close could be measured, as the original is not "
        "significantly further from the golds than they are from each other. AUC: forget against "
        "unseen images, where 0.5 is a coin toss and gold's is the aim. FB is a forward and a "
        "backward pass over images, F a forward pass.\n",
    ]
    for (scenario, block), part in found.items():
        for settings in ("authors", "tuned"):
            if methods(part, settings):
                head = f"{SETTINGS[settings]} settings, {seeds(part)}"
                text.append(f"## {SCENARIOS[scenario].capitalize()}: {BLOCKS[block]}, {head}\n")
                text.append(overview(part, settings) + "\n")
        if scenario == "table9":
            text.append(f"{TUNED_FOR_CLASSES}\n")
        text.append("Loss on forget images:\n")
        text.append(claims(part) + "\n")
    text += [WHY_NOT, published_code()]
    text += [card(name, found) for name in METHODS]
    return "\n".join(text)


def work():
    """Images through the model, at the sizes of the paper's CIFAR-100: 10% to forget."""
    sizes = Sizes(forget=5_000, retain=45_000, unseen=5_000, forget_classes=100, retain_classes=100)
    body = []
    for name, method in METHODS.items():
        count = passes(method(), sizes)
        once = (3 * count.training + count.forward) / (3 * sizes.retain)
        body.append([f"`{name}`", f"{count.training:,.0f}", f"{count.forward:,.0f}", f"{once:.2f}"])
    heads = ["", "FB, images", "F, images", "in epochs of fine-tuning"]
    sides = ["left", "right", "right", "right"]
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True, colalign=sides)


def read_floor():
    """The tables of benchmarks/gpu.py."""
    found = runpy.run_path(str(ROOT / "benchmarks" / "gpu.py"))
    lines = (ROOT / "benchmarks" / "results" / "gpu.jsonl").read_text("utf-8").splitlines()
    return found["table"]([json.loads(line) for line in lines]).strip()


def read_steps():
    """The table of benchmarks/steps.py."""
    found = runpy.run_path(str(ROOT / "benchmarks" / "steps.py"))
    lines = (ROOT / "benchmarks" / "results" / "steps.jsonl").read_text("utf-8").splitlines()
    return found["table"]([json.loads(line) for line in lines])


def read_traffic():
    """The table of benchmarks/traffic.py."""
    found = runpy.run_path(str(ROOT / "benchmarks" / "traffic.py"))
    return found["table"](*found["read"]())


def read_startup():
    """The table of benchmarks/startup.py."""
    found = runpy.run_path(str(ROOT / "benchmarks" / "startup.py"))
    return found["table"](found["read"]())


def read_speed():
    """The tables of benchmarks/lotus_speed.py."""
    found = runpy.run_path(str(ROOT / "benchmarks" / "lotus_speed.py"))
    lines = ROOT / "benchmarks" / "results" / "lotus_speed.jsonl"
    return found["table"](found["read"](lines)).strip()


def read_scale():
    """The table of benchmarks/scale.py."""
    found = runpy.run_path(str(ROOT / "benchmarks" / "scale.py"))
    return found["table"](found["read"](ROOT / "benchmarks" / "results" / "scale.jsonl"))


def main():
    """Write the pages and the README's table of methods."""
    found = parts()
    (ROOT / "docs" / "methods.md").write_text(page(found), encoding="utf-8")
    part = found["table1", "fashion-mnist"]
    readme, performance = ROOT / "README.md", ROOT / "docs" / "performance.md"
    for file, mark, content in (
        (readme, "methods", for_readme(part)),
        (performance, "speed", read_speed()),
        (performance, "work", work()),
        (performance, "floor", read_floor()),
        (performance, "traffic", read_traffic()),
        (performance, "steps", read_steps()),
        (performance, "startup", read_startup()),
        (ROOT / "docs" / "scale.md", "scale", read_scale()),
    ):
        file.write_text(between(file.read_text("utf-8"), mark, content), encoding="utf-8")


if __name__ == "__main__":
    main()
