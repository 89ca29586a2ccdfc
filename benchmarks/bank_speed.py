"""How many models a minute: one after another, or many at once as one network?

    python benchmarks/bank_speed.py --block digits --at-once 8 --epochs 3
    python benchmarks/bank_speed.py --block fashion-mnist --at-once 4 --epochs 1 --images 512
    python benchmarks/bank_speed.py --device cuda --at-once 32 --ways one together streams
    python benchmarks/bank_speed.py --table

Golds of a benchmark block, for fewer epochs (every epoch costs the same). ``one``: train() for each
model. ``together``: weights stacked, vmap over networks (audit/together.py). ``streams``: on CUDA,
train() in as many threads, each with a stream of its own. The ways take turns; the first round of
each is not counted. On a CPU the seconds compared are those of the process, with one thread, since
other work on the machine does not count there; on a GPU those of the clock. One line per round is
added to ``--out``.
"""

import argparse
import dataclasses
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from lotus_unlearning import train
from lotus_unlearning.audit.material import of_setup
from lotus_unlearning.audit.together import fit_together, obstacles
from lotus_unlearning.benchmark.blocks import BLOCKS
from lotus_unlearning.runtime import Runtime, choose_device, choose_precision, processor
from lotus_unlearning.runtime.seeds import synchronize
from lotus_unlearning.splits import Split


def one(material, parts, seeds, run):
    for part, seed in zip(parts, seeds, strict=True):
        alone(material, part, seed, run)


def alone(material, part, seed, run):
    train(
        material.fresh(seed),
        part,
        material.recipe,
        seed=seed,
        device=run.device,
        precision=material.precision,
        progress=False,
    )


def together(material, parts, seeds, run):
    starts = [material.fresh(seed) for seed in seeds]
    fit_together(starts, parts, material.recipe, run, seeds)


def streams(material, parts, seeds, run):
    def work(part, seed):
        with torch.cuda.stream(torch.cuda.Stream(run.device)):
            alone(material, part, seed, run)

    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, parts, seeds))


WAYS = {"one": one, "together": together, "streams": streams}


def measure(options):
    setup = BLOCKS[options.block].setup
    recipe = dataclasses.replace(setup.recipe, epochs=options.epochs, warmup_epochs=0.0)
    material = of_setup(
        dataclasses.replace(setup, recipe=recipe, precision=options.precision), options.root
    )
    place = choose_device(options.device)
    run = Runtime(place, choose_precision(options.precision, place), recipe.batch_size)
    for problem in obstacles(material, run):
        raise SystemExit(f"together: {problem}")
    source = material.images["train"]
    count = min(options.images or len(source), len(source))
    parts = [Split("train", source, torch.arange(count))] * options.at_once
    seeds = list(range(options.at_once))
    for turn in range(options.rounds + 1):
        for way in options.ways:
            synchronize(place)
            clock, work = time.perf_counter(), time.process_time()
            WAYS[way](material, parts, seeds, run)
            synchronize(place)
            seconds = time.perf_counter() - clock, time.process_time() - work
            if turn:
                yield {
                    "block": options.block,
                    "model": setup.model,
                    "images": count,
                    "epochs": recipe.epochs,
                    "epochs_of_recipe": setup.recipe.epochs,
                    "way": way,
                    "models": options.at_once,
                    "seconds": seconds[0],
                    "process_seconds": seconds[1],
                    "device": torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu",
                    "processor": processor(),
                    "precision": str(run.precision).removeprefix("torch."),
                    "threads": torch.get_num_threads(),
                    "torch": torch.__version__,
                }


def table(file):
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    groups = {}
    for row in rows:
        key = (row["block"], row["device"], row["images"], row["models"], row["precision"])
        groups.setdefault(key, {}).setdefault(row["way"], []).append(row)
    print(
        "| block | device | images | models at once | way | rounds | models a minute | "
        "times one by one |"
    )
    print("|---|---|--:|--:|---|--:|--:|--:|")
    for (block, device, images, models, _), ways in groups.items():
        each = {way: statistics.median(map(seconds, found)) for way, found in ways.items()}
        for way, value in each.items():
            ratio = each["one"] / value if "one" in each else float("nan")
            print(
                f"| {block} | {device} | {images:,} | {models} | {way} | {len(ways[way])} | "
                f"{60 / value:.2f} | {ratio:.2f} |"
            )


def seconds(row):
    """Of one model by the whole recipe: of the processor on a CPU, which others may use, too."""
    taken = row["process_seconds"] if row["device"] == "cpu" else row["seconds"]
    return taken / row["models"] / row["epochs"] * row["epochs_of_recipe"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--block", default="digits", choices=BLOCKS)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=["one", "together"], choices=WAYS)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--root", default=None)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/bank_speed.jsonl"))
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        table(options.out)
        return
    torch.set_num_threads(1 if choose_device(options.device).type == "cpu" else 8)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for row in measure(options):
        with options.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{row['way']}: {seconds(row):.2f} s a model by the whole recipe", flush=True)


if __name__ == "__main__":
    main()
