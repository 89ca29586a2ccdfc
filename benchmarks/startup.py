"""Seconds to start: ``lotus --help`` over bare Python, ``import lotus_unlearning`` over torch.

    python benchmarks/startup.py --runs 9

Each line is a fresh process; all of them take turns, and the median of each counts.
"""

import argparse
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
    for turn in range(runs + 1):
        for name, words in _WAYS.items():
            took = _seconds(words)
            if turn > 0:  # the first fills the file cache
                seconds[name].append(took)
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    print("| | seconds | over | by, in ms | target, in ms |\n|---|--:|---|--:|--:|")
    for name, found in middle.items():
        over, target = _OVER.get(name, ("", None))
        by = f"{1000 * (found - middle[over]):.0f}" if over else ""
        limit = f"{1000 * target:.0f}" if target else ""
        print(f"| `{name}` | {found:.3f} | {f'`{over}`' if over else ''} | {by} | {limit} |")


def _seconds(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
