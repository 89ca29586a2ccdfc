import copy
import statistics
from dataclasses import replace

import pytest
import torch
import toy

from lotus_unlearning import Recipe, Understudy
from lotus_unlearning.runtime import Runtime, fresh_copy
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import fit
from reference.retrain import retrain
from reference.understudy import taught

SHORT = Recipe(epochs=2, batch_size=8, warmup_epochs=0.5)


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_equals_its_literal_twin(make, share):
    model, parts = make(), toy.splits()
    method = Understudy(
        recipe=SHORT, least_steps=0, epochs=5, retain_share=share, batch_size=8, learning_rate=1e-2
    )
    result = toy.run(model, parts, method)
    g = torch.Generator().manual_seed(toy.SEED)
    stranger = fresh_copy(model, int(torch.randint(2**31, (), generator=g)))
    images, labels = toy.tensors(parts.retain)
    retrain(
        stranger,
        images,
        labels,
        [toy.orders(g, len(images), 8) for _ in range(2)],
        learning_rate=SHORT.learning_rate,
        momentum=SHORT.momentum,
        weight_decay=SHORT.weight_decay,
        warmup_epochs=SHORT.warmup_epochs,
    )
    stranger.eval()
    with torch.no_grad():
        asked = stranger(toy.tensors(parts.forget)[0])
    forget, retain = parts.forget.ids.tolist(), parts.retain.ids.tolist()
    epochs, count = [], round(share * len(retain))
    for _ in range(5):
        chosen = torch.randperm(len(retain), generator=g)[:count]
        both = torch.cat([parts.forget.ids, parts.retain.ids[chosen]])
        epochs.append([both[i].tolist() for i in toy.orders(g, len(both), 8)])
    assert sum(map(len, epochs)) >= 20
    twin = taught(
        copy.deepcopy(model),
        parts.forget.source.images.double(),
        forget,
        retain,
        dict(zip(forget, asked, strict=True)),
        epochs,
        learning_rate=method.learning_rate,
        weight_decay=method.weight_decay,
    )
    assert toy.difference(result.model, twin) < 1e-10
    assert toy.change(result.model, model) > 1e-3


def test_labels_of_forget_images_have_no_part_in_it():
    """Neither network is told what they show: wrong labels cannot be learned once more."""
    model, (images, labels) = toy.trained(), toy.data()
    forget = list(range(0, toy.SIZE, 5))
    wrong = labels.clone()
    wrong[forget] = (wrong[forget] + 1) % toy.CLASSES
    method = Understudy(recipe=SHORT, least_steps=0, epochs=2, batch_size=8)
    one, two = (
        toy.run(model, Splits.from_ids((images, given), forget=forget), method).model
        for given in (labels, wrong)
    )
    assert toy.difference(one, two) == 0


def test_the_model_is_lent_to_the_understudy_and_comes_back():
    model, parts = toy.trained(), toy.splits()
    still = Understudy(recipe=SHORT, least_steps=0, epochs=1, learning_rate=1e-30, batch_size=8)
    result = toy.run(model, parts, still).model
    assert toy.change(result, model) < 1e-20


def test_the_understudy_starts_from_start_and_leaves_it_alone():
    start, parts = toy.norm_model(seed=8), toy.splits()
    before, run = copy.deepcopy(start), Runtime(precision=torch.float64)
    still = Understudy(recipe=replace(SHORT, learning_rate=1e-30), least_steps=0, start=start)
    answers, factor = still._understudy(toy.trained(toy.norm_model), parts, run)
    assert factor == 1
    assert toy.difference(start, before) == 0
    assert torch.allclose(answers, run.predict(start, parts.forget), atol=1e-12)


def test_the_answers_are_those_of_one_that_never_saw_the_forget_images():
    """With a rate and epochs to spare the model answers as the understudy, not as it did."""
    model, parts = toy.trained(steps=60), toy.splits()
    method = Understudy(
        recipe=SHORT, least_steps=40, epochs=150, retain_share=1.0, learning_rate=1e-2, batch_size=8
    )
    run, lent = Runtime(precision=torch.float64), copy.deepcopy(model)
    run.generator.manual_seed(toy.SEED)
    wanted = method._understudy(lent, parts, run)[0].softmax(1)
    before, after = (
        run.predict(m, parts.forget).softmax(1)
        for m in (model, toy.run(model, parts, method).model)
    )
    assert toy.difference(lent, model) == 0
    assert (after - wanted).abs().mean() < 0.2 * (before - wanted).abs().mean()


@pytest.mark.parametrize("kind", ["some", "half", "class"])
def test_forgets_more_than_it_damages(kind):
    parts, model = toy.splits(kind), toy.trained(steps=60)
    method = Understudy(recipe=SHORT, least_steps=40, epochs=60, learning_rate=1e-2, batch_size=8)
    result = toy.run(model, parts, method).model
    worse = toy.loss(result, parts.forget) - toy.loss(model, parts.forget)
    damage = toy.loss(result, parts.retain) - toy.loss(model, parts.retain)
    assert worse > 3 * max(damage, 0.01)


def test_the_understudy_has_more_epochs_where_images_are_few():
    method = Understudy()
    assert method.recipe_for(4500) == method.recipe
    assert method.recipe_for(1077).epochs == 12
    assert method.recipe_for(1077) != Understudy(least_steps=0).recipe_for(1077) == method.recipe
    parts = toy.splits()
    short = Understudy(recipe=SHORT, least_steps=21, epochs=3, batch_size=8)
    history = toy.run(toy.trained(), parts, short).history
    assert len(history) == short.recipe_for(len(parts.retain)).epochs + 3 > 2 + 3


def test_the_model_is_taught_in_more_passes_where_images_are_few():
    method = Understudy()
    assert method.passes(500, 4500) == 4
    assert method.passes(20, 380) == 25
    assert Understudy(least_steps=0).passes(20, 380) == 4
    parts = toy.splits()
    few = Understudy(recipe=SHORT, least_steps=40, epochs=1, batch_size=8)
    passes = few.passes(len(parts.forget), len(parts.retain))
    history = toy.run(toy.trained(), parts, few).history
    assert len(history) == few.recipe_for(len(parts.retain)).epochs + passes > 40 / 8
    assert passes > 1


def test_refuses_bad_hyper_parameters_all_in_one_message():
    with pytest.raises(ValueError, match="a recipe without patience, epochs >= 1, 0 < retain_sh"):
        Understudy(recipe=Recipe(patience=2), epochs=0, retain_share=0.0)


@pytest.mark.parametrize("kind", ["some", "class"])
def test_calibrated_it_is_as_sure_of_unseen_images_as_the_original_is(kind):
    model, parts = toy.trained(steps=60), toy.splits(kind)
    method = Understudy(recipe=SHORT, least_steps=0, epochs=1, batch_size=8, calibrated=True)
    run, lent = Runtime(precision=torch.float64), copy.deepcopy(model)
    run.generator.manual_seed(toy.SEED)
    _, factor = method._understudy(lent, parts, run)
    stranger = fresh_copy(model, int(torch.randint(2**31, (), generator=toy_generator())))
    run.generator.manual_seed(toy.SEED)
    run.draw_seed()
    fit(stranger, parts.retain, SHORT, run)
    known = [n for n, y in enumerate(parts.unseen.labels) if y in parts.retain.labels]
    assert (len(known) < len(parts.unseen)) == (kind == "class")
    sure = [
        statistics.mean(a - b for a, b in (sorted(row, reverse=True)[:2] for row in rows))
        for rows in (run.predict(m, parts.unseen)[known].tolist() for m in (model, stranger))
    ]
    assert factor == pytest.approx(sure[0] / sure[1], rel=1e-5)
    assert toy.run(model, parts, method).history[-1]["factor"] == pytest.approx(factor)


def toy_generator():
    return torch.Generator().manual_seed(toy.SEED)


def test_it_takes_unseen_images_only_to_be_calibrated():
    assert Understudy().reads == {"forget", "retain"}
    assert Understudy(calibrated=True).reads == {"forget", "retain", "unseen"}


def test_it_is_trained_with_the_originals_shifts_and_flips_and_a_quarter_of_its_epochs():
    of_twelve = Understudy().as_trained(Recipe(epochs=12))
    assert of_twelve == Understudy()  # what its defaults were chosen for
    assert Understudy().as_trained(Recipe(epochs=9)) == Understudy()  # never fewer
    longer = Understudy().as_trained(Recipe(epochs=30, optimizer="sgd", learning_rate=0.3))
    assert longer == Understudy(recipe=replace(Understudy().recipe, epochs=8))
    moved = Understudy(epochs=7, least_steps=0).as_trained(Recipe(epochs=16, shift=2, flip=True))
    assert (moved.recipe.epochs, moved.recipe.shift, moved.recipe.flip) == (4, 2, True)
    assert (moved.epochs, moved.least_steps) == (7, 800)
