"""A grid that takes seconds: few digits, a small network, few epochs."""

import os
import signal
import time
from dataclasses import dataclass

from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.benchmark.work import Made

BLOCK = {
    "name": "few-digits",
    "data": {"name": "digits", "limit": 200},
    "model": "resnet-thin",
    "recipe": {"epochs": 2, "learning_rate": 0.05},
    "precision": "float32",
}
YAML = """
title: "Two methods"
blocks:
  - name: few-digits
    data: {name: digits, limit: 200}
    model: resnet-thin
    recipe: {epochs: 2, learning_rate: 0.05}
    precision: float32
methods: [lotus, finetune]
seeds: 2
golds: 3
measures: [average_gap, average_gap_as_published, js_divergence, closes, forget_accuracy, seconds]
"""


def grid(tmp_path, **changes):
    file = tmp_path / "small.yaml"
    file.write_text(YAML)
    return read_grid(str(file), changes)


def sleep(cell, needs, place):
    """A cell that takes its own number of seconds; here, where a new process finds it."""
    time.sleep(cell)
    return cell


@dataclass(frozen=True)
class Named:
    """A cell, as far as executors know it."""

    key: str


def turns_round(cell, needs, place):
    """Its files are those it needs, backwards."""
    (files,) = needs.values()
    return Made({"needed": list(needs)}, {name: text[::-1] for name, text in files.items()})


def dies_with_much_to_say(cell, needs, place):
    """Killed as by the system, with all that it needs in hand."""
    os.kill(os.getpid(), signal.SIGKILL)
