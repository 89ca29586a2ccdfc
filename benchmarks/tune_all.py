"""Tune every method on blocks of the benchmark, and store what was found with the package.

    python benchmarks/tune_all.py digits --budget 12
    python benchmarks/tune_all.py fashion-mnist --budget 8 --draws 1
    python benchmarks/tune_all.py digits --budget 12 --label 0
    python benchmarks/tune_all.py fashion-mnist --budget 8 --draws 1 --label 0

Each block is ``lotus tune all --block BLOCK``, which goes on where it stopped. When it is complete,
its settings go to src/lotus_unlearning/methods/tuned/BLOCK.yaml, where the preset ``tuned-BLOCK``
reads them, and all trials to benchmarks/results/trials-BLOCK.csv. With ``--label`` a whole class is
forgotten, and BLOCK is followed by ``-class``. The first seven seeds of the benchmark forget other
classes than 0.
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
    parser.add_argument("--label", type=int, help="forget this class; default: 10% of the images")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "tune")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    for block in options.blocks:
        name = block if options.label is None else f"{block}-class"
        out = options.out / name
        words = ["--block", block, "--budget", str(options.budget), "--draws", str(options.draws)]
        words += ["--device", options.device]
        words += [] if options.label is None else ["--forget", f"class:{options.label}"]
        status = lotus(["tune", "all", *words, "--out", str(out)])
        if status:
            return status
        shutil.copyfile(out / "tuned.yaml", TUNED / f"{name}.yaml")
        shutil.copyfile(out / "trials.csv", RESULTS / f"trials-{name}.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
