"""Write the figures of docs/audit.md from the audits in benchmarks/results/audits.

python docs/write_audit.py
"""

import json
import re
import runpy
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from scipy.stats import binomtest

from lotus_unlearning.audit.sentences import unit
from lotus_unlearning.report.figures import written
from lotus_unlearning.report.page import formatted, percent

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
DATA = ("digits", "fashion-mnist")
MODELS = {
    "original": "original, unchanged",
    "finetune": "fine-tuning",
    "scrub": "SCRUB",
    "lotus": "LoTUS",
    "understudy": "Understudy",
    "regrow": "Regrow",
    "held-out": "held-out gold",
}
SEVERAL = {
    "held-out": "golds that are in no bank, each in the unlearned model's place",
    "understudy": "models that Understudy unlearned, each from an original of its own",
    "understudy-long": "models that it unlearned in 8 passes, from the same",
    "understudy-calibrated": "models that it unlearned calibrated, in 8 passes, from the same",
}
KINDS = {
    "distinguishable": "**distinguishable**",
    "indistinguishable from retraining at the tested power": "indistinguishable at this power",
    "not enough gold models to say": "not enough golds to say",
}


def read(data):
    """Audits of one data set, by model, in the order of ``MODELS``."""
    files = {name: RESULTS / "audits" / data / f"{name}.json" for name in MODELS}
    return {
        name: json.loads(file.read_text(encoding="utf-8"))
        for name, file in files.items()
        if file.is_file()
    }


def table(head, rows):
    """Markdown; all but the first column to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def differences(page):
    """What the verdict found, with the distance from the golds' mean."""
    for found in page["statistics"]:
        if found["distinguishable"]:
            value, gold = (formatted(found[k], unit(found["name"])) for k in ("value", "gold"))
            effect = (
                "no spread" if found["effect"] is None else f"{written(found['effect'], 'sd')} sd"
            )
            yield f"{found['label']} {value}, golds {gold} ({effect})"


def verdicts(pages):
    """One row for each model."""
    rows = [
        [MODELS[name], KINDS[page["verdict"]["outcome"]], "; ".join(differences(page)) or "–"]
        for name, page in pages.items()
    ]
    return table(["", "verdict", "what differs"], rows)


def said(pages):
    """Who is found out and who is not, and at which power."""
    found, passed = [], []
    for name, page in pages.items():
        known = found if page["verdict"]["outcome"] == "distinguishable" else passed
        known.append(MODELS[name])
    verdict = next(iter(pages.values()))["verdict"]
    if found:
        yield f"Distinguishable from retraining: {listed(found)}."
    if MODELS["held-out"] in found:
        yield "Of the held-out gold that is a false alarm: one in twenty golds is expected to be."
    if passed:
        yield f"Not distinguishable with these {verdict['golds']} golds: {listed(passed)}."
    if MODELS["original"] in passed:
        yield (
            "The original, which has forgotten nothing, is among them: these images left no trace "
            "that this verdict can see, and passing it says nothing about forgetting."
        )
    yield (
        f"The power: what is {written(verdict['smallest_effect'], 'sd')} standard deviations of "
        f"the golds away in one of {len(verdict['findings'])} statistics is found with a chance of "
        f"{percent(verdict['power'])}, at {percent(verdict['level'])} false alarms over all of "
        "them; what is nearer may be there."
    )


def listed(names):
    """With "and" before the last one."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def statistics(pages):
    """Distance of each model from the golds' mean, statistic by statistic."""
    first = next(iter(pages.values()))["statistics"]
    rows = []
    for i, statistic in enumerate(first):
        cells = [distance(page["statistics"][i]) for page in pages.values()]
        rows.append([statistic["label"], *cells, formatted(statistic["gold"], statistic["unit"])])
    return table(["", *(MODELS[name] for name in pages), "golds' mean"], rows)


def distance(found):
    """In standard deviations; bold where it counts."""
    text = "–" if found["effect"] is None else written(found["effect"], "sd")
    return f"**{text}**" if found["distinguishable"] else text


def ladder(pages):
    """Every measure of every model; bold where one more gold is not expected."""
    known = {}
    for name, page in pages.items():
        for row in page["ladder"]:
            known.setdefault((row["level"], row["measure"]), {})[name] = row
    main, details = [], []
    for (level, _), by_model in sorted(known.items(), key=lambda item: item[0][0]):
        row = next(iter(by_model.values()))
        cells = [value(by_model.get(name)) for name in pages]
        rows = details if row.get("detail") else main
        rows.append([f"{level}", row["label"], *cells, expected(row)])
    heads = ["level", "", *(MODELS[name] for name in pages), "one more gold"]
    if not details:
        return table(heads, main)
    return (
        f"{table(heads, main)}\n\n<details><summary>Thresholds and rates by the other scores"
        f"</summary>\n\n{table(heads, details)}\n\n</details>"
    )


def value(row):
    """Of the model under audit."""
    found = None if row is None else row["values"].get("unlearned")
    if found is None:
        return "–"
    text, ends = formatted(found, row["unit"]), row["intervals"].get("gold")
    return text if ends is None or ends[0] <= found <= ends[1] else f"**{text}**"


def expected(row):
    """Where one more gold is expected."""
    ends = row["intervals"].get("gold")
    if ends is None:
        return formatted(row["values"].get("gold"), row["unit"])
    return " to ".join(formatted(end, row["unit"]) for end in ends)


def about(pages):
    """What was audited, from the manifests."""
    page = next(iter(pages.values()))
    images, bank = page["manifest"]["images"], page["manifest"]["bank of golds"]["models"]
    models = [f"{count} {kind} models" for kind, count in bank.items() if count]
    return (
        f"{images['forget']:,} of {images['forget'] + images['retain']:,} training images to be "
        f"forgotten, {images.get('unseen', 0):,} unseen and {images.get('test', 0):,} test images; "
        f"a bank of {listed(models)}."
    )


def speed():
    """The table of benchmarks/bank_speed.py."""
    found = runpy.run_path(str(HERE.parent / "benchmarks" / "bank_speed.py"))
    shown = StringIO()
    with redirect_stdout(shown):
        found["table"](RESULTS / "bank_speed.jsonl")
    return shown.getvalue().strip()


def false_alarms():
    """The table of benchmarks/false_alarms.py."""
    found = runpy.run_path(str(HERE.parent / "benchmarks" / "false_alarms.py"))
    return found["table"](found["read"](RESULTS / "false_alarms.jsonl"))


def found_out(data, name):
    """How many models of a name are called distinguishable; nothing where it is one.

    A single one has a column in the tables.
    """
    file = RESULTS / "audits" / f"{data}-{name}.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    outcomes = [one["outcome"] for one in known]
    if len(outcomes) > 1:
        found = outcomes.count("distinguishable")
        ends = binomtest(found, len(outcomes)).proportion_ci(0.95, method="exact")
        are = "is" if found == 1 else "are"
        yield (
            f"Of {len(outcomes)} {SEVERAL[name]}, {found} {are} called distinguishable: "
            f"{percent(found / len(outcomes))} [{percent(ends.low)}, {percent(ends.high)}], where "
            f"{percent(0.05)} are expected of golds."
        )


def put_back(page):
    """From how many images on golds that saw them after all are found out."""
    rows = page["self_test"]["put_back"]
    if rows:
        counts = [f"{r['caught']} of {r['models']} with {r['images']:,}" for r in rows]
        yield f"Golds with images put back that are found out: {listed(counts)}."


def section(data, pages):
    """One data set: what was audited, the verdicts, the self-test, the ladder."""
    if not pages:
        return "Not measured yet."
    page, own = next(iter(pages.values())), [name for name in SEVERAL if name != "held-out"]
    trust = [*page["self_test"]["sentences"], *put_back(page), *found_out(data, "held-out")]
    parts = [
        about(pages),
        "### Who is distinguishable from retraining?",
        " ".join([*said(pages), *(line for name in own for line in found_out(data, name))]),
        verdicts(pages),
        "How far each model is from the golds' mean, in their standard deviations; bold: "
        "distinguishable.",
        statistics(pages),
        "### Is the verdict itself to be trusted?",
        "\n".join(f"* {line}" for line in trust),
        "### The ladder",
        "Bold: outside the interval in which one more gold is expected with a chance of "
        f"{percent(page['band'])}. With so many rows some are by chance; only the verdict corrects "
        "for that.",
        ladder(pages),
    ]
    return "\n\n".join(parts)


def between(text, mark, content):
    """``text`` with ``content`` between the comments of ``mark``."""
    pattern = rf"(?s)<!-- {mark} -->.*?<!-- /{mark} -->"
    block = f"<!-- {mark} -->\n\n{content}\n\n<!-- /{mark} -->"
    return re.sub(pattern, lambda _: block, text)


def main():
    """Write the figures of the page."""
    file = HERE / "audit.md"
    text = file.read_text(encoding="utf-8")
    for data in DATA:
        text = between(text, data, section(data, read(data)))
    text = between(text, "false-alarms", false_alarms())
    file.write_text(between(text, "speed", speed()), encoding="utf-8")


if __name__ == "__main__":
    main()
