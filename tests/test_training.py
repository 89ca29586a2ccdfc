import copy
import math

import pytest
import torch
from torch import nn

from lotus_unlearning import Recipe, runs, train, unlearn
from lotus_unlearning.cli import main
from lotus_unlearning.cli.choosing import choose
from lotus_unlearning.datasets import load
from lotus_unlearning.images import as_images
from lotus_unlearning.methods import Retrain
from lotus_unlearning.models import build
from lotus_unlearning.runtime import Runtime, fresh_copy, made_by, reset_parameters
from lotus_unlearning.splits import Split
from lotus_unlearning.training import rate_of


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
    rates = [rate_of(recipe, 3)(step) for step in range(15)]
    peak = rates.index(max(rates))
    assert 0.9 < max(rates) <= 1
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[-1] <= 1 / 8


def test_a_single_epoch_warms_up_for_its_first_half():
    assert [rate_of(Recipe(epochs=1), 4)(step) for step in range(4)] == [0.5, 1.0, 1.0, 0.5]
    for epochs, warmup in ((1, 2.0), (3, 3.0), (3, 4.0)):
        with pytest.raises(ValueError, match=r"warmup_epochs in \[0, epochs\)"):
            Recipe(epochs=epochs, warmup_epochs=warmup)


@pytest.mark.parametrize(("images", "sizes"), [(9, [4, 5]), (10, [4, 4, 2]), (5, [5]), (1, [1])])
def test_no_batch_holds_one_image_alone_unless_there_is_but_one(images, sizes):
    data = torch.rand(images, 1, 4, 4), torch.zeros(images, dtype=torch.long)
    split = Split("train", as_images(data, "train"), torch.arange(images))
    for shuffle in (False, True):
        batches = list(Runtime(batch_size=4).batches(split, shuffle=shuffle))
        assert [len(x) for x, _, _ in batches] == sizes
        positions = torch.cat([i for _, _, i in batches])
        assert sorted(positions.tolist()) == list(range(images))
        assert all(torch.equal(x, data[0][i]) for x, _, i in batches)
    assert [len(x) for x, _, _ in Runtime(batch_size=1).batches(split)] == [1] * images


def test_batch_norm_learns_where_one_image_is_left_over():
    torch.manual_seed(0)
    norm = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    made = train(norm, images(33), Recipe(epochs=1, batch_size=8), device="cpu")
    assert made.model[2].num_batches_tracked == 4


@pytest.mark.parametrize("seed", [-1, 2**63, 2**70])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueError, match=r"seed: expected 0 to 2\*\*63 - 1, got"):
        train(small(), images(), seed=seed, device="cpu")


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


class Own(nn.Module):
    """Layers that the constructor gives weights of its own, far from PyTorch's."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(16, 2)
        nn.init.normal_(self.inner.weight, std=100.0)

    def forward(self, x):
        return self.inner(x.flatten(1))


def test_what_a_constructor_does_to_its_layers_is_done_again_if_it_is_known():
    model = Own()
    with pytest.warns(UserWarning, match=r"Own is initialised again layer by layer.*made_by"):
        lost = fresh_copy(model, 1)
    assert lost.inner.weight.std() < 1

    class Plain(nn.Module):
        """Its layers begin as PyTorch's do."""

        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(16, 2)

        def forward(self, x):
            return self.inner(x).relu_()

    fresh_copy(Plain(), 1)  # no warning, which would be an error here
    told = made_by(model, Own)
    assert told is model
    state = torch.random.get_rng_state()
    one, again, other = (fresh_copy(copy.deepcopy(model), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert one.inner.weight.std() > 50
    assert same(one, again)
    assert not same(one, other)
    assert "fresh" not in " ".join(model.state_dict())


def test_a_wrong_maker_is_refused():
    with pytest.raises(TypeError, match="make: expected a function"):
        made_by(Own(), Own())
    with pytest.raises(TypeError, match="expected a function that returns a model, got int"):
        fresh_copy(made_by(Own(), lambda: 3), 0)
    with pytest.raises(ValueError, match=r"changed after that \(inner.weight"):
        fresh_copy(made_by(Own(), lambda: nn.Linear(3, 4)), 0)


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
