"""What difference did it make how the code behind the LoTUS tables ran?

    lotus bench table1 --blocks fashion-mnist --settings paper authors --seeds 3
    lotus bench table3 --blocks digits --settings paper authors --seeds 3
    lotus bench table9 --blocks digits --settings paper authors --seeds 3
    python benchmarks/published_code.py --seeds 3

Three of its defects on 10% of Fashion-MNIST, on the originals that the first command leaves in
results/files:

* NegGrad+ flipped the sign of the forget loss before the backward pass filled the gradients, so
  that it descended on forget images. Run as it was, in the settings of the tables.
* SCRUB's optimizer held the weights of another model: nothing changed. Its result is the original.
* All methods but LoTUS, SCRUB and SSD were attacked in training mode: BatchNorm normalised each
  batch by its own statistics. The same attack on the same model, in both modes.

And four on digits, on those of the other two, each beside the method as it is here, with the same
settings of the tables, original and seed:

* LoTUS rounded accuracies to two decimals (half of the images).
* LoTUS could not stop where a class is forgotten (a class; at tuned settings, too).
* The bad teacher's images came in the order of their classes, forget images first, and its loss was
  averaged over the classes (half of the images; the average also alone).
* SalUn masked the forget pass alone, and that only in the gradients, so that momentum and weight
  decay moved all weights; its labels were never right (half of the images).

One line per run is added to ``--out``; what is there is not run again. docs/methods.md shows them.
"""

import argparse
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import torch
import torch.nn.functional as F

from lotus_unlearning import metrics, unlearn
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.materials import load, predictions, trained_model
from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.benchmark.rows import method_of
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.losses import distillation
from lotus_unlearning.methods import bad_teacher, lotus
from lotus_unlearning.methods.bad_teacher import BadTeacher
from lotus_unlearning.methods.lotus import LoTUS
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.methods.random_labels import wrong_labels
from lotus_unlearning.methods.salun import SalUn
from lotus_unlearning.runtime import accuracy

GRIDS = {"table1": "fashion-mnist", "table3": "digits", "table9": "digits"}
NAMES = ("run", "seed", "grid", "settings", "ran")
MODES = {"evaluation": False, "training": True}
MEANT = PRESETS["lotus-tables-resnet18"]["neg-grad-plus"]
FORGET_AND_RETAIN = frozenset({"forget", "retain"})


@dataclass(frozen=True, kw_only=True)
class Descends:
    """NegGrad+ of the tables' code: a pass over forget, then one over retain, both downhill."""

    reads: ClassVar[frozenset[str]] = FORGET_AND_RETAIN
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


@dataclass(frozen=True)
class Rounds:
    """LoTUS with accuracies of two decimals."""

    method: LoTUS

    @property
    def reads(self):
        return self.method.reads

    def __call__(self, model, data, run):
        """Edit ``model`` in place."""
        exact = run.accuracy
        with (
            patch.object(lotus, "accuracy", lambda *of: round(accuracy(*of), 2)),
            patch.object(run, "accuracy", lambda *of: round(exact(*of), 2)),
        ):
            self.method(model, data, run)


@dataclass(frozen=True)
class Averages:
    """The bad teacher with its loss averaged over classes, and with its images in their order."""

    reads: ClassVar[frozenset[str]] = FORGET_AND_RETAIN
    method: BadTeacher
    in_order: bool

    def __call__(self, model, data, run):
        """Edit ``model`` in place."""
        batches = run.batches
        if self.in_order:
            by_class = torch.argsort(data.forget.labels, stable=True)
            data = replace(data, forget=data.forget.take(by_class))
            batches = partial(run.batches, shuffle=False)
        with (
            patch.object(run, "batches", batches),
            patch.object(
                bad_teacher, "distillation", lambda z, *of: distillation(z, *of) / z.shape[1]
            ),
        ):
            self.method(model, data, run)


@dataclass(frozen=True)
class MasksHalf:
    """SalUn with wrong labels, and a mask of the gradients in the forget pass alone."""

    reads: ClassVar[frozenset[str]] = FORGET_AND_RETAIN
    method: SalUn

    def __call__(self, model, data, run):
        """Edit ``model`` in place."""
        own, classes = self.method, run.classes(model, data.forget)
        masks = own._masks(model, data, run)
        optimizer = torch.optim.SGD(
            model.parameters(), own.learning_rate, own.momentum, weight_decay=own.weight_decay
        )
        for _ in run.epochs(own.epochs):
            wrong = wrong_labels(data.forget.labels, classes, run)
            model.train()
            for x, _, i in run.batches(data.forget, own.batch_size):
                run.backward(masks, F.cross_entropy(model(x), wrong[i]))
                for parameter, mask in masks.items():
                    parameter.grad *= mask
                optimizer.step()
            for x, y, _ in run.batches(data.retain, own.batch_size):
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


CANNOT_STOP = {"cannot stop": partial(replace, published_class_mode=True)}
VARIANTS = {
    ("table3", "lotus", "paper"): {"accuracies rounded": Rounds},
    ("table9", "lotus", "paper"): CANNOT_STOP,
    ("table9", "lotus", "tuned"): CANNOT_STOP,
    ("table3", "bad-teacher", "paper"): {
        "averaged": partial(Averages, in_order=False),
        "averaged, in order": partial(Averages, in_order=True),
    },
    ("table3", "salun", "paper"): {"forget pass masked": MasksHalf},
}
"""Grid, method and settings -> what the code did -> the method made so."""


def on_digits(grid, section, draw, store, done):
    """Lines that are not there yet: each method of a grid as it is here, and as it ran."""
    reference, seed, setup = draw.reference, draw.split, section.block.setup
    data = load(setup.data, None)
    splits = scenarios.splits(reference.forget, data)
    for (at, name, settings), variants in VARIANTS.items():
        here = method_of(name, settings, section.block, section.scenario.kind)
        made = {"as here": here} | {ran: make(here) for ran, make in variants.items()}
        for ran, method in made.items():
            row = {"run": name, "seed": seed, "grid": grid, "settings": settings, "ran": ran}
            if at != grid or tuple(row.values()) in done:
                continue
            model = trained_model(setup, data, store.files(reference.original))
            place = {"device": "cpu", "precision": setup.precision, "progress": False}
            result = unlearn(model, splits, method, seed=draw.training, **place).model.eval()
            yield row | measured(result, splits, reference, store)


@torch.no_grad()
def measured(model, splits, reference, store):
    """How far it closes, and its accuracies."""
    original, *golds = (
        predictions(store.files(cell))["train"][splits.forget.ids.numpy()].astype(float)
        for cell in (reference.original, *reference.golds)
    )
    found = {}
    for name in ("forget", "test"):
        split = getattr(splits, name)
        logits = model(split.source.preprocess(split.source.images[split.ids])).double()
        found[name] = logits.numpy()
    p = metrics.softmax(found["forget"])
    closes = metrics.closes(p, metrics.softmax(original), [metrics.softmax(z) for z in golds])
    right = {
        f"{name}_accuracy": float((z.argmax(1) == getattr(splits, name).labels.numpy()).mean())
        for name, z in found.items()
    }
    return {"closes": closes.closes, **right}


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
    done = {tuple(row[k] for k in NAMES if k in row) for row in map(json.loads, lines)}
    for name, block in GRIDS.items():
        (section,) = read_grid(name, {"blocks": [block], "seeds": options.seeds}).sections()
        runs = rows if block == "fashion-mnist" else partial(on_digits, name, section)
        for row in (row for draw in section.draws() for row in runs(draw, store, done)):
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


if __name__ == "__main__":
    main()
