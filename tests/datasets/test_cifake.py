import os
import pickle

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image

from lotus_unlearning import datasets


def cifar(root):
    """CIFAR-10 as torchvision unpacks it: 100 training and 20 test images."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        pixels = draw.integers(0, 256, (20, 3072), dtype=np.uint8)
        entry = {"data": pixels, "labels": [i % 10 for i in range(20)]}
        (folder / name).write_bytes(pickle.dumps(entry))
    names = {"label_names": [f"class {i}" for i in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))


def fake(folder, images=3):
    """Synthetic images under their published names; class c shows the grey value 20 c."""
    (folder / "test" / "FAKE").mkdir(parents=True)
    (folder / "test" / "REAL").mkdir()
    for c in range(10):
        for i in range(images):
            name = f"{i}.jpg" if c == 0 else f"{i} ({c + 1}).jpg"
            image = Image.new(
                "L" if i == 2 else "RGB", (32, 32), 20 * c if i == 2 else (20 * c,) * 3
            )
            image.save(folder / "test" / "FAKE" / name)


@pytest.fixture(autouse=True)
def _no_network_and_no_hashes(monkeypatch):
    def refuse(_):
        raise AssertionError("download")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", refuse)
    monkeypatch.setattr(
        torchvision.datasets.CIFAR10,
        "_check_integrity",
        lambda self: os.path.isdir(f"{self.root}/cifar-10-batches-py"),
    )
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)


@pytest.mark.parametrize("inner", ["", "cifake"])
def test_synthetic_images_are_unseen_with_the_class_of_their_name(tmp_path, inner):
    cifar(tmp_path)
    fake(tmp_path / inner)
    data = datasets.load("cifake", root=str(tmp_path), unseen_share=0.5)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [100, 30, 20]
    assert data.unseen.images.shape == (30, 3, 32, 32)
    assert data.unseen.labels.bincount().tolist() == [3] * 10
    value = data.unseen.images[:, 0, 16, 16].float() / 20
    assert torch.equal(value.round().long(), data.unseen.labels)
    assert data.unseen.names[0] == "test/FAKE/0 (10).jpg"
    assert data.classes == data.unseen.classes == tuple(f"class {i}" for i in range(10))


def test_training_and_test_images_are_those_of_cifar_10(tmp_path):
    cifar(tmp_path)
    fake(tmp_path)
    data = datasets.load("cifake", root=str(tmp_path), size=16)
    plain = datasets.load("cifar-10", root=str(tmp_path), unseen_share=0.2)
    assert torch.equal(data.test.images, plain.test.images)
    assert data.train[0][0].shape == data.unseen[0][0].shape == (3, 16, 16)
    flat = Image.open(tmp_path / "test" / "FAKE" / "1 (6).jpg")
    assert flat.getpixel((0, 0)) == (100, 100, 100)
    normalised = data.unseen[data.unseen.names.index("test/FAKE/1 (6).jpg")][0]
    expected = (100 / 255 - torch.tensor([0.4914, 0.4822, 0.4465])) / torch.tensor(
        [0.2470, 0.2435, 0.2616]
    )
    assert torch.allclose(normalised[:, 0, 0], expected, atol=1e-5)


def test_a_limit_shrinks_training_and_synthetic_images_alike(tmp_path):
    cifar(tmp_path)
    fake(tmp_path)
    data = datasets.load("cifake", root=str(tmp_path), limit=50)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [50, 15, 20]


def test_absent_cifake_is_told_before_anything_is_downloaded(tmp_path):
    cifar(tmp_path)
    with pytest.raises(ValueError, match=r"(?s)cifake: .*test/FAKE: no images") as raised:
        datasets.load("cifake", root=str(tmp_path))
    assert "birdy654/cifake-real-and-ai-generated-synthetic-images (105 MB)" in str(raised.value)
    assert "cifar-10-python.tar.gz" not in str(raised.value)


def test_absent_cifar_10_is_told_by_name(tmp_path, monkeypatch):
    fake(tmp_path)

    def offline(_):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", offline)
    with pytest.raises(ValueError, match=r"cifake: cifar-10: expected") as raised:
        datasets.load("cifake", root=str(tmp_path))
    assert "170 MB" in str(raised.value)
    assert "105 MB" not in str(raised.value)


def test_both_absent_are_told_in_one_message(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)cifake: expected.*cifar-10: expected") as raised:
        datasets.load("cifake", root=str(tmp_path))
    assert "nothing was downloaded" in str(raised.value)


@pytest.mark.parametrize("name", ["3 (1).jpg", "3 (11).jpg", "three.jpg", "3(2).jpg"])
def test_names_of_another_form_are_refused(tmp_path, name):
    cifar(tmp_path)
    fake(tmp_path)
    (tmp_path / "test" / "FAKE" / "0.jpg").rename(tmp_path / "test" / "FAKE" / name)
    with pytest.raises(ValueError, match=r"names other than N\.jpg") as raised:
        datasets.load("cifake", root=str(tmp_path))
    assert name in str(raised.value)


def test_a_damaged_image_is_named(tmp_path):
    cifar(tmp_path)
    fake(tmp_path)
    (tmp_path / "test" / "FAKE" / "2 (5).jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cifake: expected an image in .*2 \(5\)\.jpg"):
        datasets.load("cifake", root=str(tmp_path))
