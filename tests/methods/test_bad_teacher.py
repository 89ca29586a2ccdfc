import copy
import gc
import weakref

import pytest
import torch
from torch import nn
from toy_b import (
    MODELS,
    SEED,
    batch_norm_model,
    batches,
    class_splits,
    distance,
    layer_norm_model,
    loss,
    pixels,
    random_splits,
    right,
    trained,
    unlearned,
)

from lotus_unlearning.methods import bad_teacher as module
from lotus_unlearning.methods.bad_teacher import BadTeacher
from lotus_unlearning.runtime import Runtime, fresh_copy
from reference.bad_teacher import bad_teacher


def fresh_seed(g):
    """Of the incompetent teacher's initialisation: the first that a run draws."""
    return int(torch.randint(2**31, (1,), generator=g))


def twin(model, bad, splits, method):
    g = torch.Generator().manual_seed(SEED)
    if bad is None:
        bad = fresh_copy(model, fresh_seed(g))
    count = max(1, round(method.retain_share * len(splits.retain)))
    retain = pixels(splits.retain)[torch.randperm(len(splits.retain), generator=g)[:count]]
    images = torch.cat([pixels(splits.forget), retain])
    is_forget = [j < len(splits.forget) for j in range(len(images))]
    order = [b for _ in range(method.epochs) for b in batches(g, len(images), method.batch_size)]
    bad_teacher(
        model,
        bad,
        images,
        is_forget,
        order,
        temperature=method.temperature,
        learning_rate=method.learning_rate,
    )
    return len(order)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_equals_the_literal_twin(make, temperature):
    model, splits = trained(make), random_splits(size=80)
    method = BadTeacher(
        epochs=4, learning_rate=1e-2, batch_size=7, retain_share=0.5, temperature=temperature
    )
    ours = unlearned(model, splits, method).model
    steps = twin(model, None, splits, method)
    assert steps >= 20
    assert distance(ours, model.eval()) < 1e-10


def test_equals_the_twin_with_a_given_bad_teacher():
    model, splits, bad = trained(), random_splits(size=80), batch_norm_model(seed=9).train()
    before = copy.deepcopy(bad)
    method = BadTeacher(epochs=2, learning_rate=1e-2, batch_size=3, bad_teacher=bad)
    ours = unlearned(model, splits, method).model
    assert distance(bad, before) == 0
    assert bad.training
    assert all(p.requires_grad for p in bad.parameters())
    twin(model, before, splits, method)
    assert distance(ours, model) < 1e-10


def with_the_original_as_both_teachers(make):
    """Over 100 steps at the published rate: largest change of a logit, and the epochs' losses."""
    model, splits = trained(make), random_splits()
    result = unlearned(model, splits, BadTeacher(epochs=20, batch_size=32, bad_teacher=model))
    with torch.no_grad():
        images = pixels(splits.unseen)
        change = (result.model(images) - model(images)).abs().max().item()
    return change, [row["loss"] for row in result.history]


def test_the_original_as_both_teachers_keeps_a_function_without_batch_norm():
    """To 0.005 in logits of size 4: Adam makes steps of the rate's size even of rounding errors."""
    change, losses = with_the_original_as_both_teachers(layer_norm_model)
    assert abs(losses[0]) < 1e-12
    assert max(map(abs, losses)) < 1e-6
    assert change < 5e-3


def test_the_original_as_both_teachers_moves_a_model_with_batch_norm():
    change, losses = with_the_original_as_both_teachers(batch_norm_model)
    assert losses[0] > 1e-5  # it answers by the statistics of the batch, its teachers by its own
    assert change > 0.02


@pytest.mark.parametrize("given", [True, False])
def test_the_incompetent_teacher_is_gone_before_training(monkeypatch, given):
    teachers, alive, batches_of_run = [], [], Runtime.batches

    def kept(function):
        def made(*arguments):
            teacher = function(*arguments)
            teachers.extend(weakref.ref(p) for p in teacher.parameters())
            return teacher

        return made

    def watched(self, *arguments, **options):
        gc.collect()
        alive.append(sum(reference() is not None for reference in teachers))
        return batches_of_run(self, *arguments, **options)

    for name in ("fresh_copy", "frozen_copy"):
        monkeypatch.setattr(module, name, kept(getattr(module, name)))
    monkeypatch.setattr(Runtime, "batches", watched)
    method = BadTeacher(epochs=2, bad_teacher=layer_norm_model(seed=9) if given else None)
    result = unlearned(trained(layer_norm_model), random_splits(), method)
    assert len(teachers) == len(list(result.model.parameters()))
    assert alive == [0, 0]


def test_the_fresh_teacher_depends_on_the_seed_alone():
    model, splits, method = trained(), random_splits(), BadTeacher(batch_size=100)
    first, again, other = (unlearned(model, splits, method, seed=s) for s in (1, 1, 2))
    assert distance(first.model, again.model) == 0
    assert distance(first.model, other.model) > 0


@pytest.mark.parametrize("splits", [class_splits(), random_splits(), random_splits(0.5)])
def test_forgets_more_than_it_damages(splits):
    model = trained()
    method = BadTeacher(epochs=10, learning_rate=1e-2, batch_size=16, retain_share=1.0)
    result = unlearned(model, splits, method)
    rise = loss(result.model, splits.forget) - loss(model, splits.forget)
    damage = loss(result.model, splits.retain) - loss(model, splits.retain)
    assert rise > 0.3
    assert rise > 1.5 * damage
    assert all(0 <= row["bad_teacher_accuracy"] <= 0.8 for row in result.history)
    assert right(result.model, splits.retain) > 0.6


def test_a_model_that_cannot_be_initialised_again_asks_for_a_bad_teacher():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.inner = layer_norm_model()

        def forward(self, x):
            return self.inner(x) * self.scale

    with pytest.raises(ValueError, match="bad_teacher: expected layers with reset_parameters"):
        unlearned(Scaled().double(), random_splits(), BadTeacher())


def test_a_bad_teacher_of_other_classes_is_refused():
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    with pytest.raises(ValueError, match="expected 4 classes like the model, got 3"):
        unlearned(trained(), random_splits(), BadTeacher(bad_teacher=other))


def test_bad_settings_are_refused_in_one_message():
    with pytest.raises(ValueError, match=r"epochs >= 1, .*retain_share <= 1, temperature > 0"):
        BadTeacher(epochs=0, retain_share=1.5, temperature=0)
    for name in ("learning_rate", "batch_size", "retain_share"):
        with pytest.raises(ValueError, match=name):
            BadTeacher(**{name: 0})
