import os

import pytest
import torch
from torch import nn

from lotus_unlearning.models import MODELS, build, load_weights, save_weights


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [
        ("resnet18", 32, 3),
        ("resnet18", 128, 1),
        ("resnet-thin", 8, 1),
        ("timm:resnet10t", 28, 1),
        ("timm:vit_tiny_patch16_224", 64, 3),
        ("torchvision:mobilenet_v3_small", 32, 1),
    ],
)
def test_models_by_name_classify(name, size, channels):
    model = build(name, classes=7, channels=channels, image_size=size).eval()
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_resnet18_keeps_small_images_large():
    kept = build("resnet18", classes=2, channels=3, image_size=32)
    assert kept.conv1.stride == (1, 1)
    assert isinstance(kept.maxpool, nn.Identity)
    assert build("resnet18", classes=2, channels=3, image_size=128).conv1.stride == (2, 2)


def test_the_seed_initialises_and_the_global_generator_is_untouched():
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    built = [build("resnet-thin", classes=2, channels=1, image_size=8, seed=s) for s in (0, 0, 1)]
    assert torch.equal(torch.rand(1), expected)
    weights = [model.conv1.weight for model in built]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet8", "did you mean 'resnet18'"),
        ("timm:resnt18", "the nearest are resnet18"),
        ("torchvision:resnet81", "the nearest are"),
        ("python:nomodule:f", "expected a module"),
        ("timm", "expected one of"),
    ],
)
def test_unknown_models_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        build(name, classes=2, channels=3, image_size=32)


def test_every_listed_model_says_what_it_is():
    assert all(info.about for info in MODELS.values())


PREFIXES = {
    "parallel": "module.",
    "compiled": "_orig_mod.",
    "lightning": "model.",
    "lightning's net": "net.",
    "lightning, compiled": "model._orig_mod.",
}


@pytest.mark.parametrize("form", ["safetensors", "state dict", "nested", *PREFIXES])
def test_weights_come_back_from_every_form(tmp_path, form):
    model, other = small(), small()
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1)
    state = model.state_dict()
    if form == "safetensors":
        file = tmp_path / "w.safetensors"
        save_weights(model.to(memory_format=torch.channels_last), file)
    else:
        file = tmp_path / "w.pt"
        prefix = PREFIXES.get(form, "")
        state = {prefix + k: v for k, v in state.items()}
        torch.save({"epoch": 3, "state_dict": state} if form == "nested" else state, file)
    load_weights(other, file)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_a_file_that_needs_pickled_code_is_refused_with_the_reason(tmp_path):
    file = tmp_path / "whole.pt"
    torch.save(small(), file)
    with pytest.raises(ValueError, match=r"would run pickled code, which is refused \(torch") as e:
        load_weights(small(), file)
    assert "weights_only" not in str(e.value)
    assert "\x1b" not in str(e.value)


def test_a_prefix_that_the_model_has_itself_stays(tmp_path):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Linear(2, 2)

    known = Wrapped()
    torch.save(known.state_dict(), tmp_path / "w.pt")
    loaded = load_weights(Wrapped(), tmp_path / "w.pt")
    assert torch.equal(loaded.model.weight, known.model.weight)


def test_weights_of_another_architecture_are_refused_and_change_nothing(tmp_path):
    file = tmp_path / "w.pt"
    state = small().state_dict()
    state["3.weight"] = torch.zeros(5, 32)
    state["3.bias"] = torch.full((3,), float("nan"))
    state["extra"] = state.pop("0.bias")
    torch.save(state, file)
    model = small()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match="expected the weights of Sequential") as caught:
        load_weights(model, file)
    for part in ("missing: 0.bias", "unexpected: extra", "3.weight [5, 32] instead of", "NaN: 3.b"):
        assert part in str(caught.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_models_that_read_weights_by_their_version_are_loaded(tmp_path):
    made, other = (
        build("torchvision:mnasnet0_5", classes=2, channels=3, image_size=32, seed=seed)
        for seed in (1, 2)
    )
    save_weights(made, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert torch.equal(made.classifier[1].weight, other.classifier[1].weight)


@pytest.mark.parametrize("contents", [b"epoch,loss\n1,2\n" * 20, b"\x89PNG\r\n", b""])
def test_a_file_of_something_else_is_refused(tmp_path, contents):
    (tmp_path / "w.pt").write_bytes(contents)
    with pytest.raises(ValueError, match=r"expected a state dict as torch.save writes it, got"):
        load_weights(small(), tmp_path / "w.pt")


def test_files_of_weights_can_be_read_by_others_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        save_weights(small(), tmp_path / "w.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "w.safetensors").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_missing_and_damaged_files_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="found none"):
        load_weights(small(), tmp_path / name)
    (tmp_path / name).write_bytes(b"x" * 40)
    with pytest.raises(ValueError, match=r"damaged|refused"):
        load_weights(small(), tmp_path / name)


def test_shared_weights_are_stored_and_loaded(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3, bias=False)
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

    one, two = Tied(), Tied()
    save_weights(one, tmp_path / "w.safetensors")
    load_weights(two, tmp_path / "w.safetensors")
    assert torch.equal(one.a.weight, two.b.weight)
