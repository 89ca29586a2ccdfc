"""What is refused before any work."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from lotus_unlearning import Finetune, ImageTensors, Split, Splits, datasets, unlearn
from lotus_unlearning.checks import check_model, check_splits, require_model
from lotus_unlearning.images import as_images


def model():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def images(size=20, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(size, 1, 4, 4, generator=g), torch.arange(size) % 2


def splits():
    return Splits.from_ids(images(), [3])


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (None, "NoneType; a file of weights has to be loaded"),
        ("model.pt", "str; a file of weights"),
        (model().state_dict(), "OrderedDict; a file of weights"),
        (nn.Linear, r"the class Linear; make a model of it: Linear\(...\)"),
        (model, r"the function model; put what it does into the forward\(\)"),
    ],
)
def test_what_is_no_model_is_refused_in_one_sentence(given, got):
    with pytest.raises(TypeError, match=rf"gold: expected a torch.nn.Module, got {got}"):
        require_model(given, "gold")
    with pytest.raises(TypeError, match=f"model: .* got {got}"):
        unlearn(given, splits(), Finetune())


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (None, "NoneType"),
        (images(), "tuple"),
        (Splits, "the class Splits"),
        (splits, "the function splits"),
        (datasets.load("digits", limit=10), "Data"),
    ],
)
def test_what_is_no_splits_is_refused_in_one_sentence(given, got):
    for check in (lambda: unlearn(model(), given, Finetune()), lambda: check_model(model(), given)):
        with pytest.raises(TypeError, match=rf"splits: expected Splits, got {got}; make them"):
            check()


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (Finetune, "the class Finetune"),
        ("finetune", "'finetune'"),
        (None, "None"),
        (SimpleNamespace(reads=frozenset()), "namespace"),
        (print, "<built-in function print>"),
    ],
)
def test_what_is_no_method_is_refused_in_one_sentence(given, got):
    with pytest.raises(TypeError, match=rf"method: .* such as LoTUS.* got {got}"):
        check_splits(splits(), given)


def test_nan_in_the_first_streamed_images_is_no_fault_of_the_model(monkeypatch):
    monkeypatch.setattr("lotus_unlearning.images.taking.MEMORY_SHARE", 0.0)
    x, y = images()
    x[3] = torch.nan
    part = Split("forget", as_images(TensorDataset(x, y), "train"), torch.tensor([3, 4]))
    sets = Splits(part, part)
    with pytest.raises(ValueError, match=r"^forget: images: expected finite .* position 3;"):
        check_model(model(), sets)


def test_images_with_nan_are_named_by_path():
    x, y = images()
    x[7, 0, 0, 0] = torch.nan
    names = tuple(f"cat/{i}.png" for i in range(20))
    chosen = Splits.from_ids(ImageTensors(x, y, names=names), [3])
    with pytest.raises(ValueError, match=r"retain: .* in 1 images, .* position 7 .*'cat/7\.png'"):
        check_model(model(), chosen)
