"""A command as one of several processes, of which the second does not come to the end."""

import contextlib
import os
import sys
import time
from datetime import timedelta

from lotus_unlearning.cli import main
from lotus_unlearning.runtime import Processes, processes

MODULE = """
import os
import signal
import torch
from torch import nn

def make():
    draw = torch.Generator().manual_seed(0)
    def images(size):
        return torch.rand(size, 1, 4, 4, generator=draw), torch.arange(size) % 2
    return images(40), images(10), images(10)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.steps = nn.Linear(16, 2), 0

    def forward(self, images):
        self.steps += self.training
        if self.steps > 5 and os.environ.get("RANK") == "1":
            DIES
        return self.layer(images.flatten(1))

def model():
    return Model()
"""
RAISES = 'raise ArithmeticError("only process 1 miscalculates")'
IS_KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
UNLEARN = [
    "unlearn",
    *("--model", "weights.safetensors", "--architecture", "python:alone:model"),
    *("--data", "python:alone:make", "--forget", "0.2", "--out", "out", "--device", "cpu"),
    *("--method", "finetune", "--method.epochs", "50", "--batch_size", "8"),
]


def run(folder, words):
    """The command in ``folder``; each process leaves what it says in a file of its own."""
    os.chdir(folder)
    with (
        open(f"said-{os.environ['RANK']}", "w") as said,
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(said),
    ):
        sys.exit(main(words))


def run_otherwise(folder, words, otherwise):
    """As :func:`run`; the second process is given other words, too."""
    run(folder, [*words, *(otherwise if os.environ["RANK"] == "1" else [])])


def keeps_waiting(folder):
    """The first process waits for the second, which does something else."""
    processes.PATIENCE = timedelta(seconds=3)
    together = Processes.start()
    said = folder / "said-0"
    while together.rank == 1 and not said.exists():
        time.sleep(0.1)
    try:
        together.wait()
    except ConnectionError as error:
        if together.rank == 0:
            said.write_text(str(error))
    os._exit(3)  # a group that lost somebody cannot be closed in order
