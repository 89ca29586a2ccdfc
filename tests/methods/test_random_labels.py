import copy

import pytest
import torch
import toy

from lotus_unlearning.methods.random_labels import RandomLabels, wrong_labels
from lotus_unlearning.runtime import Runtime
from reference.random_labels import random_labels

EPOCHS, BATCH = 4, 8


def steps(parts, redraw, phases):
    """Batches and given labels as the method gets them, from the same generator."""
    g = torch.Generator().manual_seed(toy.SEED)
    (forget, right), (retain, labels) = toy.tensors(parts.forget), toy.tensors(parts.retain)
    plan = []
    for epoch in range(EPOCHS):
        if epoch == 0 or redraw == "every epoch":
            wrong = (right + 1 + torch.randint(3, (len(right),), generator=g)) % 4
        passes = [(forget, wrong), (retain, labels)]
        if phases == "joint":
            passes = [(torch.cat([forget, retain]), torch.cat([wrong, labels]))]
        for images, given in passes:
            plan += [(images[b], given[b]) for b in toy.orders(g, len(given), BATCH)]
    return plan


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(
    ("redraw", "phases"), [("once", "joint"), ("every epoch", "separate"), ("once", "separate")]
)
def test_equals_its_literal_twin(make, optimizer, redraw, phases):
    model, parts = make(), toy.splits()
    settings = {"learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 1e-3}
    options = {"optimizer": optimizer, "redraw": redraw, "phases": phases}
    method = RandomLabels(epochs=EPOCHS, batch_size=BATCH, **options, **settings)
    result = toy.run(model, parts, method)
    plan = steps(parts, redraw, phases)
    assert len(plan) >= 20
    twin = random_labels(copy.deepcopy(model), plan, optimizer=optimizer, **settings)
    assert toy.difference(result.model, twin) < 1e-10
    assert toy.change(result.model, model) > 1e-3


def test_random_labels_never_equal_the_true_ones_and_are_uniform_over_the_others():
    right = torch.arange(5).repeat(4000)
    wrong = wrong_labels(right, 5, Runtime(seed=1))
    assert not (wrong == right).any()
    counts = torch.zeros(5, 5).index_put((right, wrong), torch.ones(len(right)), accumulate=True)
    others = counts[~torch.eye(5, dtype=torch.bool)]
    assert others.min() > 900
    assert others.max() < 1100


@pytest.mark.parametrize("kind", ["some", "half", "class"])
@pytest.mark.parametrize("phases", ["joint", "separate"])
def test_forgets_more_than_it_damages(kind, phases):
    parts, model = toy.splits(kind), toy.trained()
    method = RandomLabels(epochs=15, learning_rate=5e-3, phases=phases, batch_size=8)
    result = toy.run(model, parts, method).model
    risen = toy.loss(result, parts.forget) - toy.loss(model, parts.forget)
    damage = toy.loss(result, parts.retain) - toy.loss(model, parts.retain)
    assert risen > 0.5
    assert risen > 2 * damage


def test_redrawing_matters_and_the_default_draws_once():
    parts, model = toy.splits(), toy.conv_model()
    once = toy.run(model, parts, RandomLabels()).model
    again = toy.run(model, parts, RandomLabels(redraw="every epoch")).model
    assert toy.change(once, again) > 0
    first = toy.run(model, parts, RandomLabels(epochs=1)).model
    first_again = toy.run(model, parts, RandomLabels(epochs=1, redraw="every epoch")).model
    assert toy.difference(first, first_again) == 0


def test_refuses_a_model_with_one_class_before_any_work():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 1)).double()
    with pytest.raises(ValueError, match="at least 2 classes"):
        RandomLabels()(model, toy.splits(), Runtime(precision=torch.float64))


def test_refuses_bad_hyper_parameters_all_in_one_message():
    with pytest.raises(ValueError, match=r"redraw 'once'.*, phases 'joint'.*, optimizer 'adam'"):
        RandomLabels(redraw="twice", phases="both", optimizer="lion")
