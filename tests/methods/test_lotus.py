import copy
import math

import pytest
import torch
import torch.nn.functional as F
import toy

from lotus_unlearning import LoTUS, Splits
from lotus_unlearning.losses import soft_cross_entropy
from lotus_unlearning.methods.lotus import _rows
from lotus_unlearning.runtime import Runtime
from reference.lotus import lotus


def _twin(model, parts, generator, **settings):
    sample = torch.randperm(len(parts.retain), generator=generator)
    retain = parts.retain.take(sample[: max(1, round(0.3 * len(parts.retain)))])
    three = [toy.tensors(part) for part in (parts.forget, retain, parts.unseen)]
    return lotus(model, *three, generator, 8, **settings)


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize("smoothing", ["gumbel-softmax", "softmax"])
@pytest.mark.parametrize("kind", ["some", "half"])
def test_equals_its_literal_twin(make, smoothing, kind):
    model, parts = toy.trained(make, steps=10), toy.splits(kind)
    method = LoTUS(epochs=7, alpha=3, learning_rate=1e-3, smoothing=smoothing, tolerance=9)
    result = toy.run(model, parts, method)
    twin = copy.deepcopy(model)
    taus = _twin(
        twin,
        parts,
        torch.Generator().manual_seed(toy.SEED),
        epochs=7,
        alpha=3,
        learning_rate=1e-3,
        decay=5e-4,
        tolerance=9,
        noise_on_forget=smoothing == "gumbel-softmax",
    )
    steps = 7 * math.ceil((len(parts.forget) + round(0.3 * len(parts.retain))) / 8)
    assert steps >= 20
    assert toy.difference(result.model, twin) < 1e-9
    assert [row["tau"] for row in result.history] == pytest.approx(taus, abs=1e-12)
    assert toy.change(result.model, model) > 1e-3


def test_stops_as_its_twin_does_when_forget_accuracy_is_below_the_target():
    model, parts = toy.trained(toy.norm_model), toy.splits()
    method = LoTUS(epochs=30, alpha=3, learning_rate=2e-2)
    result = toy.run(model, parts, method)
    twin = copy.deepcopy(model)
    g = torch.Generator().manual_seed(toy.SEED)
    taus = _twin(twin, parts, g, epochs=30, alpha=3, learning_rate=2e-2, decay=5e-4)
    assert 1 < len(taus) < 30
    assert len(result.history) == len(taus)
    last = result.history[-1]
    assert last["forget_accuracy"] <= last["unseen_accuracy"] - 0.01
    assert "loss" not in last  # found that it was done; no step
    assert toy.difference(result.model, twin) < 1e-9


def test_history_holds_temperature_accuracies_and_loss_of_each_epoch():
    model, parts = toy.trained(), toy.splits()
    history = toy.run(model, parts, LoTUS(epochs=2, alpha=2, tolerance=9)).history
    assert [row["epoch"] for row in history] == [0, 1]
    for row in history:
        gap = row["forget_accuracy"] - row["unseen_accuracy"]
        assert row["tau"] == pytest.approx(math.exp(2 * gap), abs=1e-15)
        assert row["loss"] > 0


def test_accuracies_are_not_rounded():
    parts = Splits.from_ids(toy.data(size=48), forget=list(range(7)), unseen=toy.data(2, 33))
    row = toy.run(toy.trained(), parts, LoTUS(epochs=1)).history[0]
    assert row["unseen_accuracy"] * 33 == pytest.approx(round(row["unseen_accuracy"] * 33))
    assert row["unseen_accuracy"] != round(row["unseen_accuracy"], 2)


def test_alpha_zero_keeps_the_temperature_at_one():
    history = toy.run(toy.trained(), toy.splits(), LoTUS(epochs=3, alpha=0, tolerance=9)).history
    assert [row["tau"] for row in history] == [1.0, 1.0, 1.0]


def test_a_fixed_temperature_stays():
    method = LoTUS(epochs=3, temperature=1.7, tolerance=9)
    assert {r["tau"] for r in toy.run(toy.trained(), toy.splits(), method).history} == {1.7}


def test_a_low_temperature_makes_forget_targets_one_hot_and_a_high_one_uniform():
    run = Runtime(seed=1)
    teacher = torch.randn(6, 4, dtype=torch.float64)
    sharp, _ = LoTUS()._targets(teacher, 6, 1e-9, run)
    flat, _ = LoTUS()._targets(teacher, 6, 1e9, run)
    assert torch.equal(sharp.sum(1), torch.ones(6).double())
    assert sharp.max(1).values.min() > 1 - 1e-12
    assert (flat - 0.25).abs().max() < 1e-8


def test_retain_targets_are_drawn_from_the_teachers_own_probabilities():
    teacher = torch.tensor([[2.0, 0.0, 1.0]], dtype=torch.float64).expand(20_000, 3)
    _, drawn = LoTUS()._targets(teacher, 0, 1.0, Runtime(seed=0))
    shares = torch.bincount(drawn, minlength=3) / 20_000
    assert (shares - F.softmax(teacher[0], 0)).abs().max() < 0.02


def test_a_class_is_kept_of_each_retain_image_and_a_row_of_each_forget_image():
    run, both = Runtime(seed=2), torch.randn(10, 4, dtype=torch.float64)
    smooth, drawn = LoTUS()._targets(both, 6, 0.7, run)
    assert (smooth.shape, drawn.shape) == ((6, 4), (4,))
    rows = _rows(smooth, drawn, torch.tensor([7, 0, 9, 5]), run)
    assert torch.equal(rows[[1, 3]], smooth[[0, 5]])
    assert torch.equal(rows[[0, 2]], F.one_hot(drawn[[1, 3]], 4).double())


def test_soft_cross_entropy_of_one_hot_targets_is_cross_entropy():
    logits, labels = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])
    ours = soft_cross_entropy(logits, F.one_hot(labels, 3).double())
    assert ours.item() == pytest.approx(F.cross_entropy(logits, labels).item(), abs=1e-12)


def test_forgets_a_class_and_stops_there():
    model, parts = toy.trained(steps=30), toy.splits("class")
    method = LoTUS(epochs=40, alpha=32, learning_rate=2e-2, target_accuracy=0.0)
    result = toy.run(model, parts, method)
    forgot = toy.run(result.model, parts, LoTUS(epochs=1, learning_rate=1e-9)).history[0]
    assert forgot["forget_accuracy"] <= 0.1
    rise = toy.loss(result.model, parts.forget) - toy.loss(model, parts.forget)
    damage = toy.loss(result.model, parts.retain) - toy.loss(model, parts.retain)
    assert rise > 1
    assert rise > 2 * damage


def test_as_published_class_mode_does_not_stop():
    parts, model = toy.splits("class"), toy.trained(steps=30)
    settings = {"epochs": 15, "alpha": 32, "learning_rate": 2e-2, "target_accuracy": 0.0}
    stops = toy.run(model, parts, LoTUS(**settings)).history
    swings = toy.run(model, parts, LoTUS(**settings, published_class_mode=True)).history
    assert len(stops) < 15
    assert len(swings) == 15


def test_forgets_more_than_it_damages():
    model, parts = toy.trained(toy.norm_model), toy.splits()
    result = toy.run(model, parts, LoTUS(epochs=20, alpha=3, learning_rate=5e-3)).model
    rise = toy.loss(result, parts.forget) - toy.loss(model, parts.forget)
    damage = toy.loss(result, parts.retain) - toy.loss(model, parts.retain)
    assert rise > 0.1
    assert rise > damage


def test_its_own_batch_size_overrides_the_runs():
    parts, model = toy.splits(), toy.trained()
    own = toy.run(model, parts, LoTUS(epochs=2, tolerance=9, batch_size=5), batch_size=8).model
    runs = toy.run(model, parts, LoTUS(epochs=2, tolerance=9), batch_size=5).model
    assert toy.difference(own, runs) == 0
    assert (
        toy.difference(own, toy.run(model, parts, LoTUS(epochs=2, tolerance=9), batch_size=8).model)
        > 0
    )


def test_needs_unseen_images_or_a_target():
    parts = Splits.from_ids(toy.data(), forget=[0, 1])
    with pytest.raises(ValueError, match="these splits have no unseen"):
        toy.run(toy.conv_model(), parts, LoTUS())
    result = toy.run(toy.conv_model(), parts, LoTUS(epochs=1, target_accuracy=0.0))
    assert result.history[0]["target_accuracy"] == 0


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("epochs", 0, "epochs >= 1"),
        ("learning_rate", -1.0, "learning_rate > 0"),
        ("retain_share", 0.0, "0 < retain_share <= 1"),
        ("retain_share", 1.5, "0 < retain_share <= 1"),
        ("temperature", 0.0, "temperature > 0"),
        ("batch_size", 0, "batch_size >= 1"),
        ("target_accuracy", 1.2, "0 <= target_accuracy <= 1"),
        ("alpha", -2.0, "alpha >= 0"),
        ("smoothing", "mean", "smoothing"),
    ],
)
def test_refuses_bad_hyper_parameters(setting, value, message):
    with pytest.raises(ValueError, match=message):
        LoTUS(**{setting: value})
