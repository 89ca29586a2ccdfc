"""What trains a network anew is trained as the original was, where its run says how."""

import shutil

import pytest
import yaml
from few_digits import same

from lotus_unlearning import datasets, runs
from lotus_unlearning.cli import main
from lotus_unlearning.requests import settings

RECIPE = {"epochs": 16, "shift": 2, "flip": True}
QUICK = [
    "--method", "understudy", "--method.least_steps", "0", "--method.epochs", "1",
    "--method.recipe.epochs", "1",
]  # fmt: skip


@pytest.fixture
def original(trained, tmp_path):
    """A run that says it was trained with shifts and flips, in 16 epochs."""
    shutil.copytree(trained / "original", tmp_path / "original")
    file = tmp_path / "original" / "config.yaml"
    config = yaml.safe_load(file.read_text("utf-8"))
    file.write_text(yaml.safe_dump(config | {"recipe": config["recipe"] | RECIPE}), "utf-8")
    return tmp_path / "original"


@pytest.fixture
def forget(original, trained, tmp_path):
    """Runs ``lotus unlearn`` on it; returns the settings of the method, and the folder."""

    def run(*words, model=original, out="out"):
        of = ["--model", str(model), "--forget", str(trained / "ids.txt")]
        assert main(["unlearn", *of, *words, "--out", str(tmp_path / out)]) == 0
        return runs.read(tmp_path / out).manifest["method"]["settings"], tmp_path / out

    return run


def test_an_understudy_has_its_shifts_and_a_quarter_of_its_epochs(forget, capsys):
    few = ["--method", "understudy", "--method.least_steps", "0", "--method.epochs", "1"]
    found, _ = forget(*few)
    assert {key: found["recipe"][key] for key in RECIPE} == RECIPE | {"epochs": 4}
    said = capsys.readouterr().err
    assert "method: understudy with recipe.epochs 4, recipe.shift 2, recipe.flip True, by" in said


def test_what_is_said_counts_and_is_found_again_in_the_config(forget, capsys):
    found, out = forget(*QUICK, "--method.recipe.flip", "false")
    assert {key: found["recipe"][key] for key in RECIPE} == {"epochs": 1, "shift": 2, "flip": False}
    assert "method: understudy with recipe.shift 2, by how" in capsys.readouterr().err
    again, there = forget("--config", str(out / "config.yaml"), out="again")
    assert again == found
    assert same(out, there)
    assert "by how the model was trained" not in capsys.readouterr().err


def test_retraining_is_by_the_recipe_of_the_original_of_an_unlearned_model_too(forget):
    other = datasets.load("digits", limit=150).train.official.ids[1].item()
    _, once = forget("--method", "finetune", "--method.epochs", "1", out="once")
    found, _ = forget("--method", "retrain", "--forget", f"ids:{other}", model=once)
    assert {key: found["recipe"][key] for key in RECIPE} == RECIPE
    assert found["recipe"]["batch_size"] == 32


def test_methods_that_train_nothing_anew_and_presets_stay_as_they_are(forget, capsys):
    found, _ = forget("--method", "finetune", "--method.epochs", "1")
    assert "by how the model was trained" not in capsys.readouterr().err
    tuned = ["--preset", "tuned-digits", *QUICK]
    found, _ = forget(*tuned, out="tuned")
    assert (found["recipe"]["shift"], found["recipe"]["flip"]) == (0, False)
    assert "by how the model was trained" not in capsys.readouterr().err


def test_a_file_of_weights_does_not_say_how_it_was_trained(forget, original, capsys):
    file = original / "model.safetensors"
    of = ["--architecture", "resnet-thin", "--data", "digits", "--limit", "150"]
    found, _ = forget(*QUICK, *of, model=file)
    assert (found["recipe"]["shift"], found["recipe"]["flip"]) == (0, False)


def test_that_retraining_would_take_no_longer_is_said(forget, capsys):
    forget("--method", "finetune", "--method.epochs", "15")
    assert "retraining on" not in capsys.readouterr().err
    forget("--method", "finetune", "--method.epochs", "16", out="longer")
    said = capsys.readouterr().err
    assert (
        "method: Finetune trains on 2,160 images, all passes together, retraining on 2,160" in said
    )
    assert "--method retrain is exact" in said


@pytest.mark.parametrize("known", ["by its run", "as told"])
def test_a_workspace_of_requests_takes_it_over(known, original, tmp_path):
    place = tmp_path / "deletion"
    words = ["request", "init", "--workspace", str(place), "--method", "understudy"]
    words += ["--model", str(original if known == "by its run" else original / "model.safetensors")]
    if known == "as told":
        words += ["--architecture", "resnet-thin", "--data", "digits", "--limit", "150"]
        words += ["--recipe.epochs", "16", "--recipe.shift", "2", "--recipe.flip", "true"]
    assert main(words) == 0
    found = settings.read(place / settings.FILE).method.settings
    assert {key: found[f"recipe.{key}"] for key in RECIPE} == RECIPE | {"epochs": 4}
    assert found["least_steps"] == 800


def test_a_workspace_of_a_file_that_nothing_is_told_of_has_the_defaults(original, tmp_path):
    words = ["--architecture", "resnet-thin", "--data", "digits", "--limit", "150"]
    words += ["--workspace", str(tmp_path / "deletion"), "--method", "understudy"]
    assert main(["request", "init", "--model", str(original / "model.safetensors"), *words]) == 0
    found = settings.read(tmp_path / "deletion" / settings.FILE).method.settings
    assert (found["recipe.epochs"], found["recipe.shift"], found["least_steps"]) == (3, 0, 200)
