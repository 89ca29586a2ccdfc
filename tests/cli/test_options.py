"""The options of the commands that choose a data set and what to forget."""

import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml

from lotus_unlearning import datasets, runs
from lotus_unlearning.cli import choosing, loading, main, options, parsing
from lotus_unlearning.cli.methods import add_method, build_method
from lotus_unlearning.methods import METHODS

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
    chosen = SimpleNamespace(
        data=None, model=str(trained), forget=None, unseen_from="train", on_overlap="auto"
    )
    loading.inherit_data(chosen, set(), runs.read(trained))
    assert chosen.unseen_from == "train"
    data = options.load_data(chosen)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [26, 4, 12]


def test_another_part_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--unseen_from", "val"]) == 2
    assert "unseen_from: expected train or test, got val" in capsys.readouterr().err
    assert main(["train", "--unseen_from", "test"]) == 1
    assert "for digits, which has no official test part" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def digits(**more):
    return replace(datasets.load("digits", limit=50), **more)


def test_forget_official_takes_the_choice_of_the_authors():
    ids = digits().train.official.ids[[3, 1, 40]]
    splits = choosing.choose(digits(forget=ids), "official", seed=0)
    assert splits.forget.ids.tolist() == [3, 1, 40]
    assert (len(splits.retain), len(splits.unseen), len(splits.test)) == (47, 13, 300)


def test_ids_are_official_in_files_and_in_words(tmp_path):
    ids = digits().train.official.ids[[3, 1]].tolist()
    (tmp_path / "ids.txt").write_text("\n".join(map(str, ids)))
    for words in (str(tmp_path / "ids.txt"), f"ids:{ids[0]},{ids[1]}", f"ids: {ids[0]}, {ids[1]}"):
        assert choosing.choose(digits(), words, seed=0).forget.ids.tolist() == [3, 1]
    named = replace(digits().train, names=tuple(f"cat/{i}.png" for i in range(50)))
    splits = choosing.choose(digits(train=named), "ids:cat/3.png,./cat/1.png", seed=0)
    assert splits.forget.ids.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("5", "a share between 0 and 1, got 5; for ids write a file, or ids:5"),
        ("3, 7", "a share between 0 and 1, got 3, 7; for ids write a file, or ids:3, 7"),
        ("1.5", "a share between 0 and 1, got 1.5; for ids write a file, or ids:3,9"),
        ("nan", "a share between 0 and 1, got nan"),
        ("0", "a share between 0 and 1"),
        ("ids:", "at least one image, got none"),
        ("ids.txt", "got 'ids.txt', and there is no such file"),
        (",".join(["3"] * 3000), "for ids write a file"),
        ("class:²", "expected one of 0, 1"),
    ],
)
def test_what_names_no_images_is_refused_with_a_way_out(words, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=hint):
        choosing.choose(digits(), words, seed=0)


def test_a_file_named_like_a_share_wins_and_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0.1").write_text(str(digits().train.official.ids[7].item()))
    assert choosing.choose(digits(), 0.1, seed=0).forget.ids.tolist() == [7]
    assert "forget: 0.1 is a file here, and read as a list of ids" in capsys.readouterr().err
    assert len(choosing.choose(digits(), "0.2", seed=0).forget) == 10
    assert capsys.readouterr().err == ""


def with_a_copy(name):
    """The first test image and the two first unseen ones are training images 7, 8 and 8."""
    data = digits(name=name)
    data.test.images[0] = data.train.images[7]
    data.unseen.images[:2] = data.train.images[8]
    return data, "ids:" + ",".join(map(str, data.train.official.ids[7:9].tolist()))


def test_copies_in_published_data_sets_are_dropped_and_counted(capsys):
    splits = choosing.choose(*with_a_copy("digits"), seed=0)
    assert (len(splits.unseen), len(splits.test)) == (11, 299)
    told = capsys.readouterr().err
    assert "unseen: dropped 2 copies of images to forget" in told
    assert "test: dropped 1 copy of images to forget" in told
    with pytest.raises(ValueError, match=r"unseen: .* 2 are the same"):
        choosing.choose(*with_a_copy("digits"), seed=0, on_overlap="refuse")


@pytest.mark.parametrize("name", ["imagefolder:photos", "python:mine:data"])
def test_copies_in_data_of_ones_own_are_refused_unless_asked(name):
    with pytest.raises(ValueError, match=r"test: .* 1 are the same.*\(--on_overlap drop\)"):
        choosing.choose(*with_a_copy(name), seed=0)
    assert len(choosing.choose(*with_a_copy(name), seed=0, on_overlap="drop").test) == 299


def test_forget_official_is_refused_where_authors_made_no_choice(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--data", "digits", "--forget", "official"]) == 1
    message = "expected a data set whose authors chose images to forget, got digits; pass a file"
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_help_tells_of_both(capsys):
    with pytest.raises(SystemExit):
        main(["unlearn", "--help"])
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "official (the choice of the data set's authors" in shown
    assert "half of test, as the LoTUS paper does" in shown
    assert "position, from 0, in the data set as it is published, whatever --data_seed" in shown
    assert "drop for published data sets, which hold copies, refuse for those with a colon" in shown


@pytest.mark.parametrize("name", METHODS)
def test_a_method_named_on_the_command_line_is_the_one_that_python_makes(name):
    made = parsing.parser("unlearn", "", "")
    words = add_method(made, ["--method", name])
    assert build_method(parsing.parse(made, words).method) == METHODS[name]()
