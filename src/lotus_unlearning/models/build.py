"""Models by name: small ones of our own choice, timm's, torchvision's, the user's."""

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from lotus_unlearning.own_code import imported
from lotus_unlearning.wording import did_you_mean

_SMALL_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What is known about a model before it is built.

    Attributes:
        build: Makes it; see :func:`build` for the arguments.
        about: What it is and for which images.
        source: Whom to cite.
    """

    build: Callable[..., nn.Module]
    about: str
    source: str


def build(
    name: str,
    *,
    classes: int,
    channels: int,
    image_size: int,
    pretrained: bool = False,
    seed: int = 0,
) -> nn.Module:
    """Build a model that maps images ``[B, channels, image_size, image_size]`` to ``[B, classes]``.

    Args:
        name: A key of ``MODELS``, ``timm:NAME``, ``torchvision:NAME`` or
            ``python:MODULE:FUNCTION``.
        classes: Number of outputs.
        channels: Of the images.
        image_size: Height and width of the images in pixels.
        pretrained: Start from published weights (timm and torchvision only; downloaded).
        seed: Of a fresh initialisation; same seed and versions, same weights.

    Returns:
        The model. It carries ``fresh``, a function of ``seed`` that builds the same architecture
        with new weights, never published ones: retraining begins there.

    Raises:
        ValueError: If the name is unknown or the model cannot be built so.

    >>> model = build("resnet-thin", classes=10, channels=1, image_size=8)
    >>> model(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    check(name, pretrained=pretrained)
    kind, _, rest = name.partition(":")
    known = {key.partition(":")[0]: info for key, info in MODELS.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = known[kind].build(rest, classes, channels, image_size, pretrained)
    again = partial(build, name, classes=classes, channels=channels, image_size=image_size)
    model.fresh = again  # type: ignore[assignment]  # no module, no part of its state
    return model


def check(name: str, *, pretrained: bool = False) -> None:
    """There is a model of this name: known before it is built, which takes time and memory.

    Args:
        name: As for :func:`build`.
        pretrained: Whether it is to have published weights.

    Raises:
        ValueError: If the name is unknown, or there are no published weights for such models.
    """
    kind, _, rest = name.partition(":")
    kinds = {key.partition(":")[0] for key in MODELS}
    if kind not in kinds or bool(rest) != (kind in ("timm", "torchvision", "python")):
        hint = did_you_mean(name, MODELS)
        raise ValueError(f"model: expected one of {', '.join(MODELS)}; got {name!r}{hint}")
    if pretrained and kind not in ("timm", "torchvision", "vit-b16", "vit-tiny"):
        raise ValueError(f"model: expected a model with published weights, got {name!r}")
    if kind == "timm":
        _check_timm(rest)
    elif kind == "torchvision":
        _check_torchvision(rest)
    elif kind == "python":
        imported(name, "model")


def _resnet18(_: str, classes: int, channels: int, image_size: int, __: bool) -> nn.Module:
    from torchvision.models import resnet18

    model = resnet18(num_classes=classes)
    small = image_size <= _SMALL_IMAGES
    kernel, stride, padding = (3, 1, 1) if small else (7, 2, 3)
    model.conv1 = nn.Conv2d(channels, 64, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small:
        model.maxpool = nn.Identity()
    return model  # type: ignore[no-any-return]


def _resnet_thin(_: str, classes: int, channels: int, __: int, ___: bool) -> nn.Module:
    from timm.models.resnet import BasicBlock, ResNet

    model = ResNet(
        BasicBlock,
        (1, 1, 1, 1),
        num_classes=classes,
        in_chans=channels,
        channels=(16, 32, 64, 128),
        stem_width=16,
    )
    model.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
    model.bn1 = nn.BatchNorm2d(16)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    model.layer1[0].conv1 = nn.Conv2d(16, 16, 3, 1, 1, bias=False)
    if model.layer1[0].downsample is not None:
        model.layer1[0].downsample = None
    return model  # type: ignore[no-any-return]


def _check_timm(name: str) -> None:
    import timm

    if not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name.lower(), timm.list_models(), n=3, cutoff=0.4)
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        raise ValueError(f"model: timm has no {name!r}{hint}")


def _timm(name: str, classes: int, channels: int, image_size: int, pretrained: bool) -> nn.Module:
    import timm

    options: dict[str, Any] = {
        "pretrained": pretrained,
        "num_classes": classes,
        "in_chans": channels,
    }
    try:
        try:
            return timm.create_model(name, img_size=image_size, **options)  # type: ignore[no-any-return]
        except TypeError:  # convolutional models take any size and no such argument
            return timm.create_model(name, **options)  # type: ignore[no-any-return]
    except (RuntimeError, AssertionError, OSError) as error:
        raise ValueError(
            f"model: timm cannot build {name!r} for {channels} channels of {image_size} pixels"
            f"{' with published weights' if pretrained else ''}: {error}"
        ) from None


def _resnet10t(_: str, classes: int, channels: int, image_size: int, __: bool) -> nn.Module:
    return _timm("resnet10t", classes, channels, image_size, False)


def _vit_tiny(_: str, classes: int, channels: int, image_size: int, pretrained: bool) -> nn.Module:
    if image_size > _SMALL_IMAGES:
        return _timm("vit_tiny_patch16_224", classes, channels, image_size, pretrained)
    import timm

    return timm.create_model(  # type: ignore[no-any-return]
        "vit_tiny_patch16_224",
        img_size=image_size,
        patch_size=max(2, image_size // 8),
        num_classes=classes,
        in_chans=channels,
    )


def _vit_b16(_: str, classes: int, channels: int, image_size: int, pretrained: bool) -> nn.Module:
    return _timm("vit_base_patch16_224", classes, channels, image_size, pretrained)


def _check_torchvision(name: str) -> None:
    from torchvision.models import list_models

    if name not in list_models():
        near = difflib.get_close_matches(name.lower(), list_models(), n=3, cutoff=0.4)
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        raise ValueError(f"model: torchvision has no {name!r}{hint}")


def _torchvision(name: str, classes: int, channels: int, _: int, pretrained: bool) -> nn.Module:
    from torchvision.models import get_model

    if not pretrained:
        model = get_model(name, num_classes=classes)
    else:
        model = get_model(name, weights="DEFAULT")
        _replace_head(model, classes)
    first = next((n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)), None)
    if first is not None and channels != model.get_submodule(first).in_channels:
        _replace_stem(model, first, channels, pretrained)
    return model  # type: ignore[no-any-return]


def _replace_head(model: nn.Module, classes: int) -> None:
    """The last linear layer answers for ``classes``."""
    name, old = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]
    model.set_submodule(name, nn.Linear(old.in_features, classes))


def _replace_stem(model: nn.Module, name: str, channels: int, pretrained: bool) -> None:
    """The first convolution reads ``channels``; known weights are averaged over colours."""
    old = model.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    if pretrained:
        with torch.no_grad():
            scale = old.in_channels / channels
            mean = old.weight.mean(dim=1, keepdim=True) * scale
            new.weight.copy_(mean.expand_as(new.weight))
            if old.bias is not None and new.bias is not None:
                new.bias.copy_(old.bias)
    model.set_submodule(name, new)


def _python(name: str, classes: int, channels: int, image_size: int, __: bool) -> nn.Module:
    function = imported(f"python:{name}", "model")
    given = {"classes": classes, "channels": channels, "image_size": image_size}
    wanted = inspect.signature(function).parameters
    model = function(**{key: value for key, value in given.items() if key in wanted})
    if not isinstance(model, nn.Module):
        raise ValueError(f"model: expected {name} to return a Module, got {type(model).__name__}")
    return model


_RESNET = "He et al., Deep residual learning for image recognition, CVPR 2016"

_VIT = "Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021; Touvron et al., DeiT, 2021"

MODELS = {
    "resnet18": ModelInfo(
        build=_resnet18,
        about="ResNet18, 11.2 million weights; 3x3 stem without pooling up to 64 pixels",
        source=_RESNET,
    ),
    "resnet-thin": ModelInfo(
        build=_resnet_thin,
        about="ResNet10 of width 16, 0.3 million weights; for tries on small images",
        source=_RESNET,
    ),
    "resnet10t": ModelInfo(
        build=_resnet10t,
        about="timm's ResNet10 with a pooled stem, 4.9 million weights; fast on two CPU cores",
        source=_RESNET,
    ),
    "vit-tiny": ModelInfo(
        build=_vit_tiny,
        about="ViT-Ti, 5.4 million weights; 8x8 patches up to 64 pixels, else 16-pixel patches",
        source=_VIT,
    ),
    "vit-b16": ModelInfo(
        build=_vit_b16,
        about="ViT-B/16, 86 million weights; made for 224 pixels, --pretrained from ImageNet",
        source=_VIT,
    ),
    "timm:NAME": ModelInfo(
        build=_timm,
        about="any classifier of timm, such as timm:vit_tiny_patch16_224",
        source="Wightman, PyTorch Image Models, 2019",
    ),
    "torchvision:NAME": ModelInfo(
        build=_torchvision,
        about="any classifier of torchvision, such as torchvision:convnext_tiny",
        source="TorchVision maintainers, 2016",
    ),
    "python:MODULE:FUNCTION": ModelInfo(
        build=_python,
        about="your code: FUNCTION(classes=, channels=, image_size=), as far as it wants them",
        source="",
    ),
}
