import sys

import numpy as np
import pytest
import torch
from PIL import Image

from lotus_unlearning import datasets
from lotus_unlearning.images import content_hashes

PROBABILITIES = ("0.0", "0.3333333333333333", "0.6666666666666666", "1.0")


@pytest.fixture(autouse=True)
def _no_package(monkeypatch):
    """Whether the real package is installed or not."""
    monkeypatch.setattr("lotus_unlearning.datasets.elpv.find_spec", lambda _: None)


def elpv(folder, images=80):
    """``labels.csv`` and ``images`` as published, with the class in the brightness."""
    (folder / "images").mkdir(parents=True)
    draw = np.random.default_rng(0)
    lines = []
    for i in range(images):
        pixels = (50 * (i % 4) + draw.integers(0, 40, (300, 300))).astype(np.uint8)
        name = f"images/cell{i + 1:04}.png"
        Image.fromarray(pixels).save(folder / name)
        kind = "mono" if i % 3 else "poly"
        lines.append(f"{name}  {PROBABILITIES[i % 4]:<18}  {kind}\n")
    (folder / "labels.csv").write_text("".join(lines))


def test_a_folder_is_read_grey_and_resized_with_four_classes(tmp_path):
    elpv(tmp_path)
    data = datasets.load("elpv", root=str(tmp_path))
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [58, 10, 12]
    assert data.train.images.shape == (58, 1, 64, 64)
    assert (data.channels, data.image_size) == (1, 64)
    assert data.classes == ("defect 0", "defect 1/3", "defect 2/3", "defect 1")
    assert data.test.labels.bincount().tolist() == [3, 3, 3, 3]
    bright = data.train.images.float().mean((1, 2, 3)) // 50
    assert torch.equal(bright.long(), data.train.labels)
    assert data.train.names[0].startswith("images/cell0")
    assert data.source == f"the folder {tmp_path}"


def test_parts_are_disjoint_and_drawn_by_the_seed(tmp_path):
    elpv(tmp_path)
    data, again = (datasets.load("elpv", root=str(tmp_path), size=20) for _ in range(2))
    other = datasets.load("elpv", root=str(tmp_path), size=20, seed=1)
    parts = data.train, data.unseen, data.test
    hashes = [set(content_hashes(p, torch.arange(len(p)))) for p in parts]
    assert len(set.union(*hashes)) == sum(len(p) for p in parts) == 80
    assert data.test.names == again.test.names != other.test.names
    assert data.train[0][0].shape == (1, 20, 20)


def test_a_limit_keeps_the_test_set(tmp_path):
    elpv(tmp_path)
    data = datasets.load("elpv", root=str(tmp_path), limit=29, size=8)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [29, 5, 12]


def test_the_installed_package_is_read_where_no_root_is_given(tmp_path, monkeypatch):
    from importlib.util import find_spec

    elpv(tmp_path / "elpv_dataset" / "data")
    (tmp_path / "elpv_dataset" / "__init__.py").touch()
    monkeypatch.setattr("lotus_unlearning.datasets.elpv.find_spec", find_spec)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    data = datasets.load("elpv", size=8)
    assert len(data.train) == 58
    assert data.source == "the package elpv-dataset"


def test_absent_photos_tell_what_to_get_and_what_it_weighs(tmp_path):
    with pytest.raises(ValueError, match=r"pip install elpv-dataset, 91 MB") as raised:
        datasets.load("elpv", root=str(tmp_path))
    assert "labels.csv: absent" in str(raised.value)
    assert "images/cell*.png" in str(raised.value)


def test_broken_rows_and_absent_images_are_told_at_once(tmp_path):
    elpv(tmp_path, images=12)
    table = tmp_path / "labels.csv"
    table.write_text(
        table.read_text() + "images/cell0099.png 0.5 mono\nimages/cell0013.png 1.0 poly\n"
    )
    with pytest.raises(ValueError, match=r"in images/cell0099\.png 0\.5 mono") as raised:
        datasets.load("elpv", root=str(tmp_path))
    assert "absent are images/cell0013.png" in str(raised.value)


def test_a_damaged_image_is_named(tmp_path):
    elpv(tmp_path, images=12)
    (tmp_path / "images" / "cell0003.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(ValueError, match=r"elpv: expected an image in .*cell0003\.png"):
        datasets.load("elpv", root=str(tmp_path))
