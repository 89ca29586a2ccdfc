"""A grid that takes seconds: few digits, a small network, few epochs."""

from lotus_unlearning.benchmark.read import read_grid

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
