import hashlib
import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from lotus_unlearning import Splits, datasets
from lotus_unlearning.images import content_hashes

WORDS = {"n01440764": "tench, Tinca tinca", "n02012849": "crane", "n03126707": "crane"}
WNIDS = tuple(WORDS)
CLASSES = ("tench", "crane (n02012849)", "crane (n03126707)")
TRAIN = (12, 20, 16)  # images per class: as in the original, not equal
KAGGLE = "ILSVRC/Data/CLS-LOC"


def jpeg(seed):
    """A photo of some size; one in four is grey, one in nine is stored as CMYK."""
    draw = np.random.default_rng(seed)
    height, width = 40 + seed % 7, 50 + seed % 5
    mode = "L" if seed % 4 == 0 else "CMYK" if seed % 9 == 0 else "RGB"
    depth = {"L": (), "RGB": (3,), "CMYK": (4,)}[mode]
    pixels = draw.integers(0, 256, (height, width, *depth), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, "JPEG")
    return buffer.getvalue()


def photos():
    """``(part, wnid, name, bytes)`` of all files; four validation images of each class."""
    for c, wnid in enumerate(WNIDS):
        for i in range(TRAIN[c]):
            yield "train", wnid, f"{wnid}_{i}.JPEG", jpeg(100 * c + i)
    for i in range(12):
        yield "val", WNIDS[i % 3], f"ILSVRC2012_val_{i + 1:08}.JPEG", jpeg(1000 + i)


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def plain(root):
    for part, wnid, name, data in photos():
        write(root / part / wnid / name, data)
    mapping(root)


def mapping(root):
    root.mkdir(parents=True, exist_ok=True)
    lines = [f"{wnid} {words}\n" for wnid, words in WORDS.items()]
    (root / "LOC_synset_mapping.txt").write_text("".join(lines))


def kaggle(root):
    rows = ["ImageId,PredictionString\n"]
    for part, wnid, name, data in photos():
        write(root / KAGGLE / part / (wnid if part == "train" else "") / name, data)
        if part == "val":
            rows.insert(1, f"{name.removesuffix('.JPEG')},{wnid} 85 1 499 272 \n")
    (root / "LOC_val_solution.csv").write_text("".join(rows))
    mapping(root)


def archive(path, files, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def official(root, monkeypatch):
    """The three archives of image-net.org, with a devkit as it is published."""
    inner = []
    for wnid in WNIDS:
        archive(root / "inner", [(n, d) for p, w, n, d in photos() if (p, w) == ("train", wnid)])
        inner.append((f"{wnid}.tar", (root / "inner").read_bytes()))
    (root / "inner").unlink()
    archive(root / "ILSVRC2012_img_train.tar", inner)
    archive(root / "ILSVRC2012_img_val.tar", [(n, d) for p, _, n, d in photos() if p == "val"])
    columns = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")
    synsets = np.zeros(4, dtype=[(column, object) for column in columns])
    synsets[0] = (3, WNIDS[0], WORDS[WNIDS[0]], "gloss", 0)
    synsets[1] = (1, WNIDS[1], "crane", "gloss", 0)
    synsets[2] = (2, WNIDS[2], "crane", "gloss", 0)
    synsets[3] = (1001, "n00001740", "entity", "gloss", 3)  # not a class: it has children
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    truth = "".join(f"{(3, 1, 2)[i % 3]}\n" for i in range(12))
    kit = "ILSVRC2012_devkit_t12/data"
    archive(
        root / "ILSVRC2012_devkit_t12.tar.gz",
        [
            (f"{kit}/meta.mat", meta.getvalue()),
            (f"{kit}/ILSVRC2012_validation_ground_truth.txt", truth.encode()),
        ],
        "w:gz",
    )
    import torchvision.datasets.imagenet as tv

    hashes = {
        part: (name, hashlib.md5((root / name).read_bytes()).hexdigest())
        for part, (name, _) in tv.ARCHIVE_META.items()
    }
    monkeypatch.setattr(tv, "ARCHIVE_META", hashes)


def load(root, **options):
    return datasets.load("imagenet1k", root=str(root), **{"size": 32, **options})


def bare(names):
    return [name.rpartition("/")[2] for name in names]


def test_plain_folders_are_halved_into_unseen_and_test(tmp_path):
    plain(tmp_path)
    data = load(tmp_path)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [48, 6, 6]
    assert data.classes == CLASSES
    assert data.unseen.labels.bincount().tolist() == [2, 2, 2]
    assert data.test.labels.bincount().tolist() == [2, 2, 2]
    assert not {*data.unseen.names} & {*data.test.names}
    assert all(name.startswith("val/") for name in (*data.unseen.names, *data.test.names))
    assert all(name.startswith("train/") for name in data.train.names)
    assert all(WNIDS[y] in n for y, n in zip(data.test.labels, data.test.names, strict=True))
    assert data.source == "plain folders"
    assert (data.channels, data.image_size) == (3, 32)


def test_kaggles_layout_gives_the_same_images(tmp_path):
    plain(tmp_path / "plain")
    kaggle(tmp_path / "kaggle")
    one, two = load(tmp_path / "plain"), load(tmp_path / "kaggle")
    assert two.source == "Kaggle's layout"
    assert two.classes == CLASSES
    assert bare(one.train.names) == bare(two.train.names)
    assert torch.equal(one.train.images, two.train.images)
    for name, label in zip(bare(two.unseen.names), two.unseen.labels.tolist(), strict=True):
        assert label == (int(name[-13:-5]) - 1) % 3
    assert len({*bare(two.unseen.names), *bare(two.test.names)}) == 12


def test_the_published_archives_are_unpacked_and_read(tmp_path, monkeypatch):
    official(tmp_path / "official", monkeypatch)
    plain(tmp_path / "plain")
    data, expected = load(tmp_path / "official"), load(tmp_path / "plain")
    assert data.source == "torchvision's layout"
    assert data.classes == CLASSES
    assert data.train.names == expected.train.names
    assert torch.equal(data.train.images, expected.train.images)
    assert data.test.names == expected.test.names
    assert torch.equal(data.unseen.images, expected.unseen.images)
    again = load(tmp_path / "official")  # by now unpacked
    assert torch.equal(again.test.images, data.test.images)


def test_a_damaged_archive_is_named(tmp_path, monkeypatch):
    official(tmp_path, monkeypatch)
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(b"cut off")
    with pytest.raises(ValueError, match=r"ILSVRC2012_img_val\.tar is not present .* or is corr"):
        load(tmp_path)


def test_a_limit_draws_equally_many_of_each_class_and_keeps_unseen_whole(tmp_path):
    plain(tmp_path)
    data = load(tmp_path, limit=30)
    assert data.train.labels.bincount().tolist() == [10, 10, 10]
    assert [len(data.unseen), len(data.test)] == [6, 6]
    assert Splits.random(data.train, fraction=0.1).forget.labels.tolist() == [0, 1, 2]
    assert load(tmp_path, limit=30).train.names == data.train.names
    assert load(tmp_path, limit=30, seed=1).train.names != data.train.names
    assert load(tmp_path, limit=44).train.labels.bincount().tolist() == [12, 16, 16]
    with pytest.raises(ValueError, match="limit: expected at least 1 image, got 0"):
        load(tmp_path, limit=0)


def test_only_chosen_files_are_opened(tmp_path):
    plain(tmp_path)
    data = load(tmp_path, limit=9)
    for path in tmp_path.glob("train/*/*.JPEG"):
        if path.relative_to(tmp_path).as_posix() not in data.train.names:
            path.write_bytes(b"broken")
    assert load(tmp_path, limit=9).train.names == data.train.names


def test_pixels_are_those_of_torchvisions_evaluation(tmp_path):
    from torchvision.transforms import v2

    plain(tmp_path)
    data = load(tmp_path, size=None, limit=6)
    usual = v2.Compose(
        [
            v2.Resize(256),
            v2.CenterCrop(224),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    for i, name in enumerate(data.train.names):
        with Image.open(tmp_path / name) as image:
            assert torch.allclose(data.train[i][0], usual(image.convert("RGB")), atol=1e-5)


def test_what_does_not_fit_is_streamed_with_equal_pixels(tmp_path, monkeypatch):
    plain(tmp_path)
    held = load(tmp_path)
    monkeypatch.setattr("lotus_unlearning.datasets.files.MEMORY_SHARE", 0.0)
    streamed = load(tmp_path)
    assert type(streamed.unseen).__name__ == "StreamedImages"
    assert streamed.train.names == held.train.names
    batch = next(streamed.train.batches([torch.arange(5)]))
    assert torch.allclose(batch, held.train.inputs(held.train.images[:5]))
    assert len(set(content_hashes(streamed.test, torch.arange(6)))) == 6


def test_unseen_share_is_of_the_validation_images(tmp_path):
    plain(tmp_path)
    data = load(tmp_path, unseen_share=0.25)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [48, 3, 9]


def test_absent_files_are_listed_for_each_layout(tmp_path):
    plain(tmp_path)
    (tmp_path / "val").rename(tmp_path / "validation")
    with pytest.raises(ValueError, match="for plain folders absent are val/WNID") as raised:
        load(tmp_path)
    text = str(raised.value)
    assert "meta.bin or ILSVRC2012_devkit_t12.tar.gz, val or ILSVRC2012_img_val.tar" in text
    assert "LOC_val_solution.csv" in text
    for words in ("image-net.org", "148 GB", "6.7 GB", "--root"):
        assert words in text


def test_broken_kaggle_files_are_told_at_once(tmp_path):
    kaggle(tmp_path)
    solution = tmp_path / "LOC_val_solution.csv"
    solution.write_text(solution.read_text().replace("ILSVRC2012_val_00000005,", "other,"))
    (tmp_path / KAGGLE / "train" / WNIDS[1]).rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"no known class for ILSVRC2012_val_00000005") as raised:
        load(tmp_path)
    assert "no folders of n02012849" in str(raised.value)


def test_classes_of_plain_folders_must_agree(tmp_path):
    plain(tmp_path)
    (tmp_path / "val" / WNIDS[0]).rename(tmp_path / "val" / "n99999999")
    with pytest.raises(ValueError, match="only one has n01440764, n99999999"):
        load(tmp_path)


def test_a_damaged_image_is_named(tmp_path):
    plain(tmp_path)
    (tmp_path / "train" / WNIDS[0] / f"{WNIDS[0]}_3.JPEG").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"imagenet1k: expected an image in .*n01440764_3\.JPEG"):
        load(tmp_path)
