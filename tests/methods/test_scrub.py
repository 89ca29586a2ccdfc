import copy

import pytest
import torch
from toy_b import (
    MODELS,
    SEED,
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

from lotus_unlearning.methods.scrub import SCRUB
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Splits
from reference.scrub import scrub


def optimizer_of(method, model):
    if method.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), weight_decay=method.weight_decay)
    return torch.optim.SGD(
        model.parameters(), momentum=method.momentum, weight_decay=method.weight_decay
    )


def twin(model, splits, method, **options):
    """The models after each epoch, and how many steps were taken; edits ``model``."""
    g = torch.Generator().manual_seed(SEED)
    epochs, rates = [], []
    for e in range(1, method.epochs + 1):
        forget = []
        if e <= method.max_steps:
            forget = batches(g, len(splits.forget), method.forget_batch_size)
        epochs.append((forget, batches(g, len(splits.retain), method.retain_batch_size)))
        rates.append(method.learning_rate * 0.1 ** sum(e > d for d in method.decay_epochs))
    checkpoints = scrub(
        model,
        pixels(splits.forget),
        pixels(splits.retain),
        splits.retain.labels,
        epochs,
        temperature=method.temperature,
        alpha=method.alpha,
        gamma=method.gamma,
        optimizer=optimizer_of(method, model),
        rates=rates,
        **options,
    )
    return checkpoints, sum(len(f) + len(r) for f, r in epochs)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(
    "method",
    [
        SCRUB(
            epochs=4, max_steps=2, decay_epochs=(1, 3), forget_batch_size=9, retain_batch_size=13
        ),
        SCRUB(
            epochs=4,
            max_steps=3,
            optimizer="sgd",
            learning_rate=1e-2,
            weight_decay=5e-4,
            temperature=4,
            alpha=0.1,
            gamma=0.99,
            forget_batch_size=9,
            retain_batch_size=13,
        ),
    ],
    ids=["adam", "sgd"],
)
def test_equals_the_literal_twin(make, method):
    model, splits = trained(make), random_splits(size=80)
    ours = unlearned(model, splits, method).model
    checkpoints, steps = twin(model, splits, method)
    assert steps >= 20
    assert distance(ours, checkpoints[-1]) < 1e-10


def test_without_max_steps_it_is_distilled_fine_tuning_on_retain():
    model, splits = trained(), random_splits()
    method = SCRUB(epochs=5, max_steps=0, alpha=0.7, gamma=0.4, learning_rate=1e-3)
    ours = unlearned(model, splits, method).model
    teacher, student = copy.deepcopy(model), copy.deepcopy(model).train()
    optimizer = optimizer_of(method, student)
    optimizer.param_groups[0]["lr"] = 1e-3
    images, labels = pixels(splits.retain), splits.retain.labels
    g = torch.Generator().manual_seed(SEED)
    for _ in range(5):
        for b in batches(g, len(images), 32):
            z, target = student(images[b]), teacher(images[b]).detach()
            p, q = (target / 2).softmax(dim=1), (z / 2).log_softmax(dim=1)
            kd = 4 * torch.nn.functional.kl_div(q, p, reduction="batchmean")
            optimizer.zero_grad()
            (0.4 * torch.nn.functional.cross_entropy(z, labels[b]) + 0.7 * kd).backward()
            optimizer.step()
    assert distance(ours, student) < 1e-10


def test_without_max_steps_it_does_not_train_on_forget_images():
    splits = random_splits()
    source = splits.forget.source
    images = source.images.clone()
    images[splits.forget.ids] += 1
    changed = Splits.from_ids((images, source.labels), splits.forget.ids)
    model, method = trained(), SCRUB(epochs=2, max_steps=0)
    results = [unlearned(model, s, method).model for s in (splits, changed)]
    assert distance(*results) == 0


def test_without_max_steps_forget_images_are_not_even_asked_about(monkeypatch):
    asked, teacher = [], Runtime.teacher

    def watched(self, model, split):
        asked.append(split.name)
        return teacher(self, model, split)

    monkeypatch.setattr(Runtime, "teacher", watched)
    unlearned(trained(), random_splits(), SCRUB(epochs=1, max_steps=0))
    unlearned(trained(), random_splits(), SCRUB(epochs=1, max_steps=1))
    assert asked == ["retain", "forget", "retain"]
    assert SCRUB(max_steps=0).reads == {"retain"}
    assert SCRUB(max_steps=0, rewind=True).reads == {"forget", "retain", "unseen"}


def test_each_epoch_ends_with_a_pass_over_retain(monkeypatch):
    passes, original = [], Runtime.batches

    def recorded(self, split, *args, **options):
        passes.append(split.name)
        return original(self, split, *args, **options)

    monkeypatch.setattr(Runtime, "batches", recorded)
    unlearned(trained(), random_splits(), SCRUB(epochs=3, max_steps=2))
    assert passes == ["forget", "retain", "forget", "retain", "retain"]


@pytest.mark.parametrize("splits", [class_splits(), random_splits()], ids=["class", "random"])
def test_the_order_matters(splits):
    model = trained()
    method = SCRUB(
        epochs=3, learning_rate=1e-2, weight_decay=0, forget_batch_size=5, retain_batch_size=10
    )
    ours = unlearned(model, splits, method).model
    wrong = twin(copy.deepcopy(model), splits, method, retain_first=True)[0][-1]
    assert loss(ours, splits.retain) < 0.5 * loss(wrong, splits.retain)


@pytest.mark.parametrize("splits", [class_splits(), random_splits(), random_splits(0.5)])
def test_forgets_more_than_it_damages(splits):
    model = trained(layer_norm_model)
    method = SCRUB(
        epochs=4,
        alpha=0.1,
        learning_rate=2e-2,
        weight_decay=0,
        forget_batch_size=20,
        retain_batch_size=10,
    )
    result = unlearned(model, splits, method).model
    rise = loss(result, splits.forget) - loss(model, splits.forget)
    damage = loss(result, splits.retain) - loss(model, splits.retain)
    assert rise > 0.1
    assert rise > 5 * damage
    assert right(result, splits.retain) > 0.95


def test_the_learning_rate_falls_after_epochs_5_8_and_9():
    result = unlearned(trained(), random_splits(), SCRUB(retain_batch_size=64))
    rates = [row["learning_rate"] for row in result.history]
    assert rates == pytest.approx([5e-4] * 5 + [5e-5] * 3 + [5e-6] + [5e-7])


def test_rewinding_goes_back_to_the_epoch_whose_forget_error_is_nearest():
    model, splits = trained(), random_splits()
    method = SCRUB(
        epochs=4,
        alpha=0.1,
        learning_rate=1e-2,
        weight_decay=0,
        forget_batch_size=10,
        retain_batch_size=20,
        rewind=True,
    )
    result = unlearned(model, splits, method)
    checkpoints, _ = twin(model, splits, method)
    reference = 1 - right(checkpoints[-1], splits.unseen)
    errors = [1 - right(checkpoint, splits.forget) for checkpoint in checkpoints]
    gaps = [abs(error - reference) for error in errors]
    best = gaps.index(min(gaps))
    assert best < len(gaps) - 1
    assert gaps[best] < gaps[-1]
    assert distance(result.model, checkpoints[best]) < 1e-10
    assert [row["forget_error"] for row in result.history] == pytest.approx(errors)
    assert result.history[-1]["unseen_error"] == pytest.approx(reference)


def test_rewinding_compares_with_unseen_images_of_the_forgotten_classes_alone():
    splits = class_splits()
    result = unlearned(trained(), splits, SCRUB(epochs=2, learning_rate=1e-2, rewind=True))
    alone = Splits(splits.forget, splits.retain, splits.unseen.of_labels([2]))
    again = unlearned(trained(), alone, SCRUB(epochs=2, learning_rate=1e-2, rewind=True))
    assert result.history == again.history
    assert distance(result.model, again.model) == 0


def test_only_rewinding_reads_unseen_images():
    assert SCRUB().reads == {"forget", "retain"}
    assert SCRUB(rewind=True).reads == {"forget", "retain", "unseen"}
    splits = random_splits()
    without = Splits(splits.forget, splits.retain)
    with pytest.raises(ValueError, match="have no unseen"):
        unlearned(trained(), without, SCRUB(rewind=True))
    unlearned(trained(), without, SCRUB(epochs=1))


def test_rewinding_without_unseen_images_of_the_class_is_refused():
    splits = class_splits()
    others = Splits(splits.forget, splits.retain, splits.unseen.of_labels([0, 1]))
    with pytest.raises(ValueError, match=r"unseen images of the forgotten classes \[2\]"):
        unlearned(trained(), others, SCRUB(rewind=True))


def test_bad_settings_are_refused_in_one_message():
    with pytest.raises(ValueError, match=r"epochs >= 1, max_steps >= 0, optimizer 'adam' or"):
        SCRUB(epochs=0, max_steps=-1, optimizer="lion")
    for name in ("temperature", "learning_rate", "forget_batch_size", "retain_batch_size"):
        with pytest.raises(ValueError, match=r"temperature|learning_rate|batch sizes"):
            SCRUB(**{name: 0})
    with pytest.raises(ValueError, match="alpha, gamma and weight_decay >= 0"):
        SCRUB(gamma=-1)
