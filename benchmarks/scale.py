"""Memory and time of unlearning from 10,000 to 1,000,000 images, streamed from tar shards.

    python benchmarks/scale.py                     # measures, one JSON line per size and classes
    python benchmarks/scale.py --table             # prints the table of what was measured

Synthetic shards of random images of 32 pixels, as PNG. One shard is written and linked under many
names: its keys are then told apart by the shard. Each size is measured in a process of its own,
which believes that its machine has `--memory` bytes, so that what can be streamed is, and what the
teacher answers of 1,000 classes goes to a file.
"""

import argparse
import io
import itertools
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

PIXELS, PER_SHARD = 32, 10_000
UNSEEN = 2_000
FORGET_SHARE, RETAIN_SHARE, BATCH = 0.01, 0.05, 256
STEPS = ("index", "splits", "unlearn")


def write_shard(path, first, images, classes):
    from PIL import Image

    draw = np.random.default_rng(first)
    with tarfile.open(path, "w") as archive:
        for number in range(images):
            stream = io.BytesIO()
            pixels = draw.integers(0, 256, (PIXELS, PIXELS, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(stream, "PNG", compress_level=0)
            members = ((".png", stream.getvalue()), (".cls", b"%d" % (number % classes)))
            for ending, content in members:
                member = tarfile.TarInfo(f"{first + number:09}{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def write(folder, images, classes):
    """`folder/train-*.tar` of so many images, and one shard each of test and unseen images."""
    one = folder.parent / f"shard-{classes}.tar"
    if not one.exists():
        write_shard(one, 0, PER_SHARD, classes)
    folder.mkdir(parents=True)
    for i in range(images // PER_SHARD):
        os.link(one, folder / f"train-{i:05}.tar")
    for i, name in enumerate(("test", "unseen"), 1):
        write_shard(folder / f"{name}-00000.tar", i * 10**8, UNSEEN, classes)


class Peak:
    """The most memory that this process and its children had at once, and of which kind.

    Proportional set size: a page that several processes share counts once. `anonymous` leaves out
    pages of files, which the system takes back when it needs them.
    """

    def __init__(self):
        self.bytes, self.anonymous, self._ended = 0, 0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def _look(self):
        while not self._ended.wait(0.1):
            self.look()

    def look(self):
        family = [*_family(os.getpid())]  # first: a page counts in halves once there are two
        found = [_memory(pid) for pid in family]
        self.bytes = max(self.bytes, sum(whole for whole, _ in found))
        self.anonymous = max(self.anonymous, sum(part for _, part in found))

    def end(self):
        self._ended.set()
        self._watch.join()
        self.look()
        return self


def _family(pid):
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _memory(pid):
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended meanwhile
        return 0, 0
    sizes = {cells[0]: int(cells[1]) * 1024 for line in lines if len(cells := line.split()) == 3}
    return sizes.get("Pss:", 0), sizes.get("Pss_Anon:", 0)


def network(classes):
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(32, classes))


def loaded(splits, classes):
    """Unlearn from a few images, so that all libraries are in memory before it is measured."""
    from lotus_unlearning import LoTUS, unlearn

    unlearn(network(classes), splits, LoTUS(epochs=1, tolerance=1.0), device="cpu", progress=False)


def processor_seconds():
    """Of this process and of its workers that have ended."""
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    used = [resource.getrusage(who) for who in whose]
    return sum(u.ru_utime + u.ru_stime for u in used)


def measure(folder, images, classes, memory):
    """One size: where each image lies, what to forget, one epoch of LoTUS."""
    import torch

    from lotus_unlearning import LoTUS, Splits, datasets, unlearn
    from lotus_unlearning.datasets import files
    from lotus_unlearning.runtime import stored

    torch.set_num_threads(1)
    files.memory_bytes = stored.memory_bytes = lambda: memory
    in_files, reserve = [], stored._reserve

    def counted(file, size):
        in_files.append(size)
        reserve(file, size)

    stored._reserve = counted
    few = datasets.load(f"webdataset:{folder}/test-00000.tar", size=PIXELS)
    loaded(Splits.random(few, on_overlap="drop"), classes)
    in_files.clear()
    before, row = Peak().end(), {"images": images, "classes": classes}
    peaks = [before]

    def step(name, work):
        peak, start = Peak(), time.perf_counter()
        made = work()
        row[f"{name}_seconds"] = time.perf_counter() - start
        peaks.append(peak.end())
        row[f"{name}_anonymous_bytes"] = peak.anonymous
        return made

    data = step("index", lambda: datasets.load(f"webdataset:{folder}", size=PIXELS))
    splits = step("splits", lambda: Splits.random(data, fraction=FORGET_SHARE))
    method = LoTUS(epochs=1, retain_share=RETAIN_SHARE, tolerance=1.0)
    settings = {"batch_size": BATCH, "device": "cpu", "progress": False}
    made = step("unlearn", lambda: unlearn(network(classes), splits, method, **settings))
    assert made.history[0]["loss"] is not None
    return row | {
        "learned_from": len(splits.forget) + round(RETAIN_SHARE * len(splits.retain)),
        "before_bytes": before.bytes,
        "before_anonymous_bytes": before.anonymous,
        "peak_bytes": max(peak.bytes for peak in peaks),
        "peak_anonymous_bytes": max(peak.anonymous for peak in peaks),
        "seconds": sum(row[f"{name}_seconds"] for name in STEPS),
        "processor_seconds": processor_seconds(),
        "teacher_file_bytes": sum(in_files),
        "believed_memory_bytes": memory,
    }


def apart(folder, images, classes, memory):
    """:func:`measure` in a process of its own, whose index is made anew."""
    words = [sys.executable, __file__, "--one", str(folder), "--images", str(images)]
    with tempfile.TemporaryDirectory() as home:
        place = {**os.environ, "HOME": home}
        words += ["--classes", str(classes), "--memory", str(memory)]
        done = subprocess.run(words, env=place, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def exactness(rows=100_000):
    """What half precision costs: largest errors of probabilities, for logits of several spreads."""
    import torch

    from lotus_unlearning.runtime import stored

    stored.PREDICTION_SHARE = 0.0
    lines = [
        "| classes | spread of logits | largest error | as plain halves |",
        "|--:|--:|--:|--:|",
    ]
    for classes in (10, 1000):
        for spread in (1, 5, 20):
            draw = torch.Generator().manual_seed(0)
            z = spread * torch.randn(rows * 10 // classes, classes, generator=draw)
            kept = stored.collected(z.split(4096), len(z), logits=True, may_store=True)
            p = z.double().softmax(dim=1)
            errors = [(half.double().softmax(dim=1) - p).abs().max() for half in (kept, z.half())]
            assert torch.equal(kept.argmax(dim=1), z.argmax(dim=1))
            lines.append(f"| {classes} | {spread} | {errors[0]:.1e} | {errors[1]:.1e} |")
    return "\n".join(lines)


def tail(rows=1_000, classes=1_000, largest=64):
    """What the largest logits leave out: mean probability beyond them, by temperature."""
    import torch

    lines = [
        "| spread of logits | temperature 1 | 2 | 4 |",
        "|--:|--:|--:|--:|",
    ]
    for spread in (1, 5, 20):
        draw = torch.Generator().manual_seed(0)
        z = spread * torch.randn(rows, classes, generator=draw, dtype=torch.float64)
        beliefs = ((z / temperature).softmax(dim=1) for temperature in (1, 2, 4))
        left = (1 - p.topk(largest).values.sum(dim=1).mean().item() for p in beliefs)
        lines.append(f"| {spread} | {' | '.join(f'{100 * share:.2g}%' for share in left)} |")
    return "\n".join(lines)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(rows):
    """Markdown: memory; seconds as they passed, and of the processor, which others may use, too."""
    lines = [
        "| images | classes | peak memory | of it anonymous | above the libraries | teacher's file "
        "| index | splits | unlearn | processor |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        grown = row["peak_anonymous_bytes"] - row["before_anonymous_bytes"]
        cells = [
            *(f"{row[key]:,}" for key in ("images", "classes")),
            *(f"{row[key] / 1e6:.0f} MB" for key in ("peak_bytes", "peak_anonymous_bytes")),
            f"{grown / 1e6:.0f} MB",
            f"{row['teacher_file_bytes'] / 1e6:.0f} MB" if row["teacher_file_bytes"] else "–",
            *(f"{row[f'{name}_seconds']:.0f} s" for name in STEPS),
            f"{row['processor_seconds']:.0f} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 1000])
    parser.add_argument(
        "--memory", type=int, default=1 << 26, help="bytes the machine seems to have"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/scale.jsonl"))
    parser.add_argument("--one", type=Path, help="measure the shards in this folder, in here")
    parser.add_argument("--table", action="store_true", help="print the table of --out and stop")
    parser.add_argument("--half", action="store_true", help="print what half precision costs")
    parser.add_argument("--tail", action="store_true", help="print what 64 of 1,000 logits lose")
    options = parser.parse_args()
    if options.tail:
        print(tail())
        return
    if options.half:
        print(exactness())
        return
    if options.one:
        print(
            json.dumps(measure(options.one, options.images[0], options.classes[0], options.memory))
        )
        return
    if not options.table:
        options.out.write_text("")
        with tempfile.TemporaryDirectory() as place:
            for classes, images in itertools.product(options.classes, options.images):
                folder = Path(place) / f"{images}-{classes}"
                write(folder, images, classes)
                row = apart(folder, images, classes, options.memory)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    print(table(read(options.out)))


if __name__ == "__main__":
    main()
