import copy
import gc
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from toy_b import (
    MODELS,
    SEED,
    batch_norm_model,
    batches,
    class_splits,
    data,
    distance,
    layer_norm_model,
    loss,
    pixels,
    random_splits,
    right,
    trained,
    unlearned,
)

from lotus_unlearning.images import StreamedImages
from lotus_unlearning.methods import unsir as module
from lotus_unlearning.methods.finetune import Finetune
from lotus_unlearning.methods.unsir import UNSIR, ByClass, ByInstance
from lotus_unlearning.splits import Splits
from reference.unsir import unsir_by_class, unsir_by_instance

SMALL = ByClass(
    noise_images=6,
    noise_steps=12,
    copies=5,
    images_per_class=15,
    impair_learning_rate=5e-3,
    repair_learning_rate=2e-3,
    batch_size=6,
)

TABLES = {"momentum": 0.9, "noise_steps": 1, "clamp": (0.0, 1.0), "repair_images_per_class": 4}


def two_classes():
    """Forget classes 1 and 3."""
    images, labels = data(80)
    forget = torch.isin(labels, torch.tensor([1, 3]))
    return Splits.from_ids((images, labels), forget)


def retained(splits, count, g):
    """The retain images that are used: the first so many of each class in random order."""
    order = torch.randperm(len(splits.retain), generator=g)
    labels, chosen = splits.retain.labels, []
    for c in labels.unique():
        chosen += [i for i in order.tolist() if labels[i] == c][:count]
    return pixels(splits.retain)[chosen], labels[chosen]


def class_twin(model, splits, settings):
    g = torch.Generator().manual_seed(SEED)
    images, labels = retained(splits, settings.images_per_class, g)
    shape = settings.noise_images, *images.shape[1:]
    starts = {
        int(c): torch.empty(shape).normal_(generator=g).double()
        for c in splits.forget.labels.unique()
    }
    noisy = len(images) + settings.copies * settings.noise_images * len(starts)
    impair = batches(g, noisy, settings.batch_size)
    repair = batches(g, len(images), settings.batch_size)
    unsir_by_class(
        model,
        starts,
        images,
        labels,
        impair,
        repair,
        copies=settings.copies,
        rates=(settings.impair_learning_rate, settings.repair_learning_rate),
        steps=settings.noise_steps,
        rate=settings.noise_learning_rate,
        penalty=settings.penalty,
    )
    return len(impair) + len(repair)


def instance_twin(model, splits, settings):
    g = torch.Generator().manual_seed(SEED)
    forget, retain = pixels(splits.forget), pixels(splits.retain)
    count, size, epochs = min(len(forget), len(retain)), settings.batch_size, []
    some = settings.repair_images_per_class
    repaired = retained(splits, some, g) if some else None
    for _ in range(settings.epochs):
        f = torch.randperm(len(forget), generator=g)[:count].split(size)
        r = torch.randperm(len(retain), generator=g)[:count].split(size)
        pairs = []
        for a, b in zip(f, r, strict=True):
            noise = torch.empty(len(a), *forget.shape[1:]).normal_(generator=g).double()
            pairs.append((forget[a], retain[b], splits.retain.labels[b], noise))
        epochs.append((pairs, batches(g, len(repaired[0]), size) if some else []))
    low, high = settings.clamp or (forget.min(), forget.max())
    unsir_by_instance(
        model,
        epochs,
        low=low,
        high=high,
        noise_steps=settings.noise_steps,
        noise_rate=settings.noise_learning_rate,
        rate=settings.learning_rate,
        momentum=settings.momentum,
        repaired=repaired,
    )
    return sum(len(pairs) + len(repair) for pairs, repair in epochs)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("splits", [class_splits(size=80), two_classes()], ids=["one class", "two"])
def test_the_class_version_equals_the_literal_twin(make, splits):
    model = trained(make)
    ours = unlearned(model, splits, UNSIR(by_class=SMALL)).model
    assert class_twin(model, splits, SMALL) >= 20
    assert distance(ours, model) < 1e-10


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(
    "splits", [random_splits(size=80), random_splits(0.7, size=80)], ids=["25%", "70%"]
)
@pytest.mark.parametrize("options", [{}, TABLES], ids=["authors", "LoTUS tables"])
def test_the_instance_version_equals_the_literal_twin(make, splits, options):
    model = trained(make)
    settings = ByInstance(epochs=5, learning_rate=1e-2, batch_size=6, **options)
    ours = unlearned(model, splits, UNSIR(by_instance=settings)).model
    assert instance_twin(model, splits, settings) >= 20
    assert distance(ours, model) < 1e-10


def test_the_noise_is_clamped_to_the_range_of_forget_images():
    model, splits = trained(), random_splits()
    settings = ByInstance(noise_learning_rate=5.0, learning_rate=1e-2, batch_size=6)
    ours = unlearned(model, splits, UNSIR(by_instance=settings)).model
    instance_twin(model, splits, settings)
    assert distance(ours, model) < 1e-10


def test_auto_takes_the_version_that_fits_and_the_history_says_which():
    model = trained()
    for splits, mode in ((class_splits(), "class"), (random_splits(), "instance")):
        auto, named = UNSIR(by_class=SMALL), UNSIR(mode=mode, by_class=SMALL)
        results = [unlearned(model, splits, m) for m in (auto, named)]
        assert distance(*(result.model for result in results)) == 0
        assert [row["by_class"] for row in results[0].history] == [float(mode == "class")] * 2
    instance = unlearned(model, class_splits(), UNSIR(mode="instance")).model
    assert distance(instance, unlearned(model, class_splits(), auto).model) > 0


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("without", [{"noise_steps": 0}, {"copies": 0}])
def test_the_class_version_without_noise_is_fine_tuning(make, without):
    model, splits = trained(make), class_splits()
    settings = ByClass(**without, noise_images=2, images_per_class=40, batch_size=16)
    result = unlearned(model, splits, UNSIR(by_class=settings))
    g = torch.Generator().manual_seed(SEED)
    images, labels = retained(splits, 40, g)
    student = copy.deepcopy(model).train()
    for rate in (0.02, 0.01):
        optimizer = torch.optim.Adam(student.parameters(), lr=rate, fused=True)
        for b in batches(g, len(images), 16):
            optimizer.zero_grad()
            F.cross_entropy(student(images[b]), labels[b]).backward()
            optimizer.step()
    assert distance(result.model, student) < 1e-10
    assert not any("noise_loss" in row for row in result.history)


@pytest.mark.parametrize("make", MODELS)
def test_the_instance_version_without_noise_steps_is_fine_tuning(make):
    model, splits = trained(make), random_splits(0.7)
    settings = {"epochs": 3, "learning_rate": 1e-2, "batch_size": 10}
    method = UNSIR(by_instance=ByInstance(**settings, momentum=0.9, noise_steps=0))
    result = unlearned(model, splits, method)
    assert len(splits.forget) > len(splits.retain)  # all of retain, then
    assert distance(result.model, unlearned(model, splits, Finetune(**settings)).model) == 0
    assert not any("noise_loss" in row for row in result.history)


def test_the_instance_version_without_noise_steps_sees_as_many_images_as_there_are_to_forget():
    model, splits = trained(batch_norm_model), random_splits(0.25)
    method = UNSIR(by_instance=ByInstance(epochs=1, noise_steps=0, batch_size=16))
    result = unlearned(model, splits, method).model
    g = torch.Generator().manual_seed(SEED)
    student, images = copy.deepcopy(model).train(), pixels(splits.retain)
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-3, fused=True)
    for b in torch.randperm(len(images), generator=g)[: len(splits.forget)].split(16):
        optimizer.zero_grad()
        F.cross_entropy(student(images[b]), splits.retain.labels[b]).backward()
        optimizer.step()
    assert distance(result, student) < 1e-10


def test_the_instance_version_without_noise_steps_does_not_look_at_forget_images():
    splits = random_splits()
    source = splits.forget.source
    images = source.images.clone()
    ids = splits.forget.ids
    images[ids] = images[ids].flip(0)  # same range, other images
    changed = Splits.from_ids((images, source.labels), ids)
    model, method = trained(), UNSIR(by_instance=ByInstance(noise_steps=0))
    results = [unlearned(model, s, method).model for s in (splits, changed)]
    assert distance(*results) == 0
    method = UNSIR(by_instance=ByInstance(noise_steps=1))
    results = [unlearned(model, s, method).model for s in (splits, changed)]
    assert distance(*results) > 0


def test_an_epoch_of_the_instance_version_reads_each_split_once(monkeypatch):
    loaders, splits = [], random_splits()

    def counting(*arguments, **settings):
        loaders.append(settings["num_workers"])
        return DataLoader(*arguments, **settings)

    monkeypatch.setattr("lotus_unlearning.images.sources.DataLoader", counting)
    source = splits.forget.source
    stream = StreamedImages(TensorDataset(source.images, source.labels), source.labels)
    streamed = Splits(*(replace(part, source=stream) for part in (splits.forget, splits.retain)))
    method, model = UNSIR(by_instance=ByInstance(epochs=3, batch_size=8)), trained()
    assert len(splits.forget) == 80  # 10 batches
    made = unlearned(model, streamed, method).model
    assert len(loaders) == 2 + 2 * 3  # the look before the run, the range; then forget and retain
    assert distance(made, unlearned(model, splits, method).model) == 0


def test_learned_noise_raises_the_loss_that_is_logged():
    model, splits = trained(), class_splits()
    few, many = (
        unlearned(model, splits, UNSIR(by_class=ByClass(noise_images=8, noise_steps=n)))
        for n in (1, 40)
    )
    assert many.history[0]["noise_loss"] < few.history[0]["noise_loss"]


def test_learning_noise_leaves_the_model_as_it_is():
    model, splits = trained(batch_norm_model), class_splits()
    settings = ByClass(noise_images=4, copies=0, images_per_class=1, batch_size=3)
    moved = unlearned(model, splits, UNSIR(by_class=settings)).model
    assert int(moved[1].num_batches_tracked) == int(model[1].num_batches_tracked) + 2
    assert all(p.requires_grad for p in moved.parameters())


def test_forgets_a_class_and_keeps_the_others():
    model, splits = trained(), class_splits()
    settings = ByClass(noise_images=16, copies=4, batch_size=32)
    result = unlearned(model, splits, UNSIR(by_class=settings)).model
    rise = loss(result, splits.forget) - loss(model, splits.forget)
    damage = loss(result, splits.retain) - loss(model, splits.retain)
    assert rise > 0.3
    assert rise > 3 * damage
    assert right(result, splits.forget) < 0.7
    assert right(result, splits.retain) > 0.9


@pytest.mark.parametrize("make", [batch_norm_model, layer_norm_model])
def test_half_of_the_images_can_be_forgotten(make):
    model, splits = trained(make), random_splits(0.5)
    method = UNSIR(by_instance=ByInstance(learning_rate=1e-2, batch_size=8))
    result = unlearned(model, splits, method)
    assert distance(result.model, model) > 0
    assert right(result.model, splits.retain) > 0.9
    assert all(row["noise_loss"] < 0 for row in result.history)


def test_the_class_version_refuses_classes_that_are_retained():
    with pytest.raises(ValueError, match="no retain images of the forgotten classes, got 240"):
        unlearned(trained(), random_splits(), UNSIR(mode="class"))


@pytest.mark.parametrize("missing", [1, 3])
def test_the_class_version_names_classes_that_nothing_repairs(missing):
    """A warning, for the model may never have learned to use that output."""
    splits = class_splits()
    others = [c for c in range(4) if c != missing]
    less = Splits(splits.forget, splits.retain.of_labels(others))
    with pytest.warns(UserWarning, match=rf"images of 1 of the model's 4 classes \({missing}\)"):
        unlearned(trained(), less, UNSIR(by_class=SMALL))


def held():
    """How many tensors hold images of noise or of a batch: 16 of them, which nothing else has."""
    gc.collect()
    tensors = (o for o in gc.get_objects() if issubclass(type(o), torch.Tensor))
    return sum(tuple(tensor.shape) == (16, 1, 6, 6) for tensor in tensors)


@pytest.mark.parametrize(
    ("splits", "repairs"), [(class_splits(), 1), (random_splits(), 2)], ids=["class", "instance"]
)
def test_the_noise_is_gone_when_the_repair_begins(splits, repairs, monkeypatch):
    found, left, learned, fine_tune = [], [], module.learned, module.fine_tune

    def learning(*arguments):
        noise = learned(*arguments)
        found.append(held())
        return noise

    def repairing(*arguments):
        left.append(held())
        fine_tune(*arguments)

    monkeypatch.setattr(module, "learned", learning)
    monkeypatch.setattr(module, "fine_tune", repairing)
    method = UNSIR(
        by_class=ByClass(noise_images=16, noise_steps=2, copies=2, batch_size=48),
        by_instance=ByInstance(epochs=2, batch_size=16, repair_images_per_class=2),
    )
    assert len(splits.forget) == 80  # in pairs of batches of 16
    before = held()
    unlearned(trained(), splits, method, batch_size=48)
    assert all(count > before for count in found)
    assert left == [before] * repairs


def test_the_class_version_looks_at_the_labels_of_forget_images_alone():
    splits = class_splits()
    source, ids = splits.forget.source, splits.forget.ids
    images = source.images.clone()
    images[ids] = images[ids].flip(0) + 1
    changed = Splits.from_ids((images, source.labels), ids)
    model, method = trained(), UNSIR(by_class=SMALL)
    results = [unlearned(model, s, method).model for s in (splits, changed)]
    assert distance(*results) == 0
    assert distance(results[0], unlearned(model, two_classes(), method).model) > 0


def test_bad_settings_are_refused_in_one_message():
    with pytest.raises(ValueError, match=r"mode 'auto', 'class' or 'instance'; got 'x'"):
        UNSIR(mode="x")
    with pytest.raises(ValueError, match=r"batch_size >= 1, noise_steps.* >= 0, learning rates"):
        ByClass(batch_size=0, copies=-1, impair_learning_rate=0)
    with pytest.raises(ValueError, match=r"epochs >= 1, learning_rate > 0, .*noise_steps >= 0"):
        ByInstance(epochs=0, learning_rate=0, noise_steps=-1)
    with pytest.raises(ValueError, match=r"momentum in .*, clamp from low to high.*_class >= 0"):
        ByInstance(momentum=1, clamp=(1, 0), repair_images_per_class=-1)
