"""The commands one after another, as one of several processes; started by a launcher."""

import sys

import torch

from lotus_unlearning.cli import main

EXACT = ["--precision", "float64"]  # in float32, rounding grows from step to step
SMALL = ["--limit", "100", "--recipe.epochs", "1", "--recipe.batch_size", "32", *EXACT]
QUICK = ["--method.epochs", "2", *EXACT]
COMMANDS = (
    ["train", *SMALL, "--out", "original"],
    ["train", *SMALL, "--without", "0.1", "--out", "gold"],
    ["unlearn", "--model", "original", "--forget", "0.1", "--gold", "gold", *QUICK],
    ["evaluate", "--unlearned", "runs/unlearned", "--original", "original", *EXACT],
    ["demo", *SMALL, *QUICK],
)
SHARED = (
    ["train", *SMALL, "--without", "0.1", "--shard", "--out", "sharded/gold"],
    [*COMMANDS[2], "--shard", "--out", "sharded/unlearned"],
    [*COMMANDS[3], "--shard", "--out", "sharded/evaluation"],
)
"""The same by processes that hold a part of the model each."""

if __name__ == "__main__":
    torch.set_num_threads(1)
    for words in (*COMMANDS, *SHARED):
        status = main(words)
        if status != 0:
            sys.exit(status)
