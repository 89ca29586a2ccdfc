import gzip
import pickle
import struct
import sys

import numpy as np
import pytest
import torch

from lotus_unlearning import datasets


def _idx(path, array):
    header = struct.pack(">I", 0x800 + array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def fashion(folder, size=60):
    """The four files of Fashion-MNIST, as they are published, with random pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    for part, n in (("train", size), ("t10k", 20)):
        pixels = draw.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        _idx(folder / f"{part}-images-idx3-ubyte.gz", pixels)
        _idx(folder / f"{part}-labels-idx1-ubyte.gz", (np.arange(n) % 10).astype(np.uint8))


def test_digits_are_whole_disjoint_and_the_same_every_time():
    data, again = datasets.load("digits"), datasets.load("digits")
    parts = data.train, data.unseen, data.test
    assert [len(part) for part in parts] == [1197, 300, 300]
    assert torch.equal(data.train.images, again.train.images)
    other = datasets.load("digits", seed=1)
    assert not torch.equal(data.unseen.images, other.unseen.images)
    assert torch.equal(data.test.images, other.test.images)
    assert (data.train.labels.bincount() > 100).all()


def test_one_in_ten_training_images_has_a_wrong_label_whatever_the_seed_and_limit():
    right = {0: datasets.load("digits"), 7: datasets.load("digits", seed=7, limit=400)}
    wrong = {
        0: datasets.load("digits-mislabelled"),
        7: datasets.load("digits-mislabelled", seed=7, limit=400),
    }
    labels = {}
    for seed, data in wrong.items():
        assert torch.equal(data.train.images, right[seed].train.images)
        for part in ("unseen", "test"):
            assert torch.equal(getattr(data, part).labels, getattr(right[seed], part).labels)
        ids = data.train.official.ids
        changed = ids[data.train.labels != right[seed].train.labels]
        assert torch.equal(changed, data.forget)
        assert 0.07 < len(changed) / len(ids) < 0.13
        labels[seed] = dict(zip(ids.tolist(), data.train.labels.tolist(), strict=True))
    both = labels[0].keys() & labels[7].keys()
    assert len(both) > 100
    assert all(labels[0][i] == labels[7][i] for i in both)


def test_a_limit_shrinks_training_and_unseen_images_and_keeps_the_test_set():
    data = datasets.load("digits", limit=300)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [300, 75, 300]


def test_size_resizes_what_the_model_sees():
    data = datasets.load("digits", size=12, limit=20)
    assert data.train[0][0].shape == (1, 12, 12)
    assert data.image_size == 12


@pytest.mark.parametrize("nested", [False, True], ids=["files", "torchvision's folder"])
def test_fashion_mnist_is_read_from_its_published_files(tmp_path, nested):
    fashion(tmp_path / "FashionMNIST" / "raw" if nested else tmp_path)
    data = datasets.load("fashion-mnist", root=str(tmp_path), unseen_share=0.5)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [30, 30, 20]
    assert data.train.images.shape[1:] == (1, 28, 28)
    assert data.train.images.dtype is torch.uint8
    assert data.classes[3] == "Dress"


def test_damaged_fashion_mnist_files_are_refused(tmp_path):
    fashion(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0"))
    with pytest.raises(ValueError, match="cut-off contents"):
        datasets.load("fashion-mnist", root=str(tmp_path))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"not gzip")
    with pytest.raises(ValueError, match="is damaged"):
        datasets.load("fashion-mnist", root=str(tmp_path))


def test_absent_fashion_mnist_names_three_ways_to_get_it(tmp_path, monkeypatch):
    import torchvision.datasets

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "__init__", offline)
    with pytest.raises(ValueError, match=r"(?s)\(1\).*apt-get install.*\(2\).*--root.*\(3\)"):
        datasets.load("fashion-mnist", root=str(tmp_path))


def test_cifar_is_read_from_torchvisions_files(tmp_path, monkeypatch):
    import torchvision.datasets as tv

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        pixels = draw.integers(0, 256, (20, 3072), dtype=np.uint8)
        entry = {"data": pixels, "labels": [i % 10 for i in range(20)]}
        (folder / name).write_bytes(pickle.dumps(entry))
    names = {"label_names": [f"class {i}" for i in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))
    monkeypatch.setattr(tv.CIFAR10, "_check_integrity", lambda _: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    data = datasets.load("cifar-10", root=str(tmp_path), unseen_share=0.2)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [80, 20, 20]
    assert data.train[0][0].shape == (3, 32, 32)
    assert data.classes[2] == "class 2"


@pytest.mark.parametrize("returns", ["(t, u, e)", "(t, e)", "dict(train=t, unseen=u, test=e)"])
def test_a_function_of_the_user_is_a_data_set(tmp_path, monkeypatch, returns):
    code = f"""
import torch
def make():
    t, u, e = ((torch.rand(n, 1, 6, 6), torch.arange(n) % 3) for n in (30, 9, 6))
    return {returns}
"""
    (tmp_path / "mydata.py").write_text(code)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "mydata", raising=False)
    data = datasets.load("python:mydata:make", root=str(tmp_path))
    sys.modules.pop("mydata")
    assert len(data.train) == (26 if returns == "(t, e)" else 30)
    assert (data.channels, data.image_size, len(data.classes)) == (1, 6, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "did you mean 'digits'"),
        ("imagefolder:nowhere", "found none at 'nowhere'"),
        ("python:nomodule:f", "expected a module 'nomodule'"),
        ("python:math:tau", "expected a function or class 'tau'"),
    ],
)
def test_unknown_data_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(name)
