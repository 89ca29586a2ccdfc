import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lotus_unlearning import Splits
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
        ([0.5, 1.5], "positions .* as integers"),
        (np.ones(3, dtype=bool), r"mask \[20\], got \[3\]"),
        (["a.png"], "only image folders have names"),
        ("no-such-file.txt", "file of ids, found none"),
    ],
)
def test_refuses_wrong_ids(forget, message):
    with pytest.raises(ValueError, match=message):
        Splits.from_ids(images(), forget=forget)


def test_refuses_a_table_without_a_column_of_ids(tmp_path):
    table = tmp_path / "ids.csv"
    table.write_text("name,when\nx,y\n")
    with pytest.raises(ValueError, match="column id, index or path"):
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
    assert len(Splits.from_ids(train, forget=[5], unseen=unseen).unseen) == 6


def test_warns_when_a_copy_stays_in_retain():
    train = images()
    train[0][9] = train[0][4]
    with pytest.warns(UserWarning, match="1 retained images are copies"):
        Splits.from_ids(train, forget=[4])


def test_a_class_is_forgotten_whole():
    splits = Splits.of_class(images(), label=1)
    assert splits.forget.labels.unique().tolist() == [1]
    assert splits.retain.labels.unique().tolist() == [0]
    with pytest.raises(ValueError, match=r"expected one of \[0, 1\], got 7"):
        Splits.of_class(images(), label=7)


def test_the_seed_draws_the_forget_set():
    draws = [Splits.random(images(200), fraction=0.1, seed=s).forget.ids for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
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
