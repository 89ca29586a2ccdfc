"""What does each method do to real images? Every method, several seeds, in one table.

    python benchmarks/behaviour.py --data digits --seeds 5
    python benchmarks/behaviour.py --data fashion-mnist --limit 5000 --epochs 15 --seeds 3

Per seed: another original, another choice of 10% of the training images, another gold model, and
every method on the same original. One line per run is added to ``--out``; what is there is not run
again. docs/methods.md is written from these lines by ``python docs/write_methods.py``.
"""

import argparse
import json
from pathlib import Path

import torch

from lotus_unlearning import METHODS, Recipe, Retrain, Splits, evaluate, metrics, train, unlearn
from lotus_unlearning.datasets import load
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.models import build
from lotus_unlearning.runtime import Runtime

MODEL = "resnet-thin"
KEPT = (
    "forget_accuracy", "retain_accuracy", "unseen_accuracy", "test_accuracy", "js_divergence",
    "rf_js_divergence", "average_gap", "auc_loss",
)  # fmt: skip


def losses(model, splits):
    """Mean cross-entropy on each split, in evaluation mode."""
    run, found = Runtime(), {}
    for name in ("forget", "retain", "test"):
        split = getattr(splits, name)
        logits = run.predict(model, split).numpy()
        found[f"{name}_loss"] = float(metrics.cross_entropy(logits, split.labels.numpy()).mean())
    return found


def settings():
    """Name of the settings -> method -> the method with them."""
    chosen = {"authors": {name: cls() for name, cls in METHODS.items() if name != "retrain"}}
    for preset in ("demo", "lotus-tables-resnet18", "tuned-digits", "tuned-fashion-mnist"):
        methods = PRESETS.get(preset, {})
        chosen[preset] = {name: m for name, m in methods.items() if name != "retrain"}
    return chosen


def rows(options, seed, done):
    data = load(options.data, limit=options.limit, seed=seed)
    splits = Splits.random(
        data.train, seed=seed, unseen=data.unseen, test=data.test, on_overlap="drop"
    )
    jobs = [
        (preset, name, method)
        for preset, methods in settings().items()
        for name, method in methods.items()
        if (preset, name, seed) not in done and not _foreign(preset, options.data)
    ]
    if not jobs and ("", "gold", seed) in done:
        return
    size = {"classes": len(data.classes), "channels": data.channels, "image_size": data.image_size}
    recipe, place = Recipe(epochs=options.epochs), {"device": "cpu", "progress": False}
    original = train(build(MODEL, seed=seed, **size), data.train, recipe, seed=seed, **place)
    gold = unlearn(original.model, splits, Retrain(recipe=recipe), seed=seed, **place)
    if ("", "gold", seed) not in done:
        yield row("", "original", seed, original, splits, original, gold)
        yield row("", "gold", seed, gold, splits, original, gold)
    for preset, name, method in jobs:
        try:
            result = unlearn(original.model, splits, method, seed=seed, **place)
        except (ValueError, FloatingPointError) as error:
            yield {"preset": preset, "method": name, "seed": seed, "error": str(error)}
            continue
        yield row(preset, name, seed, result, splits, original, gold)


def _foreign(preset, data):
    return preset.startswith("tuned-") and preset != f"tuned-{data}"


def row(preset, name, seed, made, splits, original, gold):
    values = evaluate(made.model, splits, original=original, gold=gold, device="cpu").values
    return {
        "preset": preset,
        "method": name,
        "seed": seed,
        "seconds": made.seconds,
        "peak_memory_bytes": made.peak_memory_bytes,
        **losses(made.model, splits),
        **{k: values["unlearned"].get(k) for k in KEPT},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    out = options.out or Path(f"benchmarks/results/behaviour-{options.data}.jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = out.read_text().splitlines() if out.exists() else []
    done = {(r["preset"], r["method"], r["seed"]) for r in map(json.loads, lines)}
    for seed in range(options.seeds):
        for found in rows(options, seed, done):
            with out.open("a") as file:
                file.write(json.dumps({**found, "model": MODEL, "epochs": options.epochs}) + "\n")
            print(f"seed {seed} {found['preset']} {found['method']}", flush=True)


if __name__ == "__main__":
    main()
