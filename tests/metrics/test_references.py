import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_kl

from lotus_unlearning.metrics import (
    attack_auc,
    jsd_to_golds,
    jsd_to_other_golds,
    klom,
    rmia,
)

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, n=st.integers(1, 20), c=st.integers(2, 8), golds=st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_jsd_to_golds_equals_scipy_against_means(rows, scipy_js, seed, n, c, golds):
    bank, model = [rows(seed + i, n, c) for i in range(golds)], rows(seed + 99, n, c)
    np.testing.assert_allclose(
        jsd_to_golds(model, bank), scipy_js(model, np.mean(bank, axis=0)), atol=1e-6
    )
    own, other = jsd_to_other_golds(bank), jsd_to_other_golds(bank, model)
    assert own.shape == other.shape == (golds, n)
    for i in range(golds):
        mean = np.mean(np.delete(bank, i, axis=0), axis=0)
        np.testing.assert_allclose(own[i], scipy_js(bank[i], mean), atol=1e-6)
        np.testing.assert_allclose(other[i], scipy_js(model, mean), atol=1e-6)


def test_jsd_of_one_gold_is_that_of_two_models(rows):
    p, q = rows(0, 5, 3), rows(1, 5, 3)
    other = jsd_to_other_golds([p, q])[0]
    np.testing.assert_allclose(jsd_to_golds(p, [q]), other, atol=1e-12)


def test_a_model_that_never_saw_the_images_is_as_far_as_golds_are_and_the_original_further():
    draw = np.random.default_rng(0)
    base = draw.normal(size=(300, 4))

    def model(shift=0.0):
        z = base + 0.3 * draw.normal(size=base.shape)
        z[:, 0] += shift
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    golds = [model() for _ in range(6)]
    yardstick = jsd_to_other_golds(golds).mean(axis=1)
    assert jsd_to_other_golds(golds, model()).mean() == pytest.approx(yardstick.mean(), rel=0.2)
    assert jsd_to_other_golds(golds, model(2.0)).mean() > 2 * yardstick.max()


@pytest.mark.parametrize("golds", [[], [[[0.5, 0.5]]]])
def test_too_few_golds_are_refused(golds):
    with pytest.raises(ValueError, match="golds: expected at least 2"):
        jsd_to_other_golds(golds)


def test_a_gold_on_other_images_is_named(rows):
    with pytest.raises(ValueError, match=r"golds\[0\], golds\[1\]: expected one shape"):
        jsd_to_golds(rows(0, 3, 2), [rows(1, 3, 2), rows(2, 4, 2)])


def published_klom(p_sample, q_sample, bins=20, floor=1e-5):
    """One image as data-unlearning-bench computes it: half-open bins, floor, scipy's entropy."""
    p_sample, q_sample = np.clip(p_sample, -100, 100), np.clip(q_sample, -100, 100)
    both = np.concatenate([p_sample, q_sample])
    low, high = both.min(), both.max()
    edges = np.linspace(low, high if low < high else low + 1, bins + 1)
    p, q = (
        np.array([(np.digitize(s, edges) == i).sum() for i in range(1, bins + 1)], dtype=float)
        for s in (p_sample, q_sample)
    )
    p, q = (h / h.sum() if h.sum() else h for h in (p, q))
    return scipy_kl(p, np.where(p > 0, np.maximum(q, floor), q))


@given(
    seed=SEEDS,
    u=st.integers(2, 30),
    g=st.integers(2, 30),
    n=st.integers(1, 6),
    decimals=st.sampled_from([1, 8]),
    scale=st.sampled_from([1.0, 60.0]),
)
@settings(max_examples=60, deadline=None)
def test_klom_as_published_equals_the_published_formula(seed, u, g, n, decimals, scale):
    draw = np.random.default_rng(seed)
    one = np.round(scale * draw.normal(0.5, 1, (u, n)), decimals)
    two = np.round(scale * draw.normal(0, 1, (g, n)), decimals)
    published = [published_klom(one[:, i], two[:, i]) for i in range(n)]
    np.testing.assert_allclose(klom(one, two, as_published=True), published, atol=1e-6)


@given(seed=SEEDS, u=st.integers(1, 30), g=st.integers(1, 30), bins=st.integers(1, 25))
@settings(max_examples=40, deadline=None)
def test_klom_equals_scipys_divergence_of_numpys_histograms(seed, u, g, bins):
    draw = np.random.default_rng(seed)
    one, two = draw.normal(0.5, 1, u), draw.normal(0, 1, g)
    span = (min(one.min(), two.min()), max(one.max(), two.max()))
    p, q = (np.histogram(s, bins, span)[0] / len(s) for s in (one, two))
    oracle = scipy_kl(p, np.where(p > 0, np.maximum(q, 1e-5), q))
    value = klom(one[:, None], two[:, None], bins=bins)[0]
    assert value == pytest.approx(oracle, abs=1e-6)
    assert 0 <= value <= np.log(1e5 + bins)


def test_the_published_code_drops_the_largest_margin_and_with_it_one_that_leaks():
    golds = np.zeros((20, 1)) + np.linspace(0, 1, 20)[:, None]
    leaking = golds.copy()
    leaking[-1] = 30.0
    assert klom(leaking, golds)[0] > 0.2 + klom(leaking, golds, as_published=True)[0]


def test_klom_is_0_for_the_same_margins_and_large_for_margins_apart():
    m = np.random.default_rng(0).normal(size=(16, 5))
    np.testing.assert_allclose(klom(m, m), 0, atol=1e-12)
    np.testing.assert_array_equal(klom([[1.0]] * 4, [[1.0]] * 3), [0])
    assert (klom(m + 50, m) > 10).all()


def test_klom_takes_other_numbers_of_models_on_either_side():
    draw = np.random.default_rng(0)
    assert klom(draw.normal(size=(5, 3)), draw.normal(size=(16, 3))).shape == (3,)


@pytest.mark.parametrize(("n", "mean"), [(8, 6.4), (16, 3.9), (32, 1.7), (100, 0.36)])
def test_the_bias_of_klom_is_as_stated(n, mean):
    draw = np.random.default_rng(0)
    value = klom(draw.normal(size=(n, 2000)), draw.normal(size=(n, 2000))).mean()
    assert value == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("option", [{"bins": 0}, {"floor": 0.0}, {"floor": 1.0}])
def test_klom_refuses_options_out_of_range(option):
    with pytest.raises(ValueError, match="one bin and a floor"):
        klom([[1.0]], [[1.0]], **option)


def published_rmia(x, out_x, z, out_z, a):
    """As ml_privacy_meter scores it offline: models are columns, and ratios are counted above 1."""
    mean_x = (1 + a) / 2 * out_x.mean(axis=1) + (1 - a) / 2
    mean_z = (1 + a) / 2 * out_z.mean(axis=1) + (1 - a) / 2
    return np.average((x / mean_x)[:, None] / (z / mean_z) > 1, axis=1)


def probabilities(seed, n, z, models):
    draw = np.random.default_rng(seed)
    return (
        draw.uniform(0.01, 1, n),
        draw.uniform(0.01, 1, (models, n)),
        draw.uniform(0.01, 1, z),
        draw.uniform(0.01, 1, (models, z)),
    )


@given(
    seed=SEEDS,
    n=st.integers(1, 20),
    z=st.integers(1, 30),
    models=st.integers(1, 4),
    a=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(max_examples=40, deadline=None)
def test_offline_rmia_equals_the_published_formula(seed, n, z, models, a):
    x, out_x, pop, out_z = probabilities(seed, n, z, models)
    published = published_rmia(x, out_x.T, pop, out_z.T, a)
    np.testing.assert_allclose(rmia(x, out_x, pop, out_z, a=a), published, atol=1e-9)


@given(seed=SEEDS, n=st.integers(1, 20), gamma=st.sampled_from([0.5, 1.0, 2.0]))
@settings(max_examples=30, deadline=None)
def test_online_rmia_counts_likelihood_ratios_above_gamma(seed, n, gamma):
    x, out_x, pop, out_z = probabilities(seed, n, 25, 3)
    in_x = probabilities(seed + 1, n, 1, 4)[1]
    scores = rmia(x, out_x, pop, out_z, in_probability=in_x, gamma=gamma)
    for i in range(n):
        gain = x[i] / ((in_x[:, i].mean() + out_x[:, i].mean()) / 2)
        ratios = gain / (pop / out_z.mean(axis=0))
        assert scores[i] == pytest.approx(np.mean(ratios > gamma), abs=1e-9)


def test_with_a_1_offline_rmia_is_online_rmia_of_models_that_learned_nothing():
    x, out_x, pop, out_z = probabilities(0, 15, 30, 2)
    online = rmia(x, out_x, pop, out_z, in_probability=out_x)
    np.testing.assert_array_equal(rmia(x, out_x, pop, out_z, a=1.0), online)


@pytest.mark.parametrize("references", [1, 4])
def test_rmia_finds_planted_members_that_one_threshold_for_all_images_does_not(references):
    draw = np.random.default_rng(0)

    def logistic(m):
        return 1 / (1 + np.exp(-m))

    hard = draw.normal(0, 4, 900)
    model = hard + 0.5 * draw.normal(size=900)
    model[:300] += 2.0  # members
    others = hard + 0.5 * draw.normal(size=(references, 900))
    p, q = logistic(model), logistic(others)
    scores = rmia(p[:600], q[:, :600], p[600:], q[:, 600:])
    gold = rmia(logistic(hard + 0.5 * draw.normal(size=900))[:600], q[:, :600], p[600:], q[:, 600:])
    assert attack_auc(scores[:300], scores[300:]) > 0.75
    assert attack_auc(scores[:300], scores[300:]) > 0.1 + attack_auc(p[:300], p[300:600])
    assert attack_auc(gold[:300], gold[300:]) == pytest.approx(0.5, abs=0.05)


def test_rmia_is_defined_where_probabilities_are_0():
    assert rmia([0.0, 0.5], [[0.0, 0.0]], [0.0], [[0.0]], a=1.0).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"probability": [1.5]}, "probability: expected probabilities"),
        ({"reference_probability": [[0.1, 0.2]]}, "the same images, got 1 and 2"),
        ({"reference_population": [[0.1, 0.2]]}, "the same images, got 1 and 2"),
        ({"in_probability": [[0.1, 0.2]]}, "the same images, got 1 and 2"),
        ({"a": 1.1}, "a from 0 to 1"),
        ({"gamma": 0.0}, "gamma above 0"),
    ],
)
def test_rmia_refuses_what_is_out_of_range(change, said):
    data = {
        "probability": [0.5],
        "reference_probability": [[0.5]],
        "population": [0.5],
        "reference_population": [[0.5]],
    }
    with pytest.raises(ValueError, match=said):
        rmia(**(data | change))
