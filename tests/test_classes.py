import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.cells import Forget
from lotus_unlearning.classes import by_class
from lotus_unlearning.datasets import Data
from lotus_unlearning.images import ImageTensors
from lotus_unlearning.metrics.divergence import class_means
from lotus_unlearning.splits import stratified

TYPES = st.sampled_from(["int64", "int32", "float64"])


@settings(deadline=None)
@given(labels=arrays(TYPES, st.integers(0, 40), elements=st.integers(-5, 5)))
def test_one_sort_finds_what_a_look_for_each_class_finds(labels):
    one_by_one = {c: np.flatnonzero(labels == c) for c in np.unique(labels).tolist()}
    found = by_class(labels)
    assert list(found) == list(one_by_one)
    for c, rows in one_by_one.items():
        np.testing.assert_array_equal(found[c], rows)
        assert found[c].dtype == rows.dtype


def test_seeded_draws_are_those_of_a_look_for_each_class():
    labels = np.random.default_rng(0).integers(0, 7, 200)
    draw = np.random.default_rng(5)
    each = [draw.permutation(np.flatnonzero(labels == c)) for c in range(7)]
    counts = [(labels[stratified(labels, 0.3, 5)] == c).sum() for c in range(7)]
    expected = np.sort(np.concatenate([g[:n] for g, n in zip(each, counts, strict=True)]))
    np.testing.assert_array_equal(stratified(labels, 0.3, 5), expected)


@pytest.mark.parametrize("layout", ["C", "F"])
def test_means_of_classes_are_to_the_bit_those_of_a_look_for_each_class(layout):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 300)
    p = np.asarray(rng.dirichlet(np.ones(5), 300), order=layout)
    means = class_means(p, labels)
    for c in range(5):
        mean = p[labels == c].mean(axis=0)
        np.testing.assert_array_equal(means[c], mean / mean.sum())


def test_whole_groups_are_those_of_a_count_for_each_group():
    groups = np.random.default_rng(0).integers(10, 40, 300)
    order = np.random.default_rng(4).permutation(np.unique(groups))
    sizes = np.cumsum([(groups == g).sum() for g in order])
    expected = np.flatnonzero(np.isin(groups, order[: np.searchsorted(sizes, 60) + 1]))
    parts = [ImageTensors(torch.rand(n, 1, 4, 4), torch.arange(n) % 3) for n in (300, 9, 9)]
    data = Data(*parts, ("a", "b", "c"), "own", 1, 4, groups=torch.from_numpy(groups))
    chosen = scenarios.splits(Forget(kind="group", fraction=0.2, seed=4), data)
    assert chosen.forget.ids.tolist() == expected.tolist()
