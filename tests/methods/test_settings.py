"""Defaults and presets are those of the spec, which is typed out here once more."""

import dataclasses

import pytest

from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.training import Recipe

RECIPE = {
    "name": "Recipe",
    "epochs": 30,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 128,
    "warmup_epochs": 1.0,
    "patience": None,
    "shift": 0,
    "flip": False,
}
BY_CLASS = {
    "name": "ByClass",
    "noise_images": 256,
    "noise_steps": 40,
    "noise_learning_rate": 0.1,
    "penalty": 0.1,
    "copies": 20,
    "images_per_class": 1000,
    "impair_learning_rate": 0.02,
    "repair_learning_rate": 0.01,
    "batch_size": 256,
}
BY_INSTANCE = {
    "name": "ByInstance",
    "epochs": 2,
    "learning_rate": 1e-3,
    "momentum": 0.0,
    "noise_steps": 5,
    "noise_learning_rate": 0.01,
    "clamp": None,
    "repair_images_per_class": 0,
    "batch_size": 64,
}
DEFAULTS = {
    "lotus": {
        "epochs": 10,
        "alpha": 2.0,
        "learning_rate": 1e-4,
        "weight_decay": 5e-4,
        "retain_share": 0.3,
        "tolerance": 0.01,
        "target_accuracy": None,
        "temperature": None,
        "smoothing": "gumbel-softmax",
        "batch_size": None,
        "published_class_mode": False,
    },
    "finetune": {
        "epochs": 10,
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "batch_size": None,
    },
    "neg-grad-plus": {
        "epochs": 10,
        "alpha": 0.95,
        "phases": "joint",
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "batch_size": None,
    },
    "random-labels": {
        "epochs": 3,
        "redraw": "once",
        "phases": "joint",
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "batch_size": 128,
    },
    "bad-teacher": {
        "epochs": 1,
        "learning_rate": 1e-4,
        "batch_size": 256,
        "retain_share": 0.3,
        "temperature": 1.0,
        "bad_teacher": None,
    },
    "scrub": {
        "epochs": 10,
        "max_steps": 3,
        "temperature": 2.0,
        "alpha": 0.5,
        "gamma": 1.0,
        "optimizer": "adam",
        "learning_rate": 5e-4,
        "weight_decay": 0.1,
        "momentum": 0.9,
        "decay_epochs": [5, 8, 9],
        "forget_batch_size": 64,
        "retain_batch_size": 32,
        "rewind": False,
    },
    "ssd": {"alpha": 10.0, "dampening": 1.0, "repeats": 1, "batch_size": None},
    "unsir": {"mode": "auto", "by_class": BY_CLASS, "by_instance": BY_INSTANCE},
    "salun": {
        "inner": None,
        "share": 0.5,
        "epochs": 10,
        "learning_rate": 0.013,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch_size": 256,
    },
    "l1-sparse": {
        "epochs": 10,
        "penalty": 5e-4,
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch_size": 256,
    },
    "gradient-ascent": {
        "epochs": 5,
        "learning_rate": 1e-4,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch_size": 256,
    },
    "understudy": {
        "recipe": RECIPE
        | {
            "epochs": 3,
            "optimizer": "adamw",
            "learning_rate": 1.5e-3,
            "batch_size": 64,
            "warmup_epochs": 0.2,
        },
        "least_steps": 200,
        "calibrated": False,
        "epochs": 4,
        "learning_rate": 5e-4,
        "weight_decay": 5e-4,
        "retain_share": 0.5,
        "batch_size": 64,
        "start": None,
    },
    "regrow": {
        "share": 0.25,
        "epochs": 4,
        "least_steps": 280,
        "learning_rate": 1.5e-3,
        "weight_decay": 5e-4,
        "temperature": 1.0,
        "batch_size": 64,
    },
    "retrain": {"recipe": RECIPE, "start": None},
}


def changed(name, **settings):
    return {**DEFAULTS[name], **settings}


def tables(epochs, batch_size, **lotus):
    """Of every method of the LoTUS tables, but for retraining."""
    shared = {"epochs": epochs, "batch_size": batch_size}
    sgd = {"learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}
    return {
        "lotus": changed("lotus", **shared, **lotus),
        "finetune": changed("finetune", **shared, **sgd),
        "neg-grad-plus": changed(
            "neg-grad-plus",
            **shared,
            phases="separate",
            alpha=0.5,
            learning_rate=2e-3,
            momentum=0.9,
            weight_decay=2.5e-4,
        ),
        "random-labels": changed(
            "random-labels",
            **shared,
            **sgd,
            redraw="every epoch",
            phases="separate",
            optimizer="sgd",
        ),
        "bad-teacher": changed(
            "bad-teacher", **shared, learning_rate=1e-4, retain_share=0.3, temperature=1.0
        ),
        "scrub": changed(
            "scrub",
            epochs=epochs,
            max_steps=epochs,
            temperature=4.0,
            alpha=1.0,
            gamma=1.0,
            optimizer="adam",
            learning_rate=5e-4,
            weight_decay=0.1,
            decay_epochs=[],
            forget_batch_size=batch_size,
            retain_batch_size=batch_size,
        ),
        "ssd": changed("ssd", alpha=10.0, dampening=1.0, repeats=epochs, batch_size=batch_size),
        "unsir": changed(
            "unsir",
            mode="instance",
            by_instance={
                "name": "ByInstance",
                "epochs": epochs,
                "learning_rate": 1e-3,
                "momentum": 0.9,
                "noise_steps": 1,
                "noise_learning_rate": 0.01,
                "clamp": [0.0, 1.0],
                "repair_images_per_class": 1000,
                "batch_size": batch_size,
            },
        ),
        "salun": changed("salun", **shared, **sgd, share=0.1),
    }


def of_class(known):
    return {
        "lotus": {**known["lotus"], "alpha": 32.0, "target_accuracy": 0.0},
        "unsir": {**known["unsir"], "mode": "class"},
    }


RESNET18 = {
    "retrain": changed(
        "retrain",
        recipe={
            **RECIPE,
            "epochs": 150,
            "batch_size": 512,
            "learning_rate": 0.1,
            "warmup_epochs": 30,
            "patience": 50,
        },
    )
}
VIT = {
    "retrain": changed(
        "retrain",
        recipe={
            **RECIPE,
            "epochs": 30,
            "batch_size": 64,
            "learning_rate": 1e-4,
            "warmup_epochs": 0,
            "patience": 10,
        },
    )
}
EXPECTED = {
    "demo": {"lotus": changed("lotus", epochs=20, alpha=8.0, learning_rate=1e-3)},
    "mislabelled": {
        "lotus": changed("lotus", epochs=30, alpha=4.0, learning_rate=2e-3, target_accuracy=0.0)
    },
    "l1-sparse-published": {"l1-sparse": changed("l1-sparse", penalty=0.2)},
    "scrub-cifar-10": {
        "scrub": changed(
            "scrub",
            epochs=3,
            max_steps=2,
            temperature=4.0,
            alpha=0.001,
            gamma=0.99,
            optimizer="sgd",
            learning_rate=5e-4,
            weight_decay=5e-4,
            momentum=0.9,
            decay_epochs=[3, 5, 9],
            forget_batch_size=512,
            retain_batch_size=256,
        )
    },
    "lotus-tables-resnet18": {**tables(10, 128), **RESNET18},
    "lotus-tables-resnet18-cifar-10": {**tables(10, 128, alpha=8.0), **RESNET18},
    "lotus-tables-vit": {**tables(3, 32, learning_rate=1e-6), **VIT},
    "lotus-tables-imagenet1k": tables(3, 256, learning_rate=1e-6),
    "authors-class": of_class(DEFAULTS),
    "lotus-tables-resnet18-class": of_class(tables(10, 128)),
    "lotus-tables-resnet18-cifar-10-class": of_class(tables(10, 128)),
    "lotus-tables-vit-class": of_class(tables(3, 32, learning_rate=1e-6)),
    "lotus-tables-imagenet1k-class": of_class(tables(3, 256, learning_rate=1e-6)),
}


def test_there_are_no_other_methods_and_presets():
    assert DEFAULTS.keys() == METHODS.keys()
    assert EXPECTED.keys() == {name for name in PRESETS if not name.startswith("tuned-")}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_spec(name):
    assert describe(METHODS[name]())["settings"] == DEFAULTS[name]


@pytest.mark.parametrize("preset", EXPECTED)
def test_presets_are_those_of_the_spec(preset):
    found = {name: describe(method)["settings"] for name, method in PRESETS[preset].items()}
    assert found == EXPECTED[preset]


OF_OPTIMIZERS = [
    (made, field.name)
    for made in [*METHODS.values(), Recipe]
    for field in dataclasses.fields(made)
    if field.name in ("momentum", "weight_decay")
]


@pytest.mark.parametrize(("made", "name"), OF_OPTIMIZERS)
def test_momentum_and_weight_decay_have_the_same_limits_everywhere(made, name):
    beyond = {"momentum": (-0.1, 1.0, float("nan")), "weight_decay": (-1e-4, float("nan"))}
    for value in beyond[name]:
        with pytest.raises(ValueError, match=f"expected .*{name}"):
            made(**{name: value})
    assert getattr(made(**{name: 0.0}), name) == 0


def test_presets_hold_the_methods_that_they_name_and_none_is_empty():
    for preset, methods in PRESETS.items():
        assert methods, preset
        for name, method in methods.items():
            assert type(method) is METHODS[name]
