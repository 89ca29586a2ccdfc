"""What the tests of the command line train on, and forget: 150 digits, 15 of them."""

from safetensors.torch import load_file
from torch import equal

from lotus_unlearning import datasets

SMALL = ["--limit", "150", "--recipe.epochs", "3", "--recipe.batch_size", "32"]
IDS = datasets.load("digits", limit=150).train.official.ids[:60:4].tolist()


def same(one, two):
    """Whether two runs hold the same weights, bit by bit."""
    a, b = (load_file(path / "model.safetensors") for path in (one, two))
    return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
