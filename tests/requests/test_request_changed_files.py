"""Files of a data set are deleted or added after its workspace was made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tar_shards
import workspaces
from PIL import Image

from lotus_unlearning import runs
from lotus_unlearning.requests import entries, index, plan
from lotus_unlearning.requests.record import record
from lotus_unlearning.requests.serve import serve
from lotus_unlearning.requests.settings import DataChoice, Guards
from lotus_unlearning.requests.start import start
from lotus_unlearning.requests.workspace import opened

COUNT = 12
"""Images of each class."""


def photo(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


class Folder:
    """An image folder; ``parts`` are its folders of parts, each with a slash behind it."""

    def __init__(self, place, parts):
        self.place, self.name = place, f"imagefolder:{place}"
        self.train = place / parts[0]
        for p, part in enumerate(parts):
            for c, name in enumerate(("cat", "dog")):
                for i in range(COUNT):
                    photo(place / part / name / f"{i}.png", 1000 * p + 100 * c + i)

    def delete(self, names):
        for name in names:
            (self.train / name).unlink()

    def add(self):
        for i in range(5):
            photo(self.train / "cat" / f"new{i}.png", 9000 + i)
        return "cat/new0.png"


class Shards:
    """Tar shards, of which one is written anew without some samples, or with more of them."""

    def __init__(self, place):
        self.place, self.name = place, f"webdataset:{place}"
        self.numbers = [*range(2 * COUNT)]
        self._write()

    def _write(self):
        tar_shards.write(self.place / "train-000.tar", tar_shards.samples(self.numbers))

    def delete(self, names):
        self.numbers = [n for n in self.numbers if f"{n:06}" not in names]
        self._write()

    def add(self):
        self.numbers += range(500, 505)
        self._write()
        return "000500"


LAYOUTS = {
    "train and test": lambda place: Folder(place, ("train/", "test/")),
    "classes alone": lambda place: Folder(place, ("",)),
    "shards": Shards,
}


@pytest.fixture(params=LAYOUTS)
def files(request, tmp_path, monkeypatch):
    """Files without unseen images of their own, and a workspace around them."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    made = LAYOUTS[request.param](tmp_path / "photos")
    size = 8 if isinstance(made, Shards) else 16
    built = {"name": "resnet-thin", "classes": 2, "channels": 3, "image_size": size}
    settings = replace(
        workspaces.SETTINGS,
        data=DataChoice(name=made.name, size=size),
        architecture=built,
        recipe={"epochs": 2, "batch_size": 4},
        near_distance=0,
        guards=Guards(retained_accuracy_loss=1.0, test_accuracy_loss=1.0, attack=None),
    )
    made.workspace = tmp_path / "deletion"
    model = runs.Architecture(**built).build()
    start(made.workspace, settings, model, plan.load_data(settings))
    return made


def known(files):
    return index.load(files.workspace / index.FILE)


def run(files):
    with opened(files.workspace, alone=True) as workspace:
        return serve(workspace).run


def parts_now(files):
    with opened(files.workspace) as workspace:
        data = plan.load_data(workspace.settings, known(files))
    return {name: index.ids_of(getattr(data, name)) for name in index.PARTS}


def test_without_changes_the_parts_are_those_that_were_drawn(files):
    assert parts_now(files) == {n: p.ids.tolist() for n, p in known(files).parts.items()}


def test_files_that_were_forgotten_may_be_deleted_and_nothing_is_drawn_anew(files):
    one, two, *_ = known(files).train.ids.tolist()
    workspaces.ask(files.workspace, one)
    counts = run(files).record["images"]
    files.delete([one])
    workspaces.ask(files.workspace, two)
    made = run(files)
    assert made.state == "served"
    assert made.record["images"] == {
        **counts,
        "retain": counts["retain"] - 1,
        "gone_from_the_data": 1,
    }
    before = {n: p.ids.tolist() for n, p in known(files).parts.items()}
    assert parts_now(files) == {**before, "train": [i for i in before["train"] if i != one]}
    workspaces.ask(files.workspace, one)
    with opened(files.workspace) as workspace:
        again = record(workspace, 3)["evidence"]
    assert again["of_this_request"] is None
    assert again["of_this_request_measured"].endswith("none of its images is in the data any more")


def test_images_that_are_new_belong_to_nobody_and_were_never_trained_on(files):
    before, new = parts_now(files), files.add()
    assert parts_now(files) == before
    workspaces.ask(files.workspace, new, before["train"][0], near=False)
    with opened(files.workspace) as workspace:
        found = entries.request(workspace.db, 1).images[-1]
    assert (found.asked, found.verdict) == (new, "never trained on")
    assert found.note.startswith("new since the workspace was made")
    assert run(files).record["images"]["forget"] == 1
    with pytest.raises(ValueError, match=r"1 that are not known: cat/typo\.png"):
        workspaces.ask(files.workspace, "cat/typo.png")


@pytest.fixture
def folder(files):
    if isinstance(files, Shards):
        pytest.skip("of folders of classes")
    return files


def test_a_new_file_that_copies_a_training_image_is_that_image(folder):
    name = next(n for n in parts_now(folder)["train"] if n.startswith("cat"))
    (folder.train / "cat" / "copy.png").write_bytes((folder.train / name).read_bytes())
    workspaces.ask(folder.workspace, "cat/copy.png")
    with opened(folder.workspace) as workspace:
        (found,) = entries.request(workspace.db, 1).images
    assert (found.image, found.found_by, found.verdict) == (name, "equal pixels", "to forget")


def test_a_retained_file_that_holds_a_forgotten_image_now_is_found_by_its_pixels(folder):
    train = parts_now(folder)["train"]
    one, two, *_ = (name for name in train if name.startswith("cat"))
    workspaces.ask(folder.workspace, one)
    assert run(folder).state == "served"
    (folder.train / two).write_bytes((folder.train / one).read_bytes())
    workspaces.ask(folder.workspace, train[-1])
    with pytest.raises(ValueError, match=rf"but {two} have other pixels than then; put the old"):
        run(folder)


def test_a_class_may_lose_all_its_images_but_not_its_folder(folder):
    one, *_, last = parts_now(folder)["train"]
    assert (one.split("/")[0], last.split("/")[0]) == ("cat", "dog")
    folder.delete([f"cat/{i}.png" for i in range(COUNT)])
    assert [n for n in parts_now(folder)["train"] if n.startswith("cat")] == []
    workspaces.ask(folder.workspace, last)
    for part in {folder.train, folder.place / "test"}:
        if part.is_dir():
            (part / "cat").rename(part / "eel")
    with pytest.raises(ValueError, match=r"expected the classes cat, dog .* got dog, eel"):
        run(folder)
