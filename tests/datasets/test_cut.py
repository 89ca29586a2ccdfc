"""How data sets are cut into training, unseen and test images."""

import pickle
import sys
import zlib

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image

from lotus_unlearning import Splits, datasets
from lotus_unlearning.images import ImageTensors, content_hashes


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR-10 as torchvision unpacks it: 100 training and 40 test images of ten classes."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name, n in [*((f"data_batch_{i}", 20) for i in range(1, 6)), ("test_batch", 40)]:
        pixels = draw.integers(0, 256, (n, 3072), dtype=np.uint8)
        entry = {"data": pixels, "labels": [i % 10 for i in range(n)]}
        (folder / name).write_bytes(pickle.dumps(entry))
    names = {"label_names": [f"class {i}" for i in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda _: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    return str(tmp_path)


def hashes(images):
    return content_hashes(images, torch.arange(len(images)))


def official(root):
    """Hashes of the official training and test images."""
    parts = [torchvision.datasets.CIFAR10(root, train=train).data for train in (True, False)]
    images = [torch.from_numpy(p).permute(0, 3, 1, 2) for p in parts]
    return [content_hashes(ImageTensors(x, x), torch.arange(len(x))) for x in images]


def test_unseen_from_test_halves_the_test_part_and_trains_on_all_the_rest(cifar):
    data = datasets.load("cifar-10", root=cifar, unseen_from="test")
    train, test = official(cifar)
    assert hashes(data.train) == train
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [100, 20, 20]
    assert data.unseen.labels.bincount().tolist() == [2] * 10
    assert data.test.labels.bincount().tolist() == [2] * 10
    assert {*hashes(data.unseen)} | {*hashes(data.test)} == {*test}
    assert not {*hashes(data.unseen)} & {*hashes(data.test)}


def test_unseen_from_test_is_drawn_by_the_seed_and_by_its_share(cifar):
    data, again, other = (
        datasets.load("cifar-10", root=cifar, unseen_from="test", seed=seed) for seed in (0, 0, 1)
    )
    assert hashes(data.unseen) == hashes(again.unseen)
    assert {*hashes(data.unseen)} != {*hashes(other.unseen)}
    assert hashes(data.train) == hashes(other.train)
    quarter = datasets.load("cifar-10", root=cifar, unseen_from="test", unseen_share=0.25)
    assert [len(part) for part in (quarter.train, quarter.unseen, quarter.test)] == [100, 10, 30]
    assert quarter.unseen.labels.bincount().tolist() == [1] * 10


def test_a_limit_keeps_the_half_that_is_tested(cifar):
    whole = datasets.load("cifar-10", root=cifar, unseen_from="test")
    data = datasets.load("cifar-10", root=cifar, unseen_from="test", limit=50)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [50, 10, 20]
    assert hashes(data.test) == hashes(whole.test)
    assert {*hashes(data.unseen)} < {*hashes(whole.unseen)}


def test_unseen_from_train_leaves_the_test_part_whole(cifar):
    data = datasets.load("cifar-10", root=cifar)
    train, test = official(cifar)
    assert hashes(data.test) == test
    assert sorted(hashes(data.train) + hashes(data.unseen)) == sorted(train)


@pytest.mark.parametrize("unseen_from", ["train", "test"])
def test_an_official_id_is_the_same_image_whatever_seed_and_limit(cifar, unseen_from):
    train = official(cifar)[0]
    for seed, limit in ((0, None), (1, 60), (2, 30)):
        data = datasets.load(
            "cifar-10", root=cifar, unseen_from=unseen_from, seed=seed, limit=limit
        )
        ids = data.train.official.ids.tolist()
        assert hashes(data.train) == [train[i] for i in ids]
        assert data.train.official.size == 100
        assert data.test.official is None
        if unseen_from == "test":
            assert data.unseen.official is None
        else:
            assert hashes(data.unseen) == [train[i] for i in data.unseen.official.ids.tolist()]
        splits = Splits.from_ids(data, [ids[7], ids[2]])
        assert hashes(splits.forget.source)[2] == train[splits.forget.official_ids[1]]


def test_ids_of_digits_are_scikit_learns_for_all_three_parts():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    data = datasets.load("digits", seed=4)
    parts = data.train, data.unseen, data.test
    for part in parts:
        pixels = np.round(bunch.images[part.official.ids] * (255 / 16))
        assert (part.images[:, 0].numpy() == pixels).all()
    assert sorted(i for p in parts for i in p.official.ids.tolist()) == list(range(1797))


def test_an_official_id_that_was_set_aside_says_so():
    data = datasets.load("digits", limit=300)
    unseen, test = (int(part.official.ids[0]) for part in (data.unseen, data.test))
    with pytest.raises(ValueError, match=f"{unseen} is among the unseen images"):
        Splits.from_ids(data, [unseen])
    with pytest.raises(ValueError, match=f"{test} is among the test images"):
        Splits.from_ids(data.train, [test], unseen=data.unseen, test=data.test)
    used = {i for p in (data.train, data.unseen, data.test) for i in p.official.ids.tolist()}
    left = min({*range(1797)} - used)
    with pytest.raises(ValueError, match=f"{left} of the official images is not in train, as a l"):
        Splits.from_ids(data, [left])
    with pytest.raises(ValueError, match=r"expected official ids 0\.\.1796, got 1 out of range"):
        Splits.from_ids(data, [1797])


def images(folder, count=4):
    for c in ("cat", "dog"):
        (folder / c).mkdir(parents=True)
        for i in range(count):
            draw = np.random.default_rng(zlib.crc32(f"{folder.name}/{c}/{i}".encode()))
            noise = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / c / f"{i}.png")


def test_a_folder_with_a_test_part_can_give_it_away_too(tmp_path):
    images(tmp_path / "train")
    images(tmp_path / "test")
    data = datasets.load(f"imagefolder:{tmp_path}", size=8, unseen_from="test")
    assert len(data.train) == 8
    assert data.unseen.labels.bincount().tolist() == [2, 2]
    assert {*data.unseen.names} | {*data.test.names} == {*data.train.names}
    assert not {*data.unseen.names} & {*data.test.names}
    assert not {*hashes(data.train)} & {*hashes(data.unseen), *hashes(data.test)}


CODE = """
import torch
from lotus_unlearning.datasets import load
def parts(*sizes):
    return tuple((torch.rand(n, 1, 6, 6), torch.arange(n) % 3) for n in sizes)
def two(): return parts(30, 12)
def three(): return parts(30, 9, 12)
def whole(): return load("digits")
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    (tmp_path / "cutdata.py").write_text(CODE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield str(tmp_path)
    sys.modules.pop("cutdata", None)


def test_a_function_that_returns_train_and_test_can_be_cut_in_test(code):
    data = datasets.load("python:cutdata:two", root=code, unseen_from="test")
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [30, 6, 6]
    assert data.train.official.ids.tolist() == list(range(30))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("digits", "has no official test part"),
        ("elpv", "has no official test part"),
        ("imagenet1k", "always takes unseen images from its validation part"),
        ("cifake", "brings its own unseen images"),
        ("python:cutdata:three", "brings its own unseen images"),
        ("python:cutdata:whole", "brings its own unseen images"),
    ],
)
def test_unseen_from_test_is_refused_where_it_has_no_meaning(code, name, why):
    message = rf"expected 'train' \(the default\) for {name}, which {why}; got 'test'; leave"
    with pytest.raises(ValueError, match=message):
        datasets.load(name, root=code, unseen_from="test")


def test_unseen_from_test_is_refused_for_folders_with_unseen_or_without_test(tmp_path):
    images(tmp_path / "train")
    with pytest.raises(ValueError, match="which has no test images of its own; got 'test'"):
        datasets.load(f"imagefolder:{tmp_path}", size=8, unseen_from="test")
    images(tmp_path / "test")
    images(tmp_path / "unseen")
    with pytest.raises(ValueError, match="which brings its own unseen images; got 'test'"):
        datasets.load(f"imagefolder:{tmp_path}", size=8, unseen_from="test")


def test_numbers_out_of_range_are_told_all_at_once():
    with pytest.raises(ValueError, match="limit: expected at least 1 image, got 0") as raised:
        datasets.load("digits", limit=0, unseen_share=1.5, unseen_from="val")
    assert "unseen_share: expected a share between 0 and 1, got 1.5" in str(raised.value)
    assert "unseen_from: expected 'train' or 'test', got 'val'" in str(raised.value)
