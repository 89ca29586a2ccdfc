"""``imagefolder:PATH``, on folders as people have them."""

import numpy as np
import pytest
import torch
from PIL import Image

from lotus_unlearning import Splits, datasets
from lotus_unlearning.images import content_hashes


def folder_of_images(root, classes=("cat", "dog"), images=10):
    """``root/CLASS/N.png``, of several sizes and modes."""
    draw = np.random.default_rng(0)
    for c in classes:
        (root / c).mkdir(parents=True)
        for i in range(images):
            shape = (20 + i, 24, 3) if i % 2 else (30, 18 + i)
            pixels = draw.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(root / c / f"{i}.png")


def test_an_image_folder_is_read_resized_and_keeps_its_paths(tmp_path):
    folder_of_images(tmp_path / "train")
    folder_of_images(tmp_path / "test", images=3)
    data = datasets.load(f"imagefolder:{tmp_path}", size=16, unseen_share=0.2)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [16, 4, 6]
    assert data.train[0][0].shape == (3, 16, 16)
    assert data.classes == ("cat", "dog")
    assert set(data.train.names) < {f"{c}/{i}.png" for c in data.classes for i in range(10)}


def test_a_folder_without_a_test_part_is_cut_by_the_seed(tmp_path):
    folder_of_images(tmp_path)
    data = datasets.load(f"imagefolder:{tmp_path}", size=8)
    parts = data.train, data.unseen, data.test
    assert sum(len(part) for part in parts) == 20
    hashes = [set(content_hashes(p, torch.arange(len(p)))) for p in parts]
    assert len(set.union(*hashes)) == 20


def test_a_folder_too_large_for_memory_is_streamed_with_equal_pixels(tmp_path, monkeypatch):
    folder_of_images(tmp_path)
    held = datasets.load(f"imagefolder:{tmp_path}", size=8)
    monkeypatch.setattr("lotus_unlearning.datasets.files.MEMORY_SHARE", 0.0)
    streamed = datasets.load(f"imagefolder:{tmp_path}", size=8)
    assert type(streamed.train).__name__ == "StreamedImages"
    assert streamed.train.names == held.train.names
    batch = next(streamed.train.batches([torch.arange(4)]))
    assert torch.allclose(batch, held.train.inputs(held.train.images[:4]))


def test_an_unreadable_image_is_named(tmp_path):
    folder_of_images(tmp_path)
    (tmp_path / "cat" / "0.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"cat/0\.png.*cannot be read"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)


def test_unseen_images_can_have_a_folder_of_their_own_and_all_parts_keep_inner_paths(tmp_path):
    folder_of_images(tmp_path / "train")
    folder_of_images(tmp_path / "unseen", images=4)
    folder_of_images(tmp_path / "test", images=3)
    for value, part in enumerate(("train", "unseen", "test")):
        Image.new("L", (9, 9), value).save(tmp_path / part / "cat" / "0.png")
    data = datasets.load(f"imagefolder:{tmp_path.name}", root=str(tmp_path.parent), size=8)
    for part, images in ((data.train, 10), (data.unseen, 4), (data.test, 3)):
        assert part.names == tuple(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(images))
    assert [int(p.images[0].max()) for p in (data.train, data.unseen, data.test)] == [0, 1, 2]


def test_only_chosen_images_are_opened(tmp_path):
    folder_of_images(tmp_path)
    data = datasets.load(f"imagefolder:{tmp_path}", size=8, limit=4)
    chosen = {*data.train.names, *data.unseen.names, *data.test.names}
    for path in tmp_path.glob("*/*.png"):
        if path.relative_to(tmp_path).as_posix() not in chosen:
            path.write_bytes(b"broken")
    again = datasets.load(f"imagefolder:{tmp_path}", size=8, limit=4)
    assert torch.equal(again.train.images, data.train.images)


BRIGHT, DARK = 200, 50
MODES = {  # files of one grey value per column: the left half bright, the right half dark
    "grey.png": ("L", lambda v: v),
    "colour.jpg": ("RGB", lambda v: (v, v, v)),
    "transparent.png": ("RGBA", lambda v: (v, v, v, 0)),
    "grey and transparent.png": ("LA", lambda v: (v, 0)),
    "print.jpg": ("CMYK", lambda v: (255 - v, 255 - v, 255 - v, 0)),
    "deep.png": ("I;16", lambda v: 257 * v),
    "deep.tif": ("I;16", lambda v: 257 * v),
    "deep big-endian.TIFF": ("I;16B", lambda v: 257 * v),
    "plain.webp": ("RGB", lambda v: (v, v, v)),
    "plain.bmp": ("L", lambda v: v),
}


def halves(mode, value, size=(32, 16)):
    image = Image.new(mode, size, value(BRIGHT))
    image.paste(value(DARK), (size[0] // 2, 0, *size))
    return image


def palette(transparency):
    image = Image.new("P", (32, 16), 0)
    image.paste(1, (16, 0, 32, 16))
    image.putpalette([BRIGHT] * 3 + [DARK] * 3)
    image.info["transparency"] = transparency
    return image


@pytest.mark.parametrize("name", MODES)
def test_images_of_any_mode_and_size_show_the_same(tmp_path, name):
    folder_of_images(tmp_path, classes=("a", "b"), images=4)
    halves(*MODES[name]).save(tmp_path / "a" / name)
    shown = _pixels(tmp_path, f"a/{name}")
    assert torch.allclose(shown[:, :, :6].float(), torch.tensor(float(BRIGHT)), atol=3)
    assert torch.allclose(shown[:, :, -6:].float(), torch.tensor(float(DARK)), atol=3)


@pytest.mark.parametrize("transparency", [b"\x00\xff", 1], ids=["bytes", "index"])
def test_a_palette_with_transparency_is_read_without_a_warning(tmp_path, transparency):
    folder_of_images(tmp_path, classes=("a", "b"), images=4)
    palette(transparency).save(tmp_path / "a" / "palette.png")
    shown = _pixels(tmp_path, "a/palette.png")
    assert shown[0, 8, 2] == BRIGHT
    assert shown[0, 8, -3] == DARK


def _pixels(folder, name):
    data = datasets.load(f"imagefolder:{folder}", size=16)
    parts = [part for part in (data.train, data.unseen, data.test) if name in part.names]
    return parts[0].images[parts[0].names.index(name)]


def test_pixels_without_a_known_range_are_refused_by_name(tmp_path):
    folder_of_images(tmp_path)
    Image.fromarray(np.zeros((8, 8), dtype=np.float32)).save(tmp_path / "cat" / "float.tif")
    with pytest.raises(ValueError, match=r"cat/float\.tif.*floating-point"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)
    (tmp_path / "cat" / "float.tif").unlink()
    Image.fromarray(np.full((8, 8), 70_000, dtype=np.int32)).save(tmp_path / "dog" / "32.tif")
    with pytest.raises(ValueError, match=r"dog/32\.tif.*more than 16 bits"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)


def test_hidden_files_and_files_of_other_types_are_left_out(tmp_path):
    folder_of_images(tmp_path)
    clean = datasets.load(f"imagefolder:{tmp_path}", size=8)
    for name in ("cat/._0.png", "cat/Thumbs.db", "dog/notes.txt", "README.md", ".DS_Store"):
        (tmp_path / name).write_bytes(b"no image")
    for name in (".ipynb_checkpoints", "cat/.cache"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0-checkpoint.png").write_bytes(b"no image")
    data = datasets.load(f"imagefolder:{tmp_path}", size=8)
    assert data.classes == ("cat", "dog")
    assert data.train.names == clean.train.names
    assert torch.equal(data.train.images, clean.train.images)


def test_a_folder_below_a_hidden_one_is_read(tmp_path):
    folder_of_images(tmp_path / ".photos")
    assert len(datasets.load(f"imagefolder:{tmp_path}/.photos", size=8).classes) == 2


def test_images_in_folders_below_a_class_are_of_this_class_as_in_torchvision(tmp_path):
    from torchvision.datasets import ImageFolder

    folder_of_images(tmp_path)
    folder_of_images(tmp_path / "cat", classes=("2024", "old"), images=2)
    data = datasets.load(f"imagefolder:{tmp_path}", size=8)
    files = ImageFolder(str(tmp_path))
    label = {path.removeprefix(f"{tmp_path}/"): label for path, label in files.samples}
    parts = data.train, data.unseen, data.test
    found = {n: int(y) for p in parts for n, y in zip(p.names, p.labels, strict=True)}
    assert found == label
    assert label["cat/old/1.png"] == 0
    in_order = [path for path in label if path in data.train.names]
    assert list(data.train.names) == in_order


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", None], ids=["none", "few", "half"])
def test_a_damaged_image_is_named(tmp_path, content):
    folder_of_images(tmp_path / "train")
    path = tmp_path / "train" / "cat" / "3.png"
    path.write_bytes(path.read_bytes()[:400] if content is None else content)
    with pytest.raises(ValueError, match=r"train/cat/3\.png.*; repair or remove it"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)


def test_an_image_that_claims_too_many_pixels_is_named(tmp_path):
    folder_of_images(tmp_path)
    huge = b"P5 65000 65000 255\n"
    (tmp_path / "cat" / "huge.pgm").write_bytes(huge)
    with pytest.raises(ValueError, match=r"cat/huge\.pgm.*exceeds limit"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)


def test_empty_classes_are_named_all_at_once(tmp_path):
    folder_of_images(tmp_path / "train")
    folder_of_images(tmp_path / "test", images=2)
    (tmp_path / "train" / "bird").mkdir()
    for path in (tmp_path / "test" / "dog").iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(ValueError, match=r"no images in .*train/bird; no images in .*test/dog"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)


def test_a_folder_without_classes_is_refused(tmp_path):
    halves("L", int).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match=r"a folder per class.* no folders of classes in"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)


def test_other_classes_in_the_test_part_are_refused(tmp_path):
    folder_of_images(tmp_path / "train")
    folder_of_images(tmp_path / "test", classes=("cat", "wolf"), images=2)
    with pytest.raises(ValueError, match="the same classes in train and test"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)


def test_paths_and_ids_are_those_of_the_folder_whatever_was_drawn(tmp_path):
    from torchvision.datasets import ImageFolder

    folder_of_images(tmp_path)
    files = [path.removeprefix(f"{tmp_path}/") for path, _ in ImageFolder(str(tmp_path)).samples]
    for seed in (0, 1):
        data = datasets.load(f"imagefolder:{tmp_path}", size=8, seed=seed, limit=8)
        for part in (data.train, data.unseen, data.test):
            assert [files[i] for i in part.official.ids] == list(part.names)
        index = files.index(data.train.names[3])
        assert Splits.from_ids(data, [index]).forget.official_ids == [data.train.names[3]]


def test_a_path_that_is_not_trained_on_says_where_it_is(tmp_path):
    folder_of_images(tmp_path)
    data = datasets.load(f"imagefolder:{tmp_path}", size=8, limit=8)
    with pytest.raises(ValueError, match=f"{data.unseen.names[0]} is among the unseen images"):
        Splits.from_ids(data, [data.unseen.names[0]])
    with pytest.raises(ValueError, match=f"{data.test.names[0]} is among the test images"):
        Splits.from_ids(data, [data.test.names[0]])
    used = {*data.train.names, *data.unseen.names, *data.test.names}
    left = next(n for n in (f"cat/{i}.png" for i in range(10)) if n not in used)
    with pytest.raises(ValueError, match=f"{left}; a limit left [0-9]+ images out, perhaps these"):
        Splits.from_ids(data, [left])


def test_streamed_folders_keep_their_ids(tmp_path, monkeypatch):
    folder_of_images(tmp_path)
    held = datasets.load(f"imagefolder:{tmp_path}", size=8, limit=8)
    monkeypatch.setattr("lotus_unlearning.datasets.files.MEMORY_SHARE", 0.0)
    streamed = datasets.load(f"imagefolder:{tmp_path}", size=8, limit=8)
    assert streamed.train.official.ids.tolist() == held.train.official.ids.tolist()


def test_a_folder_of_one_class_is_refused(tmp_path):
    folder_of_images(tmp_path, classes=("cat",))
    with pytest.raises(ValueError, match="two classes or more, got 'cat' alone"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)
    folder_of_images(tmp_path / "all" / "train", classes=("dog",))
    with pytest.raises(ValueError, match=r"got 'dog' alone in .*/all/train; images of a class"):
        datasets.load(f"imagefolder:{tmp_path}/all", size=8)


@pytest.mark.parametrize("parts", [("test",), ("val", "test"), ("unseen",), ("test", "cat")])
def test_parts_without_one_to_train_on_are_refused(tmp_path, parts):
    for part in parts:
        folder_of_images(tmp_path / part, images=2)
    with pytest.raises(ValueError, match=r"expected a folder train beside .* got none; what a mod"):
        datasets.load(f"imagefolder:{tmp_path}", size=8)


def test_a_class_may_be_called_test(tmp_path):
    folder_of_images(tmp_path, classes=("cat", "test"))
    assert datasets.load(f"imagefolder:{tmp_path}", size=8).classes == ("cat", "test")


def test_val_is_the_test_part_where_there_is_no_other(tmp_path):
    folder_of_images(tmp_path / "train")
    folder_of_images(tmp_path / "val", images=3)
    data = datasets.load(f"imagefolder:{tmp_path}", size=8)
    assert (len(data.train) + len(data.unseen), len(data.test)) == (20, 6)
    assert data.test.names == tuple(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3))
    folder_of_images(tmp_path / "test", images=5)
    assert len(datasets.load(f"imagefolder:{tmp_path}", size=8).test) == 10


def test_photos_are_read_as_they_are_stored_however_the_camera_was_held(tmp_path):
    folder_of_images(tmp_path, images=4)
    photo = halves("RGB", lambda v: (v, v, v))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    photo.save(tmp_path / "cat" / "phone.jpg", exif=exif)
    shown = _pixels(tmp_path, "cat/phone.jpg")
    assert shown[:, :, :6].float().mean() > shown[:, :, -6:].float().mean()
