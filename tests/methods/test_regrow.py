import copy
import gc
import weakref

import pytest
import torch
import toy
from torch import nn

from lotus_unlearning import Regrow
from lotus_unlearning.models import build
from lotus_unlearning.runtime import (
    Runtime,
    deepest,
    fresh_copy,
    in_order,
    models,
    reset_layers,
)
from lotus_unlearning.splits import Split
from reference.regrow import regrow


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize(("share", "temperature"), [(0.4, 1.0), (1.0, 3.0)])
def test_equals_its_literal_twin(make, share, temperature):
    model, parts = make(), toy.splits()
    method = Regrow(share=share, epochs=5, temperature=temperature, batch_size=8, least_steps=0)
    result = toy.run(model, parts, method)
    g = torch.Generator().manual_seed(toy.SEED)
    seed = int(torch.randint(2**31, (), generator=g))
    batches = [b for _ in range(5) for b in toy.orders(g, len(parts.retain), 8)]
    assert len(batches) >= 20
    layers = {"BatchNorm": ["0", "1", "4"], "LayerNorm": ["1", "2", "4"]}
    named = layers["BatchNorm" if make is toy.conv_model else "LayerNorm"]
    deep = named[-1:] if share < 1 else named
    twin = regrow(
        copy.deepcopy(model),
        fresh_copy(model, seed),
        deep,
        toy.tensors(parts.retain)[0],
        batches,
        learning_rate=method.learning_rate,
        weight_decay=5e-4,
        temperature=temperature,
    )
    assert toy.difference(result.model, twin) < 1e-10
    assert toy.change(result.model, model) > 1e-3


def test_the_deeper_layers_begin_anew_and_the_others_where_they_were():
    model, parts = toy.trained(), toy.splits()
    still = Regrow(share=0.4, epochs=1, least_steps=0, learning_rate=1e-30, batch_size=8)
    result = toy.run(model, parts, still).model
    before, after = dict(model.named_parameters()), dict(result.named_parameters())
    kept = [name for name in before if torch.equal(before[name], after[name])]
    assert kept == ["0.weight", "1.weight", "1.bias"]


def test_forget_images_have_no_part_in_it():
    model, parts = toy.trained(), toy.splits()
    other = type(parts)(parts.forget.take(torch.arange(3)), parts.retain, parts.unseen)
    method = Regrow(epochs=2, least_steps=0, batch_size=8)
    one, two = (toy.run(model, p, method).model for p in (parts, other))
    assert toy.difference(one, two) == 0


def test_passes_go_on_where_images_are_few():
    assert Regrow(epochs=4, least_steps=280, batch_size=64).passes(4500) == 4
    assert Regrow(epochs=4, least_steps=280, batch_size=64).passes(1000) == 18
    parts = toy.splits()
    method = Regrow(epochs=1, least_steps=11, batch_size=8)
    history = toy.run(toy.trained(), parts, method).history
    assert len(history) == method.passes(len(parts.retain)) > 1


@pytest.mark.parametrize("kind", ["some", "half", "class"])
def test_forgets_what_it_relearns_the_rest_of(kind):
    parts, model = toy.splits(kind), toy.trained(steps=60)
    result = toy.run(
        model, parts, Regrow(epochs=60, least_steps=0, learning_rate=1e-2, batch_size=8)
    ).model
    worse = toy.loss(result, parts.forget) - toy.loss(model, parts.forget)
    damage = toy.loss(result, parts.retain) - toy.loss(model, parts.retain)
    assert worse > 3 * max(damage, 0.01)


@pytest.mark.parametrize("name", ["resnet-thin", "resnet10t", "resnet18", "vit-tiny"])
def test_layers_are_counted_in_the_order_images_pass_them(name):
    model = build(name, classes=3, channels=1, image_size=16)
    images = Split("retain", toy_images(), torch.arange(2))
    run = Runtime()
    layers = in_order(model, images, run)
    assert len(layers) == len(set(layers))
    owners = {n.rpartition(".")[0] for n, _ in model.named_parameters()}
    assert set(layers) == owners
    head = {"vit-tiny": "head"}.get(name, "fc")
    assert layers[-1] == head
    half = deepest(model, 0.5, images, run)
    assert layers[-len(half) :] == half
    assert deepest(model, 1e-9, images, run) == [head]
    if name == "resnet18":
        assert {layer.partition(".")[0] for layer in half} == {"layer3", "layer4", "fc"}


def test_reset_layers_takes_running_statistics_along():
    model = toy.trained()
    reset_layers(model, ["1"], seed=0)
    assert torch.equal(model[1].running_mean, torch.zeros(4).double())
    assert model[1].num_batches_tracked == 0


def test_the_network_that_layers_are_drawn_with_is_gone_before_training(monkeypatch):
    """At once, and not when Python next looks for cycles: it is as large as the model."""
    drawn, alive, batches_of_run, reset = [], [], Runtime.batches, models.reset_parameters

    def kept(model, seed):
        drawn.extend(weakref.ref(p) for p in model.parameters())
        return reset(model, seed)

    def watched(self, *arguments, **options):
        alive.append(sum(reference() is not None for reference in drawn))
        return batches_of_run(self, *arguments, **options)

    monkeypatch.setattr(models, "reset_parameters", kept)
    monkeypatch.setattr(Runtime, "batches", watched)
    gc.disable()
    try:
        result = toy.run(toy.trained(), toy.splits(), Regrow(epochs=2, least_steps=0))
    finally:
        gc.enable()
    assert len(drawn) == len(list(result.model.parameters()))
    assert alive == [0, 0]


def toy_images():
    from lotus_unlearning import ImageTensors

    return ImageTensors(torch.rand(2, 1, 16, 16), torch.tensor([0, 1]))


def test_refuses_bad_hyper_parameters_all_in_one_message():
    with pytest.raises(ValueError, match="0 <= share <= 1, epochs >= 1, learning_rate > 0"):
        Regrow(share=-0.1, epochs=0, learning_rate=0.0)


class _Attends(nn.Module):
    """Parameters of its own, and a layer that is used without being called."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1, 16, 8))
        self.embed = nn.Linear(16, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def init_weights(self):
        nn.init.normal_(self.place)

    def forward(self, x):
        x = self.embed(x.flatten(1, 2)) + self.place
        return self.head(self.attention(x, x, x)[0].mean(1))


def test_layers_that_are_never_called_are_reset_with_those_around_them():
    model, images = _Attends(), Split("retain", toy_images(), torch.arange(2))
    layers = in_order(model, images, Runtime())
    assert layers == ["", "embed", "attention", "attention.out_proj", "head"]
    before = copy.deepcopy(model.state_dict())
    reset_layers(model, layers, seed=3)
    after = model.state_dict()
    weights = [name for name in before if not name.endswith("bias")]
    assert not any(torch.equal(before[name], after[name]) for name in weights)
    assert deepest(model, 0, images, Runtime()) == []


def test_without_a_reset_it_is_distillation_from_where_the_original_is():
    model, parts = toy.trained(), toy.splits()
    still = Regrow(share=0.0, epochs=1, least_steps=0, learning_rate=1e-30, batch_size=8)
    result = toy.run(model, parts, still).model
    named = dict(result.named_parameters())
    assert all(torch.equal(p, named[name]) for name, p in model.named_parameters())
