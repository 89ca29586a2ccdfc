"""What the tests of audits train: networks that are small, but have all that is delicate."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lotus_unlearning import Recipe
from lotus_unlearning.files.folders import replace_text

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


@dataclass(frozen=True)
class KilledOnce:
    """Models to begin from; the process that begins the first time with ``victim`` is killed.

    The other process is at work at that moment, and stays so until the killed one is gone.

    Attributes:
        fresh: Seed -> model.
        victim: A seed.
        folder: What the processes tell each other: an empty file for each beginning, and the id
            of the one that is killed.
    """

    fresh: Callable[[int], nn.Module]
    victim: int
    folder: Path

    def __call__(self, seed: int) -> nn.Module:
        earlier = len(list(self.folder.glob(f"{seed}.*")))
        (self.folder / f"{seed}.{earlier}").touch()
        killed = self.folder / "killed"
        if seed != self.victim:
            _until(lambda: killed.exists() and not _is_alive(int(killed.read_text())))
        elif not earlier:
            _until(lambda: len(list(self.folder.iterdir())) == 2)
            replace_text(killed, f"{os.getpid()}")
            os.kill(os.getpid(), signal.SIGKILL)
        return self.fresh(seed)

    def beginnings(self, seed: int) -> int:
        """How often models of a seed were begun."""
        return len(list(self.folder.glob(f"{seed}.*")))


def _until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 120  # for a test that fails
    while not happened() and time.monotonic() < end:
        time.sleep(0.01)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
