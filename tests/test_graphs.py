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

from lotus_unlearning.methods import METHODS, SalUn
from lotus_unlearning.runtime import Processes, Runtime, graphs


def static(of, model, x, sizes):
    """In place of a CUDA graph: each pass writes to the memory of the last one."""
    held = [x.clone(), *(p.detach().requires_grad_(p.requires_grad) for p in model.parameters())]
    answer, gradients, last = torch.empty(0), {}, {}

    class Replay(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *given):
            nonlocal answer
            for mine, theirs in zip(held, given, strict=True):
                if mine.data_ptr() != theirs.data_ptr():
                    mine.copy_(theirs)
            with torch.enable_grad():
                last["answer"] = of(*held)
            answer = answer if len(answer) else torch.empty_like(last["answer"])
            answer.copy_(last["answer"].detach())
            return answer.detach()

        @staticmethod
        def backward(ctx, gradient):
            wanted = [i for i, value in enumerate(held) if value.requires_grad]
            found = torch.autograd.grad(
                last["answer"], [held[i] for i in wanted], gradient, allow_unused=True
            )
            for i, value in zip(wanted, found, strict=True):
                if value is not None:
                    gradients.setdefault(i, torch.empty_like(value)).copy_(value)
            taken = map(gradients.get, range(len(held)))
            return tuple(None if value is None else value.detach() for value in taken)

    def replay(*given):
        sizes.append(len(given[0]))
        return Replay.apply(*given)

    return replay


@pytest.fixture
def replays(monkeypatch):
    """Sizes of the batches that were answered by what was captured."""
    sizes, agree = [], graphs._agree

    def uncounted(*given):
        found = agree(*given)
        sizes.pop()
        return found

    monkeypatch.setattr(graphs, "captured", lambda of, model, x: static(of, model, x, sizes))
    monkeypatch.setattr(graphs, "_agree", uncounted)
    monkeypatch.setattr(graphs, "WORTH_IT", 1)
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


class Listed(nn.Module):
    """Holds a layer where torch does not look for it."""

    def __init__(self):
        super().__init__()
        self.first, self.others = nn.Linear(36, toy.CLASSES), [nn.Linear(36, toy.CLASSES)]
        self.own = np.random.default_rng(0)

    def forward(self, x):
        return self.first(x.flatten(1)) + self.others[0].double()(x.flatten(1))


def test_a_layer_with_a_generator_of_its_own(replays):
    steps(Listed())
    assert replays == []


def test_what_does_not_agree_is_not_replayed(replays, monkeypatch):
    def wrong(of, model, x):
        right = static(of, model, x, replays)
        return lambda x, *parameters: right(x.flip(0), *parameters)

    monkeypatch.setattr(graphs, "captured", wrong)
    found = steps(toy.conv_model())
    assert replays == []
    monkeypatch.setattr(Runtime, "may_capture", False)
    assert toy.difference(found, steps(toy.conv_model())) == 0


def test_what_cannot_be_captured(replays, monkeypatch):
    def fails(of, model, x):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "captured", fails)
    steps(toy.conv_model())
    assert replays == []


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_the_package_may_be_replayed_and_others_only_if_they_say_so(name):
    seen = []

    class Own:
        reads = frozenset({"retain"})

        def __call__(self, model, data, run):
            seen.append(run.replays)

    class Says(Own):
        replayable = True

    assert ROWS[name].replayable
    toy.run(toy.trained(), splits(), Own())
    toy.run(toy.trained(), splits(), Says())
    assert seen == [False, True]
    assert SalUn().replayable
    assert SalUn(inner=Says()).replayable
    assert not SalUn(inner=Own()).replayable


def test_only_where_there_is_a_gpu_and_one_process():
    assert not Runtime(replays=True).may_capture
    on_gpu = torch.device("cuda")
    assert Runtime(on_gpu, replays=True).may_capture
    assert not Runtime(on_gpu).may_capture
    assert not Runtime(on_gpu, replays=True, micro_batch=4).may_capture
    assert not Runtime(on_gpu, replays=True, processes=Processes(count=2)).may_capture
