import csv

import numpy as np
import pytest
import torch
from PIL import Image

from lotus_unlearning import Splits, datasets
from lotus_unlearning.images import content_hashes

COLUMNS = ("family_id", "person_id", "age_class", "image_path")
PARTS = {"train": ("F0001", "F0002", "F0003"), "val": ("F0801",), "test": ("F0851",)}


def mufac(folder):
    """Tables and images as published: each family three persons, each one a photo per age."""
    seed = 0
    for part, families in PARTS.items():
        (folder / f"{part}_images").mkdir(parents=True)
        rows = []
        for family in families:
            for person in ("D", "GM", "M"):
                for age in "abcdefgh":
                    ending = "JPG" if person == "GM" else "jpg"
                    name = f"{family}_AGE_{person}_40_{age}1.{ending}"
                    size = (128, 128) if seed % 7 else (128, 128, 3)
                    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{part}_images" / name, "JPEG")
                    rows.append((family, person, age, name))
                    seed += 1
        with (folder / f"custom_{part}_dataset.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


@pytest.fixture
def root(tmp_path, monkeypatch):
    """72 training photos, of which the first 20 are to be forgotten."""
    mufac(tmp_path / "custom_korean_family_dataset_resolution_128")
    monkeypatch.setattr("lotus_unlearning.datasets.mufac._FORGET_ROWS", {72: 20})
    return tmp_path


def test_the_official_parts_are_read_in_the_order_of_the_tables(root):
    data = datasets.load("mufac", root=str(root))
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [72, 24, 24]
    assert data.classes[0] == "0-6 years old"
    assert data.classes[7] == "67-80 years old"
    assert data.train.labels.tolist() == [*range(8)] * 9
    assert data.train.names[8] == "train_images/F0001_AGE_GM_40_a1.JPG"
    assert data.unseen.names[0].startswith("val_images/F0801")
    assert data.test.names[0].startswith("test_images/F0851")
    assert data.train.images.shape == (72, 3, 128, 128)
    assert "hold copies" in data.source
    parts = (data.train, data.unseen, data.test)
    hashes = [set(content_hashes(p, torch.arange(len(p)))) for p in parts]
    assert len(set.union(*hashes)) == 120


def test_pixels_are_scaled_and_not_normalised(root):
    image = datasets.load("mufac", root=str(root)).train[1][0]
    assert image.min() >= 0
    assert 0.9 < image.max() <= 1
    assert datasets.load("mufac", root=str(root), size=32).test[0][0].shape == (3, 32, 32)


def test_groups_number_the_persons_and_make_a_mask_of_images_to_forget(root):
    data = datasets.load("mufac", root=str(root))
    assert data.groups.dtype is torch.int64
    assert data.groups.bincount().tolist() == [8] * 9
    splits = Splits.from_ids(data.train, forget=data.groups == 4)
    names = [data.train.names[i] for i in splits.forget.ids]
    assert all(name.startswith("train_images/F0002_AGE_GM_") for name in names)


def test_the_authors_choice_of_what_to_forget_is_kept(root):
    data = datasets.load("mufac", root=str(root))
    assert data.forget.tolist() == list(range(20))
    assert len(Splits.from_ids(data.train, forget=data.forget).retain) == 52


def test_a_limit_keeps_groups_and_choice_with_their_images(root):
    whole = datasets.load("mufac", root=str(root))
    data = datasets.load("mufac", root=str(root), limit=40)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [40, 13, 24]
    at = [whole.train.names.index(name) for name in data.train.names]
    assert torch.equal(data.groups, whole.groups[at])
    assert data.train.official.ids.tolist() == at
    assert data.forget.tolist() == [i for i in at if i < 20]
    forgotten = Splits.from_ids(data, data.forget).forget.official_ids
    assert forgotten == [whole.train.names[i] for i in at if i < 20]


def test_tables_of_another_length_have_no_choice_of_the_authors(root, monkeypatch):
    monkeypatch.setattr("lotus_unlearning.datasets.mufac._FORGET_ROWS", {10_025: 1_500})
    assert datasets.load("mufac", root=str(root)).forget is None


def test_unseen_images_of_their_own_are_not_taken_from_test(root):
    with pytest.raises(ValueError, match="for mufac, which brings its own unseen images; got"):
        datasets.load("mufac", root=str(root), unseen_from="test")


def test_every_missing_piece_is_listed_with_what_to_get(root):
    folder = root / "custom_korean_family_dataset_resolution_128"
    (folder / "custom_val_dataset.csv").unlink()
    (folder / "test_images").rename(folder / "elsewhere")
    (folder / "train_images" / "F0002_AGE_D_40_c1.jpg").unlink()
    with pytest.raises(ValueError, match=r"custom_val_dataset\.csv: absent") as raised:
        datasets.load("mufac", root=str(root))
    text = str(raised.value)
    assert "test_images: absent" in text
    assert "train_images: absent are F0002_AGE_D_40_c1.jpg" in text
    assert "ndb796/MachineUnlearning" in text
    assert "13,068 photos" in text


def test_tables_of_another_form_are_refused(root):
    table = root / "custom_korean_family_dataset_resolution_128" / "custom_val_dataset.csv"
    text = table.read_text()
    table.write_text(text.replace("family_id,person_id", "family,person"))
    with pytest.raises(ValueError, match="without column family_id, column person_id"):
        datasets.load("mufac", root=str(root))
    table.write_text(text.replace(",a,", ",z,"))
    with pytest.raises(ValueError, match=r"age_class other than a, .*: z"):
        datasets.load("mufac", root=str(root))


def test_a_damaged_image_is_named(root):
    folder = root / "custom_korean_family_dataset_resolution_128"
    (folder / "val_images" / "F0801_AGE_M_40_b1.jpg").write_bytes(b"\xff\xd8\xff broken")
    with pytest.raises(ValueError, match=r"mufac: expected an image in .*F0801_AGE_M_40_b1\.jpg"):
        datasets.load("mufac", root=str(root))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("null", r"the whole \(expected a mapping, got null\)"),
        ('{"images": "."}', r"distance \(expected a whole number, got none\)"),
        ('{"images": [], "distance": 2}', r"images \(expected text, got a list\)"),
        ("{", "got something else"),
    ],
)
def test_facts_of_cleaned_tables_that_are_none_are_named(root, text, told):
    cleaned = root / "custom_korean_family_dataset_resolution_128/cleaned"
    cleaned.mkdir()
    (cleaned / "cleaning.json").write_text(text)
    with pytest.raises(ValueError, match=rf"cleaning.json.*{told}.*; clean the tables again"):
        datasets.load("mufac", root=str(root))
