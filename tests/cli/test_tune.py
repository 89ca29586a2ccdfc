"""``lotus tune``, end to end, on 150 digits."""

import csv

import pytest
import yaml

from lotus_unlearning import datasets, runs
from lotus_unlearning.benchmark.blocks import BLOCKS, Block
from lotus_unlearning.benchmark.cells import DataChoice, Setup
from lotus_unlearning.cli import main
from lotus_unlearning.cli import tune as command
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.settings import default, with_settings
from lotus_unlearning.methods.spaces import SPACES
from lotus_unlearning.training import Recipe
from lotus_unlearning.tuning import alone

RECIPE = Recipe(epochs=2, batch_size=32)
SMALL = ["--data", "digits", "--limit", "150", "--recipe.epochs", "2", "--recipe.batch_size", "32"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choice = DataChoice(name="digits", limit=150)
    block = Block(setup=Setup(data=choice, model="resnet-thin", recipe=RECIPE, batch_size=64))
    monkeypatch.setitem(BLOCKS, "small", block)


def tune(*words, budget=2):
    return main(["tune", *words, "--budget", str(budget), "--device", "cpu"])


def stored(path):
    return yaml.safe_load((path / "tuned.yaml").read_text())


def test_the_entry_holds_what_is_needed_to_search_again(tmp_path, capsys):
    assert tune("finetune", *SMALL, "--seed", "3", "--unseen_from", "train") == 0
    out = tmp_path / "runs/tune-finetune"
    entry = stored(out)["finetune"]
    told = entry["search"]
    assert yaml.safe_load(capsys.readouterr().out) == stored(out)
    assert with_settings("finetune", entry["settings"]).epochs == entry["settings"]["epochs"]
    for key, value in {
        "data": "digits", "limit": 150, "size": None, "data_seed": 0, "unseen_from": "train",
        "model": "resnet-thin", "pretrained": False, "forget": "0.1", "forget_seed": 0, "seed": 3,
        "budget": 2, "trials": 2, "block": None,
    }.items():  # fmt: skip
        assert told[key] == value
    assert told["recipe"]["epochs"] == 2
    assert told["draws"] == [{"images": 0, "seed": 3}, {"images": 1, "seed": 4}]
    assert len({images["forget"]["digest"] for images in told["images"]}) == 2
    known = runs.read(out / "original").manifest["weights_sha256"]
    assert told["weights_sha256"] == known
    rows = list(csv.DictReader((out / "trials.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["finetune"] * 2
    assert min(float(row["objective"]) for row in rows) == told["objective"]
    assert float(rows[0]["learning_rate"]) == default("finetune", "learning_rate")


def test_a_search_that_goes_on_does_not_train_again(tmp_path, monkeypatch, capsys):
    assert tune("finetune", *SMALL, budget=1) == 0

    def forbidden(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(command, "train", forbidden)
    assert tune("finetune", *SMALL, budget=2) == 0
    assert "1 finished trials in" in capsys.readouterr().err
    assert stored(tmp_path / "runs/tune-finetune")["finetune"]["search"]["trials"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--limit", "140"], "limit (expected 150, got 140)"),
        (["--recipe.epochs", "3"], "recipe (expected"),
        (["--seed", "1"], "seed (expected 0, got 1)"),
        (["--forget", "0.2"], "- images: expected"),
        (["--draws", "3"], "- draws: expected"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(tmp_path, capsys, words, message):
    assert tune("finetune", *SMALL) == 0
    before = (tmp_path / "runs/tune-finetune/tuned.yaml").read_text()
    capsys.readouterr()
    assert tune("finetune", *SMALL, *words) == 1
    assert message in capsys.readouterr().err
    assert (tmp_path / "runs/tune-finetune/tuned.yaml").read_text() == before


def test_a_fixed_list_is_forgotten_with_several_seeds(tmp_path):
    ids = datasets.load("digits", limit=150).train.official.ids[:60:4].tolist()
    (tmp_path / "ids.txt").write_text("\n".join(map(str, ids)))
    assert tune("random-labels", *SMALL, "--forget", "ids.txt", budget=1) == 0
    told = stored(tmp_path / "runs/tune-random-labels")["random-labels"]["search"]
    assert told["draws"] == [{"images": 0, "seed": 0}, {"images": 0, "seed": 1}]
    assert told["images"][0]["forget"]["images"] == 15


def test_the_original_of_a_run_brings_its_data_along(tmp_path):
    words = ["--seed", "2", "--data_seed", "5", "--out", "original"]
    assert main(["train", *SMALL, *words, "--device", "cpu"]) == 0
    assert tune("finetune", "--model", "original", budget=1) == 0
    told = stored(tmp_path / "runs/tune-finetune")["finetune"]["search"]
    assert (told["data"], told["limit"], told["data_seed"]) == ("digits", 150, 5)
    assert told["weights_sha256"] == runs.read("original").manifest["weights_sha256"]
    assert told["original"] == "original"
    assert not (tmp_path / "runs/tune-finetune/original").exists()


def test_a_block_brings_data_model_and_recipe_and_seeds_of_its_own(tmp_path):
    assert tune("finetune", "--block", "small", budget=1) == 0
    told = stored(tmp_path / "runs/tune-finetune-small")["finetune"]["search"]
    assert (told["data"], told["limit"], told["model"]) == ("digits", 150, "resnet-thin")
    assert (told["recipe"]["batch_size"], told["batch_size"]) == (32, 64)
    assert {told[key] for key in ("seed", "data_seed", "forget_seed")} == {100}
    assert [draw["seed"] for draw in told["draws"]] == [100, 101]
    config = runs.read(tmp_path / "runs/tune-finetune-small/original").config
    assert (config["seed"], config["data_seed"]) == (100, 100)


def test_a_block_is_not_mixed_with_other_data_or_recipes(capsys):
    words = ["--data", "digits", "--recipe.epochs", "3", "--batch_size", "128"]
    assert tune("finetune", "--block", "small", *words) == 1
    assert "got --data, --recipe, --batch_size; leave them out" in capsys.readouterr().err
    assert tune("finetune", "--block", "smal") == 1
    assert "did you mean 'small'" in capsys.readouterr().err


def test_all_methods_one_after_another_in_one_file(tmp_path, monkeypatch, capsys):
    few = {name: SPACES[name] for name in ("unsir", "ssd", "finetune")}
    monkeypatch.setattr(command, "SPACES", few)
    trained, train = [], command.train

    def counted(*words, **more):
        trained.append(1)
        return train(*words, **more)

    monkeypatch.setattr(command, "train", counted)
    assert tune("all", "--block", "small", budget=1) == 0
    out = tmp_path / "runs/tune-all-small"
    (out / "tuned.yaml").unlink()
    assert tune("all", "--block", "small", budget=2) == 0
    assert list(stored(out)) == ["finetune", "ssd", "unsir"]
    assert len(trained) == 1
    for name, entry in stored(out).items():
        assert isinstance(with_settings(name, entry["settings"]), METHODS[name])
        assert entry["search"]["trials"] == 2
    assert "&id" not in (out / "tuned.yaml").read_text()
    assert len((out / "trials.csv").read_text().splitlines()) == 7
    assert "unsir: objective" in capsys.readouterr().err


def test_two_searches_at_once_in_one_folder_are_refused(tmp_path, capsys):
    with alone(tmp_path / "runs/tune-finetune/search"):
        assert tune("finetune", *SMALL) == 1
    assert "expected no other search at work there" in capsys.readouterr().err
    assert not (tmp_path / "runs/tune-finetune/original").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["finetun", *SMALL], "did you mean 'finetune'"),
        (["finetune"], "expected --data to train an original on"),
        (["finetune", *SMALL, "--draws", "0"], "expected at least 1, got 2 and 0"),
        (["finetune", *SMALL, "--forget", "nowhere.txt"], "there is no such file"),
    ],
)
def test_refuses_before_anything_is_trained(tmp_path, capsys, words, message):
    assert tune(*words) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("**/original"))


def test_several_processes_are_refused_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert tune("finetune", *SMALL) == 1
    assert "expected one process" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_interrupted_search_says_that_it_goes_on(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "tune", interrupted)
    assert tune("finetune", *SMALL) == 130
    assert "The same command goes on." in capsys.readouterr().err


def test_a_search_that_bettered_nothing_says_so(capsys):
    assert tune("finetune", *SMALL, budget=1) == 0
    assert "that of the defaults, which no other trial bettered" in capsys.readouterr().err
