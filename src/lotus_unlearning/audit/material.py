"""What all models of a bank are made of: images, architecture, recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lotus_unlearning import models, runs
from lotus_unlearning.benchmark.canonical import canonical
from lotus_unlearning.benchmark.cells import DataChoice, Setup
from lotus_unlearning.benchmark.materials import load
from lotus_unlearning.images import Images, ImageTensors
from lotus_unlearning.runtime import fresh_copy
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Recipe

PARTS = ("train", "unseen", "test")


@dataclass(frozen=True, eq=False)
class Material:
    """Everything that two models of a bank have in common.

    Attributes:
        fresh: Seed -> a model to begin from.
        images: ``"train"`` and, where there are some, ``"unseen"`` and ``"test"``.
        recipe: How a model is trained.
        precision: As for :func:`lotus_unlearning.train`.
        facts: Plain data that names it.
    """

    fresh: Callable[[int], nn.Module]
    images: Mapping[str, Images]
    recipe: Recipe
    precision: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class _Fresh:
    """Copies of a model, initialised again."""

    model: nn.Module

    def __call__(self, seed: int) -> nn.Module:
        return fresh_copy(self.model, seed)


@dataclass(frozen=True)
class _Built:
    """Models by name."""

    build: Callable[..., nn.Module]

    def __call__(self, seed: int) -> nn.Module:
        return self.build(seed=seed)


def of_setup(setup: Setup, root: str | None = None) -> Material:
    """Data, architecture and recipe of a benchmark block.

    Args:
        setup: Of the block, such as ``BLOCKS["digits"].setup``.
        root: Folder of the data sets.

    Raises:
        ValueError: If the setup trains nothing.
    """
    if setup.recipe is None:
        raise ValueError(
            f"bank: expected a recipe to train by, but {setup.data.name} with {setup.model} takes "
            "published weights as they are"
        )
    data = load(setup.data, root)
    build = partial(
        models.build,
        setup.model,
        classes=len(data.classes),
        channels=data.channels,
        image_size=data.image_size,
        pretrained=setup.pretrained,
    )
    images = {part: getattr(data, part) for part in PARTS}
    model = {"name": setup.model, "pretrained": setup.pretrained, "classes": len(data.classes)}
    return Material(
        _Built(build),
        images,
        setup.recipe,
        setup.precision,
        _facts(model, images, setup.recipe, setup.precision) | {"data": canonical(setup.data)},
    )


def of_run(path: str | Path) -> Material:
    """What the original of a run folder was made of; see :func:`setup_of_run`."""
    return of_setup(*setup_of_run(path))


def setup_of_run(path: str | Path) -> tuple[Setup, str | None]:
    """Data, architecture and recipe of an original, and the folder of the data sets.

    Args:
        path: Made by ``lotus train`` or ``lotus demo``; or by ``lotus unlearn``, whose original
            is meant.

    Raises:
        ValueError: If the run does not know its recipe.
    """
    run = runs.origin(path)
    config = run.config
    if "recipe" not in config or config.get("data") is None:
        raise ValueError(
            f"bank: expected a run that knows how its model was trained, made by lotus train; got "
            f"{str(path)!r}"
        )
    choice = DataChoice(
        name=config["data"],
        limit=config.get("limit"),
        size=config.get("size"),
        seed=config.get("data_seed") or 0,
        unseen_from=config.get("unseen_from") or "train",
    )
    setup = Setup(
        data=choice,
        model=run.architecture.name,
        recipe=run.recipe,
        pretrained=config.get("pretrained") or False,
        precision=config.get("precision") or "auto",
    )
    return setup, config.get("root")


def of_model(
    model: nn.Module, splits: Splits, recipe: Recipe | None = None, *, precision: str = "auto"
) -> Material:
    """A model and images in memory.

    Args:
        model: The architecture; its weights are not used.
        splits: Whose images all models share; which of them are to be forgotten does not matter.
        recipe: Defaults to ``Recipe()``.
        precision: As for :func:`lotus_unlearning.train`.

    Raises:
        ValueError: If the model cannot be initialised again.
    """
    recipe = recipe or Recipe()
    fresh_copy(model, 0)  # says what is wrong before any work
    images = images_of(splits)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    named = {"name": type(model).__name__, "layers": f"{model}", "weights": shapes}
    facts = _facts(named, images, recipe, precision)
    return Material(_Fresh(model), images, recipe, precision, facts)


def images_of(splits: Splits) -> dict[str, Images]:
    """``"train"``, ``"unseen"`` and ``"test"`` of splits, all images of each."""
    found: dict[str, Images] = {"train": splits.retain.source}
    others = {"unseen": splits.unseen, "test": splits.test}
    return found | {name: part.source for name, part in others.items() if part is not None}


def content(images: Images) -> str:
    """A digest of labels and pixels; of images that are read one by one, of labels and names."""
    found = blake2b(digest_size=10)
    found.update(images.labels.cpu().numpy().tobytes())
    if isinstance(images, ImageTensors):
        pixels = images.images.cpu().contiguous().view(torch.uint8).numpy()
        found.update(f"{tuple(images.images.shape)}{images.images.dtype}".encode())
        found.update(pixels.tobytes())
    else:
        found.update("\n".join(images.names or ()).encode())
    return found.hexdigest()


def _facts(
    model: Mapping[str, Any], images: Mapping[str, Images], recipe: Recipe, precision: str
) -> dict[str, Any]:
    return {
        "model": dict(model),
        "recipe": canonical(recipe),
        "precision": precision,
        "images": {part: len(source) for part, source in images.items()},
        "content": {part: content(source) for part, source in images.items()},
    }
