"""The size of a person's own images, where nobody chose one."""

import warnings

import pytest
from PIL import Image
from tar_shards import pixels, samples, write

from lotus_unlearning.datasets import load


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The same images of 8 pixels in each form."""
    monkeypatch.setattr("lotus_unlearning.datasets.shards.CACHE", tmp_path / "cache")
    write(tmp_path / "train-0.tar", samples(range(20)))
    for i in range(20):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(i)).save(path)
    return tmp_path


def hugging_face(folder):
    library = pytest.importorskip("datasets.arrow_dataset")
    from datasets import Image as Images

    columns = {"image": [str(folder / "photos/a/0.png")] * 20, "label": [0, 1] * 10}
    made = library.Dataset.from_dict(columns).cast_column("image", Images())
    made.save_to_disk(str(folder / "saved"))
    return "hf:saved"


@pytest.mark.parametrize("form", ["webdataset:train-0.tar", "imagefolder:photos", hugging_face])
def test_tiny_images_that_are_enlarged_are_spoken_of_once(tiny, form):
    name = form if isinstance(form, str) else form(tiny)
    with pytest.warns(UserWarning, match=r"of 8x8 pixels, are enlarged to 224x224.*--size 8") as w:
        assert load(name, root=str(tiny)).image_size == 224
    assert len(w) == 1
    with warnings.catch_warnings(action="error"):
        assert load(name, root=str(tiny), size=8).image_size == 8


def test_photos_of_a_fair_size_are_not_spoken_of(tmp_path):
    for i in range(8):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (150, 300)).save(path)
    assert load("imagefolder:photos", root=str(tmp_path), unseen_share=0.2).image_size == 224
