import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from lotus_unlearning.metrics import attack_auc, lira_offline, lira_online, u_lira

SHAPES = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 20),
    "side": st.integers(2, 8),
}


def shadows(seed, n, side, gain=2.0):
    """A bank in which every image was seen by exactly half of the models, and one target."""
    draw = np.random.default_rng(seed)
    level, spread = draw.normal(0, 3, n), draw.uniform(0.5, 2, n)
    seen = np.stack([draw.permutation(np.repeat([True, False], side)) for _ in range(n)], axis=1)
    bank = level + gain * seen + spread * draw.normal(size=seen.shape)
    return level + spread * draw.normal(size=n), bank, seen


def published(target, bank, keep, fixed, online):
    """One target's prediction by mi_lira_2021/plot.py, lower for members, without augmentations."""
    inside = np.array([bank[keep[:, j], j] for j in range(bank.shape[1])])
    outside = np.array([bank[~keep[:, j], j] for j in range(bank.shape[1])])
    if online:
        sd_in = np.std(inside) if fixed else np.std(inside, axis=1)
        sd_out = np.std(inside) if fixed else np.std(outside, axis=1)
        p_in = -norm.logpdf(target, np.median(inside, axis=1), sd_in + 1e-30)
        return p_in + norm.logpdf(target, np.median(outside, axis=1), sd_out + 1e-30)
    sd = np.std(outside) if fixed else np.std(outside, axis=1)
    return norm.logpdf(target, np.median(outside, axis=1), sd + 1e-30)


@given(**SHAPES, variance=st.sampled_from(["per image", "shared"]))
@settings(max_examples=50, deadline=None)
def test_lira_as_published_equals_the_published_formula(seed, n, side, variance):
    target, bank, keep = shadows(seed, n, side)
    options = {"variance": variance, "as_published": True}
    for online, lira in ((True, lira_online), (False, lira_offline)):
        oracle = published(target, bank, keep, variance == "shared", online)
        np.testing.assert_allclose(-lira(target, bank, keep, **options), oracle, rtol=1e-6)


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_online_lira_is_the_log_ratio_of_two_fitted_normals(seed, n, side):
    target, bank, keep = shadows(seed, n, side)
    scores = lira_online(target, bank, keep)
    for j in range(n):
        a, b = bank[keep[:, j], j], bank[~keep[:, j], j]
        one, two = (
            -(((target[j] - side.mean()) / side.std(ddof=1)) ** 2) / 2 - np.log(side.std(ddof=1))
            for side in (a, b)
        )
        assert scores[j] == pytest.approx(one - two, rel=1e-6, abs=1e-6)


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_shared_variance_is_the_pooled_one_of_a_side(seed, n, side):
    target, bank, keep = shadows(seed, n, side)
    inside = np.array([bank[keep[:, j], j] for j in range(n)])
    outside = np.array([bank[~keep[:, j], j] for j in range(n)])
    fits = [(x.mean(axis=1), np.sqrt(x.var(axis=1, ddof=1).mean())) for x in (inside, outside)]
    oracle = norm.logpdf(target, *fits[0]) - norm.logpdf(target, *fits[1])
    scores = lira_online(target, bank, keep, variance="shared")
    np.testing.assert_allclose(scores, oracle, rtol=1e-6, atol=1e-6)


@given(**SHAPES)
@settings(max_examples=30, deadline=None)
def test_offline_lira_orders_images_as_the_papers_one_minus_p(seed, n, side):
    target, bank, keep = shadows(seed, n, side)
    p = 1 - np.exp(-lira_offline(target, bank, keep))
    for j in range(n):
        out = bank[~keep[:, j], j]
        assert p[j] == pytest.approx(norm.cdf(target[j], out.mean(), out.std(ddof=1)), abs=1e-6)


def test_offline_lira_does_not_run_into_1():
    scores = lira_offline([20.0, 30.0], np.random.default_rng(0).normal(size=(50, 2)))
    assert np.isfinite(scores).all()
    assert scores[1] > scores[0] > 100


def test_golds_are_shadows_that_saw_nothing():
    target, bank, _ = shadows(0, 10, 4)
    nothing = np.zeros(bank.shape, dtype=bool)
    np.testing.assert_array_equal(lira_offline(target, bank), lira_offline(target, bank, nothing))


@pytest.mark.parametrize("lira", [lira_online, lira_offline])
@pytest.mark.parametrize("variance", ["per image", "shared"])
def test_lira_finds_planted_members_and_calls_a_gold_exchangeable(lira, variance):
    target, bank, seen = shadows(0, 2000, 16, gain=3.0)
    leaking = target + np.where(np.arange(2000) < 1000, 3.0, 0.0)
    found = lira(leaking, bank, seen, variance=variance)
    gold = lira(target, bank, seen, variance=variance)
    assert attack_auc(found[:1000], found[1000:]) > 0.85
    assert attack_auc(found[:1000], found[1000:]) > 0.1 + attack_auc(leaking[:1000], leaking[1000:])
    assert attack_auc(gold[:1000], gold[1000:]) == pytest.approx(0.5, abs=0.05)


def test_models_that_agree_give_a_large_score_and_no_infinity():
    keep = np.array([[True], [True], [False], [False]])
    score = lira_online([1.0], [[1.0], [1.0], [0.0], [0.0]], keep)
    assert np.isfinite(score).all()
    assert score[0] > 1e6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1.0], [[1.0]] * 4, [[True]] * 3 + [[False]]), "at least 2 models on each side"),
        (([1.0], [[1.0]] * 4, [[1]] * 4), "expected booleans"),
        (([1.0], [[1.0]] * 4, [[True]] * 3), r"booleans of shape \[4, 1\]"),
        (([1.0, 2.0], [[1.0]] * 4, [[True]] * 4), "the same images, got 2 and 1"),
    ],
)
def test_banks_that_do_not_fit_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        lira_online(*arguments)


def test_an_unknown_variance_lists_the_known_ones():
    with pytest.raises(ValueError, match="'per image' or 'shared', got 'fixed'"):
        lira_offline([1.0], [[1.0], [2.0]], variance="fixed")
    with pytest.raises(ValueError, match="'per image' or 'shared', got 'fixed'"):
        u_lira([[1.0]] * 3, [[2.0]] * 3, variance="fixed")


def literal_round(forgot, never, i, j):
    """The likelihood ratio of both held-out models, image by image."""
    rest_f, rest_n = np.delete(forgot, i, axis=0), np.delete(never, j, axis=0)

    def ratio(values):
        one = norm(rest_f.mean(axis=0), rest_f.std(axis=0, ddof=1))
        two = norm(rest_n.mean(axis=0), rest_n.std(axis=0, ddof=1))
        return one.logpdf(values) - two.logpdf(values)

    return ratio(forgot[i]), ratio(never[j])


@given(
    seed=st.integers(0, 2**32 - 1),
    t=st.integers(3, 7),
    g=st.integers(3, 7),
    n=st.integers(1, 10),
)
@settings(max_examples=30, deadline=None)
def test_u_lira_equals_its_rounds_written_out(seed, t, g, n):
    draw = np.random.default_rng(seed)
    forgot, never = draw.normal(0.5, 1, (t, n)), draw.normal(0, 1, (g, n))
    result = u_lira(forgot, never)
    pairs = [literal_round(forgot, never, r % t, r % g) for r in range(max(t, g))]
    np.testing.assert_allclose(result.forgot, [one for one, _ in pairs], rtol=1e-6)
    np.testing.assert_allclose(result.never, [two for _, two in pairs], rtol=1e-6)
    right = np.mean([np.mean([one > 0, two < 0], axis=0) for one, two in pairs], axis=0)
    np.testing.assert_allclose(result.per_image, right, atol=1e-9)
    assert result.accuracy == pytest.approx(right.mean())
    np.testing.assert_allclose(result.aucs, [attack_auc(*pair) for pair in pairs], atol=1e-9)


@pytest.mark.parametrize("variance", ["per image", "shared"])
@pytest.mark.parametrize(("t", "g"), [(4, 4), (5, 9)])
def test_u_lira_of_exchangeable_models_is_at_chance_even_with_few_models(t, g, variance):
    draw = np.random.default_rng(0)
    found = [
        u_lira(draw.normal(size=(t, 20)), draw.normal(size=(g, 20)), variance=variance)
        for _ in range(300)
    ]
    for values in ([r.accuracy for r in found], [r.auc for r in found]):
        assert np.mean(values) == pytest.approx(0.5, abs=4 * np.std(values) / np.sqrt(300))


def test_the_usual_leave_one_out_would_end_below_chance():
    draw = np.random.default_rng(0)
    right = []
    for _ in range(300):
        forgot, never = draw.normal(size=(4, 20)), draw.normal(size=(5, 20))
        for i in range(4):
            a, b = np.delete(forgot, i, axis=0), never
            ratio = norm.logpdf(forgot[i], a.mean(axis=0), 1) - norm.logpdf(
                forgot[i], b.mean(axis=0), 1
            )
            right.append((ratio > 0).mean())
    assert np.mean(right) < 0.49


def test_u_lira_finds_images_that_were_not_forgotten():
    draw = np.random.default_rng(0)
    forgot, never = draw.normal(size=(8, 40)), draw.normal(size=(8, 40))
    forgot[:, :10] += 4.0
    result = u_lira(forgot, never)
    assert result.per_image[:10].mean() > 0.9
    assert result.per_image[10:].mean() == pytest.approx(0.5, abs=0.12)


def test_identical_models_are_guessed_by_a_coin():
    result = u_lira([[1.0]] * 3, [[1.0]] * 3)
    assert (result.accuracy, result.auc) == (0.5, 0.5)


def test_two_models_a_side_are_too_few():
    with pytest.raises(ValueError, match=r"forgot_margins: .*at least 3 models"):
        u_lira([[1.0]] * 2, [[1.0]] * 3)
