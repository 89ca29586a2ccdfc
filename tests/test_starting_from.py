"""What trains a network anew begins from published weights, if the original began there."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lotus_unlearning import Recipe, Retrain, Understudy
from lotus_unlearning.benchmark import work
from lotus_unlearning.benchmark.cells import DataChoice, Forget, Original, Setup, Unlearning
from lotus_unlearning.benchmark.materials import Place
from lotus_unlearning.cli import unlearn as command
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.settings import starting_from
from lotus_unlearning.requests import plan

SHORT = Recipe(epochs=1)
ANEW = [Retrain(recipe=SHORT), Understudy(recipe=SHORT)]


@pytest.mark.parametrize("name", METHODS)
def test_only_methods_that_train_anew_are_told(name):
    start = nn.Linear(2, 2)
    method = METHODS[name]()
    told = starting_from(method, lambda: start)
    if isinstance(method, Retrain | Understudy):
        assert told.start is start
        assert starting_from(told, pytest.fail) is told
    else:
        assert told is method


@pytest.mark.parametrize("method", ANEW, ids=lambda method: type(method).__name__)
def test_by_a_request_and_on_the_command_line(method, monkeypatch):
    asked = []

    def built(**how):
        asked.append(how)
        return nn.Linear(2, 2)

    architecture = SimpleNamespace(build=built)
    monkeypatch.setattr(plan, "architecture_of", lambda chosen: architecture)
    for pretrained in (True, False):
        chosen = SimpleNamespace(pretrained=pretrained, seed=3)
        run = SimpleNamespace(config={"pretrained": pretrained})
        original = SimpleNamespace(run=run, architecture=architecture)
        of_run = SimpleNamespace(pretrained=None, seed=7)
        for told in (
            plan.from_start(method, chosen, 4),
            command._from_start(original, method, of_run),
        ):
            assert isinstance(told.start, nn.Linear) == pretrained
    alone = SimpleNamespace(run=None, architecture=architecture)
    assert command._from_start(alone, method, of_run) is method
    said = SimpleNamespace(pretrained=True, seed=7)
    assert isinstance(command._from_start(alone, method, said).start, nn.Linear)
    drawn = [torch.Generator().manual_seed(seed) for seed in (7, 7, 7)]
    seeds = [int(torch.randint(2**31, (), generator=g)) for g in drawn]
    assert asked == [{"pretrained": True, "seed": seed} for seed in seeds]


@pytest.mark.parametrize("pretrained", [True, False])
def test_in_a_benchmark(pretrained, monkeypatch):
    setup = Setup(
        data=DataChoice(name="digits", limit=60),
        model="resnet-thin",
        recipe=SHORT,
        pretrained=pretrained,
    )
    method = Understudy(recipe=SHORT, least_steps=0, epochs=1)
    cell = Unlearning(
        original=Original(setup=setup), forget=Forget(), golds=(), method=method, seed=5
    )
    data = work.load(setup.data, None)
    build, asked, ran = work.build, [], []

    def built(setup, data, seed, pretrained):
        asked.append((seed, pretrained))
        return build(setup, data, seed, pretrained=False)

    monkeypatch.setattr(work, "build", built)
    monkeypatch.setattr(work, "unlearn", lambda model, splits, method, **how: ran.append(method))
    model = build(replace(setup, pretrained=False), data, 0, pretrained=False)
    work._unlearned(cell, model, None, Place("cpu"))
    seed = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(5)))
    assert asked == ([(seed, True)] if pretrained else [])
    assert (ran[0].start is not None) == pretrained
