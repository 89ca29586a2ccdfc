"""``hf:NAME``, on small data sets that Hugging Face's library makes and saves here."""

import logging
import sys
from types import ModuleType

import datasets
import pytest
import torch
from PIL import Image
from tar_shards import SIZE, pixels

from lotus_unlearning import Finetune, Splits, unlearn
from lotus_unlearning.datasets import hugging_face, load


def table(numbers, label="label", names=("cat", "dog"), image="image", **more):
    kind = datasets.ClassLabel(names=list(names)) if names else datasets.Value("int64")
    columns = {
        image: [Image.fromarray(pixels(n)) for n in numbers],
        label: [n % 2 for n in numbers],
        **{name: [value] * len(numbers) for name, value in more.items()},
    }
    made = datasets.Dataset.from_dict(columns)
    return made.cast_column(image, datasets.Image()).cast_column(label, kind)


def saved(folder, **splits):
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return f"hf:{folder}"


def row(part, position):
    """Pixels ``[SIZE, SIZE, 3]`` of an image that is held."""
    return part.images[position].permute(1, 2, 0)


def test_a_saved_data_set_is_read_as_it_was_written(tmp_path):
    name = saved(tmp_path / "x", train=table(range(40)), validation=table(range(100, 110)))
    data = load(name, size=SIZE)
    assert [len(part) for part in (data.train, data.unseen, data.test)] == [34, 6, 10]
    assert data.classes == ("cat", "dog")
    for part in (data.train, data.unseen):
        for position, number in enumerate(part.official.ids.tolist()):
            assert torch.equal(row(part, position), torch.from_numpy(pixels(number)))
            assert part.labels[position] == number % 2
    assert torch.equal(row(data.test, 3), torch.from_numpy(pixels(103)))
    chosen = data.train.official.ids[:3].tolist()
    assert Splits.from_ids(data, chosen).forget.official_ids == chosen


def test_what_does_not_fit_in_memory_is_streamed_with_equal_pixels(tmp_path, monkeypatch):
    name = saved(tmp_path / "x", train=table(range(40)), unseen=table(range(50, 60)))
    held = load(name, size=SIZE)
    monkeypatch.setattr("lotus_unlearning.datasets.files.MEMORY_SHARE", 0.0)
    streamed = load(name, size=SIZE)
    for kept, read in ((held.train, streamed.train), (held.unseen, streamed.unseen)):
        some = torch.tensor([5, 0, 9])
        assert torch.equal(next(read.batches([some])), kept.inputs(kept.images[some]))
    splits = Splits.random(streamed, fraction=0.2)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE * SIZE, 2))
    one, two = (
        unlearn(model, splits, Finetune(epochs=2), device="cpu", progress=False).model
        for _ in range(2)
    )
    assert torch.equal(one[1].weight, two[1].weight)


def test_a_data_set_without_splits_is_cut_by_the_seed(tmp_path):
    table(range(40), names=()).save_to_disk(str(tmp_path / "x"))
    data = load("hf:x", root=str(tmp_path), size=SIZE)
    parts = data.train, data.unseen, data.test
    assert sum(len(part) for part in parts) == 40
    assert data.classes == ("0", "1")


def test_splits_and_columns_can_be_named(tmp_path):
    one, two = (
        table(numbers, label="fine", image="photo", coarse=0)
        for numbers in (range(20), range(30, 40))
    )
    name = saved(tmp_path / "x", learn=one, check=two)
    data = load(f"{name}:train=learn,test=check,label=fine,image=photo", size=SIZE)
    assert torch.equal(row(data.test, 1), torch.from_numpy(pixels(31)))
    assert data.name.endswith("image=photo")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ("", r"expected a split 'train' for train, got learn, test; name another one: hf:NAME"),
        (":train=learn,test=other", "expected a split 'other' for test, got learn, test"),
        (":train=learn,label=absent", r"one column that is the label, got none of image, label"),
        (":train=learn,image=label", "expected images in the column 'label'"),
        (":train=learn,colour=red", "expected hf:NAME or .* got 'train=learn,colour=red' behind"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, choices, message):
    name = saved(tmp_path / "x", learn=table(range(20)), test=table(range(30, 40)))
    with pytest.raises(ValueError, match=message):
        load(name + choices, size=SIZE)


def test_labels_that_are_no_class_numbers_are_refused(tmp_path):
    broken = table(range(20), names=()).map(lambda _: {"label": -1})
    with pytest.raises(
        ValueError, match=r"expected labels 0\.\.C-1 .* 'label' of train, got int64"
    ):
        load(saved(tmp_path / "x", train=broken), size=SIZE)


def test_a_broken_image_is_named_by_its_row(tmp_path):
    broken = table(range(20)).cast_column("image", datasets.Image(decode=False))
    images = [image if i != 7 else {"bytes": b"x", "path": None} for i, image in
              enumerate(broken["image"])]  # fmt: skip
    columns = {"image": images, "label": list(broken["label"])}
    made = datasets.Dataset.from_dict(columns, features=table(range(1)).features)
    with pytest.raises(ValueError, match="expected an image in row 7 of its split, but it cannot"):
        load(saved(tmp_path / "x", train=made), size=SIZE)


def test_an_unknown_name_is_an_error_in_one_sentence(monkeypatch):
    def absent(*_):
        raise FileNotFoundError("no such\ndata set")

    monkeypatch.setattr(datasets, "load_dataset", absent)
    with pytest.raises(ValueError, match=r"called 'no/such'.*FileNotFoundError: no such data set"):
        load("hf:no/such")


def of_paths(paths, features):
    columns = {"image": [path and {"bytes": None, "path": path} for path in paths],
               "label": [i % 2 for i in range(len(paths))]}  # fmt: skip
    return datasets.Dataset.from_dict(columns, features=features)


def test_a_row_reads_no_file_outside_of_the_data_set(tmp_path, monkeypatch):
    """Rows may name files in place of images: of a stranger's rows, only in their own folder."""
    folder, secret = tmp_path / "x", tmp_path / "secret.png"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    for path in (secret, *(folder / f"{i}.png" for i in range(20))):
        Image.fromarray(pixels(0)).save(path)
    (folder / "link.png").symlink_to(secret)
    features = table(range(1)).features
    inside = [str(folder / f"{i}.png") for i in range(20)]
    for path in (str(secret), f"{folder}/../secret.png", "secret.png", str(folder / "link.png")):
        rows = of_paths([*inside[:7], path, *inside[8:]], features)
        write_as_it_is(rows, folder)
        with pytest.raises(ValueError, match=r"in row 7 .* own folder, got .*(secret|link)\.png"):
            load(f"hf:{folder}", size=SIZE)
    write_as_it_is(of_paths(inside, features), folder)
    data = load(f"hf:{folder}", size=SIZE)
    assert torch.equal(row(data.train, 0), torch.from_numpy(pixels(0)))


def write_as_it_is(made, folder):
    """As ``save_to_disk``, which would put the images in the rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.arrow_dataset.embed_table_storage", lambda table, **_: table)
        patch.setattr("datasets.arrow_writer.embed_table_storage", lambda table, **_: table)
        made.save_to_disk(str(folder))


def test_an_image_that_is_absent_is_named_by_its_row(tmp_path):
    made = of_paths([None] * 20, table(range(1)).features)
    with pytest.raises(ValueError, match=r"expected an image in row \d+ of its split.* got None"):
        load(saved(tmp_path / "x", train=made), size=SIZE)


@pytest.mark.parametrize(
    ("text", "place", "choices"),
    [
        ("org/name:train=x,image=y", "org/name", {"train": "x", "image": "y"}),
        ("org/name:config=a:b,c", "org/name", {"config": "a:b,c"}),
        ("org/name:config=a:b, image=y:z", "org/name", {"config": "a:b", "image": "y:z"}),
        ("at/10:30", "at/10:30", {}),
        ("at/10:30:test=val=2", "at/10:30", {"test": "val=2"}),
    ],
)
def test_colons_and_commas_may_stand_in_what_is_named(text, place, choices):
    assert hugging_face._read(text) == (place, choices)


def test_without_a_network_the_hub_is_silent_and_the_error_says_it_once(monkeypatch, caplog):
    def unreachable(*_):
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s")
        raise ConnectionError("Couldn't reach 'beans' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "propagate", True)
    with pytest.raises(ValueError, match=r"Couldn't reach 'beans'.*is there a network\?"):
        load("hf:beans")
    assert caplog.records == []


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"package datasets.*pip install 'lotus-unlearning\[hf\]'"):
        load("hf:beans")


def test_a_folder_of_the_library_s_name_is_not_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", ModuleType("datasets"))
    with pytest.raises(ValueError, match=r"package datasets.*pip install 'lotus-unlearning\[hf\]'"):
        load("hf:beans")


@pytest.mark.parametrize("content", ["[]", "null", "{", ""])
@pytest.mark.parametrize(
    "file", ["dataset_dict.json", "train/state.json", "train/dataset_info.json"]
)
def test_a_saved_folder_that_is_damaged_is_no_name_of_the_hub(file, content, tmp_path):
    name = saved(tmp_path / "x", train=table(range(4)))
    (tmp_path / "x" / file).write_text(content)
    with pytest.raises(ValueError, match=rf"it is damaged \({file}: .*\); copy it again") as error:
        load(name, size=SIZE)
    assert "hub" not in str(error.value)
