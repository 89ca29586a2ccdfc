from dataclasses import replace

import numpy as np
import pytest
import torch
from few_networks import network

from lotus_unlearning import Recipe, train
from lotus_unlearning.audit.fill import Where, _at_once
from lotus_unlearning.audit.material import of_model
from lotus_unlearning.audit.together import SIZE, fastest, fit_together, obstacles
from lotus_unlearning.metrics import margin
from lotus_unlearning.models import build
from lotus_unlearning.runtime import Runtime, fresh_copy
from lotus_unlearning.splits import Split

CPU = torch.device("cpu")
RECIPES = {
    "sgd": Recipe(epochs=4, batch_size=16, learning_rate=0.05),
    "adamw": Recipe(epochs=4, batch_size=16, optimizer="adamw", learning_rate=1e-3),
    "augmented": Recipe(epochs=4, batch_size=16, learning_rate=0.05, shift=1, flip=True),
}


def parts_of(digits, sizes):
    source, start = digits.retain.source, 0
    for size in sizes:
        yield Split("train", source, torch.arange(start, start + size))
        start += size // 2


def thin(seed):
    return build("resnet-thin", classes=10, channels=1, image_size=8, seed=seed)


def small(seed):
    return fresh_copy(network(), seed)


@pytest.mark.parametrize(
    ("recipe", "images", "fresh"),
    [("sgd", 97, thin), ("sgd", 96, small), ("adamw", 97, small), ("augmented", 96, small)],
)
def test_networks_trained_at_once_equal_those_trained_alone(digits, recipe, images, fresh):
    parts, seeds = list(parts_of(digits, [images] * 3)), [3, 4, 5]
    starts = [fresh(seed) for seed in seeds]
    run = Runtime(CPU, torch.float64, 16)
    found = fit_together(starts, parts, RECIPES[recipe], run, seeds)
    for start, part, seed, model in zip(starts, parts, seeds, found, strict=True):
        alone = train(
            start.double(), part, RECIPES[recipe], seed=seed, device="cpu",
            precision="float64", progress=False,
        )  # fmt: skip
        expected = alone.model.state_dict()
        assert len(alone.history) * 6 >= 24  # steps
        assert not model.training
        for name, value in model.state_dict().items():
            assert torch.allclose(value, expected[name], rtol=1e-9, atol=1e-9), name


def test_running_statistics_are_those_of_the_networks_own_batches(digits):
    parts = list(parts_of(digits, [64, 64]))
    starts = [network(), network()]
    run = Runtime(CPU, torch.float64, 64)
    recipe = Recipe(epochs=2, batch_size=64)
    one, other = fit_together(starts, parts, recipe, run, [0, 1])
    assert one.get_submodule("1").num_batches_tracked == 2
    assert not torch.allclose(
        one.get_submodule("1").running_mean, other.get_submodule("1").running_mean
    )
    assert starts[0].get_submodule("1").num_batches_tracked == 0, "the given models stay"


def test_predictions_are_as_those_of_ordinary_training_over_seeds(digits):
    recipe = Recipe(epochs=8, batch_size=64, learning_rate=0.1)
    material = of_model(network(), digits, recipe)
    run, part = Runtime(CPU, torch.float32, 64), digits.retain
    labels = digits.test.labels.numpy()

    def means(models):
        logits = [run.predict(model, digits.test).double().numpy() for model in models]
        return [(margin(z, labels).mean(), (z.argmax(1) == labels).mean()) for z in logits]

    seeds, others = range(8), range(100, 108)
    alone = [
        train(material.fresh(s), part, recipe, seed=s, device="cpu", progress=False).model
        for s in seeds
    ]
    starts = [material.fresh(s) for s in others]
    together = fit_together(starts, [part] * 8, recipe, run, list(others))
    one, other = np.array(means(alone)), np.array(means(together))
    error = np.sqrt(one.var(axis=0, ddof=1) / 8 + other.var(axis=0, ddof=1) / 8)
    assert (np.abs(one.mean(axis=0) - other.mean(axis=0)) < 3 * error).all()
    assert one.mean(axis=0)[1] > 0.7, "they learned something"


def test_dropout_differs_from_network_to_network(digits):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 10))
    parts = [digits.retain.take(torch.arange(32))] * 2
    run = Runtime(CPU, torch.float32, 32)
    one, other = fit_together([model, model], parts, Recipe(epochs=2, batch_size=32), run, [0, 0])
    assert not torch.equal(one.get_parameter("2.weight"), other.get_parameter("2.weight"))


def test_networks_on_different_numbers_of_images_are_refused(digits):
    parts = list(parts_of(digits, [32, 48]))
    run = Runtime(CPU, torch.float32, 16)
    with pytest.raises(ValueError, match=r"equally many images in each, got \[32, 48\]"):
        fit_together([network(), network()], parts, Recipe(epochs=2), run, [0, 1])


def test_what_cannot_be_trained_at_once_is_named(digits):
    patient = of_model(network(), digits, Recipe(epochs=4, patience=2))
    found = obstacles(patient, Runtime(CPU, torch.bfloat16))
    assert len(found) == 2
    assert "patience" in found[0]
    assert "bfloat16" in found[1]
    assert obstacles(patient, None) == found[:1], "a GPU elsewhere computes in bfloat16"


def test_a_cluster_does_not_train_at_once_what_stops_at_its_own_epoch(digits):
    far = Where(ray="auto", gpus=1)
    assert _at_once(of_model(network(), digits, Recipe(epochs=4)), far) == SIZE
    patient = of_model(network(), digits, Recipe(epochs=4, patience=2))
    assert _at_once(patient, far) == 1
    with pytest.raises(ValueError, match=r"at_once: expected 1 or more, .* patience"):
        _at_once(patient, replace(far, at_once=8))


def test_on_a_cpu_one_after_another_is_chosen(material):
    assert fastest(material, Runtime(CPU)) == 1
