"""Where methods are compared: data, model and recipe, with the settings that belong to them."""

from dataclasses import dataclass
from typing import Literal

from lotus_unlearning.benchmark.cells import DataChoice, Setup
from lotus_unlearning.training import Recipe


@dataclass(frozen=True, kw_only=True)
class Block:
    """One part of a table.

    Attributes:
        setup: The data, the model and the recipe of originals and gold models.
        paper: The preset with the settings of the LoTUS tables for this kind of model.
        tuned: The preset with settings tuned on this data; ``None``: there is none.
        label: The class to forget in class unlearning; ``None``: drawn by the seed.
        published: Model and data set as the published tables call them; ``None``: they are not
            there.
    """

    setup: Setup
    paper: str = "lotus-tables-resnet18"
    tuned: str | None = None
    label: str | None = None
    published: tuple[str, str] | None = None


_RESNET = Recipe(epochs=150, batch_size=512, learning_rate=0.1, warmup_epochs=30, patience=50)
_VIT = Recipe(epochs=30, batch_size=64, learning_rate=1e-4, warmup_epochs=0, patience=10)


_OWN_UNSEEN = ("cifake", "mufac")


def _unseen_from(data: str) -> Literal["train", "test"]:
    """As in the published code: half of the test images, but where data bring their own."""
    return "train" if data in _OWN_UNSEEN else "test"


def _resnet18(data: str, paper: str = "lotus-tables-resnet18", **more: str | None) -> Block:
    choice = DataChoice(name=data, unseen_from=_unseen_from(data))
    setup = Setup(data=choice, model="resnet18", recipe=_RESNET)
    return Block(setup=setup, paper=paper, published=("resnet18", data), **more)


def _vit(data: str, **more: str | None) -> Block:
    setup = Setup(
        data=DataChoice(name=data, size=224, unseen_from=_unseen_from(data)),
        model="vit-b16",
        recipe=_VIT,
        pretrained=True,
        batch_size=32,
    )
    return Block(setup=setup, paper="lotus-tables-vit", published=("vit", data), **more)


def _fashion(
    model: str, recipe: Recipe, *, size: int | None = None, tuned: str | None = None
) -> Block:
    choice = DataChoice(name="fashion-mnist", limit=5000, size=size)
    # these networks compute right in bfloat16, and half as fast again on the CPUs that have it
    setup = Setup(data=choice, model=model, recipe=recipe, precision="bfloat16")
    return Block(setup=setup, tuned=tuned)


def _whole_fashion(model: str, recipe: Recipe, size: int | None = None) -> Block:
    choice = DataChoice(name="fashion-mnist", unseen_from="test", size=size)
    setup = Setup(data=choice, model=model, recipe=recipe, precision="bfloat16")
    return Block(setup=setup)


_ADAMW = Recipe(epochs=12, optimizer="adamw", learning_rate=1e-3)
_SLOW = Recipe(epochs=12, optimizer="adamw", learning_rate=3e-4)
_LONG = Recipe(epochs=24, optimizer="adamw", learning_rate=1e-3)
_MOVED = Recipe(epochs=24, optimizer="adamw", learning_rate=1e-3, shift=2, flip=True)

BLOCKS = {
    "digits": Block(
        setup=Setup(data=DataChoice(name="digits"), model="resnet-thin"), tuned="tuned-digits"
    ),
    "digits-augmented": Block(
        setup=Setup(data=DataChoice(name="digits"), model="resnet-thin", recipe=Recipe(shift=1)),
        tuned="tuned-digits",
    ),
    "fashion-mnist": _fashion("resnet10t", _ADAMW, tuned="tuned-fashion-mnist"),
    "fashion-mnist-60000": _whole_fashion("resnet18", _ADAMW),
    "fashion-mnist-60000-vit": _whole_fashion("vit-b16", _SLOW, 224),
    "fashion-mnist-augmented": _fashion("resnet10t", _MOVED, tuned="tuned-fashion-mnist"),
    # four patches of 16 x 16 pixels for each image: what two CPU cores can train
    "fashion-mnist-vit": _fashion("timm:vit_tiny_patch16_224", _LONG, size=32),
    "elpv": Block(
        setup=Setup(
            data=DataChoice(name="elpv"),
            model="resnet10t",
            recipe=Recipe(optimizer="adamw", learning_rate=1e-3),
            precision="bfloat16",
        )
    ),
    "cifar-10": _resnet18("cifar-10", "lotus-tables-resnet18-cifar-10"),
    "cifar-10-vit": _vit("cifar-10"),
    "cifake": _resnet18("cifake", "lotus-tables-resnet18-cifar-10"),
    "cifake-vit": _vit("cifake"),
    "cifar-100": _resnet18("cifar-100", label="beaver"),
    "cifar-100-vit": _vit("cifar-100"),
    "tiny-imagenet": _resnet18("tiny-imagenet"),
    "tiny-imagenet-vit": _vit("tiny-imagenet"),
    "mufac": _resnet18("mufac"),
    "mufac-vit": _vit("mufac"),
    "imagenet1k": Block(
        setup=Setup(
            data=DataChoice(name="imagenet1k", limit=50_000),
            model="vit-b16",
            recipe=None,
            pretrained=True,
            batch_size=256,
        ),
        paper="lotus-tables-imagenet1k",
        published=("vit", "imagenet1k"),
    ),
}
"""Name -> block. ``-vit`` are those of the paper with ViT-B/16, the others with ResNet18."""
