"""Seconds for an epoch of training steps, by as many processes as are started.

    python benchmarks/processes.py
    torchrun --standalone --nproc-per-node 2 benchmarks/processes.py

Fine-tuning on random images: steps, and nothing else. The batch is that of all processes together,
so that each computes the same steps on a smaller part. On a CPU, each process gets an equal part of
the cores. One line is added to ``--out``.
"""

import argparse
import json
from pathlib import Path

import torch

from lotus_unlearning import Finetune, Splits, models, unlearn
from lotus_unlearning.cores import usable_cores
from lotus_unlearning.runs import surroundings
from lotus_unlearning.runtime import Processes

CLASSES = 10


def main():
    """One measurement, over all epochs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="timm:resnet10t")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/processes.jsonl"))
    options = parser.parse_args()
    processes = Processes.start()
    torch.set_num_threads(max(1, usable_cores() // processes.count))
    draw = torch.Generator().manual_seed(0)
    shape = (options.images, 3, options.size, options.size)
    images = torch.randint(256, shape, generator=draw, dtype=torch.uint8)
    labels = torch.arange(options.images) % CLASSES
    splits = Splits.from_ids((images.float() / 255, labels), forget=[0])
    model = models.build(options.model, classes=CLASSES, channels=3, image_size=options.size)
    method = Finetune(epochs=options.epochs, batch_size=options.batch)
    made = unlearn(model, splits, method, progress=False)
    line = {
        "model": options.model,
        "images": options.images,
        "size": options.size,
        "batch": options.batch,
        "seconds_per_epoch": made.seconds / options.epochs,
        **surroundings("auto", "auto", processes),
    }
    if processes.rank == 0:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line)


if __name__ == "__main__":
    main()
