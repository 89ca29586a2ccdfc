"""Every method, and measuring it, by one process and by several."""

import json
from collections import deque
from itertools import islice

import torch
import torch.nn.functional as F
import toy
from contract import ROWS
from safetensors.torch import load_file, save_file
from torch import nn

from lotus_unlearning import (
    SCRUB,
    UNSIR,
    LoTUS,
    NegGradPlus,
    RandomLabels,
    Recipe,
    Retrain,
    SalUn,
    Splits,
    evaluate,
)
from lotus_unlearning.methods.unsir import ByClass
from lotus_unlearning.runtime import Processes, shards

VARIANTS = {
    "lotus to a target": LoTUS(epochs=2, learning_rate=1e-2, target_accuracy=0.1),
    "neg-grad-plus, separate": NegGradPlus(epochs=2, alpha=0.9, phases="separate"),
    "random-labels, separate": RandomLabels(epochs=2, phases="separate", redraw="every epoch"),
    "scrub with rewind": SCRUB(epochs=2, rewind=True, retain_batch_size=8),
    "salun with lotus": SalUn(inner=LoTUS(epochs=2, learning_rate=1e-2, tolerance=9), batch_size=8),
    "retrain with views": Retrain(
        recipe=Recipe(epochs=3, batch_size=8, warmup_epochs=0.5, patience=2, shift=1, flip=True)
    ),
}
A_CLASS = {
    "unsir of a class": UNSIR(by_class=ByClass(noise_images=5, noise_steps=3, copies=2)),
}


class Zipped:
    """Both batches of a step in hand before either is forwarded, the second one first."""

    reads = frozenset({"forget", "retain"})

    def __call__(self, model, data, run):
        optimizer = torch.optim.SGD(model.parameters(), 0.05, 0.9)
        for _ in run.epochs(2, optimizer):
            losses = []
            model.train()
            pairs = zip(run.batches(data.retain, 7), run.batches(data.forget, 3), strict=False)
            for (x, y, _), (x_f, y_f, _) in pairs:
                forget_loss = F.cross_entropy(model(x_f + 0.1), y_f)
                run.step(optimizer, F.cross_entropy(model(x), y) - 0.2 * forget_loss)
                losses.append(run.counted(forget_loss, len(x_f)))
            run.log(forget_loss=torch.stack(losses).mean())


class Ahead:
    """Batches fetched two ahead, forwarded together with their mirror images."""

    reads = frozenset({"retain"})

    def __call__(self, model, data, run):
        optimizer = torch.optim.SGD(model.parameters(), 0.05, 0.9)
        for _ in run.epochs(2, optimizer):
            model.train()
            for x, y, _ in two_ahead(run.batches(data.retain, 5)):
                plain, mirrored = model(torch.cat([x, x.flip(3)])).chunk(2)
                loss = F.cross_entropy(plain, y) + F.mse_loss(mirrored, plain.detach())
                run.step(optimizer, loss)


def two_ahead(batches):
    waiting = deque(islice(batches, 2))
    for batch in batches:
        waiting.append(batch)
        yield waiting.popleft()
    yield from waiting


class Dreaming:
    """Steps on noise that is the same in all processes, beside a batch that is not."""

    reads = frozenset({"forget"})

    def __call__(self, model, data, run):
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        for _ in run.epochs(2, optimizer):
            model.train()
            for x, y, _ in run.batches(data.forget, 9):
                dream = run.normal(5, *x.shape[1:]).to(x.dtype)
                run.step(optimizer, F.cross_entropy(model(x), y) + model(dream).square().mean())


class Joined:
    """Two batches as one pass, of which several means could be taken."""

    reads = frozenset({"forget", "retain"})

    def __call__(self, model, data, run):
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        pairs = zip(run.batches(data.retain, 7), run.batches(data.forget, 5), strict=False)
        for (x, y, _), (x_f, y_f, _) in pairs:
            z = model(torch.cat([x, x_f]))
            run.step(optimizer, F.cross_entropy(z, torch.cat([y, y_f])))


OWN = {"zipped": Zipped(), "two ahead": Ahead(), "dreaming": Dreaming()}
ALL = (*ROWS, *VARIANTS, *A_CLASS, *OWN)


class Attention(nn.Module):
    """A vision transformer of one block, in float64: patches, positions, LayerNorm."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 3, stride=3)
        self.places = nn.Parameter(torch.empty(4, 8))
        self.before, self.after = nn.LayerNorm(8), nn.LayerNorm(8)
        self.queries, self.mixed = nn.Linear(8, 24, bias=False), nn.Linear(8, 8)
        self.classes = nn.Linear(8, toy.CLASSES)
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.normal_(self.places, std=0.5)

    def forward(self, images):
        x = self.patches(images).flatten(2).mT + self.places
        q, k, v = self.queries(self.before(x)).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.classes(self.after(x + self.mixed(seen)).mean(dim=1))


def attention():
    torch.manual_seed(0)
    return Attention().double()


MODELS = {"BatchNorm": toy.conv_model, "LayerNorm": attention}


def splits(of_a_class=False):
    """11 to forget, 38 to retain, 17 unseen, 15 to test: two or four divide none of them."""
    others = {"unseen": toy.data(2, 17), "test": toy.data(3, 15)}
    if of_a_class:
        return Splits.of_class(toy.data(size=49), 0, **others)
    return Splits.from_ids(toy.data(size=49), forget=list(range(0, 44, 4)), **others)


def results(shard, names):
    """Weights by model, method and name, and numbers by model and method."""
    weights, numbers = {}, {}
    for kind, make in MODELS.items():
        model = toy.trained(make)
        methods = ROWS | VARIANTS | A_CLASS | OWN
        for name, method in ((name, methods[name]) for name in names):
            made = toy.run(model, splits(name in A_CLASS), method, shard=shard)
            key = f"{kind}: {name}"
            weights |= {f"{key}: {k}": v.contiguous() for k, v in made.model.state_dict().items()}
            numbers[key] = made.history
        place = {"device": "cpu", "precision": "float64", "shard": shard}
        found = evaluate(made.model, splits(), original=model, **place)
        numbers[f"{kind}: evaluate"] = [found.values["unlearned"], found.values["original"]]
    return weights, numbers


def write(folder, shard=False, names=ALL):
    shards.SMALLEST = 100  # of these models one layer is gathered on its own, the rest together
    weights, numbers = results(shard, names)
    if Processes.start().rank == 0:
        save_file(weights, folder / "weights.safetensors")
        (folder / "numbers.json").write_text(json.dumps(numbers))


def refused(folder):
    try:
        toy.run(toy.trained(), splits(), Joined())
    except ValueError as error:
        (folder / f"{Processes.start().rank}.txt").write_text(str(error))


def read(folder):
    numbers = json.loads((folder / "numbers.json").read_text())
    return load_file(folder / "weights.safetensors"), numbers
