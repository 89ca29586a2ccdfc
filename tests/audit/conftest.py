"""A bank of small networks on few digits, trained once for all tests of audits."""

import json

import pytest
from few_networks import LONGER, RECIPE, network

from lotus_unlearning import Finetune, Splits, train, unlearn
from lotus_unlearning.audit import Probes, Relearning, Wanted, audit, bank, of_model
from lotus_unlearning.datasets import load


@pytest.fixture(scope="session")
def digits():
    """400 training images, 30 of them to be forgotten."""
    return Splits.random(load("digits", limit=400), fraction=0.075, seed=1, on_overlap="drop")


@pytest.fixture(scope="session")
def material(digits):
    return of_model(network(), digits, RECIPE, precision="float32")


@pytest.fixture(scope="session")
def filled(material, digits, tmp_path_factory):
    """12 golds with weights, 8 shadows, and golds with all or one of the images put back."""
    wanted = Wanted(golds=12, shadows=8, put_back=(1, 30), repeats=1)
    return bank(material, digits, tmp_path_factory.mktemp("bank"), wanted, keep_weights=True)


@pytest.fixture(scope="session")
def original(material, digits):
    whole = digits.retain + digits.forget
    return train(material.fresh(0), whole, RECIPE, seed=0, device="cpu", progress=False).model


@pytest.fixture(scope="session")
def leaky(original, digits):
    """The original, trained on the images to forget alone: it knows them by heart."""
    again = digits.forget
    return train(original, again, LONGER, seed=0, device="cpu", progress=False).model


@pytest.fixture(scope="session")
def page(leaky, original, filled, digits, tmp_path_factory):
    """A whole audit, as it is after it was written down and read again."""
    probes = Probes(relearning=Relearning(steps=8, every=4, batch_size=32))
    others = [
        unlearn(original, digits, Finetune(epochs=1), seed=s, device="cpu", progress=False)
        for s in range(2)
    ]
    found = audit(
        leaky, digits, original=original, golds=filled, shadows=filled, others=others, level=3,
        probes=probes, device="cpu",
    )  # fmt: skip
    file = found.to_json(tmp_path_factory.mktemp("page") / "audit.json")
    return json.loads(file.read_text())
