"""Jobs that take no time: models, golds, and what is measured against them."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from lotus_unlearning.jobs.job import FinalError, Made


@dataclass(frozen=True)
class Toy:
    """A job that does nothing."""

    kind: str
    number: int
    needs: tuple["Toy", ...] = ()

    @property
    def key(self):
        return f"{self.kind}-{self.number}"

    @property
    def keeps_files(self):
        return self.kind in ("original", "gold")

    @property
    def fails_for_good(self):
        return self.kind == "method"

    @property
    def heading(self):
        return {"key": self.key, "kind": self.kind}

    def read(self, path):
        try:
            found = json.loads(path.read_text())
        except ValueError:
            raise ValueError(f"{path}: expected a toy") from None
        assert found["kind"] == self.kind
        return found


def toys():
    """Two originals, each with three golds, a comparison of these, and two methods."""
    found = []
    for seed in range(2):
        original = Toy("original", seed)
        golds = tuple(Toy("gold", 3 * seed + i) for i in range(3))
        measured = (original, *golds)
        methods = [Toy("method", 2 * seed + i, measured) for i in range(2)]
        found += [Toy("comparison", seed, measured), *methods]
    return found


def of_kind(kind, jobs):
    return [job for job in jobs if job.kind == kind]


# What follows is work, here where a new process finds it.


def sleep(job, needs):
    """A job is its own number of seconds."""
    time.sleep(job)
    return job


def turns_round(job, needs):
    """Its files are those it needs, backwards."""
    (files,) = needs.values()
    return Made({"needed": list(needs)}, {name: text[::-1] for name, text in files.items()})


def dies(job, needs, much=b""):
    """Killed as by the system, with all that it needs in hand."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuses(job, needs):
    raise FinalError("refused")


def adds(job, needs, to):
    """The job to every number, in place."""
    maps = Path("/proc/self/maps")  # of Linux
    is_mapped = not maps.exists() or "lotus-" in maps.read_text()
    return Made({"sum": float(to.add_(job).sum()), "is_mapped": is_mapped})


class Counted:
    """Work that notes how often it is written down."""

    written = 0

    def __getstate__(self):
        Counted.written += 1
        return {}

    def __call__(self, job, needs):
        return Made({"process": os.getpid()})
