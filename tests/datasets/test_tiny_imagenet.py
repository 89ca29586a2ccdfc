import numpy as np
import pytest
import torch
from PIL import Image

from lotus_unlearning import Splits, datasets
from lotus_unlearning.images import content_hashes

WNIDS = ["n02124075", "n02012849", "n03126707"]  # not sorted, as in the published file
WORDS = {
    "n00001740": "entity",
    "n02012849": "crane",
    "n02124075": "Egyptian cat",
    "n03126707": "crane, derrick",
}
CLASSES = ("Egyptian cat", "crane (n02012849)", "crane (n03126707)")


def picture(path, seed, grey=False, size=64):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size, size) if grey else (size, size, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")


def tiny_imagenet(root):
    """The folder as it is unpacked: 20 training and 4 validation images of each class."""
    folder = root / "tiny-imagenet-200"
    (folder / "val").mkdir(parents=True)
    (folder / "wnids.txt").write_text("".join(f"{w}\n" for w in WNIDS))
    (folder / "words.txt").write_text("".join(f"{w}\t{words}\n" for w, words in WORDS.items()))
    for c, wnid in enumerate(WNIDS):
        for i in range(20):
            place = folder / "train" / wnid / "images" / f"{wnid}_{i}.JPEG"
            picture(place, 100 * c + i, grey=i % 5 == 0)
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("not an image")
    lines = []
    for i in range(12):
        picture(folder / "val" / "images" / f"val_{i}.JPEG", 1000 + i, grey=i == 3)
        lines.append(f"val_{i}.JPEG\t{WNIDS[i % 3]}\t0\t32\t44\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def tiny(tmp_path):
    return tiny_imagenet(tmp_path)


def test_the_published_zip_is_read_with_its_own_order_of_classes(tiny, tmp_path):
    data = datasets.load("tiny-imagenet", root=str(tmp_path))
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [51, 9, 12]
    assert data.classes == CLASSES
    assert data.train.images.shape == (51, 3, 64, 64)
    assert data.train.images.dtype is torch.uint8
    for part in (data.train, data.unseen):
        assert all(WNIDS[y] in name for y, name in zip(part.labels, part.names, strict=True))
    assert data.test.names[0] == "val/images/val_0.JPEG"
    assert data.test.labels.tolist() == [int(n[15:-5]) % 3 for n in data.test.names]


def test_grey_files_have_three_equal_channels(tiny):
    data = datasets.load("tiny-imagenet", root=str(tiny))  # the folder itself is a root too
    grey = data.train.images[data.train.names.index(f"train/{WNIDS[0]}/images/{WNIDS[0]}_5.JPEG")]
    assert torch.equal(grey[0], grey[1])
    assert not torch.equal(data.train.images[0][0], data.train.images[1][0])


@pytest.mark.parametrize("inner", ["", "images"])
def test_a_sorted_validation_folder_gives_the_same_test_images(tiny, inner):
    before = datasets.load("tiny-imagenet", root=str(tiny))
    for line in (tiny / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        (tiny / "val" / wnid / inner).mkdir(parents=True, exist_ok=True)
        (tiny / "val" / "images" / name).rename(tiny / "val" / wnid / inner / name)
    (tiny / "val" / "images").rmdir()
    (tiny / "val" / "val_annotations.txt").unlink()
    after = datasets.load("tiny-imagenet", root=str(tiny))
    assert torch.equal(before.test.images, after.test.images)
    assert torch.equal(before.test.labels, after.test.labels)
    assert after.test.names[0] == "/".join(filter(None, ["val", WNIDS[0], inner, "val_0.JPEG"]))


def test_unseen_images_are_drawn_by_seed_and_not_trained_on(tiny):
    data, again = (datasets.load("tiny-imagenet", root=str(tiny)) for _ in range(2))
    other = datasets.load("tiny-imagenet", root=str(tiny), seed=1)
    assert data.train.names == again.train.names
    assert data.unseen.names != other.unseen.names
    hashes = [set(content_hashes(p, torch.arange(len(p)))) for p in (data.train, data.unseen)]
    assert not hashes[0] & hashes[1]
    assert data.unseen.labels.bincount().tolist() == [3, 3, 3]


def test_unseen_images_can_be_half_of_the_official_validation_photos(tiny):
    data = datasets.load("tiny-imagenet", root=str(tiny), unseen_from="test")
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [60, 6, 6]
    assert data.unseen.labels.bincount().tolist() == [2, 2, 2]
    assert {*data.unseen.names} | {*data.test.names} == {
        f"val/images/val_{i}.JPEG" for i in range(12)
    }


def test_only_chosen_files_are_opened(tiny):
    options = {"root": str(tiny), "limit": 6, "unseen_share": 0.3}
    data = datasets.load("tiny-imagenet", **options)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [6, 3, 12]
    chosen = {*data.train.names, *data.unseen.names}
    for path in tiny.glob("train/*/images/*.JPEG"):
        if path.relative_to(tiny).as_posix() not in chosen:
            path.write_bytes(b"broken")
    assert datasets.load("tiny-imagenet", **options).train.names == data.train.names


def test_size_resizes_what_the_model_sees(tiny):
    data = datasets.load("tiny-imagenet", root=str(tiny), size=32)
    assert data.train[0][0].shape == (3, 32, 32)
    assert data.image_size == 32


def test_a_file_of_paths_names_images_to_forget(tiny, tmp_path):
    data = datasets.load("tiny-imagenet", root=str(tiny))
    (tmp_path / "ids.txt").write_text("\n".join(data.train.names[4:6]))
    splits = Splits.from_ids(data.train, tmp_path / "ids.txt")
    assert splits.forget.ids.tolist() == [4, 5]


def test_what_does_not_fit_is_streamed_with_equal_pixels(tiny, monkeypatch):
    held = datasets.load("tiny-imagenet", root=str(tiny), size=16)
    monkeypatch.setattr("lotus_unlearning.datasets.files.MEMORY_SHARE", 0.0)
    streamed = datasets.load("tiny-imagenet", root=str(tiny), size=16)
    assert type(streamed.train).__name__ == "StreamedImages"
    assert streamed.train.names == held.train.names
    batch = next(streamed.train.batches([torch.arange(5)]))
    assert torch.allclose(batch, held.train.inputs(held.train.images[:5]))


def test_every_missing_piece_is_listed_with_what_to_get(tmp_path):
    with pytest.raises(ValueError, match=r"tiny-imagenet-200\.zip \(248 MB") as raised:
        datasets.load("tiny-imagenet", root=str(tmp_path))
    for piece in ("wnids.txt: absent", "words.txt: absent", "train/WNID", "val/images", "--root"):
        assert piece in str(raised.value)


def test_broken_lists_are_told_all_at_once(tiny):
    (tiny / "words.txt").write_text("n02124075\tcat\nn02012849\tcrane\n")
    (tiny / "val" / "images" / "val_2.JPEG").unlink()
    annotations = tiny / "val" / "val_annotations.txt"
    annotations.write_text(
        annotations.read_text().replace(f"val_1.JPEG\t{WNIDS[1]}", "val_1.JPEG\tn9")
    )
    for path in (tiny / "train" / WNIDS[2] / "images").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"words\.txt: no names of n03126707") as raised:
        datasets.load("tiny-imagenet", root=str(tiny))
    assert "no images for n03126707" in str(raised.value)
    assert "no known class for val_1.JPEG" in str(raised.value)
    assert "absent are val_2.JPEG" in str(raised.value)


def test_a_damaged_image_is_named(tiny):
    path = tiny / "val" / "images" / "val_7.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"tiny-imagenet: expected an image in .*val_7\.JPEG"):
        datasets.load("tiny-imagenet", root=str(tiny))
