"""``lotus data``, on a small MUFAC with planted copies."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from lotus_unlearning import Splits, datasets
from lotus_unlearning.cli import main
from lotus_unlearning.images import content_hashes

COLUMNS = ("family_id", "person_id", "age_class", "image_path")
FAMILIES = {"train": ("F0001", "F0002", "F0003"), "val": ("F0801",), "test": ("F0851",)}
COPIES = {  # copy -> of which photo; planted before tables are written
    "train/F0001_AGE_M_40_a1.jpg": "train/F0003_AGE_M_40_a1.jpg",  # forget, of retain
    "train/F0003_AGE_D_40_b1.jpg": "train/F0002_AGE_D_40_b1.jpg",  # retain, of retain
    "test/F0851_AGE_D_40_c1.jpg": "train/F0002_AGE_M_40_c1.jpg",  # test, of retain
    "val/F0801_AGE_M_40_d1.jpg": "test/F0851_AGE_M_40_d1.jpg",  # val, of test
}
AGAIN = {  # the same, but saved anew at another quality
    "train/F0002_AGE_M_40_a1.jpg": "train/F0002_AGE_D_40_a1.jpg",
    "val/F0801_AGE_D_40_d1.jpg": "train/F0001_AGE_D_40_d1.jpg",
}


def file(root, key):
    part, name = key.split("/")
    return root / f"{part}_images" / name


@pytest.fixture
def root(tmp_path, monkeypatch):
    """24 training photos, of which the first 8 are to be forgotten; 8 others each."""
    folder = tmp_path / "faces"
    seed = 0
    for part, families in FAMILIES.items():
        (folder / f"{part}_images").mkdir(parents=True)
        rows = []
        for family in families:
            for person in ("D", "M"):
                for age in "abcd":
                    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
                    name = f"{family}_AGE_{person}_40_{age}1.jpg"
                    scene = Image.fromarray(noise).resize((128, 128), Image.Resampling.BICUBIC)
                    scene.save(folder / f"{part}_images" / name, quality=95)
                    rows.append((family, person, age, name))
                    seed += 1
        with (folder / f"custom_{part}_dataset.csv").open("w", newline="") as table:
            csv.writer(table, lineterminator="\n").writerows([COLUMNS, *rows])
    for copy, original in COPIES.items():
        shutil.copy(file(folder, original), file(folder, copy))
    for copy, original in AGAIN.items():
        Image.open(file(folder, original)).save(file(folder, copy), quality=80)
    monkeypatch.setattr("lotus_unlearning.datasets.mufac._FORGET_ROWS", {24: 8})
    return folder


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def table(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_copies_leave_the_tables_and_nothing_else_changes(root, capsys):
    before = contents(root)
    assert main(["data", "clean-mufac", "--root", str(root), "--distance", "4"]) == 0
    after = contents(root)
    assert {p: after[p] for p in before} == before
    out = root / "cleaned"
    gone = {row["dropped"].replace("_images", "") for row in table(out / "pairs.csv")}
    assert gone == {*COPIES, *AGAIN}
    pairs = {row["dropped"].replace("_images", ""): row for row in table(out / "pairs.csv")}
    for copy, original in COPIES.items():
        assert pairs[copy]["kept"].replace("_images", "") == original
        assert (pairs[copy]["reason"], pairs[copy]["distance"]) == ("equal pixels", "0")
    for copy, original in AGAIN.items():
        assert pairs[copy]["kept"].replace("_images", "") == original
        assert pairs[copy]["reason"] == "similar"
    counts = [len(table(out / f"custom_{part}_dataset.csv")) for part in ("train", "val", "test")]
    assert counts == [21, 6, 7]
    assert json.loads((out / "cleaning.json").read_text()) == {
        "images": "..",
        "distance": 4,
        "photos": {"retain": 14, "forget": 7, "test": 7, "val": 6},
    }
    shown = capsys.readouterr()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in shown.out.splitlines()]
    assert ["forget", "retain", "1", "0"] in rows
    assert ["retain", "retain", "1", "1"] in rows
    assert ["val", "forget", "0", "1"] in rows
    assert ["forget", "8", "1", "7"] in rows
    assert "10 names in the tables are 6 persons" in shown.err


def test_the_loader_uses_cleaned_tables_beside_the_official_ones(root):
    assert len(datasets.load("mufac", root=str(root)).train) == 24
    main(["data", "clean-mufac", "--root", str(root), "--distance", "4"])
    data = datasets.load("mufac", root=str(root))
    assert "cleaned at distance 4" in data.source
    parts = data.train, data.unseen, data.test
    assert [len(part) for part in parts] == [21, 6, 7]
    assert data.forget.tolist() == list(range(7))
    hashes = [set(content_hashes(part, torch.arange(len(part)))) for part in parts]
    assert len(set.union(*hashes)) == 34
    names = (root / "cleaned" / "forget.txt").read_text().split()
    assert names == [data.train.names[i] for i in data.forget]
    assert Splits.from_ids(data.train, root / "cleaned" / "forget.txt").forget.ids.tolist() == [
        *range(7)
    ]


def test_a_person_with_two_names_is_one_group(root):
    main(["data", "clean-mufac", "--root", str(root)])
    data = datasets.load("mufac", root=str(root))
    group = {n.split("/")[1]: int(g) for n, g in zip(data.train.names, data.groups, strict=True)}
    assert group["F0001_AGE_M_40_b1.jpg"] == group["F0003_AGE_M_40_b1.jpg"]
    assert group["F0002_AGE_D_40_c1.jpg"] == group["F0003_AGE_D_40_c1.jpg"]
    assert len({*data.groups.tolist()}) == 4


def test_another_folder_can_be_written_moved_with_its_images_and_loaded(root, tmp_path):
    out = tmp_path / "tables" / "clean"
    assert main(["data", "clean-mufac", "--root", str(root), "--out", str(out)]) == 0
    assert json.loads((out / "cleaning.json").read_text())["images"] == "../../faces"
    assert not (root / "cleaned").exists()
    assert "hold copies" in datasets.load("mufac", root=str(root)).source
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tables").rename(tmp_path / "elsewhere" / "tables")
    root.rename(tmp_path / "elsewhere" / "faces")
    data = datasets.load("mufac", root=str(tmp_path / "elsewhere" / "tables" / "clean"))
    assert data.train.names[0] == "train_images/F0001_AGE_D_40_a1.jpg"


def test_distance_zero_keeps_photos_that_only_look_alike(root):
    main(["data", "clean-mufac", "--root", str(root), "--distance", "0"])
    reasons = [row["reason"] for row in table(root / "cleaned" / "pairs.csv")]
    assert reasons.count("equal pixels") == len(COPIES)


def test_a_folder_that_holds_something_is_not_written_to(root, tmp_path, capsys):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("keep")
    assert main(["data", "clean-mufac", "--root", str(root), "--out", str(out)]) == 1
    assert "holds something already" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["notes.txt"]
    assert main(["data", "clean-mufac", "--root", str(root), "--out", str(root)]) == 1


def test_a_damaged_image_leaves_no_folder(root, capsys):
    file(root, "val/F0801_AGE_M_40_a1.jpg").write_bytes(b"broken")
    assert main(["data", "clean-mufac", "--root", str(root)]) == 1
    assert "F0801_AGE_M_40_a1.jpg" in capsys.readouterr().err
    assert not (root / "cleaned").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clean-mufak"], "did you mean 'clean-mufac'?"),
        (["clean-mufac", "--root", "nowhere"], "custom_train_dataset.csv: absent"),
        (["clean-mufac", "--distance", "40"], "expected 0 to 31 bits, got 40"),
    ],
)
def test_mistakes_get_one_clear_message(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", *words]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_cleaned_tables_are_not_cleaned_again(root, capsys):
    main(["data", "clean-mufac", "--root", str(root)])
    assert main(["data", "clean-mufac", "--root", str(root / "cleaned")]) == 1
    assert "got cleaned ones" in capsys.readouterr().err
