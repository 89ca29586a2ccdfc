"""How many bytes does a training step read and write, layer by layer?

    python benchmarks/traffic.py            # counts; on any CPU: no image is computed
    python benchmarks/traffic.py --table

Two models of benchmarks/gpu.py, a batch of 128, bfloat16. The rule: each leaf module's input is
read and its output written once in the forward pass, and twice as much in the backward pass, which
reads the input again and the output's gradient twice (for the weights and for the input), and
writes the input's gradient. Weights, their gradients and AdamW's two moments, in float32, are read
and written once. An activation counts two bytes, though autocast keeps some in float32.

It is about the least for a step that runs layer by layer: left out are sums between layers, what
BatchNorm reads twice, casts of weights, and attention's own products; an activation function needs
a little less than the rule says. A compiler that joins layers may need less than the sum.

Beside it: the least time of the arithmetic, by gpu.jsonl, and the steps measured, by steps.jsonl.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import nn

from lotus_unlearning.models import build

MODELS = {("resnet18", 32): "resnet18-cifar-100"}
MODELS |= {("timm:vit_base_patch16_224", 224): "vit-b16-cifar-100"}
"""And where their matrix products were measured."""
BATCH, CLASSES = 128, 100
BANDWIDTH = 4.8e12
"""Nominal bytes per second of an H200's memory, from its data sheet; nothing was measured."""
RESULTS = Path(__file__).parent / "results"


def traffic(model, images):
    """Bytes of a training step: forward, backward, and of weights. Both may be on ``meta``."""
    moved = []

    def hook(leaf, inputs, output):
        if not isinstance(leaf, nn.Identity | nn.Dropout):  # which hand on what they are given
            moved.append(2 * (inputs[0].numel() + output.numel()))

    leaves = [module for module in model.modules() if not list(module.children())]
    handles = [leaf.register_forward_hook(hook) for leaf in leaves]
    with torch.no_grad():
        model.train()(images)
    for handle in handles:
        handle.remove()
    weights = sum(p.numel() for p in model.parameters())
    kept = 4 * 4 * weights  # float32: weights, gradients, two moments
    return {"forward": sum(moved), "backward": 2 * sum(moved), "weights": 2 * kept}


def count(name, pixels):
    """A row of the file."""
    model = build(name, classes=CLASSES, channels=3, image_size=pixels).to("meta")
    images = torch.empty(BATCH, 3, pixels, pixels, device="meta")
    return {"model": name, "pixels": pixels, "batch": BATCH, "bytes": traffic(model, images)}


def table(rows, runs, steps):
    """Markdown; milliseconds are those of an H200."""
    lines = [
        f"| a step of {BATCH} | GB forward | backward | weights | all | "
        f"ms at {BANDWIDTH / 1e12:g} TB/s | ms of arithmetic | sum | measured, graphs | compiled |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        key = (row["model"], row["pixels"])
        shape = (MODELS[key], "NVIDIA H200")
        run = [run for run in runs if (run["shape"], run["device"]) == shape][-1]
        took = {s["way"]: s["milliseconds"] for s in steps if (s["model"], s["pixels"]) == key}
        arithmetic = 1e3 * BATCH * run["operations"]["forward and backward"] / run["rate"]
        moved = [*row["bytes"].values(), sum(row["bytes"].values())]
        memory = 1e3 * moved[-1] / BANDWIDTH
        cells = [size / 1e9 for size in moved]
        cells += [memory, arithmetic, memory + arithmetic, took["graphs"], took["compiled"]]
        shown = " | ".join(f"{cell:.2f}" for cell in cells)
        lines.append(f"| {key[0]} at {key[1]} | {shown} |")
    return "\n".join(lines)


def read(results=RESULTS):
    """The table's rows: bytes, runs and steps."""
    names = ("traffic", "gpu", "steps")
    files = [(results / f"{name}.jsonl").read_text("utf-8").splitlines() for name in names]
    return [[json.loads(line) for line in lines] for lines in files]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    if not parser.parse_args().table:
        lines = [json.dumps(count(*key)) + "\n" for key in MODELS]
        (RESULTS / "traffic.jsonl").write_text("".join(lines), encoding="utf-8")
    print(table(*read()))


if __name__ == "__main__":
    main()
