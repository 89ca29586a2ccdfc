"""What an interpreter shows of an object tells what it is, and fits on the screen."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lotus_unlearning import (
    METHODS,
    METRICS,
    BadTeacher,
    Recipe,
    Retrain,
    Runtime,
    Splits,
    datasets,
)
from lotus_unlearning.audit import Bank
from lotus_unlearning.audit.record import Audit
from lotus_unlearning.runs import Run
from lotus_unlearning.tuning import Tuned
from lotus_unlearning.tuning.trial import Trial

MANY = [{"epoch": n, "loss": 0.1} for n in range(500)]


def used_runtime():
    splits = Splits.from_ids((torch.rand(20, 1, 4, 4), torch.arange(20) % 2), forget=[1])
    run = Runtime()
    run.predict(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), splits.retain)
    run.history.extend(MANY)
    return run


def audit():
    page = {"verdict": {"outcome": "distinguishable"}, "ladder": MANY, "level": 1}
    return Audit({**page, "manifest": {"forgotten": list(range(500))}})


def tuned():
    trial = Trial(**dict.fromkeys(Trial.__dataclass_fields__, 0.5))
    return Tuned("lotus", trial, trial, 0.5, (trial,) * 50, dict.fromkeys(map(str, range(500))))


SHOWN = {
    **{name: method for name, method in METHODS.items()},
    "Retrain with a model": lambda: Retrain(start=nn.Sequential(*[nn.Linear(2, 2)] * 50)),
    "BadTeacher with a model": lambda: BadTeacher(bad_teacher=nn.Sequential(*[nn.ReLU()] * 50)),
    "Recipe": Recipe,
    "Runtime": used_runtime,
    "Run": lambda: Run(Path("runs/demo"), {"forgotten": list(range(500))}, {}, MANY),
    "Bank": lambda: Bank(
        Path("banks/x"),
        {
            "model": {"classes": 2},
            "forget": list(range(500)),
            "gone": [],
            "content": {},
            "images": {},
            "golds_made_of": "",
            "shadows_made_of": "",
        },
    ),
    "Audit": audit,
    "Tuned": tuned,
    "Data": lambda: datasets.load("digits"),
    "Splits": lambda: Splits.random("digits"),
    "Split": lambda: Splits.random("digits").forget,
    "Metric": lambda: METRICS["js_divergence"],
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_repr_is_short_and_holds_no_numbers_of_images_or_weights(name):
    shown = repr(SHOWN[name]())
    assert len(shown) < 600, shown
    assert shown.count("\n") < 5
    assert not any(word in shown for word in ("tensor(", "array(", "Linear(", "499"))


def test_an_audit_says_its_verdict():
    assert repr(audit()) == "Audit(distinguishable: 500 measures, level 1)"
