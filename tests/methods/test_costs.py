"""What the costs say is what goes through the model."""

from dataclasses import replace

import pytest
import torch
import toy
from contract import ROWS
from torch import nn

from lotus_unlearning import (
    SCRUB,
    SSD,
    UNSIR,
    BadTeacher,
    Finetune,
    LoTUS,
    NegGradPlus,
    RandomLabels,
    Recipe,
    Retrain,
    SalUn,
)
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.form import Passes, Sizes, passes
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.methods.unsir import ByClass, ByInstance

BATCH = 8
STANDS = {"learning_rate": 1e-12, "tolerance": 9.0}
NOISE = ByClass(noise_images=6, noise_steps=3, copies=2, images_per_class=5)
PAIRS = ByInstance(epochs=3, batch_size=7)
VARIANTS = [
    *ROWS.values(),
    LoTUS(epochs=3, published_class_mode=True, target_accuracy=0.0),
    LoTUS(epochs=3, retain_share=0.01, batch_size=5, **STANDS),
    NegGradPlus(epochs=2, alpha=1.0),
    NegGradPlus(epochs=2, phases="separate"),
    NegGradPlus(epochs=2, phases="separate", alpha=1.0),
    *(NegGradPlus(epochs=2, batch_size=size) for size in (3, 4, 5, 7, 100)),
    RandomLabels(epochs=2, redraw="every epoch", phases="separate"),
    BadTeacher(epochs=3, retain_share=0.5, bad_teacher=toy.conv_model(seed=4)),
    SCRUB(epochs=3, max_steps=0),
    SCRUB(epochs=2, max_steps=5),
    SSD(alpha=1.1, repeats=3),
    UNSIR(by_class=NOISE, by_instance=PAIRS),
    UNSIR(
        by_class=replace(NOISE, noise_steps=0),
        by_instance=replace(PAIRS, noise_steps=0, repair_images_per_class=3),
    ),
    UNSIR(
        by_class=replace(NOISE, copies=0), by_instance=replace(PAIRS, repair_images_per_class=100)
    ),
    UNSIR(mode="instance", by_instance=replace(PAIRS, noise_steps=1)),
    SalUn(inner=Finetune(epochs=2), batch_size=5),
    SalUn(inner=LoTUS(epochs=2, **STANDS)),
    Retrain(recipe=Recipe(epochs=3, batch_size=5, patience=3, warmup_epochs=0)),
]
MAY_STOP = [
    LoTUS(epochs=30, alpha=3, learning_rate=2e-2, batch_size=8),
    LoTUS(epochs=40, alpha=32, learning_rate=2e-2, target_accuracy=0.0, batch_size=8),
    Retrain(recipe=Recipe(epochs=40, batch_size=8, learning_rate=0.3, patience=2)),
    SCRUB(epochs=2, rewind=True),  # asks about those unseen images alone whose class is forgotten
]
KINDS = pytest.mark.parametrize("kind", ["some", "half", "class"])


class Counted(nn.Module):
    """A model, and the images that go through any copy of it."""

    images = {"training": 0, "forward": 0}  # noqa: RUF012

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        self.images["training" if torch.is_grad_enabled() else "forward"] += len(x)
        return self.inner(x)


@pytest.fixture
def counted(monkeypatch):
    """Counts what a method sends through the model, without the look before it starts."""
    monkeypatch.setattr("lotus_unlearning.unlearning.check_model", lambda *_: None)

    def count(method, parts):
        model = Counted(toy.trained())
        if isinstance(method, BadTeacher) and method.bad_teacher is not None:
            method = replace(method, bad_teacher=Counted(method.bad_teacher))
        Counted.images.update(training=0, forward=0)
        toy.run(model, parts, method, batch_size=BATCH)
        return Passes(**Counted.images)

    return count


def test_every_method_has_its_cost():
    n = Sizes(forget=10, retain=90, unseen=20)
    for name, cls in METHODS.items():
        assert passes(cls(), n).training > 0, name
    for preset in PRESETS.values():
        for name, method in preset.items():
            assert passes(method, n).training > 0, name


@KINDS
@pytest.mark.parametrize("method", VARIANTS, ids=lambda method: type(method).__name__)
@pytest.mark.filterwarnings("ignore:SSD with alpha")
def test_what_goes_through_the_model_is_what_the_costs_say(method, kind, counted):
    parts = toy.splits(kind)
    assert counted(method, parts) == passes(method, Sizes.of(parts, BATCH))


@KINDS
@pytest.mark.parametrize("method", MAY_STOP, ids=lambda method: type(method).__name__)
def test_a_method_that_stops_early_takes_no_more_than_the_costs_say(method, kind, counted):
    parts = toy.splits(kind)
    done, said = counted(method, parts), passes(method, Sizes.of(parts, BATCH))
    assert done.training <= said.training
    assert 0 < done.forward <= said.forward


def test_without_the_number_of_retained_classes_the_costs_are_an_upper_bound(counted):
    parts = toy.splits("class")
    method = UNSIR(by_class=NOISE)
    done, said = (
        counted(method, parts),
        passes(method, replace(Sizes.of(parts, BATCH), retain_classes=None)),
    )
    assert done.training < said.training
