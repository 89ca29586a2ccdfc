import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lotus_unlearning import ImageTensors, Splits, datasets
from lotus_unlearning.splits import stratified


def images(size=20, seed=0, classes=2):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(size, 1, 4, 4, generator=g), torch.arange(size) % classes


def test_positions_mask_and_files_name_the_same_images(tmp_path):
    mask = np.zeros(20, dtype=bool)
    mask[[3, 7]] = True
    lines, table = tmp_path / "ids.txt", tmp_path / "ids.csv"
    lines.write_text("3\n7\n")
    table.write_text("reason,id\nasked,3\nasked,7\n")
    for forget in ([3, 7], np.array([3, 7]), torch.tensor([3, 7]), mask, lines, str(table)):
        splits = Splits.from_ids(images(), forget=forget)
        assert splits.forget.ids.tolist() == [3, 7]
        assert len(splits.retain) == 18
        assert not set(splits.retain.ids.tolist()) & {3, 7}


@pytest.mark.parametrize(
    ("forget", "message"),
    [
        ([], "at least one image, got none"),
        ([5, 20, -1], r"positions 0\.\.19, got 2 out of range: 20, -1"),
        ([5, 5, 6], "each image once, got 1 more than once: 5"),
        (range(20), "some of the 20 training images, got all of them"),
        ([0.5, 1.5], "positions .* as integers, .* got float64"),
        (np.ones(3, dtype=bool), r"mask \[20\], got \[3\]"),
        (["a.png"], "only images of folders and shards have names"),
        ("no-such-file.txt", "file of ids, found none"),
    ],
)
def test_refuses_wrong_ids(forget, message):
    with pytest.raises(ValueError, match=message):
        Splits.from_ids(images(), forget=forget)


def test_refuses_a_table_without_a_column_of_ids(tmp_path):
    table = tmp_path / "ids.csv"
    table.write_text("name,when\nx,y\n")
    with pytest.raises(
        ValueError, match=r"column path, id or index in its first row, got 'name', 'when'"
    ):
        Splits.from_ids(images(), forget=table)


def test_lists_all_problems_in_one_message():
    with pytest.raises(ValueError, match="3 problems:") as caught:
        Splits.from_ids(images(), forget=[99, 4, 4], unseen=(torch.rand(3, 1), torch.rand(3)))
    text = str(caught.value)
    assert "out of range: 99" in text
    assert "more than once: 4" in text
    assert "unseen: expected integer labels" in text


def test_finds_a_copied_image_in_unseen_and_test_by_its_content():
    train, unseen = images(), images(6, seed=1)
    unseen[0][2] = train[0][4]
    with pytest.raises(ValueError, match=r"unseen: .* 1 are the same, at positions 2"):
        Splits.from_ids(train, forget=[4], unseen=unseen)
    splits = Splits.from_ids(train, forget=[4], unseen=unseen, on_overlap="drop")
    assert splits.unseen.ids.tolist() == [0, 1, 3, 4, 5]


def test_finds_a_copy_that_is_stored_as_another_type():
    levels = torch.randint(0, 256, (20, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    train = levels.to(torch.uint8), torch.arange(20) % 2
    copies = (levels[4:6] / 255).double().numpy(), np.zeros(2, dtype=int)
    with pytest.raises(ValueError, match=r"test: .* 2 are the same, at positions 0, 1"):
        Splits.from_ids(train, forget=[4, 5], test=copies)


@pytest.mark.parametrize("how", ["drp", None, True])
def test_another_word_for_overlap_is_refused(how):
    with pytest.raises(ValueError, match=f"on_overlap: expected 'refuse' or 'drop', got {how!r}"):
        Splits.from_ids(images(), forget=[4], on_overlap=how)


def test_warns_when_a_copy_stays_in_retain():
    train = images()
    train[0][9] = train[0][4]
    with pytest.warns(UserWarning, match="1 retained image is a copy") as caught:
        Splits.from_ids(train, forget=[4])
    assert caught[0].filename == __file__


def test_warns_of_unseen_and_test_images_that_were_trained_on():
    train, unseen, test = images(), images(6, seed=1), images(6, seed=2)
    unseen[0][2], test[0][:2] = train[0][4], train[0][7:9]
    with pytest.warns(UserWarning, match="of retained images") as caught:
        splits = Splits.from_ids(train, forget=[5], unseen=unseen, test=test)
    assert "1 unseen image is a copy of retained images" in str(caught[0].message)
    assert "2 test images are copies of retained images: measured on them" in str(caught[1].message)
    assert (len(splits.unseen), len(splits.test)) == (6, 6)


def test_a_data_set_by_name_brings_its_unseen_and_test_images_along():
    data = datasets.load("digits")
    for source in ("digits", data):
        splits = Splits.random(source, fraction=0.1, seed=3)
        assert len(splits.forget) == 120
        assert torch.equal(splits.unseen.source.images, data.unseen.images)
        assert torch.equal(splits.test.source.images, data.test.images)
    own = images(8, seed=1)
    splits = Splits.of_class("digits", 3, test=(own[0].expand(8, 1, 4, 4), own[1]))
    assert (len(splits.unseen), len(splits.test)) == (300, 8)
    ids = data.train.official.ids[[5, 0]].tolist()
    assert Splits.from_ids("digits", ids).forget.ids.tolist() == [5, 0]
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        Splits.random("digit")


def test_what_an_image_is_called_is_its_name_or_official_id_or_position():
    x, y = images()
    plain = Splits.from_ids((x, y), forget=[7, 2]).forget
    assert plain.official_ids == [7, 2]
    names = tuple(f"{i}.png" for i in range(20))
    assert Splits.from_ids(ImageTensors(x, y, names=names), [7, 2]).forget.official_ids == [
        "7.png",
        "2.png",
    ]


def test_a_class_is_forgotten_whole():
    splits = Splits.of_class(images(), label=1)
    assert splits.forget.labels.unique().tolist() == [1]
    assert splits.retain.labels.unique().tolist() == [0]
    with pytest.raises(ValueError, match=r"expected one of \[0, 1\], got 7"):
        Splits.of_class(images(), label=7)
    with pytest.raises(ValueError, match=r"expected one of \[0, 1\], got 'cat'"):
        Splits.of_class(images(), label="cat")
    for label in (np.int64(1), torch.tensor(1)):
        assert len(Splits.of_class(images(), label).forget) == 10


def test_the_seed_draws_the_forget_set():
    draws = [Splits.random(images(200), fraction=0.1, seed=s).forget.ids for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, "0.1", None, float("nan")])
def test_refuses_a_fraction_that_is_none(fraction):
    with pytest.raises(ValueError, match="share between 0 and 1"):
        Splits.random(images(), fraction=fraction)


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    fraction=st.floats(0.02, 0.98),
    seed=st.integers(0, 5),
)
def test_a_random_share_is_stratified_and_right_in_total(counts, fraction, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    chosen = stratified(labels, fraction, seed)
    assert len(chosen) == max(1, round(fraction * len(labels)))
    assert len(np.unique(chosen)) == len(chosen)
    drawn = np.bincount(labels[chosen], minlength=len(counts))
    assert (np.abs(drawn - fraction * np.array(counts)) <= 1).all()


def test_data_sets_of_other_kinds_are_taken():
    x, y = images()
    dataset = torch.utils.data.TensorDataset(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = Splits.from_ids(dataset, forget=[1], test=(x.numpy() + 1, y.numpy()))
    assert torch.equal(splits.forget.source.images[1], x[1])
    assert len(splits.test) == 20
    with pytest.raises(TypeError, match="map-style Dataset"):
        Splits.from_ids(3, forget=[1])


def test_a_data_set_that_draws_its_images_anew_is_streamed_not_frozen():
    class Noisy(torch.utils.data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, i):
            return torch.rand(1, 4, 4), i % 2

    splits = Splits.from_ids(Noisy(), forget=[1])
    assert splits.forget.source.random
    assert splits.retain.labels.tolist() == [0, 0, 1, 0, 1, 0, 1]
