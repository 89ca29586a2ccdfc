r"""How often does the verdict of ``lotus audit`` call a retrained model distinguishable?

    python benchmarks/false_alarms.py --block digits --choices 8 --golds 32

For each of some choices of images to forget, a bank of gold models; each gold is judged by the
others, as in the self-test of an audit, in groups of 8, of 16 and of all. Whoever is called
distinguishable is a false alarm. One bank cannot tell 90% from 95% of golds that pass; several can,
and golds of one bank have their images in common, so that the interval is over banks. Banks are
kept in ``--banks`` and go on where they stopped; a line per bank and size of groups goes to
``--out``, and what is there is not made again.
"""

import argparse
import json
from pathlib import Path

import torch
from tabulate import tabulate

from lotus_unlearning import Splits
from lotus_unlearning.audit import Wanted, bank, of_setup
from lotus_unlearning.audit.judge import Judge
from lotus_unlearning.audit.subjects import of_bank
from lotus_unlearning.benchmark.blocks import BLOCKS
from lotus_unlearning.benchmark.materials import load
from lotus_unlearning.metrics import mean_and_interval

OUT = Path("benchmarks/results/false_alarms.jsonl")
SMALLEST = 8
"""Golds in a group: fewer cannot end in "indistinguishable"."""


def rows(block, seed, golds, folder):
    """What becomes of the golds of one choice of images, by the size of groups."""
    setup = BLOCKS[block].setup
    data = load(setup.data, None)
    splits = Splits.random(data, fraction=0.1, seed=seed, on_overlap="drop")
    made = bank(of_setup(setup), splits, folder / f"{block}-{seed}", Wanted(golds=golds))
    subjects = [of_bank(made, member, splits, None) for member in made.members("gold")[:golds]]
    for size in sizes(golds):
        groups = [subjects[i : i + size] for i in range(0, golds - size + 1, size)]
        verdicts = [v for group in groups for v in judged(group)]
        found = [[f.name for f in v.findings if f.distinguishable] for v in verdicts]
        yield {
            "block": block,
            "choice": seed,
            "judged by": size - 1,
            "golds": len(verdicts),
            "passed": sum(not names for names in found),
            "by": sorted(name for names in found for name in names),
            "least_p": [min(f.corrected for f in v.findings) for v in verdicts],
        }


def sizes(golds):
    """Of groups: 8, 16, ... and all."""
    found = [SMALLEST]
    while found[-1] * 2 <= golds:
        found.append(found[-1] * 2)
    return [*found[:-1], golds] if found[-1] != golds else found


def judged(golds):
    """The verdict on each by the others."""
    judge = Judge(golds)
    return [judge.verdict(gold, i) for i, gold in enumerate(golds)]


def table(lines):
    """One row for each block and size of groups."""
    body = []
    for block, size in dict.fromkeys((one["block"], one["judged by"]) for one in lines):
        mine = [one for one in lines if (one["block"], one["judged by"]) == (block, size)]
        shares = [one["passed"] / one["golds"] for one in mine]
        found = mean_and_interval(shares)
        total = sum(one["golds"] for one in mine)
        passed = sum(one["passed"] for one in mine)
        interval = f"{100 * found.low:.1f} to {min(100.0, 100 * found.high):.1f}"
        body.append(
            [
                block,
                f"{len(mine)}",
                f"{size}",
                f"{passed:,} of {total:,}",
                f"{100 * passed / total:.1f}",
                interval,
                f"{100 * min(shares):.1f} to {100 * max(shares):.1f}",
            ]
        )
    heads = ["", "choices of images", "golds to compare with", "golds that pass", "%",
             "95% interval over choices", "of single choices"]  # fmt: skip
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True)


def read(file=OUT):
    """What was measured."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def main():
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--block", default="digits", choices=["digits", "fashion-mnist"])
    parser.add_argument("--choices", type=int, default=8)
    parser.add_argument("--golds", type=int, default=32)
    parser.add_argument("--banks", type=Path, default=Path("runs") / "false-alarms")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.golds < SMALLEST:
        parser.error(f"--golds: expected at least {SMALLEST}, got {options.golds}")
    torch.set_num_threads(1)
    known = read(options.out) if options.out.exists() else []
    done = {(one["block"], one["choice"]) for one in known}
    for seed in range(options.choices):
        if (options.block, seed) in done:
            continue
        lines = list(rows(options.block, seed, options.golds, options.banks))
        with options.out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        for line in lines:
            print(
                {key: line[key] for key in ("choice", "judged by", "golds", "passed")}, flush=True
            )
    print(table(read(options.out)))


if __name__ == "__main__":
    main()
