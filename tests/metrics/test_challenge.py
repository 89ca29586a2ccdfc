import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lotus_unlearning.metrics import forgetting_quality

DELTA = 1e-5


def grid_rates(one, other, a_unit):
    """FPR and FNR of both families of attacks on a grid of thresholds, as in metric.py."""
    if np.median(one) > np.median(other):
        positive, negative = one, other
    else:
        positive, negative = other, one
    low, high = min(one.min(), other.min()), max(one.max(), other.max())
    t = np.linspace(low, high, int(np.ceil((high - low) * a_unit)))[:, None]
    rates = [((negative >= t).mean(axis=1), (positive < t).mean(axis=1))]
    narrow, wide = (
        (positive, negative) if np.ptp(positive) < np.ptp(negative) else (negative, positive)
    )
    width, top = np.ptp(narrow), narrow.max()
    steps = int(np.ceil(4 * a_unit))
    for r in np.linspace(top - 2, top + 2, steps):
        left = np.linspace(r - width - 2, r - width + 2, steps)
        inside = [
            (np.searchsorted(np.sort(side), r, "right") - np.searchsorted(np.sort(side), left))
            / len(side)
            for side in (wide, narrow)
        ]
        rates.append((np.maximum(inside[0], 0), 1 - np.maximum(inside[1], 0)))
    return np.concatenate([fpr for fpr, _ in rates]), np.concatenate([fnr for _, fnr in rates])


def grid_epsilon(one, other, a_unit):
    if min(np.ptp(one), np.ptp(other)) / max(np.ptp(one), np.ptp(other)) < 0.01:
        return 50.0
    fpr, fnr = grid_rates(one, other, a_unit)
    if (np.maximum(fpr, fnr) < 1e-9).any():
        return 50.0
    both = np.minimum(fpr, fnr) > 1e-9
    epsilons = [
        np.log(np.maximum(1 - DELTA - a[both], 1e-9)) - np.log(b[both])
        for a, b in ((fpr, fnr), (fnr, fpr))
    ]
    return float(np.clip(np.max(epsilons, initial=0.0), 0, 50))


def published_score(epsilons, models):
    """Buckets of 0.5 worth 1, 1/2, 1/4 and so on, up to ln(models - 1) rounded up."""
    worth, start, points = {}, 0.0, 1.0
    while start + 0.5 <= np.ceil(np.log(models - 1)):
        worth[start], start, points = points, start + 0.5, points / 2
    total = 0.0
    for epsilon in epsilons:
        total += next((p for begin, p in worth.items() if epsilon < begin + 0.5), 0.0)
    return total / len(epsilons)


@given(seed=st.integers(0, 2**32 - 1), models=st.integers(3, 16), shift=st.floats(0, 3))
@settings(max_examples=25, deadline=None)
def test_epsilon_is_at_least_that_of_the_published_grid(seed, models, shift):
    draw = np.random.default_rng(seed)
    one, other = draw.normal(shift, 0.6, models), draw.normal(0, 1, models)
    ours = forgetting_quality(one[:, None], other[:, None]).epsilon[0]
    assert ours >= grid_epsilon(one, other, 20) - 1e-6


@given(
    seed=st.integers(0, 2**32 - 1),
    models=st.integers(3, 12),
    pull=st.sampled_from([0.0, 0.3, 1.0, 5.0]),
)
@settings(max_examples=25, deadline=None)
def test_epsilon_equals_that_of_the_published_grid_where_it_separates_all_margins(
    seed, models, pull
):
    draw = np.random.default_rng(seed)
    places = draw.permutation(40)[: 2 * models]
    order = np.argsort(pull * places + 10 * draw.normal(size=2 * models))
    margins = 0.27 * places[order]  # 2, the buffer, is no multiple: no attack is on its edge
    one, other = margins[models:], margins[:models]
    ours = forgetting_quality(one[:, None], other[:, None]).epsilon[0]
    assert ours == pytest.approx(grid_epsilon(one, other, 60), abs=1e-6)


@given(
    seed=st.integers(0, 2**32 - 1),
    models=st.integers(3, 30),
    images=st.integers(1, 12),
    shift=st.floats(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_the_score_is_the_published_sum_over_buckets(seed, models, images, shift):
    draw = np.random.default_rng(seed)
    shape = (models, images)
    result = forgetting_quality(draw.normal(shift, 1, shape), draw.normal(size=shape))
    assert result.score == pytest.approx(published_score(result.epsilon, models), abs=1e-12)
    assert result.score == pytest.approx(result.points.mean())
    assert (result.epsilon >= 0).all()
    assert (result.epsilon <= 50).all()


@given(seed=st.integers(0, 2**32 - 1), a=st.integers(3, 12), b=st.integers(3, 12))
@settings(max_examples=30, deadline=None)
def test_which_side_is_which_makes_no_difference(seed, a, b):
    draw = np.random.default_rng(seed)
    one, other = draw.normal(1, 1, (a, 4)), draw.normal(0, 2, (b, 4))
    there, back = forgetting_quality(one, other), forgetting_quality(other, one)
    np.testing.assert_allclose(there.epsilon, back.epsilon, atol=1e-12)


def test_one_attack_by_hand():
    """Above 1.5: 1 of 4 golds and 3 of 4 unlearned; either way round ln(0.75 / 0.25)."""
    unlearned, gold = [[1.0], [2.0], [3.0], [4.0]], [[-1.0], [0.0], [0.5], [2.5]]
    result = forgetting_quality(unlearned, gold)
    assert result.epsilon[0] == pytest.approx(np.log((1 - DELTA - 0.25) / 0.25), abs=1e-9)
    assert result.limit == 2
    assert result.points[0] == 0.25  # 1.0986 is in the third bucket


@pytest.mark.parametrize("models", [8, 32, 128])
def test_two_sets_of_golds_score_about_a_fifth_however_many_they_are(models):
    draw = np.random.default_rng(0)
    result = forgetting_quality(draw.normal(size=(models, 200)), draw.normal(size=(models, 200)))
    assert result.score == pytest.approx(0.18, abs=0.03)
    assert np.median(result.epsilon) == pytest.approx(np.log(5), abs=0.2)


def test_a_leak_on_some_images_costs_their_points():
    draw = np.random.default_rng(0)
    unlearned, gold = draw.normal(size=(64, 40)), draw.normal(size=(64, 40))
    clean = forgetting_quality(unlearned, gold)
    unlearned[:, :10] += 3
    leaking = forgetting_quality(unlearned, gold)
    assert (leaking.points[:10] < 0.1).all()
    np.testing.assert_array_equal(leaking.points[10:], clean.points[10:])


def test_a_side_that_always_says_the_same_is_told_apart_at_once():
    gold = np.random.default_rng(0).normal(size=(8, 1))
    assert forgetting_quality(np.full((8, 1), 0.0), gold).epsilon[0] == 50


def test_the_interval_finds_a_narrow_side_that_no_threshold_finds():
    draw = np.random.default_rng(0)
    narrow, wide = 0.1 * draw.normal(size=(64, 1)), 3 * draw.normal(size=(64, 1))
    assert forgetting_quality(narrow, wide).epsilon[0] > 2


def test_the_same_margins_throughout_give_nothing_to_attack():
    result = forgetting_quality([[1.0]] * 4, [[1.0]] * 4)
    assert (result.epsilon[0], result.score) == (0, 1)
    assert forgetting_quality([[1.0]] * 4, [[2.0]] * 4).epsilon[0] == 50


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([[1.0]] * 2, [[1.0]] * 3), "unlearned_margins: .*at least 3 models"),
        (([[1.0]] * 3, [[1.0, 2.0]] * 3), "the same images"),
        (([[1.0]] * 3, [[np.inf]] * 3), "gold_margins: expected finite"),
    ],
)
def test_banks_that_do_not_fit_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        forgetting_quality(*arguments)


def test_a_delta_out_of_range_is_refused():
    with pytest.raises(ValueError, match="delta"):
        forgetting_quality([[1.0]] * 3, [[1.0]] * 3, delta=1.0)
