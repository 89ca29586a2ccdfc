import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lotus_unlearning.metrics import (
    GAP_KEYS,
    average_gap_as_published,
    js_divergence,
    jsd_as_published,
    rf_jsd_as_published,
)

SHAPES = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 20),
    "c": st.integers(2, 12),
    "concentration": st.sampled_from([0.05, 1.0, 10.0]),
}


def through_torch(p, q):
    """The authors' JSDiv: torch's kl_div(log a, b, "batchmean") is sum b (log b - log a) / N."""
    import torch
    import torch.nn.functional as F

    p, q = (torch.clamp(torch.from_numpy(v), min=1e-8, max=1.0) for v in (p, q))
    p, q = p / p.sum(), q / q.sum()
    m = 0.5 * (p + q)
    both = F.kl_div(p.log(), m, reduction="batchmean") + F.kl_div(q.log(), m, reduction="batchmean")
    return 0.5 * both.item()


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_jsd_as_published_equals_the_formula_run_through_torch(rows, seed, n, c, concentration):
    p, q = rows(seed, n, c, concentration), rows(seed + 1, n, c, concentration)
    assert jsd_as_published(p, q) == pytest.approx(through_torch(p, q), abs=1e-9)


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_jsd_as_published_is_the_mean_ag_divergence_over_n(rows, seed, n, c, concentration):
    p, q = rows(seed, n, c, concentration), rows(seed + 1, n, c, concentration)
    a, b = np.maximum(p, 1e-8), np.maximum(q, 1e-8)
    m = (a + b) / 2
    ag = (m * np.log(m / np.sqrt(a * b))).sum(axis=1)
    assert jsd_as_published(p, q) == pytest.approx(ag.mean() / n, abs=1e-6)


def test_jsd_as_published_shrinks_as_one_over_n(rows):
    p, q = rows(0, 10, 5), rows(1, 10, 5)
    once = jsd_as_published(p, q)
    for times in (2, 5, 50):
        many = jsd_as_published(np.tile(p, (times, 1)), np.tile(q, (times, 1)))
        assert many == pytest.approx(once / times, rel=1e-6)
        proper = js_divergence(np.tile(p, (times, 1)), np.tile(q, (times, 1))).mean()
        assert proper == pytest.approx(js_divergence(p, q).mean())


def test_jsd_as_published_exceeds_the_bound_of_a_js_divergence():
    assert jsd_as_published([[1.0, 0.0]], [[0.0, 1.0]]) > 8 > np.log(2)


@given(**SHAPES)
@settings(max_examples=20, deadline=None)
def test_jsd_as_published_is_symmetric_and_zero_on_itself(rows, seed, n, c, concentration):
    p, q = rows(seed, n, c, concentration), rows(seed + 1, n, c, concentration)
    assert jsd_as_published(p, q) == pytest.approx(jsd_as_published(q, p), abs=1e-15)
    assert jsd_as_published(p, p) == pytest.approx(0, abs=1e-15)


def test_rf_jsd_as_published_is_the_jsd_as_published_of_class_means(rows):
    p, q, y = rows(0, 12, 3), rows(1, 12, 3), np.arange(12) % 3
    means = [np.stack([v[y == c].mean(axis=0) for c in range(3)]) for v in (p, q)]
    assert rf_jsd_as_published(p, y, q, y) == pytest.approx(through_torch(*means), abs=1e-9)


def test_rf_jsd_as_published_leaves_out_unseen_classes_that_forget_lacks(rows):
    p, q = rows(0, 4, 3), rows(1, 6, 3)
    whole = rf_jsd_as_published(p, [0, 0, 1, 1], q, [0, 0, 1, 1, 2, 2])
    assert whole == rf_jsd_as_published(p, [0, 0, 1, 1], q[:4], [0, 0, 1, 1])


def test_rf_jsd_as_published_refuses_a_forget_class_without_unseen_images(rows):
    with pytest.raises(ValueError, match=r"\[2\] are not there"):
        rf_jsd_as_published(rows(0, 2, 3), [0, 2], rows(1, 2, 3), [0, 1])


def test_average_gap_as_published_hides_gaps_below_its_rounding():
    gold = {key: [0.504] for key in GAP_KEYS}
    assert average_gap_as_published({key: [0.496] for key in GAP_KEYS}, gold) == 0


def test_average_gap_as_published_turns_almost_nothing_into_a_hundredth():
    gold = {key: [0.5049] for key in GAP_KEYS}
    value = average_gap_as_published({key: [0.5051] for key in GAP_KEYS}, gold)
    assert value == pytest.approx(0.01)


def test_average_gap_as_published_lets_seeds_cancel():
    gold = {key: [0.5] for key in GAP_KEYS}
    assert average_gap_as_published({key: [0.3, 0.7] for key in GAP_KEYS}, gold) == 0


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_average_gap_as_published_is_a_multiple_of_a_400th(values):
    gold = {key: [0.5] for key in GAP_KEYS}
    value = 400 * average_gap_as_published({**gold, "forget_accuracy": values}, gold)
    assert value == pytest.approx(round(value), abs=1e-6)


def test_average_gap_as_published_names_missing_keys():
    with pytest.raises(ValueError, match="no 'test_accuracy' in gold"):
        average_gap_as_published({key: [0.5] for key in GAP_KEYS}, {})
