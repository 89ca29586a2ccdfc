"""Thousands of broken files for every command: does anything but a sentence reach the user?

    python benchmarks/fuzz.py --cases 10000

Each target of tests/fuzz/commands.py gets an equal share of the cases, drawn by Hypothesis from the
seed. A case is a problem if a traceback or a control character is written, an error is in Python's
own words ("'>' not supported between"), the exit code is not 0, 1 or 2, a file outside the output
folder changes, or it computes for more than 30 seconds. Writes counts, problems with the bytes that
made them, the slowest case and the peak of memory.
"""

import argparse
import base64
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

_HERE = Path(__file__).parent
_KEPT = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", default=None)
    parser.add_argument("--out", type=Path, default=_HERE / "results" / "fuzz.json")
    chosen = parser.parse_args()
    out = chosen.out.absolute()
    sys.path.insert(0, str(_HERE.parent / "tests" / "fuzz"))
    import commands
    import inputs

    names = chosen.targets or list(commands.TARGETS)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        inputs.prepare(Path(folder))
        first = commands.megabytes()
        each = -(-chosen.cases // len(names))
        found = {name: _fuzz(commands, name, Path(folder), each, chosen.seed) for name in names}
        os.chdir("/")
    summary = {
        "cases": sum(one["cases"] for one in found.values()),
        "problems": sum(one["problems"] for one in found.values()),
        "seed": chosen.seed,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "peak_megabytes": {"before": first, "after": commands.megabytes()},
        "targets": found,
    }
    out.write_text(json.dumps(summary, indent=1) + "\n")
    print({key: value for key, value in summary.items() if key != "targets"})


def _fuzz(commands, name, top, cases, seed):
    target = commands.TARGETS[name]
    statuses, problems, slowest = Counter(), [], 0.0
    drawn = target.drawn(commands.valid(target, top))

    @hypothesis.seed(seed)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(drawn)
    def one(data):
        nonlocal slowest
        seen = commands.run(target, top, data)
        well = seen.status == 0 or "all was well" in seen.text
        statuses["taken" if well else f"refused with {seen.status}"] += 1
        slowest = max(slowest, seen.seconds)
        if seen.problems:
            last = seen.text.strip().splitlines()[-1:] or [""]
            bytes_ = base64.b64encode(data[:2000]).decode()
            problems.append({"problems": seen.problems, "last": last[0][:300], "data": bytes_})

    one()
    print(
        f"{name}: {dict(statuses)}, {len(problems)} problems, slowest {slowest:.1f} s", flush=True
    )
    return {
        "cases": sum(statuses.values()),
        "problems": len(problems),
        "slowest_seconds": round(slowest, 2),
        **statuses,
        **({"examples": problems[:_KEPT]} if problems else {}),
    }


if __name__ == "__main__":
    main()
