"""A small trained model and workspaces around it, for the tests of requests."""

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

from PIL import Image

from lotus_unlearning import runs
from lotus_unlearning.requests import plan
from lotus_unlearning.requests.intake import add
from lotus_unlearning.requests.settings import DataChoice, Drift, Guards, MethodChoice, Settings
from lotus_unlearning.requests.start import start
from lotus_unlearning.requests.workspace import opened
from lotus_unlearning.training import Recipe, train

LENIENT = Guards(retained_accuracy_loss=1.0, test_accuracy_loss=1.0)
SETTINGS = Settings(
    data=DataChoice(name="digits", limit=150),
    architecture={"name": "resnet-thin", "classes": 10, "channels": 1, "image_size": 8},
    method=MethodChoice(name="finetune", settings={"epochs": 1, "learning_rate": 0.001}),
    recipe={"epochs": 8, "batch_size": 32},
    guards=LENIENT,
    drift=Drift(),
)


@cache
def data():
    return plan.load_data(SETTINGS)


@cache
def trained():
    model = runs.Architecture(**SETTINGS.architecture).build(seed=1)
    return train(model, data().train, Recipe(**SETTINGS.recipe), progress=False).model


@cache
def ids():
    """Official ids of the training images."""
    return [str(i) for i in data().train.official.ids.tolist()]


def make(folder: Path, **changed) -> Path:
    start(folder, replace(SETTINGS, **changed), trained(), data())
    return folder


def copied(template: Path, folder: Path) -> Path:
    shutil.copytree(template, folder, symlinks=True)
    return folder


def ask(folder: Path, *images: str, **options) -> int:
    with opened(folder) as workspace:
        return add(workspace, ids=images, **options).request.id


def picture(folder: Path, position: int, part: str = "train") -> Path:
    """The image at ``position`` as a PNG file."""
    images = getattr(data(), part)
    path = folder / f"{part}-{position}.png"
    Image.fromarray(images.images[position, 0].numpy()).save(path)
    return path


def plain_page(evaluation, path):
    """In place of ``Evaluation.to_html``: drawing has tests of its own and takes half a second."""
    path.write_text("<html></html>" * 10_000)
