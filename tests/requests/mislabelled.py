"""150 digits, the first 30 of which carry a wrong label: a model knows it only by heart."""

from dataclasses import replace

from lotus_unlearning import datasets

COUNT = 30


def data():
    """The data set; ids are those of digits."""
    digits = datasets.load("digits", limit=150)
    labels = digits.train.labels.clone()
    labels[:COUNT] = (labels[:COUNT] + 5) % 10
    return replace(digits, train=replace(digits.train, labels=labels), name="mislabelled")
