"""Some images of a split, drawn at random; an epoch of training on them; classes without any."""

import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer

from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split, Splits


def at_most(count: int, split: Split, run: Runtime) -> Split:
    """At most ``count`` images of each class, drawn at random."""
    order = run.permutation(len(split))
    labels = split.labels[order]
    rows = [(labels == c).nonzero()[:count, 0] for c in torch.unique(labels)]
    return split.take(order[torch.cat(rows)])


def some(split: Split, count: int, run: Runtime) -> Split:
    """``count`` images, or all if there are fewer, in random order."""
    return split.take(run.permutation(len(split))[:count])


def fine_tune(
    model: nn.Module,
    optimizer: Optimizer,
    split: Split,
    size: int,
    run: Runtime,
    *,
    shuffle: bool = True,
) -> None:
    """One epoch of cross-entropy."""
    model.train()
    for x, y, _ in run.batches(split, size, shuffle=shuffle):
        run.step(optimizer, F.cross_entropy(model(x), y))


def warn_of_absent_classes(outputs: int, data: Splits) -> None:
    """A warning, no error: a model may have outputs that it never learned to use."""
    known = torch.cat([data.forget.labels, data.retain.labels]).tolist()
    missing = sorted(set(range(outputs)) - set(known))
    if missing:
        warnings.warn(
            f"UNSIR by class: neither forget nor retain has images of {len(missing)} of the "
            f"model's {outputs} classes ({', '.join(map(str, missing[:5]))}): what it knows of "
            "them is damaged and not repaired; retain needs images of every class to be kept",
            stacklevel=3,
        )
