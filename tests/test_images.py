"""Images as people have them."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from lotus_unlearning import ImageTensors, Splits, datasets
from lotus_unlearning.images import StreamedImages, as_images, content_hashes
from lotus_unlearning.images.pixels import accepted, digests

LEVELS = torch.arange(256).view(4, 1, 8, 8)
LABELS = torch.arange(4) % 2


class Changed(Dataset):
    """Images that a transform changes."""

    def __init__(self, images, transform, labels=None):
        self.images, self.transform = images, transform
        self.labels = torch.arange(len(images)) % 2 if labels is None else labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, position):
        if position >= len(self):
            raise IndexError(position)
        return self.transform(self.images[position]), self.labels[position]


def streamed(monkeypatch, dataset):
    monkeypatch.setattr("lotus_unlearning.images.taking.MEMORY_SHARE", 0.0)
    made = as_images(dataset, "train")
    assert isinstance(made, StreamedImages)
    return made


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float32])
def test_floats_of_any_length_become_float32(dtype, monkeypatch):
    x = (LEVELS / 255).to(dtype)
    for made in (as_images((x, LABELS), "train"), as_images(TensorDataset(x, LABELS), "train")):
        assert made[2][0].dtype is torch.float32
        assert torch.equal(made.images, x.float())
    batch = next(streamed(monkeypatch, TensorDataset(x, LABELS)).batches([torch.arange(4)]))
    assert torch.equal(batch, x.float())


@pytest.mark.parametrize("dtype", ["int16", "int64", "uint16", "uint32", ">i4", "uint8"])
def test_whole_numbers_from_0_to_255_are_bytes(dtype, monkeypatch):
    x = LEVELS.numpy().astype(dtype)
    made = as_images((x, LABELS), "train")
    assert made.images.dtype is torch.uint8
    assert torch.allclose(made[3][0], LEVELS[3] / 255)
    if dtype in ("int16", "int64"):
        data = TensorDataset(torch.from_numpy(x), LABELS)
        batch = next(streamed(monkeypatch, data).batches([torch.arange(4)]))
        assert torch.equal(batch, LEVELS.to(torch.uint8))


@pytest.mark.parametrize(
    ("low", "high", "dtype"), [(0, 256, "int16"), (-1, 9, "int64"), (0, 65535, "uint16")]
)
def test_whole_numbers_of_another_range_are_refused(low, high, dtype, monkeypatch):
    x = np.zeros((4, 1, 8, 8), dtype=dtype)
    x[1, 0, 0, 0], x[2, 0, 0, 0] = low, high
    message = f"train: expected pixels .* 0..255, got torch.{dtype} from {low} to {high}; scale"
    with pytest.raises(ValueError, match=message):
        as_images((x, LABELS), "train")
    if dtype != "uint16":
        data = streamed(monkeypatch, TensorDataset(torch.from_numpy(x), LABELS))
        with pytest.raises(ValueError, match=message.replace("train", "images")):
            list(data.batches([torch.arange(4)]))


@pytest.mark.parametrize(("chunks", "workers"), [(1, 1), (2, 2), (4, 3)])
def test_no_more_workers_than_there_are_batches(monkeypatch, chunks, workers):
    asked, loader = [], DataLoader

    def counting(*arguments, num_workers, **settings):
        asked.append(num_workers)
        return loader(*arguments, **settings)

    monkeypatch.setattr("lotus_unlearning.images.sources.DataLoader", counting)
    data = replace(streamed(monkeypatch, TensorDataset(LEVELS / 255, LABELS)), workers=3)
    batches = list(data.batches(torch.arange(4).tensor_split(chunks)))
    assert torch.equal(torch.cat(batches), LEVELS / 255)
    assert asked == [workers]


def test_bool_is_black_and_white():
    x = LEVELS > 100
    made = as_images((x, LABELS), "train")
    assert made.images.dtype is torch.uint8
    assert torch.equal(made.inputs(made.images), x.float())


def test_complex_pixels_are_refused():
    with pytest.raises(ValueError, match=r"expected pixels as real numbers, got torch\.complex64"):
        as_images((LEVELS.to(torch.complex64), LABELS), "train")


def test_images_in_memory_that_are_made_by_hand_are_converted_too():
    made = as_images(ImageTensors(LEVELS.double(), LABELS.to(torch.uint8)), "train")
    assert (made.images.dtype, made.labels.dtype) == (torch.float32, torch.int64)
    whole = ImageTensors(LEVELS.float(), LABELS)
    assert as_images(whole, "train") is whole


def test_preprocessing_decides_over_its_own_types_and_returns_float32():
    deep = LEVELS.to(torch.int16) * 257
    made = as_images(ImageTensors(deep, LABELS, lambda x: x.double() / 65535), "train")
    assert made.images.dtype is torch.int16
    assert made[0][0].dtype is torch.float32


def test_arrays_that_cannot_be_shared_are_copied_without_a_warning():
    fixed = (LEVELS.numpy() / 255).astype(">f4")[::-1]
    fixed.flags.writeable = False
    made = as_images((fixed, pd.Series(LABELS.numpy(), index=[9, 8, 7, 6])), "train")
    assert torch.allclose(made.images, (LEVELS / 255).flip(0))


def test_lists_of_tensors_are_stacked_and_gradients_are_left_behind():
    x = (LEVELS / 255).requires_grad_()
    made = as_images(([image for image in x], [torch.tensor(i % 2) for i in range(4)]), "train")
    assert not made.images.requires_grad
    assert made.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "got NoneType"),
        ("digits", "got str"),
        (TensorDataset, r"got the class TensorDataset; .* TensorDataset\(...\)"),
        (lambda: None, "got function '<lambda>'; pass what it returns"),
        (DataLoader(TensorDataset(LEVELS, LABELS)), "DataLoader; pass .* loader.dataset"),
        ({"images": LEVELS}, "reading it raised KeyError: 0"),
        ([(None, 0)] * 3, r"at position 0, got \(NoneType, int\); add a transform"),
        (LEVELS.numpy(), "at position 0, got ndarray; return these two"),
        ([(LEVELS[0], 0, 0)] * 3, r"got \(Tensor, int, int\); return these two"),
        ((LEVELS, None), "tensors or arrays of numbers, got NoneType"),
        ((LEVELS, ["a", "b", "a", "b"]), "tensors or arrays of numbers, got list"),
        (([[1, 2], [3]], [0, 1]), "tensors or arrays of numbers, got list"),
    ],
)
def test_what_is_no_data_is_refused_in_one_sentence(data, message):
    with pytest.raises(TypeError, match=f"train: expected .*{message}"):
        as_images(data, "train")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((LEVELS, LABELS[:3]), r"images of shape \(4, 1, 8, 8\) and labels of shape \(3,\)"),
        ((LEVELS, LABELS[:, None]), r"labels of shape \(4, 1\)"),
        ((torch.tensor(1.0), torch.tensor(1)), r"images of shape \(\)"),
        ((LEVELS[:0], LABELS[:0]), "at least one image, got none"),
        ((LEVELS, LABELS.float()), "expected integer labels .* convert them"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        as_images(data, "train")


def test_images_of_two_shapes_or_types_are_refused_with_the_position():
    draw = [torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), torch.zeros(1, 5, 4)]
    with pytest.raises(ValueError, match=r"\(1, 4, 4\) .* position 0 and \(1, 5, 4\) .* 2; add a"):
        as_images([(x, 0) for x in draw], "train")
    draw[2] = torch.zeros(1, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="of one shape and type"):
        as_images([(x, 0) for x in draw], "train")


def test_a_flip_of_one_image_in_ten_is_seen():
    x = torch.rand(200, 1, 4, 4)
    for seed in range(30):
        torch.manual_seed(seed)
        data = Changed(x, lambda image: image.flip(-1) if torch.rand(()) < 0.1 else image)
        made = as_images(data, "train")
        assert isinstance(made, StreamedImages)
        assert made.random


def test_what_is_the_same_at_every_read_is_kept_in_memory_even_with_a_nan():
    x = torch.rand(80, 1, 4, 4)
    x[0, 0, 0, 0] = torch.nan
    reads = []
    data = Changed(x, lambda image: reads.append(1) or image * 2)
    assert isinstance(as_images(data, "train"), ImageTensors)
    assert len(reads) <= 80 + 2 * 64 + 1


def test_nan_pixels_of_streamed_data_are_named_at_the_first_batch(monkeypatch):
    x = torch.rand(20, 1, 4, 4)
    x[13, 0, 1, 1] = torch.inf
    data = streamed(monkeypatch, TensorDataset(x, torch.arange(20) % 2))
    batches = data.batches([torch.arange(10), torch.arange(10, 20)])
    assert len(next(batches)) == 10
    with pytest.raises(ValueError, match="NaN or infinity in the image at position 13; repair"):
        next(batches)


def test_nan_pixels_of_a_streamed_folder_are_named_by_path(monkeypatch):
    x = torch.rand(4, 1, 4, 4)
    x[2] = torch.nan
    data = TensorDataset(x, LABELS)
    data.root, data.samples = "/photos", [(f"/photos/cat/{i}.png", 0) for i in range(4)]
    made = streamed(monkeypatch, Subset(data, [3, 2, 1]))
    assert made.names == ("cat/3.png", "cat/2.png", "cat/1.png")
    with pytest.raises(ValueError, match=r"NaN or infinity in 'cat/2\.png'"):
        list(made.batches([torch.arange(3)]))


def hashes(x):
    return content_hashes(ImageTensors(x, LABELS), torch.arange(len(x)))


def test_the_same_image_has_one_hash_whatever_type_holds_it():
    x = LEVELS.to(torch.uint8)
    expected = hashes(x)
    for dtype in (torch.float32, torch.float16, torch.float64):
        assert hashes((LEVELS / 255).to(dtype)) == expected
    assert hashes(LEVELS.float() * (1 / 255)) == expected
    assert len({*expected}) == 4


def test_images_a_level_apart_and_other_floats_have_hashes_of_their_own():
    x = LEVELS / 255
    near, normalised = x.clone(), (x - 0.5) / 0.25
    near[:, 0, 3, 3] += 1 / 255
    assert not {*hashes(x)} & {*hashes(near)}
    assert not {*hashes(x)} & {*hashes(normalised)}
    assert hashes(normalised) == hashes(normalised.double())


def test_hashes_of_many_images_are_those_of_each_alone():
    x = torch.rand(600, 1, 3, 3)
    assert digests(x) == [digests(x[i : i + 1])[0] for i in range(600)]


def test_accepted_images_are_not_copied_where_nothing_changes():
    x = torch.rand(3, 1)
    assert accepted(x, "train") is x


def test_reprs_are_short_and_tell_sizes():
    data = datasets.load("digits", limit=100)
    splits = Splits.random(data, fraction=0.1)
    assert repr(data.train) == "ImageTensors(100 images [1, 8, 8] uint8, 10 classes)"
    assert repr(data) == "Data(digits: 100 train, 25 unseen, 300 test, 10 classes)"
    assert repr(splits) == "Splits(forget 10, retain 90, unseen 25, test 300)"
    assert repr(splits.forget) == f"Split(forget: 10 of {data.train!r})"
    assert repr(data.train.official) == "Official(100 of 1,797)"
    noisy = as_images(Changed(torch.zeros(9, 1), lambda x: torch.rand_like(x)), "train")
    assert re.fullmatch(r"StreamedImages\(9 images, random\)", repr(noisy))
