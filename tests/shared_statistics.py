"""What a BatchNorm layer makes of images that two processes have, for the tests."""

import copy

import torch
from timm.layers import BatchNormAct2d
from torch import nn

from lotus_unlearning.runtime import Processes
from lotus_unlearning.runtime.batch_statistics import share_batch_statistics

NORMS = {
    "plain": nn.BatchNorm2d(3),
    "without weights": nn.BatchNorm2d(3, affine=False),
    "of all batches alike": nn.BatchNorm2d(3, momentum=None),
    "timm's with activation": BatchNormAct2d(3, act_layer=nn.GELU),
}
NUMBERS = {
    "float32": (0.0, torch.float32, 1e-5),
    "float32 with a large mean": (1000.0, torch.float32, 5e-3),
    "float64 with a large mean": (1000.0, torch.float64, 1e-8),
}
"""Mean, type, and how near two processes come to one."""
SHARDS = {"unequal shards": [slice(0, 4), slice(4, 7)], "the same images": [slice(0, 3)] * 2}


def answers(norm, number, part, processes=None):
    """Outputs, gradients of the images and statistics after two passes over a part of 7 images."""
    mean, dtype, _ = NUMBERS[number]
    g = torch.Generator().manual_seed(0)
    layer = copy.deepcopy(NORMS[norm]).to(dtype).train()
    if processes:
        share_batch_statistics(layer, processes)
    found = {}
    for n in range(2):
        images = mean + 0.1 * torch.randn(7, 3, 4, 4, generator=g)
        weights = torch.randn(7, 3, 4, 4, generator=g).to(dtype)[part]
        x = images.to(dtype)[part].requires_grad_()
        y = layer(x)
        (y * weights).sum().backward()
        found |= {f"outputs {n}": y.detach(), f"gradients {n}": x.grad}
    return found, dict(layer.named_buffers())


def too_few(processes):
    """What is said of a single value per channel, in all processes."""
    layer = nn.BatchNorm1d(2).train()
    share_batch_statistics(layer, processes)
    try:
        layer(torch.ones(1, 2))
    except ValueError as error:
        return str(error)


def write(folder):
    processes = Processes.start()
    found = {
        (norm, number, shard): answers(norm, number, parts[processes.rank], processes)
        for norm in NORMS
        for number in NUMBERS
        for shard, parts in SHARDS.items()
    }
    torch.save((found, too_few(processes)), folder / f"{processes.rank}.pt")
