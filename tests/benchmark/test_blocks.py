"""Every block finds its images on disk, as they are published.

They are in one folder for all; those of ImageNet have a folder of their own.
"""

import pickle

import numpy as np
import pytest
from test_cifake import cifar, fake
from test_datasets import fashion
from test_elpv import elpv
from test_imagenet import plain
from test_mufac import mufac
from test_tiny_imagenet import tiny_imagenet

from lotus_unlearning.benchmark.blocks import BLOCKS
from lotus_unlearning.benchmark.materials import load


def cifar100(root):
    """CIFAR-100 as torchvision unpacks it: 200 training and 200 test images."""
    folder = root / "cifar-100-python"
    folder.mkdir()
    names = sorted(["beaver", *(f"class {i}" for i in range(99))])
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    draw = np.random.default_rng(0)
    for part in ("train", "test"):
        pixels = draw.integers(0, 256, (200, 3072), dtype=np.uint8)
        entry = {"data": pixels, "fine_labels": [i % 100 for i in range(200)]}
        (folder / part).write_bytes(pickle.dumps(entry))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    cifar(folder)
    fake(folder / "cifake")
    cifar100(folder)
    fashion(folder / "FashionMNIST" / "raw")
    tiny_imagenet(folder)
    mufac(folder / "custom_korean_family_dataset_resolution_128")
    elpv(folder)
    plain(folder / "imagenet1k")
    return folder


@pytest.fixture(autouse=True)
def _small_files_pass_for_the_published_ones(monkeypatch):
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    monkeypatch.setattr("lotus_unlearning.datasets.elpv.find_spec", lambda _: None)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_images_of_every_block_are_found(name, root):
    block = BLOCKS[name]
    folder = root / "imagenet1k" if name == "imagenet1k" else root
    data = load(block.setup.data, str(folder))
    assert min(len(part) for part in (data.train, data.unseen, data.test)) > 0
    assert data.name == block.setup.data.name
    assert block.label is None or block.label in data.classes


@pytest.mark.parametrize("name", ["cifar-10", "cifar-100", "tiny-imagenet"])
def test_unseen_images_of_the_papers_blocks_are_half_of_the_test_images(name, root):
    data = load(BLOCKS[name].setup.data, str(root))
    assert len(data.unseen) == len(data.test)


@pytest.mark.parametrize(("name", "unseen"), [("cifake", 30), ("mufac", 24)])
def test_blocks_whose_data_bring_unseen_images_take_those(name, unseen, root):
    assert len(load(BLOCKS[name].setup.data, str(root)).unseen) == unseen
