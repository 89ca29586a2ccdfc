"""What does one training step cost on a GPU: plain, replayed as a CUDA graph, compiled?

    python benchmarks/steps.py --model resnet18 --pixels 32
    python benchmarks/steps.py --model timm:vit_base_patch16_224 --pixels 224
    python benchmarks/steps.py --model resnet18 --ways graphs --kernels 30
    python benchmarks/steps.py --table

A step of 128 random images in bfloat16 through the runtime that methods use, with AdamW. *plain*:
kernel by kernel. *graphs*: as the package does it by itself. *compiled*: graphs, and the blocks
that the model repeats compiled, as with ``compile=True``; where it repeats none, all of it by
``torch.compile``, which the package does not do. Milliseconds are those of the fastest of four
passes over 20 batches, images included; *once* is what the pass before them took more, in seconds:
with nothing in the compiler's cache. ``--kernels`` adds the kernels that took most of a step, by
PyTorch's profiler, on a GPU.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.profiler import profile, supported_activities
from torch.utils.flop_counter import FlopCounterMode

from lotus_unlearning.datasets.data import Preprocess
from lotus_unlearning.images import ImageTensors
from lotus_unlearning.models import build
from lotus_unlearning.runtime import Runtime, choose_device, graphs, processor
from lotus_unlearning.runtime.compiling import repeated
from lotus_unlearning.runtime.seeds import seeded, synchronize
from lotus_unlearning.splits import Split

BATCH, CLASSES, STEPS = 128, 100, 20
WAYS = ("plain", "graphs", "compiled")


def compile_whole(model):
    """In place."""
    kind = type(model)
    made = torch.compile(kind.forward, dynamic=False)
    model.__class__ = type(kind.__name__, (kind,), {"forward": made})


def measure(way, model, images, device, kernels=0):
    """Milliseconds of a step, and seconds that the first ones took more; prints ``kernels``."""
    graphs.MOST_GRAPHS = 0 if way == "plain" else 3
    graphs.WORTH_IT = 2
    blocks = way == "compiled" and any(True for _ in repeated(model))
    run = Runtime(device, torch.bfloat16, BATCH, replays=True, compiles=blocks)
    learner = copy.deepcopy(model)
    with seeded(0, run.device), run.prepared(learner):
        if way == "compiled" and not blocks:
            compile_whole(learner)
        learner.train()
        optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-6, fused=True)

        def epoch():
            synchronize(run.device)
            start = time.perf_counter()
            for x, y, _ in run.batches(images):
                run.step(optimizer, F.cross_entropy(learner(x), y))
            synchronize(run.device)
            return time.perf_counter() - start

        first, *others = (epoch() for _ in range(5))
        if kernels:
            print(profiled(epoch, kernels))
        return 1e3 * min(others) / STEPS, first - min(others)


def profiled(epoch, kernels):
    """The kernels with most time, and what they all take: milliseconds and calls of a step."""
    with profile(activities=list(supported_activities())) as found:
        epoch()
    rows = [row for row in found.key_averages() if of_kernel(row)]
    rows.sort(key=lambda row: -row.self_device_time_total)
    lines = [f"{sum(row.self_device_time_total for row in rows) / 1e3 / STEPS:8.3f} ms in all"]
    for row in rows[:kernels]:
        milliseconds = row.self_device_time_total / 1e3 / STEPS
        lines.append(f"{milliseconds:8.3f} ms {row.count / STEPS:6.1f} x {row.key[:100]}")
    return "\n".join(lines)


def of_kernel(row):
    """Neither an operation of the CPU nor a mark that spans kernels."""
    return row.device_type.name == "CUDA" and "#" not in row.key


def random_images(count, pixels):
    """Bytes, as images are kept."""
    x = torch.randint(256, (count, 3, pixels, pixels), dtype=torch.uint8)
    preprocess = Preprocess((0.5,) * 3, (0.25,) * 3, pixels)
    return ImageTensors(x, torch.randint(CLASSES, (count,)), preprocess)


def name_of(device):
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def operations(model, x):
    """Of a forward and a backward pass of one image."""
    with FlopCounterMode(display=False) as counter:
        copy.deepcopy(model).eval()(x).sum().backward()
    return counter.get_total_flops()


def table(rows):
    """Markdown."""
    lines = [
        "| model | device | way | ms a step | images a second | Tflop/s | once, s |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        rate = 1e3 * BATCH / row["milliseconds"]
        lines.append(
            f"| {row['model']} at {row['pixels']} | {row['device']} | {row['way']} | "
            f"{row['milliseconds']:.2f} | {rate:,.0f} | {rate * row['operations'] / 1e12:.0f} | "
            f"{row['first']:.1f} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--pixels", type=int, default=32)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--kernels", type=int, default=0, help="so many, with most time")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/steps.jsonl"))
    parser.add_argument("--table", action="store_true", help="print the summary of --out and stop")
    options = parser.parse_args()
    if not options.table:
        model = build(options.model, classes=CLASSES, channels=3, image_size=options.pixels)
        device = choose_device(options.device)
        images = random_images(STEPS * BATCH, options.pixels)
        count = operations(model, images.inputs(images.images[:1]))
        split = Split("train", images, torch.arange(len(images)))
        for way in options.ways:
            milliseconds, first = measure(way, model, split, device, options.kernels)
            row = {"model": options.model, "pixels": options.pixels, "way": way, "first": first}
            row |= {"milliseconds": milliseconds, "operations": count}
            row |= {"device": name_of(device), "torch": torch.__version__}
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
    print(table([json.loads(line) for line in options.out.read_text().splitlines()]))


if __name__ == "__main__":
    main()
