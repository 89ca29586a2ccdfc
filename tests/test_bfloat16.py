import pytest
import torch
from torch import nn

from lotus_unlearning import Finetune, LoTUS, Splits, train, unlearn
from lotus_unlearning.models import build
from lotus_unlearning.runtime import bfloat16
from lotus_unlearning.runtime.bfloat16 import check_bfloat16
from lotus_unlearning.runtime.hardware import choose_precision


def images(size=8, count=16):
    draw = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, size, size, generator=draw), torch.arange(count) % 4


def test_a_cpu_computes_in_float32_unless_asked():
    assert choose_precision("auto", torch.device("cpu")) is torch.float32
    assert choose_precision("bfloat16", torch.device("cpu")) is torch.bfloat16


@pytest.mark.parametrize("name", ["resnet-thin", "vit-tiny"])
def test_ordinary_models_pass(name):
    x, y = images(16)
    model = build(name, classes=4, channels=1, image_size=16)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    check_bfloat16(model, x, y)  # raises where gradients are wrong
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class WrongInHalf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (torch.nan if torch.is_autocast_enabled("cpu") else 1)


class Wrong(nn.Module):
    """As if a convolution of PyTorch's were broken in bfloat16."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(64, 8), nn.Linear(8, 4)

    def forward(self, x):
        z = self.first(x.flatten(1))
        if torch.is_autocast_enabled("cpu"):
            z = z * -3
        return self.last(z)


def test_a_model_whose_gradients_are_wrong_is_refused_before_any_work():
    x, y = images()
    splits = Splits.from_ids((x, y), [0, 1])
    place = {"device": "cpu", "precision": "bfloat16", "progress": False}
    with pytest.raises(ValueError, match=r'first for first\.weight.*pass precision="float32"'):
        unlearn(Wrong(), splits, Finetune(), **place)
    with pytest.raises(ValueError, match="expected gradients in bfloat16 near those in float32"):
        train(Wrong(), (x, y), **place)
    unlearn(Wrong(), splits, Finetune(epochs=1), device="cpu", progress=False)


def test_the_check_leaves_the_model_as_it_is():
    model = build("resnet-thin", classes=4, channels=1, image_size=8).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_bfloat16(model, *images())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_gradients_that_are_not_finite_are_never_near():
    exact, slack = torch.ones(3), torch.tensor(0.01)
    assert bfloat16._near(exact * 1.05, exact, slack)
    assert bfloat16._near(torch.full((3,), 0.004), exact * 0, slack)
    assert not bfloat16._near(exact * torch.tensor([1, torch.nan, 1]), exact, slack)
    assert not bfloat16._near(exact * 1e20, exact, slack)


def test_convolutions_that_step_over_a_single_pixel_are_refused_on_every_processor():
    model = build("resnet-thin", classes=4, channels=1, image_size=4)
    with pytest.raises(ValueError, match=r"first for layer4\.0\.conv1\.weight"):
        check_bfloat16(model, *images(4))


def test_a_model_that_ends_in_nan_is_never_returned():
    x, y = images()
    splits = Splits.from_ids((x, y), [0, 1], unseen=(torch.rand(8, 1, 8, 8), torch.arange(8) % 4))
    model = build("resnet-thin", classes=4, channels=1, image_size=8)
    method = LoTUS(epochs=1, learning_rate=1e38, target_accuracy=0.0)
    with pytest.raises(FloatingPointError, match="the given model is unchanged"):
        unlearn(model, splits, method, device="cpu", progress=False)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
