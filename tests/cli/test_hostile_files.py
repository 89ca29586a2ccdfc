"""Files made to do harm: what they carry is never run, never unpacked, never out of its folder."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import needs_chromium
from few_digits import SMALL
from PIL import Image

from lotus_unlearning import datasets
from lotus_unlearning.audit import read_bank
from lotus_unlearning.cli import main
from lotus_unlearning.cli.options import show
from lotus_unlearning.models import load_weights
from lotus_unlearning.requests import index

WEIGHTS = ["--architecture", "resnet-thin", *SMALL[:2], "--data", "digits", "--forget", "0.1"]
TAG = "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['touched']]"
MARKUP = "<img src=x onerror=\"document.title='owned'\"><s>"


class _Touches:
    """Unpickled, it would make a file."""

    def __reduce__(self):
        return Path.touch, (Path("touched"),)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The working folder, in which no file ``touched`` appears."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "touched").exists()


def told(words, capsys):
    assert main(words) in (1, 2)
    return capsys.readouterr().err


def as_torch(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("pack", [pickle.dumps, as_torch], ids=["pickle", "torch"])
def test_pickled_code_in_the_place_of_weights_is_not_run(name, pack, capsys):
    Path(name).write_bytes(pack({"weight": _Touches()}))
    shown = told(["unlearn", "--model", name, *WEIGHTS, "--out", "out"], capsys)
    assert "refused" in shown or "damaged" in shown


def test_pickled_code_in_the_place_of_ids_is_no_text(trained, capsys):
    Path("ids.txt").write_bytes(pickle.dumps(_Touches()))
    words = ["unlearn", "--model", str(trained / "original"), "--forget", "ids.txt"]
    assert "expected text in UTF-8 in ids.txt" in told(words, capsys)


def _pickled_npz(path):
    np.savez(path, train=np.array([_Touches()], dtype=object), facts=np.array([_Touches()]))


def test_pickled_code_in_a_bank_or_an_index_is_not_run(trained, place, capsys):
    words = ["bank", "--model", str(trained / "original"), "--forget", "0.1", "--golds", "1"]
    assert main([*words, "--out", "bank"]) == 0
    (file,) = place.glob("bank/files/*/*.npz")
    _pickled_npz(file)
    bank = read_bank("bank")
    with pytest.raises(ValueError, match=r"expected predictions of gold 0, got damaged contents"):
        bank.predictions(bank.members("gold")[0])
    _pickled_npz("index.npz")
    with pytest.raises(ValueError, match="it cannot be read"):
        index.load(Path("index.npz"))


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_checkpoint_that_would_inflate_is_refused_before_it_is_read(way, monkeypatch, capsys):
    with zipfile.ZipFile("w.pt", "w", way) as archive:
        archive.writestr("w/data.pkl", pickle.dumps({}))
        archive.writestr("w/data/0", bytes(64 << 20))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read"))
    shown = told(["unlearn", "--model", "w.pt", *WEIGHTS, "--out", "out"], capsys)
    assert "would become 67,1" in shown
    assert "load it yourself and save model.state_dict()" in shown


def test_a_checkpoint_that_is_no_bomb_is_read():
    model = torch.nn.Linear(3, 2)
    torch.save(model.state_dict(), "w.pt")
    assert load_weights(torch.nn.Linear(3, 2), "w.pt") is not None


def test_a_tensor_of_few_bytes_that_claims_to_be_huge_is_not_looked_through():
    huge = torch.zeros(1).expand(1 << 20, 1 << 20)
    torch.save({"weight": huge, "bias": torch.zeros(2)}, "w.pt")
    with pytest.raises(ValueError, match=r"shape: weight \[1048576, 1048576\] instead of"):
        load_weights(torch.nn.Linear(3, 2), "w.pt")


@pytest.mark.parametrize("type_", [torch.complex64, torch.float8_e4m3fn])
def test_weights_of_a_type_that_no_model_has_are_named(type_):
    torch.save({"weight": torch.zeros(2, 3).to(type_), "bias": torch.zeros(2)}, "w.pt")
    with pytest.raises(ValueError, match=r"type: weight (complex64|float8_e4m3fn) strided"):
        load_weights(torch.nn.Linear(3, 2), "w.pt")


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--config", "x.yaml"],
        ["bench", "x.yaml", "--dry_run"],
        ["unlearn", "--model", "run", "--forget", "0.1"],
        ["request", "run", "--workspace", "deletion"],
    ],
    ids=lambda words: words[0],
)
def test_yaml_that_names_python_objects_is_refused(words, trained, capsys):
    shutil.copytree(trained / "original", "run")
    method = ["--method", "finetune"]
    assert main(["request", "init", "--model", "run", *method, "--workspace", "deletion"]) == 0
    for file in ("x.yaml", "run/config.yaml", "deletion/lotus.yaml"):
        Path(file).write_text(f"format: 1\ndata: {TAG}\n")
    assert "could not determine a constructor for the tag" in told(words, capsys)


def test_yaml_that_grows_by_references_is_refused(capsys):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    Path("x.yaml").write_text("\n".join(lines))
    shown = told(["train", "--config", "x.yaml"], capsys)
    assert "more than 1,000,000 values, by references to others" in shown


def test_a_config_may_hold_any_letter_of_the_world(trained):
    folder = Path("größe-😀")
    shutil.copytree(trained / "original", folder / "original")
    words = ["--model", str(folder / "original"), "--forget", "0.1", "--method.epochs", "1"]
    assert main(["unlearn", *words, "--out", str(folder / "one")]) == 0
    config = str(folder / "one" / "config.yaml")
    assert main(["unlearn", "--config", config, "--out", str(folder / "two")]) == 0


def _picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("name", ["../secret.png", "{place}/secret.png", "images/../../secret.png"])
def test_paths_in_a_table_stay_in_the_folder_of_the_data(place, name):
    _picture(place / "secret.png")
    for i in range(8):
        _picture(place / f"elpv/images/{i}.png")
    rows = [f"images/{i}.png 0.0 mono" for i in range(8)] + [f"{name} 1.0 mono".format(place=place)]
    (place / "elpv/labels.csv").write_text("\n".join(rows))
    with pytest.raises(ValueError, match=r"labels\.csv: no path, probability and type in .*secret"):
        datasets.load("elpv", root="elpv")


@pytest.mark.parametrize("wnid", ["../../secret", "/etc", "n0\nn0"])
def test_names_of_classes_in_a_table_are_no_paths(place, wnid):
    _picture(place / "secret/images/0.jpeg")
    for part in ("train/n0/images", "val/images"):
        _picture(place / "tiny" / part / "0.jpeg")
    (place / "tiny/wnids.txt").write_text(f"n0\n{wnid}\n")
    (place / "tiny/words.txt").write_text("".join(f"{w}\tname\n" for w in ("n0", wnid)))
    (place / "tiny/val/val_annotations.txt").write_text("0.jpeg\tn0\n")
    with pytest.raises(ValueError, match=r"wnids\.txt: no class, or one twice, in"):
        datasets.load("tiny-imagenet", root="tiny")


@pytest.mark.parametrize("probability", ["nan", "inf", "1e400", "-1"])
def test_probabilities_that_are_none_are_named(place, probability):
    _picture(place / "elpv/images/0.png")
    (place / "elpv/labels.csv").write_text(f"images/0.png {probability} mono\n")
    with pytest.raises(ValueError, match=r"no path, probability and type in images/0\.png"):
        datasets.load("elpv", root="elpv")


def test_an_archive_that_unpacks_to_more_than_any_data_set_is_refused(place):
    import gzip

    with gzip.open(place / "train-images-idx3-ubyte.gz", "wb", 1) as file:
        for _ in range(5):
            file.write(bytes(64 << 20))
    with pytest.raises(ValueError, match="other or cut-off contents of 268435456 bytes"):
        datasets.load("fashion-mnist", root=str(place))


class _Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.images, self.handlers, self.struck = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.images += [value for name, value in attrs if tag == "img" and name == "src"]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.struck += tag == "s"


def _shown(page, folder):
    """The page as chromium has it after it was loaded."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'p'}"]
    done = subprocess.run(
        ["chromium", *options, "--dump-dom", page.absolute().as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@needs_chromium
def test_markup_in_names_of_classes_files_and_requests_is_text_in_every_page(place, capsys):
    names = [MARKUP + "a", MARKUP + "b"]
    for i in range(24):
        _picture(place / "photos" / names[i % 2] / f"{MARKUP}{i}.png", i)
    data = ["--data", "imagefolder:photos", "--size", "8"]
    assert main(["train", *data, *SMALL[2:], "--recipe.epochs", "1", "--out", "run"]) == 0
    first = json.loads(Path("run/manifest.json").read_text())["trained_on"]["images"]
    assert first > 10
    words = ["unlearn", "--model", "run", "--forget", f"class:{names[0]}", "--method", "finetune"]
    assert main([*words, "--method.epochs", "1", "--out", "out"]) == 0
    assert main(["audit", "--run", "out", "--original", "run", "--out", "audit"]) == 0
    where = ["--workspace", "deletion"]
    assert main(["request", "init", "--model", "run", "--method", "finetune", *where]) == 0
    ids = Path("out/forget.txt").read_text().splitlines()[1]
    Path("ids.csv").write_text(f"path\n{ids}\n")
    asked = ["--ids", "ids.csv", "--only", "--reference", MARKUP]
    assert main(["request", "add", *asked, *where]) == 0
    assert main(["request", "export", "1", "--out", "record", *where]) == 0
    for page in ("out/report.html", "audit/audit.html", "record/record.html"):
        found = _Elements(_shown(Path(page), place))
        assert "x" not in found.images
        assert (found.handlers, found.struck) == ([], 0)
    assert "owned" in Path("record/record.html").read_text()  # as text
    capsys.readouterr()


@pytest.mark.parametrize("words", [["train", "--data"], ["unlearn", "--model"], []])
def test_names_cannot_steer_the_terminal(words, capsys):
    shown = told([*words, "\x1b[2J\x9b2J\u202egnp.x\r"], capsys)
    assert "\\x1b[2J\\x9b2J\\u202egnp.x" in shown
    assert not {"\x1b", "\x9b", "\u202e", "\r"} & {*shown}


def test_names_of_folders_cannot_steer_the_terminal(place, capsys):
    for i in range(12):
        _picture(place / "photos" / f"\x1b[2J{i % 2}" / f"{i}.png", i)
    file = place / "photos/\x1b[2J0/0.png"
    file.write_bytes(b"broken")
    data = ["--data", "imagefolder:photos", "--size", "8"]
    assert "photos/\\x1b[2J0/0.png" in told(["train", *data, *SMALL[2:]], capsys)


def test_results_with_names_in_them_cannot_steer_the_terminal(capsys):
    show("a\x1b[2J\nb" + os.fsdecode(b"\xff"))
    assert capsys.readouterr().out == "a\\x1b[2J\nb\\udcff\n"


def test_warnings_are_a_line_that_cannot_steer_the_terminal():
    code = """
import warnings
from lotus_unlearning.cli import dispatch, list
list.main = lambda words: warnings.warn("class '\\x1b[2J'\\u202e", stacklevel=2)
raise SystemExit(dispatch.main(["list"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr.decode() == "warning: class '\\x1b[2J'\\u202e\n"
