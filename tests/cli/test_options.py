"""The options of the commands that choose a data set and what to forget."""

import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import yaml

from lotus_unlearning import datasets, runs
from lotus_unlearning.cli import main, options

CODE = """
import torch
def make():
    draw = torch.Generator().manual_seed(0)
    return tuple((torch.rand(n, 1, 8, 8, generator=draw), torch.arange(n) % 3) for n in (30, 12))
"""


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """The run folder of an original whose unseen images are of the official test part."""
    (tmp_path / "optiondata.py").write_text(CODE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    out = tmp_path / "original"
    words = ["train", "--data", "python:optiondata:make", "--root", str(tmp_path)]
    words += ["--unseen_from", "test", "--recipe.epochs", "2", "--out", str(out)]
    assert main(words) == 0
    yield out
    sys.modules.pop("optiondata")


def test_the_part_of_unseen_images_is_kept_in_the_run_and_inherited(trained, tmp_path):
    assert runs.read(trained).config["unseen_from"] == "test"
    out = tmp_path / "unlearned"
    words = ["unlearn", "--model", str(trained), "--forget", "0.2", "--method", "finetune"]
    assert main([*words, "--method.epochs", "1", "--out", str(out)]) == 0
    assert runs.read(out).config["unseen_from"] == "test"
    assert len(runs.read(out).manifest["forgotten"]) == 6  # of 30: none was set aside


def test_runs_that_know_of_no_such_part_took_unseen_images_from_train(trained):
    path = trained / "config.yaml"
    config = yaml.safe_load(path.read_text())
    del config["unseen_from"]
    path.write_text(yaml.safe_dump(config))
    chosen = SimpleNamespace(data=None, model=str(trained), forget=None, unseen_from="train")
    options.inherit_data(chosen)
    assert chosen.unseen_from == "train"
    data = options.load_data(chosen)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [26, 4, 12]


def test_another_part_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["train", "--unseen_from", "val"])
    assert "unseen_from" in capsys.readouterr().err
    assert main(["train", "--unseen_from", "test"]) == 1
    assert "for digits, which has no official test part" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_forget_official_takes_the_choice_of_the_authors():
    data = replace(datasets.load("digits", limit=50), forget=torch.tensor([3, 1, 40]))
    splits = options.choose(data, "official", seed=0)
    assert splits.forget.ids.tolist() == [3, 1, 40]
    assert (len(splits.retain), len(splits.unseen), len(splits.test)) == (47, 13, 300)


def test_forget_official_is_refused_where_authors_made_no_choice(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--forget", "official"]) == 1
    message = "expected a data set whose authors chose images to forget, got digits; pass a file"
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_help_tells_of_both(capsys):
    with pytest.raises(SystemExit):
        main(["unlearn", "--help"])
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "official (the choice of the data set's authors" in shown
    assert "half of test, as the LoTUS paper does" in shown
