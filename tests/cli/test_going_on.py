"""``--checkpoint``: interrupted, the same command goes on from where it was."""

import pytest
from few_digits import IDS, SMALL, same

from lotus_unlearning.cli import main
from lotus_unlearning.runtime import nested
from lotus_unlearning.runtime.checkpoint import FILE

FORGET = f"ids:{','.join(map(str, IDS))}"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def interrupted(words):
    """By Ctrl-C, right after the first epoch."""
    write = nested.write

    def once(path, value):
        write(path, value)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nested, "write", once)
        return main(words)


def commands():
    train = ["train", *SMALL, "--checkpoint", "kept"]
    unlearn = ["unlearn", "--model", "original", "--forget", FORGET, "--method.epochs", "3"]
    return {
        "train": train,
        "gold": [*train, "--without", FORGET],
        "unlearn": [*unlearn, "--method", "finetune", "--checkpoint=kept"],
    }


@pytest.mark.parametrize("kind", commands())
def test_the_same_command_goes_on_to_the_same_bits(kind, tmp_path, capsys):
    words = commands()[kind]
    assert main(["train", *SMALL, "--out", "original"]) == 0
    assert main([*words, "--out", "whole"]) == 0
    assert not (tmp_path / "kept").exists()
    assert interrupted([*words, "--out", "out"]) == 130
    assert "The same command goes on after the last complete epoch" in capsys.readouterr().err
    assert (tmp_path / "kept" / FILE).is_file()
    assert not (tmp_path / "out").exists()
    assert main([*words, "--out", "out"]) == 0
    assert same(tmp_path / "out", tmp_path / "whole")
    assert not (tmp_path / "kept").exists()
    assert "checkpoint" not in (tmp_path / "out" / "config.yaml").read_text()


def test_another_command_with_the_same_folder_is_refused(tmp_path, capsys):
    words = commands()["train"]
    assert interrupted([*words, "--out", "out"]) == 130
    assert main([*words, "--seed", "1", "--out", "out"]) == 1
    told = capsys.readouterr().err
    assert "seed: here 1, there 0" in told
    assert "remove it to begin anew, or choose another folder" in told
    assert (tmp_path / "kept" / FILE).is_file()


def test_the_run_folder_is_no_place_for_it(tmp_path, capsys):
    assert main(["train", *SMALL, "--checkpoint", "out", "--out", "out"]) == 1
    assert "checkpoint: expected another folder than out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
