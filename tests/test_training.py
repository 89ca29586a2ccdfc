import copy
import math

import pytest
import torch
from torch import nn

from lotus_unlearning import Recipe, runs, train, unlearn
from lotus_unlearning.cli import main
from lotus_unlearning.cli.options import choose
from lotus_unlearning.datasets import load
from lotus_unlearning.methods import Retrain
from lotus_unlearning.models import build
from lotus_unlearning.runtime import fresh_copy, reset_parameters
from lotus_unlearning.training import _rate


def images(size=24, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(size, 1, 4, 4, generator=g), torch.arange(size) % 2


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))


def same(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == known and torch.equal(a, b) for (name, a), (known, b) in pairs)


@pytest.mark.parametrize("warmup", [0, 1, 1.5, 2.25])
def test_the_learning_rate_never_exceeds_its_peak_and_falls_to_a_last_step_above_0(warmup):
    recipe = Recipe(epochs=5, warmup_epochs=warmup)
    rates = [_rate(recipe, 3)(step) for step in range(15)]
    peak = rates.index(max(rates))
    assert 0.9 < max(rates) <= 1
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[-1] <= 1 / 8


@pytest.mark.parametrize("patience", [None, 1, 3])
def test_a_loss_that_is_not_finite_stops_training_with_and_without_patience(patience):
    recipe = Recipe(epochs=30, learning_rate=1e30, patience=patience)
    with pytest.raises(FloatingPointError, match=r"loss is (nan|inf) in epoch|not finite in any"):
        train(small(), images(), recipe, held_out=images(8, 1), device="cpu")


NAMES = [
    ("resnet18", 32),
    ("resnet-thin", 8),
    ("vit-tiny", 32),
    ("timm:resnet10t", 32),
    ("timm:convnext_atto", 32),
    ("timm:cait_xxs24_224", 32),
    ("timm:xcit_nano_12_p16_224", 32),
    ("timm:poolformer_s12", 64),
    ("torchvision:swin_t", 32),
    ("torchvision:vit_b_16", 224),
]


@pytest.mark.parametrize(("name", "size"), NAMES)
def test_a_built_model_begins_again_as_its_architecture_does(name, size):
    made = {"classes": 3, "channels": 3, "image_size": size}
    model = build(name, **made, seed=1)
    with torch.no_grad():
        for value in model.state_dict().values():
            value.zero_()
    state = torch.random.get_rng_state()
    again = reset_parameters(model, seed=2)
    assert again is model
    assert torch.equal(torch.random.get_rng_state(), state)
    assert same(again, build(name, **made, seed=2))


def test_what_builds_it_anew_goes_with_copies_and_is_no_part_of_the_weights():
    model = build("resnet-thin", classes=2, channels=1, image_size=8, seed=1)
    before = copy.deepcopy(model)
    one, other = fresh_copy(copy.deepcopy(model), 5), fresh_copy(model, 6)
    assert same(model, before)
    assert not any("fresh" in name for name in model.state_dict())
    assert same(one, build("resnet-thin", classes=2, channels=1, image_size=8, seed=5))
    assert not same(one, other)


def test_a_built_model_that_was_changed_is_not_begun_again_in_silence():
    model = build("resnet-thin", classes=2, channels=1, image_size=8)
    model.fc = nn.Linear(128, 5)
    with pytest.raises(ValueError, match=r"changed after that \(fc.weight, fc.bias\)"):
        fresh_copy(model, 0)
    model.fc = nn.Identity()
    with pytest.raises(ValueError, match="something is missing"):
        fresh_copy(model, 0)


def test_a_model_of_ones_own_begins_again_by_its_layers_and_the_seed():
    model = small()
    one, again, other = (fresh_copy(model, seed) for seed in (1, 1, 2))
    assert same(one, again)
    assert not same(one, other)
    assert one[1].weight.abs().max() <= 1 / math.sqrt(16)


def test_the_command_makes_the_gold_model_that_retrain_makes(tmp_path):
    data = ["--data", "digits", "--limit", "100", "--recipe.epochs", "2", "--seed", "3"]
    for name, more in (("original", []), ("gold", ["--without", "0.1"])):
        assert main(["train", *data, *more, "--out", str(tmp_path / name)]) == 0
    original, gold = (runs.read(tmp_path / name) for name in ("original", "gold"))
    starts = [run.manifest["weights_sha256_before"] for run in (original, gold)]
    assert starts[0] != starts[1]
    assert len(gold.manifest["left_out"]) == 10
    splits = choose(load("digits", limit=100), "0.1", 0)
    made = unlearn(original.model(), splits, Retrain(recipe=Recipe(epochs=2)), seed=3)
    assert same(made.model, gold.model())
