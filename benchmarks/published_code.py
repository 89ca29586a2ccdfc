"""What difference did it make how the code behind the LoTUS tables ran?

    lotus bench table1 --blocks fashion-mnist --settings paper authors --seeds 3
    python benchmarks/published_code.py --seeds 3

Three of its defects, on the originals that the first command leaves in results/files:

* NegGrad+ flipped the sign of the forget loss before the backward pass filled the gradients, so
  that it descended on forget images. Run as it was, in the settings of the tables.
* SCRUB's optimizer held the weights of another model: nothing changed. Its result is the original.
* All methods but LoTUS, SCRUB and SSD were attacked in training mode: BatchNorm normalised each
  batch by its own statistics. The same attack on the same model, in both modes.

One line per run is added to ``--out``; what is there is not run again. docs/methods.md shows them.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F

from lotus_unlearning import metrics, unlearn
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.materials import load, predictions, trained_model
from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.benchmark.store import Store
from lotus_unlearning.methods.presets import PRESETS

MODES = {"evaluation": False, "training": True}
MEANT = PRESETS["lotus-tables-resnet18"]["neg-grad-plus"]


@dataclass(frozen=True, kw_only=True)
class Descends:
    """NegGrad+ of the tables' code: a pass over forget, then one over retain, both downhill."""

    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})
    rate: float = MEANT.learning_rate * MEANT.alpha
    decay: float = MEANT.weight_decay / MEANT.alpha

    def __call__(self, model, data, run):
        """Edit ``model`` in place."""
        optimizer = torch.optim.SGD(model.parameters(), self.rate, 0.9, weight_decay=self.decay)
        for _ in run.epochs(MEANT.epochs):
            model.train()
            for split in (data.forget, data.retain):
                for x, y, _ in run.batches(split, MEANT.batch_size):
                    run.step(optimizer, F.cross_entropy(model(x), y))


@torch.no_grad()
def attack(model, splits, training):
    """The paper's attack, with BatchNorm in training mode or not."""
    model.train(training)
    found = {}
    for name in ("retain", "unseen", "test", "forget"):
        split = getattr(splits, name)
        images = split.source.preprocess(split.source.images[split.ids])
        state = {key: value.clone() for key, value in model.state_dict().items()}
        logits = torch.cat([model(part).double() for part in images.split(128)])
        model.load_state_dict(state)  # a pass in training mode moves the running statistics
        found[name] = metrics.entropy(metrics.softmax(logits.numpy()))
    others = [*found["unseen"], *found["test"]]
    return metrics.entropy_attack(found["retain"], others, found["forget"])


def rows(draw, store, done):
    """Lines that are not there yet."""
    reference, seed = draw.reference, draw.split
    if {("original", seed), ("neg-grad-plus", seed)} <= done:
        return
    setup = reference.original.setup
    data = load(setup.data, None)
    splits = scenarios.splits(reference.forget, data)
    model = trained_model(setup, data, store.files(reference.original))
    ids = splits.forget.ids
    original, *golds = (
        metrics.softmax(predictions(store.files(cell))["train"][ids.numpy()].astype(float))
        for cell in (reference.original, *reference.golds)
    )
    if ("original", seed) not in done:
        yield {"run": "original", "seed": seed, **attacks(model, splits)}
    if ("neg-grad-plus", seed) not in done:
        place = {"device": "cpu", "precision": setup.precision, "progress": False}
        result = unlearn(model, splits, Descends(), seed=draw.training, **place).model.eval()
        images = data.train.preprocess(data.train.images[ids])
        with torch.no_grad():
            p = metrics.softmax(result(images).double().numpy())
        right = float((p.argmax(1) == splits.forget.labels.numpy()).mean())
        closes = metrics.closes(p, original, golds).closes
        facts = {"closes": closes, "forget_accuracy": right, **attacks(result, splits)}
        yield {"run": "neg-grad-plus", "seed": seed, **facts}


def attacks(model, splits):
    """In both modes."""
    found = {f"attack_in_{name}_mode": attack(model, splits, mode) for name, mode in MODES.items()}
    model.eval()
    return found


def main():
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/published_code.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    store, out = Store(options.results), options.out
    lines = out.read_text("utf-8").splitlines() if out.exists() else []
    done = {(row["run"], row["seed"]) for row in map(json.loads, lines)}
    grid = read_grid("table1", {"blocks": ["fashion-mnist"], "seeds": options.seeds})
    (section,) = grid.sections()
    for draw in section.draws():
        for row in rows(draw, store, done):
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


if __name__ == "__main__":
    main()
