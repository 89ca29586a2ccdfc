"""What the tests of audits train: networks that are small, but have all that is delicate."""

import torch
from torch import nn

from lotus_unlearning import Recipe

RECIPE = Recipe(epochs=8, batch_size=64, learning_rate=0.1)
LONGER = Recipe(epochs=30, batch_size=30, learning_rate=0.02, warmup_epochs=0.0)


def network():
    """Small, with all that is delicate: convolution, BatchNorm, a linear end."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 32),
            nn.ReLU(),
            nn.Linear(32, 10),
        )
