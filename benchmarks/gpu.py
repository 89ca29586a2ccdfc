"""How near does LoTUS come to the least time that its arithmetic takes on this machine?

    python benchmarks/gpu.py --shape resnet18-cifar-100          # the sizes of the paper, on a GPU
    python benchmarks/gpu.py --shape vit-b16-cifar-100
    python benchmarks/gpu.py --shape vit-b16-cifar-100 --compile
    python benchmarks/gpu.py --shape vit-b16-imagenet --compile
    python benchmarks/gpu.py --shape resnet18-cifar-100 --share 0.01 --device cpu --product 1024
    python benchmarks/gpu.py --table

The floor is arithmetic: floating-point operations of one image, forward, and forward and backward,
as PyTorch counts them while the model runs, times the images of each phase, over the rate of a
large matrix product in the same precision, measured right before. Phases: *teacher* (one pass over
forget and 30% of retain), *student* (all epochs over the same, forward and backward), *accuracy*
(unseen once, forget after every epoch but the last) and, after unlearning, *evaluation* (all
measures of original and unlearned model). *Whole* is ``unlearn`` as a user calls it.

Images are random, not zeros: what they show does not matter to time. Each phase is measured alone,
through the same runtime that the method uses. All of it, evaluation too, is in the precision asked
for (``evaluate`` by itself takes float32). Before it unlearning and evaluation run on 15% of the
images or more, for one epoch: *once* is what the first of two such runs took more than the second,
which is what a process does once (start the GPU, choose kernels, compile). One line per run is
added to ``--out``.
"""

import argparse
import copy
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from lotus_unlearning import LoTUS, Splits, evaluate, unlearn
from lotus_unlearning.datasets.data import Preprocess
from lotus_unlearning.images import ImageTensors
from lotus_unlearning.models import build
from lotus_unlearning.runtime import (
    Runtime,
    choose_device,
    choose_precision,
    compiling,
    graphs,
    processor,
)
from lotus_unlearning.runtime.seeds import seeded, synchronize

PHASES = ("once", "data", "teacher", "student", "accuracy", "evaluation", "whole")
BATCH, RETAIN_SHARE, WARM_SHARE, WARM_STEPS = 128, 0.3, 0.15, 2 * graphs.WORTH_IT


@dataclass(frozen=True)
class Shape:
    """Of a run of the paper; images are resized on the device if stored at another size."""

    model: str
    classes: int
    stored: int
    pixels: int
    forget: int
    retain: int
    others: int
    epochs: int
    paper: str


SHAPES = {
    "resnet18-cifar-100": Shape(
        "resnet18", 100, 32, 32, 5_000, 45_000, 5_000, 10, "0.30 min, RTX 4080"
    ),
    "vit-b16-cifar-100": Shape(
        "timm:vit_base_patch16_224", 100, 32, 224, 5_000, 45_000, 5_000, 3, "7.02 min, RTX 4080"
    ),
    "vit-b16-imagenet": Shape(
        "timm:vit_base_patch16_224",
        1_000,
        224,
        224,
        5_000,
        45_000,
        5_000,
        3,
        "10.72 min, RTX A6000",
    ),
}


def splits(shape, share, device):
    """Random images of the shape: forget, retain, and as many unseen as test images."""
    g, drawn = torch.Generator().manual_seed(0), torch.Generator(device).manual_seed(0)
    sizes = [max(8, round(share * n)) for n in (shape.forget, shape.retain, shape.others)]
    preprocess = Preprocess((0.5,) * 3, (0.25,) * 3, shape.pixels)

    def images(size):
        pixels = (size, 3, shape.stored, shape.stored)
        x = torch.randint(256, pixels, generator=drawn, device=device, dtype=torch.uint8).cpu()
        return ImageTensors(x, torch.randint(shape.classes, (size,), generator=g), preprocess)

    train, unseen, test = images(sizes[0] + sizes[1]), images(sizes[2]), images(sizes[2])
    return Splits.from_ids(train, list(range(sizes[0])), unseen=unseen, test=test)


def peak_rate(device, precision, size):
    """Floating-point operations per second of a large matrix product: the best of several."""
    a, b = (torch.randn(size, size, device=device, dtype=precision) for _ in range(2))
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        for _ in range(4):
            a @ b
        synchronize(device)
        seconds.append((time.perf_counter() - start) / 4)
    return 2 * size**3 / min(seconds)


def operations(model, image):
    """Of a forward pass of one image, and of a forward and backward pass."""
    learner = copy.deepcopy(model).eval()
    counts = []
    for backward in (False, True):
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
            loss = learner(image).sum()
            if backward:
                loss.backward()
        counts.append(counter.get_total_flops())
    return counts


def timed(device, work, repeats):
    """Median seconds of some calls, and what the last one returned."""
    seconds, made = [], None
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        made = work()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), made


def measure(shape, options):
    """Seconds and floors of all phases."""
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    place = {"device": str(device), "precision": options.precision, "compile": options.compile}
    parts = splits(shape, options.share, device)
    model = build(shape.model, classes=shape.classes, channels=3, image_size=shape.pixels).eval()
    source = parts.test.source
    counts = operations(model, source.inputs(source.images[:1]))

    def unlearned(parts, epochs):
        lotus = LoTUS(epochs=epochs, tolerance=1.0, batch_size=options.batch)
        return unlearn(model, parts, lotus, progress=False, **place)

    few = splits(shape, warm_share(shape, options), device)
    first, second = (
        timed(device, lambda: evaluate(unlearned(few, 1), few, original=model, **place), 1)[0]
        for _ in range(2)
    )
    rate = peak_rate(device, precision, options.product)
    run = Runtime(device, precision, options.batch, replays=True, compiles=options.compile)
    seconds = {"once": first - second} | phases(shape, model, parts, run, options.repeats)
    seconds["whole"], made = timed(device, lambda: unlearned(parts, shape.epochs), options.repeats)
    seconds["evaluation"], _ = timed(
        device, lambda: evaluate(made, parts, original=model, **place), options.repeats
    )
    return {
        "seconds": seconds,
        "floor": {name: count / rate for name, count in floors(shape, parts, *counts).items()},
        "rate": rate,
        "operations": dict(zip(("forward", "forward and backward"), counts, strict=True)),
        "peak_memory_bytes": made.peak_memory_bytes,
        "precision": str(precision).removeprefix("torch."),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
    }


def warm_share(shape, options):
    """Of the images: enough batches for graphs and compiled blocks, no more than there are."""
    batches = 2 * compiling.WORTH_IT * options.batch / (shape.forget + RETAIN_SHARE * shape.retain)
    return min(options.share, max(WARM_SHARE * options.share, batches))


def phases(shape, model, parts, run, repeats):
    """Seconds of the parts of unlearning, each alone."""
    device, learner = run.device, copy.deepcopy(model)
    trained = taught(parts)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-6, fused=True)
    with seeded(0, device), run.prepared(learner):
        data, _ = timed(device, lambda: parts.forget.source.images.to(device, copy=True), repeats)
        teacher, logits = timed(device, lambda: run.predict(learner, trained), repeats)
        some = trained.take(torch.arange(min(len(trained), WARM_STEPS * run.batch_size)))
        train_once(learner, optimizer, some, logits, run)
        student, _ = timed(
            device, lambda: train_once(learner, optimizer, trained, logits, run), repeats
        )
        unseen, _ = timed(device, lambda: run.accuracy(learner, parts.unseen), repeats)
        forget, _ = timed(device, lambda: run.accuracy(learner, parts.forget), repeats)
    return {
        "data": data,
        "teacher": teacher,
        "student": shape.epochs * student,
        "accuracy": unseen + (shape.epochs - 1) * forget,
    }


def taught(parts):
    """The images that LoTUS learns from."""
    return parts.forget + parts.retain.sample(RETAIN_SHARE, torch.Generator().manual_seed(0))


def floors(shape, parts, forward, both):
    """Operations of each phase, from those of one image."""
    trained = len(taught(parts))
    sizes = [len(part) for part in (parts.forget, parts.retain, parts.unseen, parts.test)]
    found = {
        "teacher": trained * forward,
        "student": shape.epochs * trained * both,
        "accuracy": (len(parts.unseen) + (shape.epochs - 1) * len(parts.forget)) * forward,
    }
    return {**found, "whole": sum(found.values()), "evaluation": 2 * sum(sizes) * forward}


def train_once(model, optimizer, images, teacher, run):
    """One epoch of LoTUS's steps; the targets are as good as any."""
    targets = F.softmax(teacher, dim=1)
    model.train()
    for x, _, i in run.batches(images):
        run.step(optimizer, -(targets[i] * F.log_softmax(model(x), dim=1)).sum(dim=1).mean())


def table(rows):
    """Markdown: for each run the seconds of each phase, and the share of its floor in them."""
    lines = []
    for row in rows:
        shape = SHAPES[row["shape"]]
        lines += [
            f"\n{row['shape']}, {row['share']:.0%} of the images, {row['device']}, "
            f"{row['precision']}, {row['batch']} images a step"
            f"{', blocks compiled' if row['compile'] else ''}, {row['rate'] / 1e12:.3g} Tflop/s in "
            f"a matrix product (paper: {shape.paper})\n",
            "| phase | seconds | floor, seconds | floor / seconds |",
            "|---|--:|--:|--:|",
        ]
        for phase in PHASES:
            seconds, floor = row["seconds"].get(phase), row["floor"].get(phase)
            if seconds is None:
                continue
            cells = "– | –" if floor is None else f"{floor:.3g} | {floor / seconds:.0%}"
            lines.append(f"| {phase} | {seconds:.3g} | {cells} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="resnet18-cifar-100")
    parser.add_argument("--share", type=float, default=1.0, help="of the images of the paper")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--batch", type=int, default=BATCH, help="images a step")
    parser.add_argument("--compile", action="store_true", help="the blocks of the model")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--product", type=int, default=8192, help="side of the matrix product")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu.jsonl"))
    parser.add_argument("--table", action="store_true", help="print the summary of --out and stop")
    options = parser.parse_args()
    if not options.table:
        row = {"shape": options.shape, "share": options.share}
        row |= {"batch": options.batch, "compile": options.compile}
        row |= measure(SHAPES[options.shape], options)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
    print(table([json.loads(line) for line in options.out.read_text().splitlines()]))


if __name__ == "__main__":
    main()
