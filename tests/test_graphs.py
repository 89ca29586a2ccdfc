"""When a training pass is captured as a CUDA graph, with a function of the CPU in its place.

That replays compute the same on a GPU is in test_on_gpu.py.
"""

import copy
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import toy
from contract import ROWS, splits
from torch import nn

from lotus_unlearning.methods import METHODS
from lotus_unlearning.runtime import Runtime, graphs


@pytest.fixture
def replays(monkeypatch):
    """Sizes of the batches that were answered by what was captured."""
    sizes = []

    def as_function(of, model, x):
        def replay(x, *parameters):
            sizes.append(len(x))
            return of(x, *parameters)

        return replay

    monkeypatch.setattr(graphs, "captured", as_function)
    monkeypatch.setattr(graphs, "WORTH_IT", 1)
    monkeypatch.setattr(graphs, "_has_memory", lambda device: True)
    monkeypatch.setattr(Runtime, "may_capture", True)
    return sizes


def steps(model, count=4, batch=8, watch=None):
    """Parameters after some steps; ``watch`` is called before each."""
    model = copy.deepcopy(model).double().train()
    run, (x, y) = Runtime(precision=torch.float64), toy.data()
    with run.prepared(model):
        optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9)
        for number in range(count):
            if watch is not None:
                watch(model, number)
            run.step(optimizer, F.cross_entropy(model(x[:batch].double()), y[:batch]))
    return model


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
def test_every_method_computes_the_same(name, make, replays, monkeypatch):
    model, parts = toy.trained(make), splits()
    found = toy.run(model, parts, ROWS[name])
    monkeypatch.setattr(Runtime, "may_capture", False)
    expected = toy.run(model, parts, ROWS[name])
    assert replays
    assert toy.difference(found.model, expected.model) == 0
    assert found.history == expected.history


def test_from_the_second_pass_of_a_kind_on(replays):
    steps(toy.conv_model())
    assert replays == [8, 8, 8]


def test_a_pass_that_is_seen_more_often_than_is_worth_it(replays, monkeypatch):
    monkeypatch.setattr(graphs, "WORTH_IT", 3)
    steps(toy.conv_model(), 5)
    assert replays == [8, 8]


@pytest.mark.parametrize(
    "change",
    [
        lambda model, number: model[1].train(number < 2),
        lambda model, number: model[0].weight.requires_grad_(number < 2),
    ],
    ids=["mode", "trainable"],
)
def test_another_mode_or_other_parameters_are_another_kind(change, replays):
    steps(toy.conv_model(), 6, watch=change)
    assert replays == [8, 8, 8, 8][: len(replays)]
    assert len(replays) == 1 + 3


def test_no_more_kinds_than_there_is_memory_for(replays):
    model, run, (x, y) = toy.conv_model().train(), Runtime(precision=torch.float64), toy.data()
    with run.prepared(model):
        for size in (4, 5, 6, 7, 8):
            for _ in range(2):
                run.backward(
                    model.parameters(), F.cross_entropy(model(x[:size].double()), y[:size])
                )
    assert replays == [4, 5, 6]


class Moves(nn.Linear):
    """Draws or counts outside of torch's layers."""

    def __init__(self, how):
        super().__init__(36, toy.CLASSES)
        self.how, self.calls = how, 0
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        return super().forward(x.flatten(1)) * self.how(self)


def count(layer):
    layer.calls += 1
    return layer.calls


def own_statistics(layer):
    """A running mean as a new tensor at every pass, not in the place of the last one."""
    layer.mean = 0.9 * layer.mean + 0.1
    return layer.mean


@pytest.mark.parametrize(
    "how",
    [
        own_statistics,
        lambda layer: random.random(),
        lambda layer: np.random.rand(),
        lambda layer: torch.rand(1).item(),
        count,
    ],
    ids=["buffer", "random", "numpy", "torch", "attribute"],
)
def test_what_may_do_something_else_the_next_time_is_left_as_it_is(how, replays):
    steps(Moves(how))
    assert replays == []


def test_what_is_made_at_the_first_pass_and_kept_is_captured(replays, monkeypatch):
    def first_time(layer):
        layer.made = getattr(layer, "made", torch.ones(()))
        return layer.made

    monkeypatch.setattr(graphs, "WORTH_IT", 2)
    steps(Moves(first_time))
    assert replays == [8, 8]


def test_dropout_and_hooks_too(replays):
    steps(nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, toy.CLASSES)))
    hooked = toy.conv_model()
    hooked[0].register_forward_hook(lambda module, inputs, output: None)
    steps(hooked)
    assert replays == []


def test_a_second_pass_before_the_gradients_of_the_first_were_taken(replays):
    model, run, (x, y) = toy.conv_model().train(), Runtime(precision=torch.float64), toy.data()
    x = x.double()
    with run.prepared(model):
        for _ in range(3):
            loss = F.cross_entropy(model(x[:8]), y[:8]) - F.cross_entropy(model(x[8:20]), y[8:20])
            run.backward(model.parameters(), loss)
    assert replays == [8, 8]


def test_images_that_need_gradients_and_copies_of_the_model(replays):
    model, run, (x, y) = toy.conv_model().train(), Runtime(precision=torch.float64), toy.data()
    noise = x[:8].double().requires_grad_(True)
    with run.prepared(model):
        for _ in range(3):
            run.backward([noise], F.cross_entropy(model(noise), y[:8]))
        other = copy.deepcopy(model)
        for _ in range(3):
            run.backward(other.parameters(), F.cross_entropy(other(x[:8].double()), y[:8]))
    assert replays == []
    assert noise.grad.abs().max() > 0


def test_only_where_there_is_a_gpu_and_one_process():
    assert not Runtime().may_capture
    assert not Runtime(micro_batch=4).may_capture
