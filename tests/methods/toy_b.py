"""Tiny models, data and checks for the tests of methods that distil, dampen or impair."""

import torch
import torch.nn.functional as F
from torch import nn

from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import unlearn

CLASSES = 4
SEED = 5


def batch_norm_model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(96, CLASSES),
    ).double()


def layer_norm_model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, CLASSES)
    ).double()


MODELS = [batch_norm_model, layer_norm_model]


def data(size=320, seed=1):
    """Images ``[size, 1, 6, 6]`` around a prototype per class, and their labels."""
    prototypes = torch.randn(CLASSES, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(size) % CLASSES
    noise = torch.randn(size, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return prototypes[labels] + 1.2 * noise, labels


def class_splits(size=320):
    """Forget class 2, a quarter of the images."""
    return Splits.of_class(data(size), 2, unseen=data(80, seed=2))


def random_splits(fraction=0.25, size=320):
    """Forget a share of each class."""
    return Splits.random(data(size), fraction=fraction, seed=0, unseen=data(80, seed=2))


def pixels(split):
    """Images of ``split`` in float64."""
    return split.source.images[split.ids].double()


def trained(make=batch_norm_model, steps=60):
    """A model that knows all of :func:`data`."""
    model = make().train()
    images, labels = data()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(images.double()), labels).backward()
        optimizer.step()
    return model.eval()


def unlearned(model, splits, method, batch_size=16, seed=SEED):
    """The record of unlearning in float64 on the CPU."""
    return unlearn(
        model,
        splits,
        method,
        seed=seed,
        batch_size=batch_size,
        device="cpu",
        precision="float64",
        progress=False,
    )


def batches(generator, size, batch_size):
    """Positions in the order of a shuffled pass of the runtime: no batch of one image alone."""
    parts = list(torch.randperm(size, generator=generator).split(batch_size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        alone = parts.pop()
        parts[-1] = torch.cat([parts[-1], alone])
    return parts


def distance(first, second):
    """Largest absolute difference over all parameters and buffers."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return max((a.double() - b.double()).abs().max().item() for a, b in pairs)


def loss(model, split):
    with torch.no_grad():
        return F.cross_entropy(model(pixels(split)), split.labels).item()


def right(model, split):
    """Share of ``split`` that ``model`` classifies right."""
    with torch.no_grad():
        return (model(pixels(split)).argmax(dim=1) == split.labels).double().mean().item()
