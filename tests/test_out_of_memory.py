"""Where a device's memory does not suffice, fewer images at once do, to the same result."""

import copy
import time
import weakref

import pytest
import torch
import toy
from contract import ROWS, splits
from timm.layers.evo_norm import EvoNorm2dB0
from torch import nn

from lotus_unlearning import Recipe, train
from lotus_unlearning.methods import METHODS
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.runtime.parts import why_whole


class Limited(nn.Module):
    """A model on a device that is out of memory from so many images on, with gradients or not."""

    def __init__(self, model, most, predicted=1000):
        super().__init__()
        self.inner, self.most, self.predicted = model, most, predicted
        self.sizes = []

    def forward(self, x):
        most = self.most if torch.is_grad_enabled() else self.predicted
        if len(x) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.sizes.append(len(x))
        return self.inner(x)


def limited(most, predicted=1000):
    return Limited(toy.trained(toy.norm_model), most, predicted)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("most", [4, 3, 1])
def test_half_as_many_at_once_and_the_same_result(name, most):
    parts = splits()
    whole = toy.run(limited(1000), parts, ROWS[name])
    with pytest.warns(UserWarning, match=r"out of memory: images are computed \d+ at once"):
        found = toy.run(limited(most), parts, ROWS[name])
    assert toy.difference(found.model, whole.model) < 1e-9
    assert toy.change(found.model, limited(1000)) > 1e-4
    assert len(found.history) == len(whole.history)


def test_training_too():
    images, recipe = toy.data(), Recipe(epochs=2, batch_size=8)
    place = {"device": "cpu", "precision": "float64", "progress": False}
    whole = train(limited(1000), images, recipe, **place)
    with pytest.warns(UserWarning, match="computed 4 at once"):
        found = train(limited(4), images, recipe, **place)
    assert toy.difference(found.model, whole.model) < 1e-9


def test_it_goes_on_from_its_checkpoint(tmp_path):
    parts, model = splits(), limited(1000)
    whole = toy.run(model, parts, ROWS["finetune"])

    class Later(Limited):
        """Out of memory in the second epoch for the first time."""

        def forward(self, x):
            self.most = 4 if len(self.sizes) > 5 else 1000
            return super().forward(x)

    later = Later(toy.trained(toy.norm_model), 1000)
    with pytest.warns(UserWarning, match="out of memory"):
        found = toy.run(later, parts, ROWS["finetune"], checkpoint=tmp_path)
    assert toy.difference(found.model, whole.model) < 1e-9


@pytest.mark.parametrize("most", [20, 7, 1])
def test_predictions_by_fewer_images_are_the_same(most):
    model, parts = limited(1000), splits()
    expected = Runtime(precision=torch.float64).predict(model, parts.retain)
    run, small = Runtime(precision=torch.float64), limited(1000, predicted=most)
    for _ in range(2):
        assert torch.allclose(run.predict(small, parts.retain), expected, rtol=0, atol=1e-12)
    assert max(small.sizes) <= most


def test_dropout_is_what_it_was_in_the_forward_pass():
    """Computed again in the backward pass, a micro-batch meets the same noise."""
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 4)).double()
    run = Runtime(precision=torch.float64, micro_batch=3)
    x = torch.rand(8, 1, 6, 6, dtype=torch.float64)
    with run.prepared(inner.train()):
        torch.manual_seed(1)
        inner(x).sum().backward()
        found = inner[2].weight.grad.clone()
        torch.manual_seed(1)
        kept = torch.cat([nn.functional.dropout(part.flatten(1), 0.5) for part in x.split(3)])
    assert torch.allclose(found, kept.sum(0).expand(4, -1))


class OfTheBatch(nn.Module):
    """Statistics of the batch, kept nowhere."""

    def forward(self, x):
        return (x - x.mean(0)) / (x.std(0) + 1)


def spectral_model():
    model = toy.norm_model()
    model[1] = nn.utils.parametrizations.spectral_norm(model[1])
    return model


def with_one_more(layer):
    model = toy.norm_model()
    return nn.Sequential(layer.double(), *model)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (toy.conv_model, "depends on the others of its batch, as with BatchNorm"),
        (lambda: with_one_more(OfTheBatch()), "depends on the others of its batch"),
        (
            lambda: with_one_more(nn.InstanceNorm2d(1, track_running_stats=True)),
            "each pass in training mode changes inner.0.running_mean",
        ),
        (spectral_model, "each pass in training mode changes inner.1.parametrizations"),
        (
            lambda: with_one_more(EvoNorm2dB0(1)),
            "each pass in training mode changes inner.0.running_var",
        ),
    ],
)
def test_where_the_result_would_be_another_it_is_an_error(make, reason):
    with pytest.raises(torch.OutOfMemoryError, match=reason):
        toy.run(Limited(make().eval(), 4), splits(), ROWS["finetune"])


def test_what_works_on_each_image_alone_is_halved():
    layers = nn.Sequential(nn.InstanceNorm2d(1), nn.Dropout(0.3), nn.GroupNorm(1, 1))
    with pytest.warns(UserWarning, match="and to what dropout and the like draw"):
        toy.run(Limited(with_one_more(layers).eval(), 4), splits(), ROWS["finetune"])


def test_zeros_hide_nothing():
    """A last layer of zeros answers the same to everything."""
    model = toy.conv_model()
    nn.init.zeros_(model[-1].weight)
    assert why_whole(model, (8, 1, 6, 6)) is not None
    assert model[-1].weight.eq(0).all()


def test_a_model_that_fails_on_random_images_is_not_halved():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            raise KeyError("lost")

    assert "could not be tried (KeyError: 'lost')" in why_whole(Odd(), (8, 1, 6, 6))


def test_the_message_says_it_once_and_with_how_many_images():
    with pytest.raises(torch.OutOfMemoryError) as error:
        toy.run(Limited(toy.trained(toy.conv_model), 4), splits(), ROWS["finetune"])
    said = str(error.value)
    assert said.startswith("out of memory with 8 images at once, and fewer are not tried, as ")
    assert said.endswith(": Tried to allocate 2.00 GiB.")
    assert said.count("out of memory") == 1


class Early:
    """Out of memory before it makes a step."""

    reads = frozenset({"retain"})

    def __call__(self, model, data, run):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_before_the_first_step_there_is_nothing_to_halve():
    with pytest.raises(torch.OutOfMemoryError, match=r"^out of memory before the first step: Trie"):
        toy.run(limited(1000), splits(), Early())


@pytest.mark.parametrize("kept", [True, False])
def test_seconds_are_those_of_all_attempts(kept, tmp_path):
    class Slow(Limited):
        """Takes long to find out that it is out of memory, in the second epoch."""

        def forward(self, x):
            self.most = 4 if len(self.sizes) > 5 else 1000
            if torch.is_grad_enabled() and len(x) > self.most:
                time.sleep(0.5)
            return super().forward(x)

    model = Slow(toy.trained(toy.norm_model), 1000)
    with pytest.warns(UserWarning, match="out of memory"):
        found = toy.run(model, splits(), ROWS["finetune"], checkpoint=tmp_path if kept else None)
    assert found.seconds > 0.5


def test_an_attempt_that_failed_is_gone_before_the_next(monkeypatch, tmp_path):
    alive, seen = weakref.WeakSet(), []

    class Counted(Limited):
        def __deepcopy__(self, memo):
            made = Counted(copy.deepcopy(self.inner, memo), self.most)
            alive.add(made)
            return made

    model = Counted(toy.trained(toy.norm_model), 4)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: seen.append(len(alive)))
    with pytest.warns(UserWarning, match="out of memory"):
        toy.run(model, splits(), ROWS["finetune"], checkpoint=tmp_path)
    assert seen == [0]


def test_where_one_image_is_too_many_it_is_an_error():
    with (
        pytest.warns(UserWarning, match="out of memory"),
        pytest.raises(torch.OutOfMemoryError, match="no smaller number of images"),
    ):
        toy.run(limited(0), splits(), ROWS["finetune"])


def test_the_callers_model_stays_as_it_was():
    model = limited(4)
    before = [p.clone() for p in model.parameters()]
    with pytest.warns(UserWarning, match="out of memory"):
        toy.run(model, splits(), ROWS["finetune"])
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert "forward" not in vars(model)
