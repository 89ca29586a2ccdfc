"""Images, weights and run folders that are cut off, lacking or not what they seem."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import threading

import numpy as np
import pytest
import yaml
from few_digits import SMALL
from PIL import Image

from lotus_unlearning.cli import main

QUICK = [*SMALL[2:], "--recipe.epochs", "1", "--size", "8"]
PHOTOS = ["train", "--data", "imagefolder:photos", *QUICK, "--out", "out"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """``photos/a`` and ``photos/b``, 20 pictures each, in the working folder."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for i in range(40):
        file = tmp_path / f"photos/{'ab'[i % 2]}/{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(file)
    return tmp_path / "photos"


@pytest.fixture
def streamed(monkeypatch):
    """Images are read by other processes while the model learns."""
    monkeypatch.setattr("lotus_unlearning.datasets.files.MEMORY_SHARE", 0.0)


def left(place):
    return sorted(p.name for p in place.iterdir())


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize("kept", [0, 60])
def test_a_damaged_image_that_another_process_reads_is_named_in_one_line(photos, capsys, kept):
    file = photos / "a/4.png"
    file.write_bytes(file.read_bytes()[:kept])
    assert main(PHOTOS) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("lotus train: imagefolder: expected an image in photos/a/4.png, but it ")
    assert told.endswith("; repair or remove it")
    assert left(photos.parent) == ["photos"]


@pytest.mark.usefixtures("streamed")
def test_an_error_in_the_users_code_in_another_process_names_its_line(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ownimages.py").write_text(
        "import random, torch\n"
        "class Images(torch.utils.data.Dataset):\n"
        "    def __len__(self):\n"
        "        return 40\n"
        "    def __getitem__(self, i):\n"
        "        if torch.utils.data.get_worker_info() and i == 7:\n"
        "            return {}['lost']\n"
        "        return torch.rand(1, 8, 8), i % 2\n"
        "def make():\n"
        "    return Images(), Images()\n"
    )
    assert main(["train", "--data", "python:ownimages:make", *QUICK[:-2], "--out", "out"]) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told == f"lotus train: KeyError: 'lost' ({tmp_path / 'ownimages.py'}, line 7)"


# a second reader may be killed while torch puts its loader away, which it can tell nobody
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("streamed")
def test_a_killed_reader_ends_the_command_and_loses_nothing(photos, capsys):
    ended = threading.Event()

    def kill():
        while not ended.wait(0.001):
            for child in multiprocessing.active_children():
                with contextlib.suppress(ProcessLookupError):  # it was gone already
                    os.kill(child.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        status = main(PHOTOS)
    finally:
        ended.set()
        killer.join()
    assert status == 1
    assert "lotus train: a process that reads images was killed (" in capsys.readouterr().err
    assert left(photos.parent) == ["photos"]
    assert multiprocessing.active_children() == []


def test_a_pipe_that_is_called_an_image_is_not_waited_for(photos, capsys):
    os.mkfifo(photos / "a/pipe.png")
    assert main(PHOTOS) == 1
    assert "photos/a/pipe.png, but it cannot be read (there is no such file)" in (
        capsys.readouterr().err
    )


def test_links_in_a_circle_are_not_walked_without_end(photos, capsys):
    (photos / "a/more").symlink_to(photos / "b")
    (photos / "b/more").symlink_to(photos / "a")
    assert main(PHOTOS) == 1
    assert "expected each folder of images once, but by a link" in capsys.readouterr().err


def test_a_file_name_that_is_no_text_is_told_before_the_work(photos, capsys):
    (photos / "a/0.png").rename(photos / "a" / os.fsdecode(b"caf\xe9.png"))
    assert main(PHOTOS) == 1
    assert r"expected names of files in UTF-8, got b'a/caf\xe9.png'" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_weights_that_were_cut_off_are_refused_and_no_folder_is_left(
    trained, tmp_path, monkeypatch, capsys, cut
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "original", tmp_path / "run")
    file = tmp_path / "run/model.safetensors"
    file.write_bytes(file.read_bytes()[:cut])
    assert main(["unlearn", "--model", "run", "--forget", "0.1", "--out", "out"]) == 1
    assert (
        "model.safetensors: expected safetensors, got damaged contents" in capsys.readouterr().err
    )
    assert left(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model.safetensors", "weights: expected a file at"),
        ("manifest.json", "got a folder without manifest.json"),
        ("config.yaml", "as its config.yaml has none; pass --data"),
        ("history.jsonl", None),
        ("without.txt", None),
    ],
)
def test_a_run_that_lacks_a_file_is_refused_or_not_in_need_of_it(
    trained, tmp_path, monkeypatch, capsys, file, message
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "gold", tmp_path / "run")
    (tmp_path / "run" / file).unlink()
    words = ["unlearn", "--model", "run", "--forget", "0.1", "--method.epochs", "1"]
    status = main([*words, "--out", "out"])
    assert status == (0 if message is None else 1)
    assert (message or "page:") in capsys.readouterr().err
    assert (tmp_path / "out").exists() == (message is None)


@pytest.mark.parametrize(
    ("file", "value", "place"),
    [
        ("manifest.json", {"model": 3}, "model (expected a mapping or null, got 3)"),
        ("manifest.json", {"forgotten": {}}, "forgotten (expected a list"),
        ("manifest.json", {"left_out": [[1]]}, "left_out.0 (expected a whole number, got a list)"),
        ("manifest.json", {"seconds": "x"}, "seconds (expected a number or null, got 'x')"),
        ("manifest.json", {"method": None}, "method (expected a mapping, got null)"),
        ("manifest.json", {"trained_on": {"ids": ""}}, "trained_on.data (expected text, got none)"),
        ("config.yaml", {"data": {}}, "data (expected text or null, got a mapping)"),
        ("config.yaml", {"limit": "all"}, "limit (expected a whole number or null, got 'all')"),
        ("config.yaml", {"recipe": []}, "recipe (expected a mapping or null, got a list)"),
        ("history.jsonl", {"loss": "x"}, "0.loss (expected a number or null, got 'x')"),
    ],
)
def test_a_run_with_other_kinds_of_values_is_refused_with_their_places(
    trained, tmp_path, capsys, monkeypatch, file, value, place
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "original", tmp_path / "run")
    known = {} if file == "history.jsonl" else yaml.safe_load((tmp_path / "run" / file).read_text())
    (tmp_path / "run" / file).write_text(json.dumps({**known, **value}))
    assert main(["unlearn", "--model", "run", "--forget", "0.1", "--out", "out"]) == 1
    told = capsys.readouterr().err
    assert f"run/{file}: expected a file of a run as it was written, got other values of" in told
    assert place in told
    assert left(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ({"name": []}, "name (expected text, got a list)"),
        ({"classes": None}, "classes (expected a whole number, got null)"),
        ({"depth": 3}, "depth (expected one of name, classes, channels, image_size)"),
    ],
)
def test_a_run_whose_model_cannot_be_built_says_why(
    trained, tmp_path, capsys, monkeypatch, model, place
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "original", tmp_path / "run")
    facts = json.loads((tmp_path / "run/manifest.json").read_text())
    facts["model"] |= model
    (tmp_path / "run/manifest.json").write_text(json.dumps(facts))
    assert main(["unlearn", "--model", "run", "--forget", "0.1", "--out", "out"]) == 1
    told = capsys.readouterr().err
    assert "run/manifest.json: expected how a model is built, got other values of" in told
    assert place in told


@pytest.mark.parametrize("recipe", [None, {"epochs": "many"}, {"epoch": 1}])
def test_a_recipe_that_none_can_train_by_is_named_by_the_bank(
    trained, tmp_path, capsys, monkeypatch, recipe
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "original", tmp_path / "run")
    known = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    (tmp_path / "run/config.yaml").write_text(json.dumps({**known, "recipe": recipe}))
    assert main(["bank", "--model", "run", "--forget", "0.1", "--golds", "1", "--out", "out"]) == 1
    told = capsys.readouterr().err
    if recipe is not None:
        words = ["request", "init", "--model", "run", "--method", "finetune", "--workspace", "out"]
        assert main(words) == 1
        assert (
            capsys.readouterr().err.partition("run/config.yaml")[2]
            == told.partition("run/config.yaml")[2]
        )
    places = "recipe to train by", "epochs (expected a whole", "epoch (expected one of epochs"
    assert any(place in told for place in places)
    assert left(tmp_path) == ["run"]


def test_a_run_that_is_said_to_begin_from_itself_is_no_original(
    trained, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "original", tmp_path / "run")
    (tmp_path / "run/config.yaml").write_text("data: digits\nmodel: run")
    assert main(["bank", "--model", "run", "--forget", "0.1", "--golds", "1", "--out", "out"]) == 1
    assert "expected a run that knows how its model was trained" in capsys.readouterr().err


_ROW = {"measure": "m", "label": "M", "direction": "up", "unit": "", "values": {"original": 1.0}}
_PAGE = {"title": "T", "columns": ["original"], "table": [_ROW]}


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"method": {"settings": "x"}}, "method.settings (expected a mapping or null, got 'x')"),
        ({"table": [{**_ROW, "values": 3}]}, "table.0.values (expected a mapping, got 3)"),
        ({"history": [{"loss": []}]}, "history.0.loss (expected a number or null, got a list)"),
        ({"roc": {"loss": {"original": {"fpr": "x"}}}}, "roc.loss.original.fpr (expected a list"),
        ({"images": [{"before": 1}]}, "images.0.before (expected a mapping or null, got 1)"),
        ({"notes": [3]}, "notes.0 (expected text, got 3)"),
    ],
)
def test_measures_of_another_kind_are_named_and_the_page_stays(tmp_path, capsys, changed, place):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "report.html").write_text("<!doctype html>")
    (folder / "metrics.json").write_text(json.dumps({**_PAGE, **changed}))
    assert main(["report", str(folder)]) == 1
    told = capsys.readouterr().err
    assert "metrics.json: expected an evaluation as it was written, got other values of" in told
    assert place in told
    assert "measure again with lotus evaluate" in told
    assert (folder / "report.html").read_text() == "<!doctype html>"


def test_values_within_values_without_end_are_no_page(tmp_path, capsys):
    deep = {}
    for _ in range(400):
        deep = {"a": deep}
    (tmp_path / "metrics.json").write_text(json.dumps({**_PAGE, "manifest": deep}))
    assert main(["report", str(tmp_path)]) == 1
    assert "values stand within values too deep" in capsys.readouterr().err
