import copy

import pytest
import torch
import toy

from lotus_unlearning.methods.gradient_ascent import GradientAscent
from reference.gradient_ascent import gradient_ascent


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
def test_equals_its_literal_twin(make):
    model, parts = make(), toy.splits()
    method = GradientAscent(epochs=7, learning_rate=1e-2, batch_size=3)
    result = toy.run(model, parts, method)
    g = torch.Generator().manual_seed(toy.SEED)
    batches = [b for _ in range(7) for b in toy.orders(g, len(parts.forget), 3)]
    assert len(batches) >= 20
    twin = gradient_ascent(
        copy.deepcopy(model),
        *toy.tensors(parts.forget),
        batches,
        learning_rate=1e-2,
        momentum=0.9,
        weight_decay=5e-4,
    )
    assert toy.difference(result.model, twin) < 1e-10
    assert toy.change(result.model, model) > 1e-3


@pytest.mark.parametrize("kind", ["some", "half", "class"])
def test_loss_on_forget_images_rises(kind):
    parts, model = toy.splits(kind), toy.trained()
    method = GradientAscent(epochs=5, learning_rate=1e-2, batch_size=8)
    result = toy.run(model, parts, method)
    before, after = toy.loss(model, parts.forget), toy.loss(result.model, parts.forget)
    assert after > before + 0.2
    losses = [row["loss"] for row in result.history]
    assert losses[-1] < losses[0] < 0


def test_it_is_a_bad_method_for_it_damages_what_should_stay():
    parts, model = toy.splits(), toy.trained()
    result = toy.run(model, parts, GradientAscent(learning_rate=0.03, batch_size=8)).model
    assert toy.loss(result, parts.retain) > toy.loss(model, parts.retain) + 0.5


def test_small_steps_forget_a_class_more_than_they_damage_the_others():
    parts, model = toy.splits("class"), toy.trained()
    result = toy.run(model, parts, GradientAscent(epochs=30, learning_rate=1e-3)).model
    risen = toy.loss(result, parts.forget) - toy.loss(model, parts.forget)
    damage = toy.loss(result, parts.retain) - toy.loss(model, parts.retain)
    assert risen > 0.1
    assert risen > 4 * damage


def test_refuses_bad_hyper_parameters_all_in_one_message():
    with pytest.raises(ValueError, match="epochs >= 1, learning_rate > 0, batch_size >= 1"):
        GradientAscent(epochs=0, learning_rate=-1.0, batch_size=0)
