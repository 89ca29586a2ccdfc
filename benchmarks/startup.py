"""Seconds to start: ``lotus --help`` over bare Python, ``import lotus_unlearning`` over torch.

    python benchmarks/startup.py --runs 7     # writes benchmarks/results/startup.jsonl anew
    python benchmarks/startup.py --table

Each line is a fresh process; all of them take turns, and the median of each counts. Seconds are
those of the processor, with which other work on the machine counts little; those of the clock
stand beside them.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "startup.jsonl"
_WAYS = {
    "python -c pass": ["-c", "pass"],
    "lotus --help": ["-m", "lotus_unlearning", "--help"],
    "lotus --version": ["-m", "lotus_unlearning", "--version"],
    "import lotus_unlearning": ["-c", "import lotus_unlearning"],
    "import torch": ["-c", "import torch"],
    "import torch, lotus_unlearning": ["-c", "import torch, lotus_unlearning"],
    "import torch; from lotus_unlearning import LoTUS, unlearn": [
        "-c",
        "import torch; from lotus_unlearning import LoTUS, unlearn",
    ],
}
_OVER = {
    "lotus --help": ("python -c pass", 300),
    "lotus --version": ("python -c pass", 300),
    "import lotus_unlearning": ("python -c pass", None),
    "import torch, lotus_unlearning": ("import torch", 50),
    "import torch; from lotus_unlearning import LoTUS, unlearn": ("import torch", None),
}
"""What a way is compared with, and by how many milliseconds it may be slower."""


def measure(runs):
    """A row for each way, with the seconds of all runs."""
    about = {"python": platform.python_version(), "torch": version("torch")}
    rows = {name: {"way": name, "processor": [], "clock": [], **about} for name in _WAYS}
    for turn in range(runs + 1):
        for name, words in _WAYS.items():
            processor, clock = _seconds(words)
            if turn > 0:  # the first fills the file cache
                rows[name]["processor"].append(processor)
                rows[name]["clock"].append(clock)
    return list(rows.values())


def _seconds(words):
    """Of the processor, and by the clock."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor, time.perf_counter() - start


def table(rows):
    """Markdown: medians."""
    middle = {row["way"]: statistics.median(row["processor"]) for row in rows}
    lines = [
        f"Medians of {len(rows[0]['processor'])} fresh processes, in seconds; "
        f"Python {rows[0]['python']}, PyTorch {rows[0]['torch']}.\n",
        "| | processor | clock | more than | by, in ms | target, in ms |",
        "|---|--:|--:|---|--:|--:|",
    ]
    for row in rows:
        name, clock = row["way"], statistics.median(row["clock"])
        compared = "– | – | –"
        if name in _OVER:
            over, target = _OVER[name]
            compared = f"`{over}` | {1e3 * (middle[name] - middle[over]):.0f} | {target or '–'}"
        lines.append(f"| `{name}` | {middle[name]:.3f} | {clock:.3f} | {compared} |")
    return "\n".join(lines)


def read(file=RESULTS):
    """The rows of the last run."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--table", action="store_true", help="print the last run and stop")
    options = parser.parse_args()
    if not options.table:
        lines = [json.dumps(row) + "\n" for row in measure(options.runs)]
        RESULTS.write_text("".join(lines), encoding="utf-8")
    print(table(read()))


if __name__ == "__main__":
    main()
