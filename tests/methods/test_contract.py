"""What every method must keep, whatever it computes."""

import copy
import dataclasses
import inspect
import re

import pytest
import torch
import toy
from contract import ROWS, Only, class_splits, splits
from many_processes import A_CLASS, VARIANTS
from torch import nn

from lotus_unlearning import Splits
from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.cards import formula
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.runtime.measured import measured

ALL = ROWS | VARIANTS | A_CLASS
KINDS = ("some", "half", "class")
EVERY = pytest.mark.parametrize("name", ALL)
EVERY_METHOD = pytest.mark.parametrize("name", METHODS)
BOTH_NORMS = pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)


def splits_for(name):
    """What it is made for: some images, or all of a class."""
    return class_splits() if name in A_CLASS else splits()


def without(whole, part):
    """``whole`` without unseen images, or with an empty split of others."""
    parts = {name: getattr(whole, name) for name in ("forget", "retain", "unseen", "test")}
    empty = None if part == "unseen" else parts[part].take(torch.arange(0))
    return Splits(**parts | {part: empty})


def test_every_method_has_a_row():
    assert {name: type(method) for name, method in ROWS.items()} == METHODS


@EVERY
@BOTH_NORMS
def test_leaves_the_callers_model_as_it_was(name, make):
    model = toy.trained(make)
    model[0].train()
    next(model.parameters(), None).requires_grad_(False)
    before = copy.deepcopy(model)
    toy.run(model, splits_for(name), ALL[name])
    assert toy.difference(model, before) == 0
    assert [m.training for m in model.modules()] == [m.training for m in before.modules()]
    flags = [[p.requires_grad for p in m.parameters()] for m in (model, before)]
    assert flags[0] == flags[1]
    assert vars(model).keys() == vars(before).keys()


@EVERY
@BOTH_NORMS
def test_changes_the_function(name, make):
    model, parts = toy.trained(make), splits_for(name)
    result = toy.run(model, parts, ALL[name]).model
    images = parts.test.source.images.double()
    with torch.no_grad():
        assert (result(images) - model(images)).abs().max() > 1e-4


@EVERY
@pytest.mark.parametrize("device", ["cpu"])
def test_same_seed_same_bits_and_another_seed_other_bits(name, device):
    model, parts = toy.trained(), splits_for(name)
    first, again = (toy.run(model, parts, ALL[name]).model for _ in range(2))
    other = toy.run(model, parts, ALL[name], seed=toy.SEED + 1).model
    assert toy.difference(first, again) == 0
    assert toy.difference(first, other) > 0


@EVERY
def test_reads_only_what_it_declares(name):
    method, model, run = ALL[name], toy.trained(), Runtime(precision=torch.float64, batch_size=8)
    whole = splits_for(name)
    with measured(model, run):
        method(model, Only(whole, method.reads), run)
    # and declares only what it reads: without any one of them it fails
    for part in method.reads:
        fewer, fresh = Only(whole, method.reads - {part}), toy.trained()
        with pytest.raises(AssertionError, match=f"reads {part}"), measured(fresh, run):
            method(fresh, fewer, run)


@pytest.mark.parametrize("name", [*ROWS, *VARIANTS])
def test_another_forget_set_gives_another_model_if_and_only_if_it_is_read(name):
    method, model = ALL[name], toy.trained()
    # as many images with the same labels: nothing but the images themselves can tell them apart
    parts = [splits(range(start, start + 8)) for start in (0, 8)]
    assert torch.equal(*(part.forget.labels for part in parts))
    one, other = (toy.run(model, part, method).model for part in parts)
    assert (toy.difference(one, other) > 0) == ("forget" in method.reads)


@EVERY
def test_a_split_that_is_read_and_missing_is_named_before_anything_is_computed(name):
    method, whole, model = ALL[name], splits_for(name), toy.conv_model()
    model.register_forward_pre_hook(lambda *_: pytest.fail("it computes something"))
    for part in method.reads:
        expected = rf"^{type(method).__name__} reads .*, but these splits have no {part};"
        with pytest.raises(ValueError, match=expected):
            toy.run(model, without(whole, part), method)


@EVERY
def test_a_split_that_is_not_read_may_be_missing(name):
    method, whole, model = ALL[name], splits_for(name), toy.trained()
    expected = toy.run(model, whole, method).model
    for part in {"forget", "retain", "unseen", "test"} - method.reads:
        assert toy.difference(toy.run(model, without(whole, part), method).model, expected) == 0


@BOTH_NORMS
@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in ALL for kind in KINDS if kind == "class" or name not in A_CLASS],
)
def test_works_for_instances_half_of_the_data_and_a_class(name, make, kind):
    result = toy.run(toy.trained(make), toy.splits(kind), ALL[name])
    assert all(torch.isfinite(value).all() for value in result.model.state_dict().values())
    assert result.seconds > 0
    assert result.peak_memory_bytes is None or result.peak_memory_bytes >= 0
    assert [row["epoch"] for row in result.history] == list(range(len(result.history)))


@EVERY
def test_result_is_in_evaluation_mode_with_the_flags_of_the_given_model(name):
    model = toy.trained()
    model[4].bias.requires_grad_(False)
    result = toy.run(model, splits_for(name), ALL[name]).model
    assert not any(module.training for module in result.modules())
    flags = [[p.requires_grad for p in m.parameters()] for m in (model, result)]
    assert flags[0] == flags[1]
    assert all(p.grad is None for p in result.parameters())
    assert [type(m) for m in result.modules()] == [type(m) for m in model.modules()]
    assert isinstance(result[1], nn.BatchNorm2d)
    assert (result[1].running_var > 0).all()


@EVERY
def test_hyper_parameters_are_kept_as_given_and_cannot_be_changed(name):
    method = ALL[name]
    assert dataclasses.is_dataclass(method)
    assert dataclasses.replace(method) == method
    first = dataclasses.fields(method)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(method, first, 1)
    parameters = inspect.signature(type(method)).parameters.values()
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters)


@EVERY_METHOD
def test_names_its_source_and_formula(name):
    text = inspect.getdoc(inspect.getmodule(METHODS[name]))
    assert METHODS[name].__name__ in text.splitlines()[0]
    citation = describe(METHODS[name]())["citation"]
    assert re.match(r"[A-Z][\w.]*( [A-Z][\w.]*)+, [^\"]*: \"[A-Z]", citation), citation
    assert "https://" in citation
    assert formula(name)
