"""``--checkpoint``: interrupted, the same command goes on from where it was."""

import pytest
from few_digits import IDS, SMALL, same

from lotus_unlearning.cli import dispatch, main
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


@pytest.mark.parametrize("given", ["command line", "config"])
def test_that_it_goes_on_is_said(given, tmp_path, capsys):
    words = ["train", *SMALL, "--out", "out", "--checkpoint", "kept"]
    if given == "config":
        (tmp_path / "config.yaml").write_text("checkpoint: kept\nrecipe: {batch_size: 32}\n")
        words = ["train", *SMALL[:-2], "--out", "out", "--config", "config.yaml"]
    assert interrupted(words) == 130
    assert "The same command goes on after the last complete epoch" in capsys.readouterr().err
    assert main(words) == 0
    assert "goes on from its checkpoint, after epoch 1 of 3" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_interrupted_before_there_is_a_checkpoint_nothing_is_said_of_it(monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lotus_unlearning.cli.options.load_data", stop)
    assert main(["train", *SMALL, "--checkpoint", "kept", "--out", "out"]) == 130
    assert "nothing was written. The same command starts again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kept", "out"), [("out", "out"), ("out/kept", "out"), ("runs/original", None)]
)
@pytest.mark.parametrize("kind", ["train", "unlearn"])
def test_the_run_folder_is_no_place_for_it(kind, kept, out, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lotus_unlearning.cli.options.load_data", lambda _: pytest.fail("worked"))
    more = [] if kind == "train" else ["--model", "original", "--forget", "0.1"]
    if kind == "unlearn" and out is None:
        kept = "runs/unlearned/kept"
    words = [kind, *more, "--checkpoint", kept, *(["--out", out] if out else [])]
    assert main(words) == 1
    told = capsys.readouterr().err
    assert "checkpoint: expected a folder outside the new run's folder" in told
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_within_that_of_the_checkpoint_stays(tmp_path):
    assert main(["train", *SMALL, "--checkpoint", "kept", "--out", "kept/run"]) == 0
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["run"]


def test_a_link_to_a_folder_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "kept").symlink_to("real")
    assert main(["train", *SMALL, "--checkpoint", "kept", "--out", "out"]) == 0
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize("place", ["_plain_warnings", "_attempt"])
def test_an_interruption_while_modules_are_loaded_is_one_sentence(place, monkeypatch, capsys):
    monkeypatch.setattr(dispatch, place, interrupted_at_once)
    assert main(["train"]) == 130
    told = "lotus: interrupted; nothing was written. The same command starts again.\n"
    assert capsys.readouterr().err == told


def interrupted_at_once(*_):
    raise KeyboardInterrupt
