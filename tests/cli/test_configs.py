"""A config runs the same again, wherever it is called from and whatever became of the list."""

import shutil

import pytest
import yaml
from few_digits import IDS, SMALL, same

from lotus_unlearning import runs
from lotus_unlearning.cli import configs, main
from lotus_unlearning.files.id_lists import read_ids

QUICK = ["--method.epochs", "1"]


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A working folder with the trained models in it, and a list of ids."""
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def config(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())


def test_a_run_keeps_its_own_list_and_points_at_what_is_beside_it(place):
    words = ["--model", "original", "--forget", "ids.txt", "--gold", "gold", "--out", "runs/out"]
    assert main(["unlearn", *words, *QUICK]) == 0
    out = place / "runs/out"
    assert (out / "forget.txt").read_text().split() == [str(i) for i in IDS]
    written = config(out)
    assert (written["forget"], written["model"]) == ("forget.txt", "../../original")
    assert written["gold"] == "../../gold"
    assert config(place / "gold")["without"] == "without.txt"


def test_the_same_again_from_elsewhere_after_the_list_changed_and_the_folder_moved(
    place, tmp_path, monkeypatch
):
    words = ["--model", "original", "--forget", "ids.txt", "--out", "runs/out", *QUICK]
    assert main(["unlearn", *words]) == 0
    (place / "ids.txt").write_text("1\n")
    monkeypatch.chdir(tmp_path)
    place.rename(tmp_path / "moved")
    again = ["unlearn", "--config", "moved/runs/out/config.yaml", "--out", "again"]
    assert main(again) == 0
    assert same(tmp_path / "again", tmp_path / "moved/runs/out")
    assert runs.read("again").manifest["forgotten"] == IDS


def test_an_evaluation_measures_what_the_run_forgot_not_what_the_list_says_today(place):
    words = ["--model", "original", "--forget", "ids.txt", "--out", "out", *QUICK]
    assert main(["unlearn", *words]) == 0
    (place / "ids.txt").unlink()
    assert main(["evaluate", "--unlearned", "out", "--out", "found"]) == 0
    assert runs.read("found").manifest["forgotten"] == IDS
    assert config(place / "found")["forget"] == "forget.txt"
    assert main(["evaluate", "--config", "found/config.yaml", "--out", "again"]) == 0
    assert runs.read("again").manifest["forgotten"] == IDS


def test_other_images_than_the_run_forgot_are_measured_when_asked_for_and_told_of(place, capsys):
    words = ["--model", "original", "--forget", "ids.txt", "--out", "out", *QUICK]
    assert main(["unlearn", *words]) == 0
    words = ["--unlearned", "out", "--forget", f"ids:{IDS[0]},{IDS[1] + 0}", "--out", "found"]
    assert main(["evaluate", *words]) == 0
    told = "2 images are measured here, 2 of them among the 15 that out forgot"
    assert told in capsys.readouterr().err


def test_a_list_is_not_inherited_from_a_run_that_forgot_it(place, capsys):
    words = ["--model", "original", "--forget", "ids.txt", "--out", "out", *QUICK]
    assert main(["unlearn", *words]) == 0
    assert main(["unlearn", "--model", "out"]) == 1
    told = capsys.readouterr().err
    assert "out has forgotten 15 images already: to measure it, lotus evaluate" in told
    assert "lotus unlearn --config out/config.yaml" in told
    assert main(["unlearn", "--model", "original"]) == 1
    assert "pass --forget FILE, ids:3,9, 0.1 or class:NAME" in capsys.readouterr().err


def test_paths_in_a_config_are_found_beside_it_then_in_the_working_folder(place, tmp_path):
    folder = place / "requests"
    folder.mkdir()
    (folder / "ids.txt").write_text(f"{IDS[2]}\n{IDS[5]}\n")
    chosen = {"model": "original", "forget": "ids.txt", "method": "finetune"}
    (folder / "run.yaml").write_text(yaml.safe_dump(chosen))
    assert main(["unlearn", "--config", "requests/run.yaml", "--out", "out", *QUICK]) == 0
    assert runs.read("out").manifest["forgotten"] == [IDS[2], IDS[5]]


def test_words_that_are_no_paths_stay(place):
    values = {"forget": "0.1", "data": "imagefolder:original", "model": "original", "root": None}
    here = configs.relative("train", values, place / "runs/x")
    assert here == {**values, "data": "imagefolder:../../original"}
    assert configs.relative("unlearn", values, place / "runs/x")["model"] == "../../original"
    absolute = {"forget": str(place / "ids.txt"), "data": None}
    assert configs.relative("unlearn", absolute, place / "runs/x") == absolute
    own = configs.relative("train", {"data": "python:mine:make", "root": None}, place / "runs/x")
    assert own["root"] == "../.."


def test_a_method_by_its_name_alone_is_a_config(place):
    (place / "run.yaml").write_text("model: original\nforget: 0.1\nmethod: scrub\n")
    assert main(["unlearn", "--config", "run.yaml", "--method.epochs", "1", "--out", "out"]) == 0
    assert runs.read("out").manifest["method"]["name"] == "SCRUB"


def test_another_method_than_that_of_the_config_brings_its_own_settings(place, capsys):
    words = ["--model", "original", "--forget", "ids.txt", "--out", "out", *QUICK]
    assert main(["unlearn", *words, "--preset", "demo"]) == 0
    again = ["unlearn", "--config", "out/config.yaml", "--method", "finetune", "--out", "other"]
    capsys.readouterr()
    assert main([*again, "--method.epochs", "2"]) == 0
    assert "method: finetune in the place of lotus, whose settings" in capsys.readouterr().err
    method = runs.read("other").manifest["method"]
    assert (method["name"], method["settings"]["epochs"]) == ("Finetune", 2)
    assert runs.read("other").manifest["forgotten"] == IDS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limt: 5", "config: expected options of this command, got 'limt'; did you mean 'limit'?"),
        ("recipe: 3", "config: expected settings with values under recipe in 'run.yaml', got 3"),
        ("recipe: {epoch: 3}", "got 'recipe.epoch'; did you mean 'recipe.epochs'?"),
        ("- 1", "config: expected options with values in 'run.yaml', got [1]"),
        (
            "data: digits\nlimit: [1\n",
            "expected a YAML file at 'run.yaml': line 3: expected ',' or ']', but got the end of "
            "the file (in what begins in line 2)\n",
        ),
        ("seed: 1\n\tlimit: 2\n", "at 'run.yaml': line 2: a tab; indent with spaces\n"),
        ("data: a: b\n", "line 1: a second colon; put quotes around text with a colon in it\n"),
        ("seed: 1\nlimit\ndata: digits\n", "line 3: expected NAME: VALUE, got no colon (in what"),
        ('seed: 1\ndata: "\x07"\n', "line 2: a character that may not stand there"),
        ("data: !!python/object:os.system {}\n", "line 1: could not determine a constructor for"),
        ("data: null", "data: expected the name of a data set, got null; pass --data"),
        ("limit: many", "limit: expected a whole number or null, got many"),
        ("limit: a", "limit: expected a whole number or null, got a"),
        ("method: scrubb", "did you mean 'scrub'?"),
    ],
)
def test_what_is_wrong_in_a_config_is_said_in_one_line(place, capsys, text, message):
    (place / "run.yaml").write_text(text)
    assert main(["demo", "--config", "run.yaml"]) in (1, 2)
    told = capsys.readouterr().err
    assert message in told
    assert len(told.strip().splitlines()) <= 2


_NOTHING = "got nothing; give a value or leave the line out"


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        ("train", "data_seed:", f"data_seed: expected a whole number, {_NOTHING}"),
        ("train", "model:", f"model: expected text, {_NOTHING}"),
        ("train", "recipe: {epochs: }", f"recipe.epochs: expected a whole number, {_NOTHING}"),
        ("train", "unseen_from:", f"unseen_from: expected train or test, {_NOTHING}"),
        ("train", "shard:", f"shard: expected true or false, {_NOTHING}"),
        ("train", "shard: 3", "shard: expected true or false, got 3"),
        ("train", "config: 1", "config: expected the options themselves, got 1 under config"),
        ("tune", "config: 1", "config: expected the options themselves, got 1 under config"),
        ("tune", "seed:", f"seed: expected a whole number, {_NOTHING}"),
        ("unlearn", "batch_size:", f"batch_size: expected a whole number, {_NOTHING}"),
        ("unlearn", "method: {epochs: }", f"method.epochs: expected a whole number, {_NOTHING}"),
        ("unlearn", "preset: 1", "preset: expected one of demo, "),
        ("unlearn", "preset: .nan", "; got nan"),
        ("unlearn", "preset: [1, 2]", "; got [1, 2]"),
        ("audit", "golds: {a: 1}", "golds: expected a list, got {'a': 1}"),
        ("audit", "golds: -1", "golds: expected a list, got -1"),
        ("audit", "golds: banks/x", "golds: expected a list, got banks/x"),
        ("audit", "relearning:", "relearning: expected settings with values, got nothing"),
    ],
)
def test_an_option_takes_neither_nothing_nor_a_value_of_another_shape(
    tmp_path, monkeypatch, capsys, command, text, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(f"{text}\n")
    name = ["scrub"] if command == "tune" else []
    assert main([command, *name, "--config", "run.yaml"]) in (1, 2)
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) <= 2


def test_every_value_that_an_option_cannot_take_is_told_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text("seed:\ndevice:\nlimit:\nout:\n")
    assert main(["train", "--config", "run.yaml"]) == 2
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "lotus train",
        "device",
        "lotus train --help tells its options",
    ]


def test_a_config_in_the_command_line_is_looked_at_too(capsys):
    assert main(["train", "--config", "{seed: }"]) == 2
    assert f"seed: expected a whole number, {_NOTHING}" in capsys.readouterr().err
    assert main(["train", "--config", "{"]) == 1
    assert "config: expected YAML, got '{': line 1: " in capsys.readouterr().err


def test_a_config_of_training_trains_the_same_again(place, tmp_path, monkeypatch):
    (place / "ids.txt").write_text("1\n")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--config", "work/gold/config.yaml", "--out", "again"]) == 0
    assert same(tmp_path / "again", place / "gold")
    assert config(tmp_path / "again")["recipe"]["batch_size"] == int(SMALL[-1])


def test_ids_in_the_file_of_a_run_are_read_as_they_are(tmp_path):
    names = ["#cat/a b.png", 'it is "1",2.png', "id", " path", "cat/3.png"]
    for ids in (names, [3, 1, 2]):
        (tmp_path / "ids.txt").write_text(runs._lines(ids), encoding="utf-8")
        found = read_ids(tmp_path / "ids.txt")
        assert next(iter(found.values())).values == [
            i if isinstance(i, int) else i.strip() for i in ids
        ]
