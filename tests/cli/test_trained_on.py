"""Models and data that do not belong together are found out by what the models were trained on."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from few_digits import IDS, SMALL

from lotus_unlearning import datasets, runs
from lotus_unlearning.cli import main
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.datasets.data import take

CODE = """
import torch
from lotus_unlearning import datasets

def make():  # 150 images of the shape and classes of digits
    draw = torch.Generator().manual_seed(0)
    def images(size):
        return torch.rand(size, 1, 8, 8, generator=draw), torch.arange(size) % 10
    return images(150), images(20), images(20)
"""


def digits(**more):
    return datasets.load("digits", limit=50, **more)


def test_the_same_images_are_known_again_in_any_order_and_with_their_labels():
    data = digits()
    here = TrainingImages.of(data)
    turned = replace(data, train=take(data.train, torch.arange(49, -1, -1).numpy()))
    assert not TrainingImages.of(turned).differs_from(here.record)
    assert not TrainingImages.of(digits(size=32)).differs_from(here.record)
    for other in (digits(seed=5), datasets.load("digits", limit=49)):
        assert TrainingImages.of(other).differs_from(here.record)
    labels = data.train.labels.clone()
    labels[0] = (labels[0] + 1) % 10
    relabelled = replace(data, train=replace(data.train, labels=labels))
    assert TrainingImages.of(relabelled).differs_from(here.record)


def test_streamed_images_are_known_by_their_ids(monkeypatch):
    here = TrainingImages.of(digits()).record
    streamed = TrainingImages("digits", 50, here["ids"], None)
    assert not streamed.differs_from(here)
    assert replace(streamed, ids="0").differs_from(here)


def test_a_gold_model_of_other_images_is_refused_though_ids_are_the_same(unlearn, tmp_path, capsys):
    gold = tmp_path / "gold"
    words = [*SMALL, "--data_seed", "5", "--without", "0.1", "--out", str(gold)]
    assert main(["train", *words]) == 0
    facts = json.loads((gold / "manifest.json").read_text())
    facts["left_out"] = IDS  # numbers alone do not make it gold
    (gold / "manifest.json").write_text(json.dumps(facts))
    status, out = unlearn("--gold", str(gold))
    assert status == 1
    assert "gold: expected a model that was trained on the 150 training" in (
        told := capsys.readouterr().err
    )
    assert "--data_seed is 0 here and 5 there" in told
    assert not out.exists()


def test_a_gold_model_that_left_out_more_is_told_of(unlearn, trained, tmp_path, capsys):
    words = ["--forget", f"ids:{IDS[0]},{IDS[3]}", "--gold", str(trained / "gold")]
    assert unlearn(*words, "--method.epochs", "1")[0] == 0
    assert "was retrained without 13 more images than those to forget" in capsys.readouterr().err


def test_a_model_made_by_retrain_is_gold(unlearn, tmp_path, capsys):
    _, gold = unlearn("--method", "retrain", "--method.recipe.epochs", "1", out="gold")
    assert unlearn("--gold", str(gold), "--method.epochs", "1")[0] == 0
    assert unlearn("--gold", str(gold), "--forget", "0.3", out="other")[0] == 1
    assert "was trained on" in capsys.readouterr().err


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    (tmp_path / "likedigits.py").write_text(CODE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield ["--data", "python:likedigits:make", "--root", str(tmp_path), "--forget", "0.1"]
    sys.modules.pop("likedigits", None)


def test_a_model_does_not_forget_what_it_never_saw(unlearn, own_data, capsys):
    status, out = unlearn(*own_data)
    assert status == 1
    told = capsys.readouterr().err
    assert "model: expected a model that was trained on the 150 training images of python" in told
    assert "--data is python:likedigits:make here and digits there" in told
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "32"], "images of 1 channel and 32 pixels, as digits has them here, got one"),
        (["--limit", "100"], "--limit is 100 here and 150 there"),
        (["--data_seed", "5", "--forget", "0.1"], "--data_seed is 5 here and 0 there"),
        (["--data", "digits", "--limit", "100"], "--limit is 100 here and 150 there"),
    ],
)
def test_options_that_contradict_the_run_are_refused_with_both(unlearn, capsys, words, message):
    words = words if "--forget" in words else [*words, "--forget", "0.1"]
    status, out = unlearn(*words)
    assert status == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_options_that_are_not_given_are_those_of_the_run(unlearn):
    status, out = unlearn("--data", "digits", "--method.epochs", "1")
    assert status == 0
    config = runs.read(out).config
    assert (config["limit"], config["data_seed"], config["unseen_from"]) == (150, 0, "train")


def test_images_that_changed_after_training_are_noticed(tmp_path, monkeypatch, capsys):
    (tmp_path / "changes.py").write_text(CODE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "python:changes:make", *SMALL[2:], "--out", "original"]) == 0
    (tmp_path / "changes.py").write_text(CODE.replace("manual_seed(0)", "manual_seed(1)  "))
    sys.modules.pop("changes")
    assert main(["unlearn", "--model", "original", "--forget", "0.1"]) == 1
    sys.modules.pop("changes")
    assert "the files have changed since" in capsys.readouterr().err


def test_another_original_than_the_one_that_unlearned_is_refused(unlearn, trained, capsys):
    _, out = unlearn("--method.epochs", "1")
    words = ["evaluate", "--unlearned", str(out), "--original", str(trained / "gold")]
    assert main(words) == 1
    assert f"original: expected the model that {str(out)!r} began from" in capsys.readouterr().err


def test_what_was_forgotten_before_is_not_taught_again(unlearn, tmp_path, capsys):
    _, first = unlearn("--method.epochs", "1")
    capsys.readouterr()
    second = tmp_path / "second"
    words = ["unlearn", "--model", str(first), "--method.epochs", "1", "--out", str(second)]
    assert main([*words, "--forget", "0.1"]) == 0
    told = capsys.readouterr().err
    facts = runs.read(second).manifest
    assert facts["forgotten_before"] == IDS
    again = len({*facts["forgotten"]} & {*IDS})
    assert f"retain: without {15 - again} images that are gone from {first} already" in told
    page = json.loads((second / "metrics.json").read_text())
    assert page["manifest"]["images"]["retain"] == 150 - 15 - 15 + again
    assert main(["evaluate", "--unlearned", str(second), "--out", str(tmp_path / "e")]) == 0
    found = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert found["manifest"]["images"] == page["manifest"]["images"]


def test_a_run_without_that_knowledge_is_taken_and_told_of(trained, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(trained / "original", copy)
    facts = json.loads((copy / "manifest.json").read_text())
    del facts["trained_on"]
    (copy / "manifest.json").write_text(json.dumps(facts))
    words = ["unlearn", "--model", str(copy), "--forget", "0.1", "--method.epochs", "1"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "does not say which images it was trained on" in capsys.readouterr().err
