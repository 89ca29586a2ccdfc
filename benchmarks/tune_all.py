"""Tune every method on blocks of the benchmark, and store what was found with the package.

    python benchmarks/tune_all.py digits --budget 12
    python benchmarks/tune_all.py fashion-mnist --budget 8 --draws 1

Each block is ``lotus tune all --block BLOCK``, which goes on where it stopped. When it is complete,
its settings go to src/lotus_unlearning/methods/tuned/BLOCK.yaml, where the preset ``tuned-BLOCK``
reads them, and all trials to benchmarks/results/trials-BLOCK.csv.
"""

import argparse
import shutil
import sys
from pathlib import Path

from lotus_unlearning.cli import main as lotus

ROOT = Path(__file__).resolve().parents[1]
TUNED = ROOT / "src" / "lotus_unlearning" / "methods" / "tuned"
RESULTS = ROOT / "benchmarks" / "results"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("blocks", nargs="+")
    parser.add_argument("--budget", type=int, default=15)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "tune")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    for block in options.blocks:
        out = options.out / block
        words = ["--block", block, "--budget", str(options.budget), "--draws", str(options.draws)]
        words += ["--device", options.device]
        status = lotus(["tune", "all", *words, "--out", str(out)])
        if status:
            return status
        shutil.copyfile(out / "tuned.yaml", TUNED / f"{block}.yaml")
        shutil.copyfile(out / "trials.csv", RESULTS / f"trials-{block}.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
