import numpy as np
import pytest
import torch
from small import BLOCK

from lotus_unlearning import ImageTensors
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.cells import DataChoice, Forget, Original, Setup
from lotus_unlearning.datasets import Data

CLASSES = ("ant", "bee", "cat")


def data(**more):
    draw = torch.Generator().manual_seed(0)
    parts = [
        ImageTensors(torch.rand(n, 1, 4, 4, generator=draw), torch.arange(n) % 3)
        for n in (60, 12, 12)
    ]
    return Data(*parts, CLASSES, "own", 1, 4, **more)


def test_a_share_of_each_class_is_drawn_by_the_seed():
    one, same, other = (scenarios.splits(Forget(fraction=0.2, seed=s), data()) for s in (0, 0, 1))
    assert torch.bincount(one.forget.labels).tolist() == [4, 4, 4]
    assert torch.equal(one.forget.ids, same.forget.ids)
    assert not torch.equal(one.forget.ids, other.forget.ids)


def test_a_class_is_the_one_named_or_drawn_by_the_seed():
    named = scenarios.splits(Forget(kind="class", label="bee"), data())
    assert set(named.forget.labels.tolist()) == {1}
    assert 1 not in named.retain.labels
    drawn = [scenarios.label(Forget(kind="class", seed=s), data()) for s in range(6)]
    assert sorted(drawn[:3]) == [0, 1, 2]  # none twice before each was drawn once
    assert drawn[3:] == drawn[:3]
    with pytest.raises(ValueError, match=r"expected a class of own \(ant, bee, cat\), got 'dog'"):
        scenarios.splits(Forget(kind="class", label="dog"), data())


def test_groups_are_forgotten_whole():
    groups = torch.arange(60) // 5
    splits = scenarios.splits(Forget(kind="group", fraction=0.2), data(groups=groups))
    forgotten = set(groups[splits.forget.ids].tolist())
    assert len(splits.forget) == 15  # 12 are asked for: three groups of five
    assert not forgotten & set(groups[splits.retain.ids].tolist())
    with pytest.raises(ValueError, match="expected a data set with groups, but own has none"):
        scenarios.splits(Forget(kind="group"), data())


def test_the_choice_of_the_authors_is_taken_as_it_is():
    chosen = torch.tensor([3, 5, 8])
    splits = scenarios.splits(Forget(kind="official"), data(forget=chosen))
    assert splits.forget.ids.tolist() == [3, 5, 8]
    with pytest.raises(ValueError, match="whose authors chose images to forget, got own"):
        scenarios.splits(Forget(kind="official"), data())


def test_halves_share_no_image_and_have_every_class():
    labels = np.arange(60) % 3
    one, two = scenarios.halves(labels, seed=3)
    assert sorted([*one, *two]) == list(range(60))
    assert np.bincount(labels[one]).tolist() == [10, 10, 10]


def test_memorisation_is_what_only_a_model_that_saw_the_image_knows():
    labels = np.zeros(40, dtype=np.int64)
    known, unknown = [4.0, 0.0], [0.0, 4.0]
    whole = np.array([known] * 40)
    memorised = {2, 5, 31}  # the model of the other half errs on these
    by_half = {half: np.array([known] * 40) for half in (0, 1)}
    for half, seen in enumerate(scenarios.halves(labels, seed=0)):
        for image in memorised - set(seen.tolist()):
            by_half[half][image] = unknown
        for image in seen:  # what a half says of images that it saw must not count
            by_half[half][image] = unknown
    values = scenarios.memorisation(whole, by_half, labels, seed=0)
    assert set(scenarios.highest(values, 3).tolist()) == memorised
    others = np.setdiff1d(np.arange(40), list(memorised))
    assert values[others] == pytest.approx(0)


def test_near_duplicates_leave_their_copy_in_the_retained_images():
    draw = np.random.default_rng(0)
    features = draw.normal(size=(50, 16))
    features[7] = features[21] * 2  # same direction
    features[9] = features[30] + 0.01 * draw.normal(size=16)
    chosen = set(scenarios.near_duplicates(features, 2).tolist())
    assert len(chosen & {7, 21}) == 1
    assert len(chosen & {9, 30}) == 1


def test_near_duplicates_are_never_each_others_copy():
    features = np.repeat(np.random.default_rng(0).normal(size=(1, 8)), 6, axis=0)
    chosen = scenarios.near_duplicates(features, 6)
    assert 1 <= len(chosen) <= 5
    features = np.random.default_rng(1).normal(size=(200, 4))
    chosen = scenarios.near_duplicates(features, 100)
    _, nearest = scenarios._nearest(features)
    assert not set(nearest[chosen].tolist()) & set(chosen.tolist())
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    everything = unit @ unit.T - 2 * np.eye(200)
    assert np.array_equal(nearest, everything.argmax(axis=1))


def test_blocks_of_a_grid_give_the_cells_of_hard_kinds(tmp_path):
    setup = Setup(data=DataChoice(name="digits", limit=100), model=BLOCK["model"])
    original = Original(setup=setup)
    assert len(Forget(kind="memorised", ranked_by=original).needs) == 3
