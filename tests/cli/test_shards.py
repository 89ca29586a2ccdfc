"""Shards by name on the command line: images are forgotten by their keys."""

import pytest
import tar_shards
from few_digits import same

from lotus_unlearning import runs
from lotus_unlearning.cli import main

KEYS = ["000003", "000008", "000021"]


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder with ``shards`` and a list of ``keys`` in it."""
    monkeypatch.setattr("lotus_unlearning.datasets.shards.CACHE", tmp_path / "cache")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in ("train", "test", "unseen"):
        first = {"train": 0, "test": 100, "unseen": 200}[name]
        numbers = range(first, first + (32 if name == "train" else 12))
        tar_shards.write(
            tmp_path / "work" / "shards" / f"{name}-0.tar", tar_shards.samples(numbers)
        )
    (tmp_path / "work" / "delete.csv").write_text("path\n" + "".join(f"{k}\n" for k in KEYS))
    return tmp_path / "work"


def test_images_of_shards_are_forgotten_by_a_file_of_keys_and_again_from_elsewhere(
    work, tmp_path, monkeypatch, capsys
):
    data = ["--data", "webdataset:shards/train-{0..0}.tar", "--size", "8"]
    small = ["--recipe.epochs", "1", "--recipe.batch_size", "16"]
    assert main(["train", *data, *small, "--out", "original"]) == 0
    words = ["--model", "original", "--forget", "delete.csv", "--method.epochs", "2"]
    assert main(["unlearn", *words, "--out", "forgot"]) == 0
    assert runs.read("forgot").manifest["forgotten"] == KEYS
    monkeypatch.chdir(tmp_path)
    again = ["unlearn", "--config", "work/forgot/config.yaml", "--out", "again"]
    assert main(again) == 0
    assert same(tmp_path / "again", work / "forgot")
    (work / "delete.csv").write_text("path\n000003\n000205\n")
    monkeypatch.chdir(work)
    capsys.readouterr()
    assert main(["unlearn", *words, "--out", "other"]) == 1
    assert "000205 (line 3) is among the unseen images" in capsys.readouterr().err
