import copy

import pytest
import torch
import toy
from contract import Only

from lotus_unlearning import Recipe, Retrain, Splits
from lotus_unlearning.models import build
from lotus_unlearning.runtime import Runtime, reset_parameters
from lotus_unlearning.runtime.measured import measured
from reference.retrain import retrain

BOTH = pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
STANDING = Recipe(epochs=1, learning_rate=1e-200, weight_decay=0.0, warmup_epochs=0)
"""One epoch that moves no weight by more than 1e-100."""


def twin(model, parts, recipe, start=None, held_out=None):
    """Edits ``model``; its held-out losses, and how many steps were planned."""
    g = torch.Generator().manual_seed(toy.SEED)
    seed = int(torch.randint(2**31, (1,), generator=g))
    if start is None:
        reset_parameters(model, seed)
    else:
        model.load_state_dict(start.state_dict())
    plan = [toy.orders(g, len(parts.retain), recipe.batch_size) for _ in range(recipe.epochs)]
    losses = retrain(
        model,
        *toy.tensors(parts.retain),
        plan,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        warmup_epochs=recipe.warmup_epochs,
        held_out=held_out,
        patience=recipe.patience,
    )
    return losses, sum(len(batches) for batches in plan)


@BOTH
@pytest.mark.parametrize("warmup", [0, 1, 2.5])
@pytest.mark.parametrize("started", [False, True])
def test_equals_its_literal_twin(make, warmup, started):
    model, parts = toy.trained(make), toy.splits()
    start = make(seed=8) if started else None
    recipe = Recipe(
        epochs=6, batch_size=8, learning_rate=0.05, weight_decay=1e-2, warmup_epochs=warmup
    )
    result = toy.run(model, parts, Retrain(recipe=recipe, start=start)).model
    gold = copy.deepcopy(model)
    _, steps = twin(gold, parts, recipe, start)
    assert steps >= 20
    assert toy.difference(result, gold) < 1e-10
    assert toy.change(result, model) > 1e-2


@BOTH
def test_patience_restores_the_best_epoch_as_its_twin_does(make):
    model, parts = toy.trained(make), toy.splits()
    recipe = Recipe(epochs=40, batch_size=8, learning_rate=0.3, warmup_epochs=0, patience=4)
    result = toy.run(model, parts, Retrain(recipe=recipe))
    gold = copy.deepcopy(model)
    losses, _ = twin(gold, parts, recipe, held_out=toy.tensors(parts.unseen))
    best = losses.index(min(losses))
    assert best == len(losses) - 5  # 4 epochs later it stopped
    assert len(losses) < 40
    assert [row["held_out_loss"] for row in result.history] == pytest.approx(losses)
    assert all("loss" in row for row in result.history)
    assert toy.difference(result.model, gold) < 1e-10
    assert toy.loss(result.model, parts.unseen) == pytest.approx(min(losses))


def test_where_it_starts_does_not_depend_on_the_original():
    parts, method = toy.splits(), Retrain(recipe=STANDING)
    starts = [toy.run(model, parts, method).model for model in (toy.conv_model(), toy.trained())]
    assert toy.difference(*starts) == 0
    other = toy.run(toy.trained(), parts, method, seed=toy.SEED + 1).model
    assert toy.change(starts[0], other) > 0.01
    for original in (toy.conv_model(), toy.trained()):
        assert toy.change(starts[0], original) > 0.01


def test_it_starts_from_start_and_leaves_it_alone():
    start = toy.conv_model(seed=8).train()
    before = copy.deepcopy(start)
    result = toy.run(toy.trained(), toy.splits(), Retrain(recipe=STANDING, start=start)).model
    assert toy.change(result, start) < 1e-100
    assert toy.difference(start, before) == 0
    assert start.training


def test_with_the_seed_of_the_original_it_does_not_begin_where_the_original_began():
    made = {"classes": 4, "channels": 1, "image_size": 6}
    original = build("resnet-thin", **made, seed=toy.SEED)
    gold = toy.run(original.double(), toy.splits(), Retrain(recipe=STANDING)).model
    assert toy.change(gold, original) > 0.01
    seed = Runtime(seed=toy.SEED).draw_seed()
    assert toy.change(gold, build("resnet-thin", **made, seed=seed)) < 1e-100


def test_forget_images_are_never_read():
    model, parts, method = toy.trained(), toy.splits(), Retrain(recipe=Recipe(epochs=2))
    images = parts.forget.source.images.clone()
    images[parts.forget.ids] += 1
    changed = Splits.from_ids((images, parts.forget.source.labels), parts.forget.ids)
    one, other = (toy.run(model, splits, method).model for splits in (parts, changed))
    assert toy.difference(one, other) == 0
    run = Runtime(precision=torch.float64)
    with measured(copy.deepcopy(model), run):
        method(copy.deepcopy(model), Only(parts, frozenset({"retain"})), run)


def test_gold_knows_retain_images_and_never_knew_forget_images():
    """Loss on forget images is that on unseen ones, not that of the original."""
    model, parts = toy.trained(steps=40), toy.splits("half")
    gold = toy.run(model, parts, Retrain(recipe=Recipe(epochs=30, batch_size=8))).model
    assert toy.loss(gold, parts.retain) < 0.1
    assert toy.loss(gold, parts.forget) > toy.loss(model, parts.forget) + 0.5


def test_needs_unseen_images_with_patience_alone():
    assert Retrain().reads == {"retain"}
    assert Retrain(recipe=Recipe(patience=2)).reads == {"retain", "unseen"}
