import copy

import pytest
import torch
import toy

from lotus_unlearning.methods.finetune import Finetune
from lotus_unlearning.methods.neg_grad_plus import NegGradPlus
from reference.neg_grad_plus import neg_grad_plus

SETTINGS = {"alpha": 0.8, "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-3}


def joint_steps(parts, epochs, size):
    """Each order is drawn when its first batch is needed, as in the runtime."""
    g, steps = torch.Generator().manual_seed(toy.SEED), []
    for _ in range(epochs):
        forget = []
        for batch in toy.orders(g, len(parts.retain), size):
            forget = forget or list(toy.orders(g, len(parts.forget), size))
            steps.append((batch, forget.pop(0)))
    return steps


def separate_steps(parts, epochs, size):
    g, steps = torch.Generator().manual_seed(toy.SEED), []
    for _ in range(epochs):
        steps += [(None, b) for b in toy.orders(g, len(parts.forget), size)]
        steps += [(b, None) for b in toy.orders(g, len(parts.retain), size)]
    return steps


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize("kind", ["some", "half"])
@pytest.mark.parametrize(("phases", "plan"), [("joint", joint_steps), ("separate", separate_steps)])
def test_equals_its_literal_twin(make, kind, phases, plan):
    model, parts = make(), toy.splits(kind)
    method = NegGradPlus(epochs=7, phases=phases, batch_size=7, **SETTINGS)
    result = toy.run(model, parts, method)
    steps = plan(parts, 7, 7)
    assert len(steps) >= 20
    both = toy.tensors(parts.retain), toy.tensors(parts.forget)
    twin = neg_grad_plus(copy.deepcopy(model), *both, steps, **SETTINGS)
    assert toy.difference(result.model, twin) < 1e-10
    assert toy.change(result.model, model) > 1e-3


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize("phases", ["joint", "separate"])
def test_without_weight_on_forget_images_it_is_finetune_bit_for_bit(make, phases):
    """In small batches, buffers of BatchNorm included: no forget batch is taken."""
    model, parts = make(), toy.splits()
    result = toy.run(model, parts, NegGradPlus(epochs=4, alpha=1.0, phases=phases, batch_size=7))
    plain = toy.run(model, parts, Finetune(epochs=4, batch_size=7))
    assert toy.difference(result.model, plain.model) == 0
    assert result.history == plain.history


def test_it_ascends_on_forget_images_where_finetune_on_them_would_descend():
    """One full-batch step of plain SGD without retain weight raises the forget loss."""
    parts, model = toy.splits(), toy.norm_model()
    one = {"epochs": 1, "alpha": 0.0, "momentum": 0.0, "batch_size": toy.SIZE}
    for phases in ("joint", "separate"):
        result = toy.run(model, parts, NegGradPlus(phases=phases, **one)).model
        assert toy.loss(result, parts.forget) > toy.loss(model, parts.forget)


def test_half_weights_at_twice_the_rate_are_unweighted_separate_phases():
    parts, model = toy.splits(), toy.conv_model()
    both = toy.tensors(parts.retain), toy.tensors(parts.forget)
    method = NegGradPlus(
        epochs=4,
        phases="separate",
        alpha=0.5,
        learning_rate=2e-3,
        weight_decay=2.5e-4,
        batch_size=8,
    )
    result = toy.run(model, parts, method).model
    twin = copy.deepcopy(model)
    sgd = torch.optim.SGD(twin.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    twin.train()
    for retain, forget in separate_steps(parts, 4, 8):
        (images, labels), batch, sign = (
            (both[1], forget, -1) if retain is None else (both[0], retain, 1)
        )
        sgd.zero_grad()
        logits = twin(images[batch])
        (sign * torch.nn.functional.cross_entropy(logits, labels[batch])).backward()
        sgd.step()
    assert toy.difference(result, twin) < 1e-10


@pytest.mark.parametrize("phases", ["joint", "separate"])
def test_forgets_a_class_more_than_it_damages_the_others(phases):
    parts, model = toy.splits("class"), toy.trained()
    result = toy.run(model, parts, NegGradPlus(alpha=0.8, phases=phases))
    risen = toy.loss(result.model, parts.forget) - toy.loss(model, parts.forget)
    damage = toy.loss(result.model, parts.retain) - toy.loss(model, parts.retain)
    assert risen > 1
    assert risen > 5 * damage
    losses = [row["forget_loss"] for row in result.history]
    assert losses[-1] > losses[0]


@pytest.mark.parametrize("kind", ["some", "half"])
def test_loss_on_forget_images_rises(kind):
    parts, model = toy.splits(kind), toy.trained()
    result = toy.run(model, parts, NegGradPlus(alpha=0.8)).model
    risen = toy.loss(result, parts.forget) - toy.loss(model, parts.forget)
    assert risen > 0.2
    assert toy.loss(result, parts.retain) < toy.loss(model, parts.retain)


def test_refuses_bad_hyper_parameters_all_in_one_message():
    with pytest.raises(ValueError, match=r"0 <= alpha <= 1, phases 'joint' or 'separate'; got"):
        NegGradPlus(alpha=1.5, phases="both")
