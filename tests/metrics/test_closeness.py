import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ttest_rel

from lotus_unlearning.metrics import closes, softmax


def models(seed, n=200, c=5, golds=4, apart=3.0):
    """Logits: golds scatter around one truth, the original is ``apart`` surer of class 0."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(size=(n, c))
    around = [softmax(truth + 0.3 * draw.normal(size=(n, c))) for _ in range(golds)]
    another_gold = softmax(truth + 0.3 * draw.normal(size=(n, c)))
    original = truth + 0.3 * draw.normal(size=(n, c))
    original[:, 0] += apart
    return another_gold, softmax(original), around


def js(p, q):
    return jensenshannon(p, q, axis=1) ** 2


def literal(unlearned, original, golds):
    """The three distances per image, as the formula is written."""
    ms = [np.mean([g for g in golds if g is not gold], axis=0) for gold in golds]
    return (
        np.mean([js(unlearned, m) for m in ms], axis=0),
        np.mean([js(original, m) for m in ms], axis=0),
        np.mean([js(g, m) for g, m in zip(golds, ms, strict=True)], axis=0),
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(5, 40),
    c=st.integers(2, 12),
    golds=st.integers(3, 5),
)
@settings(max_examples=20, deadline=None)
def test_closes_equals_the_formula_with_scipy(seed, n, c, golds):
    data = models(seed, n, c, golds)
    result = closes(*data)
    d_u, d_o, d_g = literal(*data)
    assert result.d_unlearned == pytest.approx(d_u.mean(), abs=1e-6)
    assert result.d_original == pytest.approx(d_o.mean(), abs=1e-6)
    assert result.d_gold == pytest.approx(d_g.mean(), abs=1e-6)
    oracle = ttest_rel(d_o, d_g, alternative="greater").pvalue
    assert result.p_value == pytest.approx(oracle, abs=1e-6)
    if result.closes is not None:
        share = (d_o.mean() - d_u.mean()) / (d_o.mean() - d_g.mean())
        assert result.closes == pytest.approx(share, rel=1e-6)


def test_another_retrained_model_closes_about_everything():
    result = closes(*models(0))
    assert result.closes == pytest.approx(1, abs=0.05)
    assert result.p_value < 1e-6


def test_the_original_itself_closes_nothing():
    _, original, golds = models(0)
    assert closes(original, original, golds).closes == 0


def test_a_model_that_moved_away_is_below_zero():
    _, original, golds = models(0)
    away = np.full_like(original, 1e-4)
    away[:, 0] = 1 - 4e-4
    assert closes(away, original, golds).closes < 0


def test_when_the_original_is_like_a_gold_there_is_nothing_to_close():
    unlearned, original, golds = models(1, apart=0.0)
    result = closes(unlearned, original, golds)
    assert result.nothing_to_close
    assert result.closes is None
    assert result.p_value > 0.05
    assert result.d_original > 0


def test_an_original_nearer_than_the_golds_leaves_nothing_to_close():
    unlearned, _, golds = models(0)
    result = closes(unlearned, np.mean(golds, axis=0), golds)
    assert result.nothing_to_close
    assert result.p_value > 0.99


def test_the_order_of_the_golds_does_not_matter():
    unlearned, original, golds = models(0)
    one, other = closes(unlearned, original, golds), closes(unlearned, original, golds[::-1])
    assert one.closes == pytest.approx(other.closes, abs=1e-12)


def test_a_difference_equal_on_every_image_is_decided_without_a_warning():
    golds = [np.array([[0.5, 0.5]] * 4)] * 3
    original = np.array([[0.9, 0.1]] * 4)
    assert closes(golds[0], original, golds).closes == 1
    assert closes(golds[0], golds[0], golds).nothing_to_close


def test_golds_that_are_sure_of_the_same_class_have_a_consensus():
    sure = np.array([[1 - 1e-17, 1e-17, 0.0], [1.0, 0.0, 0.0]])
    result = closes(sure, [[0.1, 0.1, 0.8], [0.2, 0.2, 0.6]], [sure, sure, sure])
    assert result.closes == pytest.approx(1)


def test_two_golds_are_too_few():
    unlearned, original, golds = models(0)
    with pytest.raises(ValueError, match="golds: expected at least 3 retrained models, got 2"):
        closes(unlearned, original, golds[:2])


def test_one_image_is_too_few():
    unlearned, original, golds = models(0, n=1)
    with pytest.raises(ValueError, match="at least 2 images"):
        closes(unlearned, original, golds)


def test_a_gold_on_other_images_is_named():
    unlearned, original, golds = models(0)
    golds[2] = golds[2][:-1]
    with pytest.raises(ValueError, match=r"unlearned, golds\[2\]: expected one shape"):
        closes(unlearned, original, golds)
