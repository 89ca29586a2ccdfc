"""Settings by name, where they are not the defaults: those of published tables, and tuned ones.

``lotus-tables-*`` are the settings of the code behind the LoTUS tables (Spartalis et al., CVPR
2025, https://github.com/cspartalis/LoTUS at 35ae25e), each with its faults put right; the files of
the methods say which. A preset that ends in ``-class`` holds only what differs from the one without
it (``authors``: from the defaults) where a whole class is forgotten.
"""

from dataclasses import replace
from importlib import resources
from typing import Any

import yaml

from lotus_unlearning.methods.bad_teacher import BadTeacher
from lotus_unlearning.methods.finetune import Finetune
from lotus_unlearning.methods.l1_sparse import L1Sparse
from lotus_unlearning.methods.lotus import LoTUS
from lotus_unlearning.methods.neg_grad_plus import NegGradPlus
from lotus_unlearning.methods.random_labels import RandomLabels
from lotus_unlearning.methods.retrain import Retrain
from lotus_unlearning.methods.salun import SalUn
from lotus_unlearning.methods.scrub import SCRUB
from lotus_unlearning.methods.settings import method_class, with_settings
from lotus_unlearning.methods.ssd import SSD
from lotus_unlearning.methods.unsir import UNSIR, ByInstance
from lotus_unlearning.training import Recipe
from lotus_unlearning.unlearning import Method

Preset = dict[str, Method]


def _lotus_tables(epochs: int, batch_size: int, lotus: LoTUS, recipe: Recipe | None) -> Preset:
    """What all tables share: epochs and batch size are the same for every method."""
    shared: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size}
    sgd: dict[str, Any] = {"learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}
    methods: Preset = {
        "lotus": replace(lotus, **shared),
        "finetune": Finetune(**shared, **sgd),
        # the sum of both losses there is twice their mean of halves here
        "neg-grad-plus": NegGradPlus(
            **shared, phases="separate", alpha=0.5, learning_rate=2e-3, weight_decay=2.5e-4
        ),
        "random-labels": RandomLabels(
            **shared, **sgd, redraw="every epoch", phases="separate", optimizer="sgd"
        ),
        "bad-teacher": BadTeacher(**shared),
        # its optimizer held another model, and retain came before forget: what it meant to run, in
        # the order of the paper; every epoch maximises (weight decay on CIFAR-100: 5e-4)
        "scrub": SCRUB(
            epochs=epochs,
            max_steps=epochs,
            temperature=4.0,
            alpha=1.0,
            decay_epochs=(),
            forget_batch_size=batch_size,
            retain_batch_size=batch_size,
        ),
        "ssd": SSD(repeats=epochs, batch_size=batch_size),
        "unsir": UNSIR(  # on CIFAR-100 and Tiny-ImageNet, 100 images per class
            mode="instance",
            by_instance=ByInstance(
                **shared,
                momentum=0.9,
                noise_steps=1,
                clamp=(0.0, 1.0),
                repair_images_per_class=1000,
            ),
        ),
        "salun": SalUn(**shared, **sgd, share=0.1),
    }
    return methods if recipe is None else {**methods, "retrain": Retrain(recipe=recipe)}


_RESNET18 = Recipe(epochs=150, batch_size=512, learning_rate=0.1, warmup_epochs=30, patience=50)
# from weights pre-trained on ImageNet, which a preset cannot hold: pass them as Retrain.start
_VIT = Recipe(epochs=30, batch_size=64, learning_rate=1e-4, warmup_epochs=0, patience=10)

_TABLES = {
    "lotus-tables-resnet18": _lotus_tables(10, 128, LoTUS(), _RESNET18),
    "lotus-tables-resnet18-cifar-10": _lotus_tables(10, 128, LoTUS(alpha=8.0), _RESNET18),
    "lotus-tables-vit": _lotus_tables(3, 32, LoTUS(learning_rate=1e-6), _VIT),
    # nobody retrained there
    "lotus-tables-imagenet1k": _lotus_tables(3, 256, LoTUS(learning_rate=1e-6), None),
}


def _of_class(preset: Preset) -> Preset:
    """The settings that differ where a class is forgotten; UNSIR was made for that."""
    lotus, unsir = preset.get("lotus", LoTUS()), preset.get("unsir", UNSIR())
    assert isinstance(lotus, LoTUS)
    assert isinstance(unsir, UNSIR)
    return {
        "lotus": replace(lotus, alpha=32.0, target_accuracy=0.0),
        "unsir": replace(unsir, mode="class"),
    }


def _tuned() -> dict[str, Preset]:
    """Settings that ``lotus tune`` found, from the files ``tuned/DATA.yaml``."""
    presets = {}
    folder = resources.files("lotus_unlearning.methods") / "tuned"
    files = [file for file in folder.iterdir() if file.name.endswith(".yaml")]
    for file in sorted(files, key=lambda file: file.name):
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        presets[f"tuned-{file.name.removesuffix('.yaml')}"] = {
            name: with_settings(name, entry["settings"]) for name, entry in found.items()
        }
    return presets


def authors(name: str, whole_classes: bool) -> Method:
    """A method with the settings of its authors, where whole classes are forgotten or not."""
    made: Method = method_class(name)()
    return PRESETS["authors-class"].get(name, made) if whole_classes else made


PRESETS: dict[str, Preset] = {
    # found on digits and Fashion-MNIST with a small ResNet: the published rate hardly moves it
    "demo": {"lotus": LoTUS(epochs=20, alpha=8.0, learning_rate=1e-3)},
    # no image is to keep a wrong label: the accuracy to come down to is 0, as for a class. Found on
    # digits-mislabelled, seeds 101 to 103; lotus demo runs with seed 0
    "mislabelled": {"lotus": LoTUS(epochs=30, alpha=4.0, learning_rate=2e-3, target_accuracy=0.0)},
    "authors-class": _of_class({}),
    "scrub-cifar-10": {
        "scrub": SCRUB(
            epochs=3,
            max_steps=2,
            temperature=4.0,
            alpha=0.001,
            gamma=0.99,
            optimizer="sgd",
            weight_decay=5e-4,
            decay_epochs=(3, 5, 9),
            forget_batch_size=512,
            retain_batch_size=256,
        )
    },
    # its authors' penalty, at which hardly a weight of a small ResNet is left
    "l1-sparse-published": {"l1-sparse": L1Sparse(penalty=0.2)},
    **_TABLES,
    **{f"{name}-class": _of_class(preset) for name, preset in _TABLES.items()},
    **_tuned(),
}
"""Preset -> method -> settings."""
