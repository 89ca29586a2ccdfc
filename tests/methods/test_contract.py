"""What every method must keep, whatever it computes."""

import copy
import dataclasses
import inspect
import re

import pytest
import torch
import toy
from contract import ROWS, Only, splits
from torch import nn

from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.cards import formula
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.runtime.measured import measured

EVERY = pytest.mark.parametrize("name", METHODS)
BOTH_NORMS = pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)


def test_every_method_has_a_row():
    assert {name: type(method) for name, method in ROWS.items()} == METHODS


@EVERY
@BOTH_NORMS
def test_leaves_the_callers_model_as_it_was(name, make):
    model = toy.trained(make)
    model[0].train()
    next(model.parameters(), None).requires_grad_(False)
    before = copy.deepcopy(model)
    toy.run(model, splits(), ROWS[name])
    assert toy.difference(model, before) == 0
    assert [m.training for m in model.modules()] == [m.training for m in before.modules()]
    flags = [[p.requires_grad for p in m.parameters()] for m in (model, before)]
    assert flags[0] == flags[1]
    assert vars(model).keys() == vars(before).keys()


@EVERY
@BOTH_NORMS
def test_changes_the_function(name, make):
    model, parts = toy.trained(make), splits()
    result = toy.run(model, parts, ROWS[name]).model
    images = parts.test.source.images.double()
    with torch.no_grad():
        assert (result(images) - model(images)).abs().max() > 1e-4


@EVERY
@pytest.mark.parametrize("device", ["cpu"])
def test_same_seed_same_bits_and_another_seed_other_bits(name, device):
    model, parts = toy.trained(), splits()
    first, again = (toy.run(model, parts, ROWS[name]).model for _ in range(2))
    other = toy.run(model, parts, ROWS[name], seed=toy.SEED + 1).model
    assert toy.difference(first, again) == 0
    assert toy.difference(first, other) > 0


@EVERY
def test_reads_only_what_it_declares(name):
    method, model, run = ROWS[name], toy.trained(), Runtime(precision=torch.float64, batch_size=8)
    whole = splits()
    with measured(model, run):
        method(model, Only(whole, method.reads), run)
    # and declares only what it reads: without any one of them it fails
    for part in method.reads:
        fewer, fresh = Only(whole, method.reads - {part}), toy.trained()
        with pytest.raises(AssertionError, match=f"reads {part}"), measured(fresh, run):
            method(fresh, fewer, run)


@EVERY
def test_another_forget_set_gives_another_model_if_and_only_if_it_is_read(name):
    method, model = ROWS[name], toy.trained()
    one = toy.run(model, splits(range(10)), method).model
    other = toy.run(model, splits([10, 14, 18, 11, 15]), method).model
    assert (toy.difference(one, other) > 0) == ("forget" in method.reads)


@EVERY
@BOTH_NORMS
@pytest.mark.parametrize("kind", ["some", "half", "class"])
def test_works_for_instances_half_of_the_data_and_a_class(name, make, kind):
    result = toy.run(toy.trained(make), toy.splits(kind), ROWS[name])
    assert all(torch.isfinite(value).all() for value in result.model.state_dict().values())
    assert result.seconds > 0
    assert result.peak_memory_bytes is None or result.peak_memory_bytes >= 0
    assert [row["epoch"] for row in result.history] == list(range(len(result.history)))


@EVERY
def test_result_is_in_evaluation_mode_with_the_flags_of_the_given_model(name):
    model = toy.trained()
    model[4].bias.requires_grad_(False)
    result = toy.run(model, splits(), ROWS[name]).model
    assert not any(module.training for module in result.modules())
    flags = [[p.requires_grad for p in m.parameters()] for m in (model, result)]
    assert flags[0] == flags[1]
    assert all(p.grad is None for p in result.parameters())
    assert [type(m) for m in result.modules()] == [type(m) for m in model.modules()]
    assert isinstance(result[1], nn.BatchNorm2d)
    assert (result[1].running_var > 0).all()


@EVERY
def test_hyper_parameters_are_kept_as_given_and_cannot_be_changed(name):
    method = ROWS[name]
    assert dataclasses.is_dataclass(method)
    assert dataclasses.replace(method) == method
    first = dataclasses.fields(method)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(method, first, 1)
    parameters = inspect.signature(type(method)).parameters.values()
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters)


@EVERY
def test_names_its_source_and_formula(name):
    text = inspect.getdoc(inspect.getmodule(METHODS[name]))
    assert METHODS[name].__name__ in text.splitlines()[0]
    citation = describe(METHODS[name]())["citation"]
    assert re.match(r"[A-Z][\w.]*( [A-Z][\w.]*)+, [^\"]*: \"[A-Z]", citation), citation
    assert "https://" in citation
    assert formula(name)
