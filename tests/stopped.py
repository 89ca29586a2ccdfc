"""A run that the tests kill: imported before it is forked, so that it begins at once."""

import torch
from safetensors.torch import save_model
from torch import nn

from lotus_unlearning import LoTUS, Recipe, Splits, train, unlearn
from lotus_unlearning.runtime.checkpoint import Checkpoint

torch.set_num_threads(1)

KINDS = ("unlearn", "train")


def model():
    """With what a checkpoint must keep beside weights: running statistics, and dropout's noise."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(8 * 16, 4),
    )


def images(seed, size):
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(size) % 4
    pixels = torch.rand(size, 1, 8, 8, generator=g) + labels.view(-1, 1, 1, 1) / 4
    return pixels.clamp(0, 1.5), labels


def splits(forget=range(32)):
    return Splits.from_ids(images(1, 320), forget=list(forget), unseen=images(2, 80))


def run(kind, folder, **options):
    """The whole of it, from its checkpoint on if there is one."""
    place = {"seed": 3, "device": "cpu", "progress": False, "checkpoint": folder, **options}
    if kind == "unlearn":
        method = LoTUS(epochs=8, tolerance=9, learning_rate=1e-3, batch_size=16)
        return unlearn(model(), splits(), method, **place)
    recipe = Recipe(epochs=6, batch_size=16, warmup_epochs=1, shift=1, patience=3)
    return train(model(), images(1, 320), recipe, held_out=images(2, 80), **place)


def run_to_file(kind, folder, file):
    """For a process of its own: what it made is in ``file`` in the end."""
    save_model(run(kind, folder).model, file)


class Stopped(Exception):
    """In the middle of a run."""


def in_two_parts(work, folder, epochs):
    """What ``work`` makes, as a whole, and stopped after so many epochs and gone on with."""
    whole = work(checkpoint=folder / "whole")
    save, left = Checkpoint.save, [epochs]

    def until(self, *words):
        save(self, *words)
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    Checkpoint.save = until
    try:
        work(checkpoint=folder / "parts")
    except Stopped:
        pass
    else:
        raise AssertionError("it ended before it was stopped")
    finally:
        Checkpoint.save = save
    return whole, work(checkpoint=folder / "parts")


def run_in_two_parts(folder):
    """For several processes: both as files."""
    whole, parts = in_two_parts(lambda checkpoint: run("unlearn", checkpoint), folder, 3)
    rank = torch.distributed.get_rank()
    save_model(whole.model, str(folder / f"whole-{rank}.safetensors"))
    save_model(parts.model, str(folder / f"parts-{rank}.safetensors"))
