"""Seconds to start: ``lotus --help`` over bare Python, ``import lotus_unlearning`` over torch.

    python benchmarks/startup.py --runs 9

Each line is a fresh process; all of them take turns, and the median of each counts. Seconds are
those of the processor, with which other work on the machine does not count; those of the clock
stand beside them.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

_WAYS = {
    "python": ["-c", "pass"],
    "lotus --help": ["-m", "lotus_unlearning", "--help"],
    "lotus --version": ["-m", "lotus_unlearning", "--version"],
    "import torch": ["-c", "import torch"],
    "import torch, lotus_unlearning": ["-c", "import torch, lotus_unlearning"],
    "from lotus_unlearning import LoTUS, unlearn": [
        "-c",
        "import torch; from lotus_unlearning import LoTUS, unlearn",
    ],
}
_OVER = {
    "lotus --help": ("python", 0.3),
    "lotus --version": ("python", 0.3),
    "import torch, lotus_unlearning": ("import torch", 0.05),
    "from lotus_unlearning import LoTUS, unlearn": ("import torch", None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    seconds = {name: [] for name in _WAYS}
    clock = {name: [] for name in _WAYS}
    for turn in range(runs + 1):
        for name, words in _WAYS.items():
            processor, took = _seconds(words)
            if turn > 0:  # the first fills the file cache
                seconds[name].append(processor)
                clock[name].append(took)
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    print("| | seconds | by the clock | over | by, in ms | target, in ms |")
    print("|---|--:|--:|---|--:|--:|")
    for name, found in middle.items():
        over, target = _OVER.get(name, ("", None))
        by = f"{1000 * (found - middle[over]):.0f}" if over else ""
        limit = f"{1000 * target:.0f}" if target else ""
        waited = statistics.median(clock[name])
        against = f"`{over}`" if over else ""
        print(f"| `{name}` | {found:.3f} | {waited:.3f} | {against} | {by} | {limit} |")


def _seconds(words: list[str]) -> tuple[float, float]:
    """Of the processor, and by the clock."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor, time.perf_counter() - start


if __name__ == "__main__":
    main()
