"""What each of two processes finds of models in shards, for the tests."""

import copy
import json

import torch
import torch.nn.functional as F
from torch import nn

import stopped
from lotus_unlearning import SCRUB, Finetune, Recipe, Splits, train, unlearn
from lotus_unlearning.runtime import (
    Processes,
    fingerprint,
    fresh_copy,
    frozen_copy,
    reset_parameters,
    restore,
    shards,
)
from lotus_unlearning.runtime.largest import largest
from lotus_unlearning.runtime.shards import in_shards, like, local, sharded

PLACE = {"device": "cpu", "precision": "float64", "progress": False}
TIES = [torch.tensor([2.0, 1.0, 1.0, 3.0, 1.0]), torch.tensor([[1.0], [4.0], [1.0]])]
COUNTS = range(1, 9)


def layers():
    """10,180 weights, of which two layers of three are gathered on their own."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 64), nn.GELU(), nn.Linear(64, 100), nn.Linear(100, 12)
    ).double()


class Rows(nn.Module):
    def forward(self, images):
        return images.flatten(0, 1)


def views():
    """A layer whose output is a view, which the next one changes in place."""
    torch.manual_seed(0)
    first = nn.Linear(6, 24, bias=False)
    return nn.Sequential(
        Rows(), first, nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 4)
    ).double()


class Reader(nn.Module):
    """Reads the weights of a layer within that it never calls."""

    def __init__(self):
        super().__init__()
        self.inner, self.flat = nn.Linear(36, 4), nn.Flatten()

    def forward(self, images):
        return F.linear(self.flat(images), self.inner.weight)


def splits():
    g = torch.Generator().manual_seed(0)
    images, unseen = (
        (torch.randn(size, 1, 6, 6, generator=g), torch.arange(size) % 4) for size in (21, 8)
    )
    return Splits.from_ids(images, forget=list(range(9)), unseen=unseen)


class Weighed:
    """Bytes that a process holds after a step."""

    reads = frozenset({"forget"})

    def __call__(self, model, data, run):
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        for x, y, _ in run.batches(data.forget):
            run.step(optimizer, F.cross_entropy(model(x), y))
        weights = list(model.parameters())
        states = [v for s in optimizer.state.values() for v in s.values() if v.dim() > 0]
        kinds = {"weights": weights, "gradients": [p.grad for p in weights], "state": states}
        self.bytes = {kind: held(values) for kind, values in kinds.items()}


def held(values):
    """Of the memory that tensors lie in, also where it is more than they are."""
    stores = [local(value.detach()).untyped_storage() for value in values]
    return sum({store.data_ptr(): store.nbytes() for store in stores}.values())


class Copied:
    """Whether copies of a model in shards are whole, and can be put in its place."""

    reads = frozenset({"forget"})

    def __call__(self, model, data, run):
        start = fingerprint(model)
        teacher, fresh = frozen_copy(model), fresh_copy(model, 1)
        reset_parameters(model, 1)
        self.found = {
            "teacher": fingerprint(teacher) == start,
            "fresh": fingerprint(fresh) == fingerprint(model) != start,
            "plain": not any(in_shards(p) for p in [*teacher.parameters(), *fresh.parameters()]),
        }
        restore(model, teacher.state_dict())
        self.found["restored"] = fingerprint(model) == start


def weighed():
    method = Weighed()
    unlearn(layers(), splits(), method, shard=True, **PLACE)
    return method.bytes


def copied():
    method, model = Copied(), layers()
    made = unlearn(model, splits(), method, shard=True, **PLACE).model
    same = fingerprint(made) == fingerprint(copy.deepcopy(made)) == fingerprint(model)
    plain = [type(value) for value in made.parameters()] == [nn.Parameter] * 6
    return {**method.found, "result": same and plain and type(made) is nn.Sequential}


def changed_in_place():
    made = unlearn(views(), splits(), Finetune(epochs=2), batch_size=8, shard=True, **PLACE)
    return {name: value.tolist() for name, value in made.model.state_dict().items()}


def refused():
    try:
        unlearn(Reader(), splits(), Finetune(epochs=1), shard=True, **PLACE)
    except ValueError as error:
        return str(error)


def among_ties():
    """Masks of this process's parts, for each count."""
    processes = Processes.start()
    with sharded(nn.Linear(4, 4), torch.device("cpu"), processes) as twin:
        values = [like(twin.weight, value) for value in TIES]
        return [[mask.tolist() for mask in largest(values, count)] for count in COUNTS]


def gone_on(folder):
    """Whether runs that carry optimizers, a schedule and earlier weights are the same."""
    model = nn.Sequential(*layers(), nn.Dropout(0.1))
    scrub = SCRUB(epochs=3, retain_batch_size=8, rewind=True)
    recipe = Recipe(epochs=3, batch_size=8, patience=3)
    place, found = {"shard": True, **PLACE}, {}
    works = {
        "unlearn": lambda checkpoint: unlearn(
            model, splits(), scrub, checkpoint=checkpoint, **place
        ),
        "train": lambda checkpoint: train(
            model, splits().retain, recipe, held_out=splits().forget, checkpoint=checkpoint, **place
        ),
    }
    for name, work in works.items():
        whole, parts = stopped.in_two_parts(work, folder / name, 2)
        found[name] = fingerprint(whole.model) == fingerprint(parts.model)
        found[f"{name}, history"] = whole.history == parts.history
    return found


def write(folder):
    shards.SMALLEST = 144
    rank = Processes.start().rank
    found = {
        work.__name__: work() for work in (weighed, copied, changed_in_place, refused, among_ties)
    }
    found["gone_on"] = gone_on(folder)
    (folder / f"{rank}.json").write_text(json.dumps(found))
