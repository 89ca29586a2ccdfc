"""Run folders are complete or not there, and nothing else is written over."""

import json
import os
import shutil
from pathlib import Path

import pytest
from few_digits import SMALL

from lotus_unlearning import runs
from lotus_unlearning.cli import main
from lotus_unlearning.files import folders

ONE = [*SMALL[:2], "--recipe.epochs", "1"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["train", "demo"])
def test_a_place_that_cannot_be_written_to_is_found_out_before_the_work(
    tmp_path, monkeypatch, capsys, command
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("lotus_unlearning.cli.options.load_data", lambda _: pytest.fail("worked"))
    assert main([command, *ONE, "--out", "file/x"]) == 1
    assert "out: expected a place that can be written to, got 'file/x'" in capsys.readouterr().err
    assert main([command, *ONE, "--out", "x" * 250]) == 1
    assert "File name too long" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_looking_whether_a_place_can_be_written_to_leaves_nothing(tmp_path):
    folders.require_writable(Path("new/folder/run"))
    assert not list(tmp_path.iterdir())


def test_a_result_whose_place_was_taken_meanwhile_is_kept(tmp_path, monkeypatch, capsys):
    write = runs.write

    def taken(*words, **more):
        write(*words, **more)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "other.txt").write_text("from someone else")

    monkeypatch.setattr(runs, "write", taken)
    assert main(["train", *ONE, "--out", "out"]) == 1
    told = capsys.readouterr().err
    kept = Path(told.strip().rpartition("what was computed is kept in ")[2])
    assert runs.read(kept).model() is not None
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["other.txt"]


def test_a_full_disk_leaves_the_weights_that_were_written(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lotus_unlearning.runs.yaml.safe_dump", full)
    assert main(["train", *ONE, "--out", "out"]) == 1
    told = capsys.readouterr().err
    assert "No space left on device; what was computed is kept in" in told
    (kept,) = [p for p in tmp_path.iterdir() if p.name.startswith(".out.")]
    assert (kept / "model.safetensors").is_file()


def test_what_fails_before_there_are_weights_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lotus_unlearning.runs.models.save_weights", full)
    assert main(["train", *ONE, "--out", "out"]) == 1
    assert not list(tmp_path.iterdir())


def test_all_files_of_a_run_can_be_read_by_the_same_people(trained):
    modes = {p.name: p.stat().st_mode & 0o777 for p in (trained / "original").iterdir()}
    umask = os.umask(0)
    os.umask(umask)
    assert {*modes.values()} == {0o666 & ~umask}


def test_the_manifest_says_where_and_how_the_run_was_made(trained):
    facts = runs.read(trained / "gold").manifest
    assert (facts["device"], facts["precision"], facts["processes"]) == ("cpu", "float32", 1)
    assert facts["threads"] >= 1
    assert facts["processor"]
    assert {"torch", "python", "numpy", "lotus-unlearning"} <= facts["versions"].keys()
    assert facts["command_line"].startswith("lotus train --data digits --limit 150")
    assert runs.read(trained / "gold").config["precision"] == "auto"  # as it was asked for


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("manifest.json", "{", "manifest.json: expected a file of a run as it was written"),
        ("manifest.json", "[]", "manifest.json: expected a dict, got list"),
        ("config.yaml", "data: [", "config.yaml: expected a file of a run as it was written"),
        ("config.yaml", "digits", "config.yaml: expected a dict, got str"),
        ("history.jsonl", "{]", "history.jsonl: expected a file of a run as it was written"),
        ("config.yaml", None, "as its config.yaml has none; pass --data"),
    ],
)
def test_broken_files_of_a_run_are_named(trained, tmp_path, capsys, file, text, message):
    copy = tmp_path / "copy"
    shutil.copytree(trained / "original", copy)
    if text is None:
        (copy / file).unlink()
    else:
        (copy / file).write_text(text)
    assert main(["unlearn", "--model", "copy", "--forget", "0.1"]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("recorded", ["0" * 64, "", None, 7, ["a"]])
@pytest.mark.parametrize("command", ["unlearn", "evaluate"])
def test_a_recorded_hash_that_is_not_of_the_weights_is_refused(
    trained, tmp_path, capsys, recorded, command
):
    copy = tmp_path / "copy"
    shutil.copytree(trained / "original", copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "weights_sha256": recorded}))
    flag = "--model" if command == "unlearn" else "--original"
    assert main([command, flag, "copy", "--forget", "0.1", "--out", "o"]) == 1
    assert f"expected weights with SHA-256 {str(recorded)[:12]}..." in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_run_without_a_model_is_refused_as_one(unlearn, trained, capsys):
    words = ["evaluate", "--original", str(trained / "original"), "--out", "found"]
    assert main([*words, "--forget", "0.1"]) == 0
    assert main(["unlearn", "--model", "found", "--forget", "0.1"]) == 1
    assert "expected a run with a model (made by lotus train, unlearn or demo), got one of lotus " \
        "evaluate" in capsys.readouterr().err  # fmt: skip


@pytest.fixture
def evaluated(trained):
    words = ["evaluate", "--original", str(trained / "original"), "--forget", "0.1"]
    assert main([*words, "--out", "found"]) == 0
    return Path("found")


def test_a_page_is_written_again_for_an_evaluation_too(evaluated):
    page = (evaluated / "report.html").read_text()
    (evaluated / "report.html").unlink()
    assert main(["report", "found"]) == 0
    assert (evaluated / "report.html").read_text() == page
    assert main(["report", "found"]) == 0  # over its own page


def test_a_page_is_not_written_over_anything_else(evaluated, capsys):
    for name in ("metrics.json", "manifest.json", "."):
        before = json.loads((evaluated / "metrics.json").read_text())
        assert main(["report", "found", "--out", str(evaluated / name)]) == 1
        assert "expected a new file or a page to replace, got" in capsys.readouterr().err
        assert json.loads((evaluated / "metrics.json").read_text()) == before


def test_a_search_does_not_write_into_another_run(trained, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(trained / "original", copy)
    before = sorted(p.name for p in copy.iterdir())
    words = ["tune", "finetune", "--data", "digits", *SMALL, "--budget", "1", "--out", "copy"]
    assert main(words) == 1
    assert "out: expected a new folder or that of a search, got 'copy'" in capsys.readouterr().err
    assert sorted(p.name for p in copy.iterdir()) == before
