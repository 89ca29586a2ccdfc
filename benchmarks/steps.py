"""What does one training step cost on a GPU: plain, replayed as a CUDA graph, compiled?

    python benchmarks/steps.py --model resnet18 --pixels 32
    python benchmarks/steps.py --model timm:vit_base_patch16_224 --pixels 224
    python benchmarks/steps.py --table

A step of 128 random images in bfloat16 through the runtime that methods use, with AdamW. *plain*:
kernel by kernel. *graphs*: as the package does it by itself. *compiled*: ``torch.compile`` of the
model's blocks (of all of it where it has none), and graphs. Milliseconds are means over steps after
some to warm up; *first step* is what a way costs once.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from lotus_unlearning.models import build
from lotus_unlearning.runtime import Runtime, graphs

BATCH, CLASSES, STEPS, WARM = 128, 100, 20, 10
WAYS = ("plain", "graphs", "compiled")


def compile_blocks(model):
    """In place; a model without blocks is compiled as a whole."""
    for block in getattr(model, "blocks", [model]):
        kind = type(block)
        made = torch.compile(kind.forward)
        block.__class__ = type(kind.__name__, (kind,), {"forward": made})


def measure(way, model, x, y):
    """Milliseconds of a step, and seconds of the first one."""
    graphs.MOST_GRAPHS = 0 if way == "plain" else 3
    graphs.WORTH_IT = 2
    learner, run = copy.deepcopy(model), Runtime(x.device, torch.bfloat16)
    with run.prepared(learner):
        if way == "compiled":
            compile_blocks(learner)
        learner.train()
        optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-6, fused=True)

        def steps(count):
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(count):
                run.step(optimizer, F.cross_entropy(learner(x), y))
            torch.cuda.synchronize()
            return (time.perf_counter() - start) / count

        first = steps(1)
        steps(WARM)
        return 1e3 * steps(STEPS), first


def operations(model, x):
    """Of a forward and a backward pass of one image."""
    with FlopCounterMode(display=False) as counter:
        copy.deepcopy(model).eval()(x[:1].cpu()).sum().backward()
    return counter.get_total_flops()


def table(rows):
    """Markdown."""
    lines = [
        "| model | device | way | ms a step | images a second | Tflop/s | first step, s |",
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
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/steps.jsonl"))
    parser.add_argument("--table", action="store_true", help="print the summary of --out and stop")
    options = parser.parse_args()
    if not options.table:
        model = build(options.model, classes=CLASSES, channels=3, image_size=options.pixels)
        x = torch.randn(BATCH, 3, options.pixels, options.pixels, device="cuda")
        x = x.contiguous(memory_format=torch.channels_last)
        y = torch.randint(CLASSES, (BATCH,), device="cuda")
        count = operations(model, x)
        for way in options.ways:
            milliseconds, first = measure(way, model, x, y)
            row = {"model": options.model, "pixels": options.pixels, "way": way, "first": first}
            row |= {"milliseconds": milliseconds, "operations": count}
            row |= {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
    print(table([json.loads(line) for line in options.out.read_text().splitlines()]))


if __name__ == "__main__":
    main()
