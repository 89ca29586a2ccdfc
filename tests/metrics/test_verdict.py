import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ttest_ind_from_stats

from lotus_unlearning.metrics import (
    attack_auc,
    gold_band,
    golds_needed,
    jsd_to_other_golds,
    margin,
    outside_gold_band,
    smallest_effect,
    softmax,
    verdict,
)

ALIKE = "indistinguishable from retraining at the tested power"
APART = "distinguishable"
TOO_FEW = "not enough gold models to say"


def names(k):
    return [f"statistic_{j}" for j in range(k)]


def at_most(alarms, repeats, level=0.05):
    """Alarms that a rule of this level gives in all but one case in ten thousand."""
    return alarms <= binom.isf(1e-4, repeats, level)


def alarms(draw_statistics, golds, k, scales, repeats=800):
    rng = np.random.default_rng(golds)
    count = 0
    for _ in range(repeats):
        values = draw_statistics(rng, (golds + 1, k))
        count += verdict(values[:-1], values[-1], names(k), scales=scales).outcome == APART
    return count


DRAWS = {
    "normal": (lambda rng, shape: rng.normal(size=shape), "identity"),
    "chi-square 1": (lambda rng, shape: rng.chisquare(1, shape), "cube root"),
    "chi-square 3": (lambda rng, shape: rng.chisquare(3, shape), "cube root"),
    "chi-square 10": (lambda rng, shape: rng.chisquare(10, shape), "cube root"),
    "log-normal": (lambda rng, shape: np.exp(rng.normal(size=shape)), "log"),
    "one for all": (lambda rng, shape: rng.normal(size=(shape[0], 1)) * np.ones(shape), "identity"),
}


@pytest.mark.parametrize("golds", [4, 8, 16])
@pytest.mark.parametrize("kind", DRAWS)
def test_held_out_golds_are_called_distinguishable_no_more_often_than_the_level(kind, golds):
    draw, scale = DRAWS[kind]
    k = 1 if golds == 4 else 4
    assert at_most(alarms(draw, golds, k, scale), 800)


def test_without_the_cube_root_skewed_statistics_would_break_the_level():
    draw, _ = DRAWS["chi-square 1"]
    assert not at_most(alarms(draw, 8, 4, "identity"), 800)


class World:
    """Retrained models whose logits share a few directions, on forget and unseen images."""

    def __init__(self, seed, images=40, classes=3):
        self.draw = np.random.default_rng(seed)
        self.base = 2 * self.draw.normal(size=(2 * images, classes))
        self.directions = self.draw.normal(size=(2, 2 * images, classes))
        self.labels = self.base.argmax(axis=1)
        self.images = images

    def model(self, leaking=0):
        shared = np.tensordot(0.3 * self.draw.normal(size=2), self.directions, axes=1)
        z = self.base + shared + 0.5 * self.draw.normal(size=self.base.shape)
        z[np.arange(leaking), self.labels[:leaking]] += 4.0
        return z

    def statistics(self, model, golds):
        """Against each leave-one-out set: JSD, share outside the band, mean margin, AUC."""
        f = slice(self.images)
        m = margin(model, self.labels)
        bank = np.stack([margin(gold, self.labels)[f] for gold in golds])
        bands = [gold_band(np.delete(bank, i, axis=0)) for i in range(len(golds))]
        p = [softmax(gold[f]) for gold in golds]
        return np.stack(
            [
                jsd_to_other_golds(p, softmax(model[f])).mean(axis=1),
                [np.mean((m[f] < b.low) | (m[f] > b.high)) for b in bands],
                np.full(len(golds), m[f].mean()),
                np.full(len(golds), attack_auc(m[f], m[self.images :])),
            ],
            axis=1,
        )

    def gold_statistics(self, golds):
        f = slice(self.images)
        margins = np.stack([margin(gold, self.labels) for gold in golds])
        return np.stack(
            [
                jsd_to_other_golds([softmax(gold[f]) for gold in golds]).mean(axis=1),
                outside_gold_band(margins[0, f], margins[:, f]).golds,
                margins[:, f].mean(axis=1),
                [attack_auc(m[f], m[self.images :]) for m in margins],
            ],
            axis=1,
        )


FOUR = ["jsd_to_golds", "outside_gold_band", "mean_margin", "auc_margin"]
SCALES = ["cube root", "identity", "identity", "identity"]


def judged(seed, golds, leaking):
    world = World(seed)
    bank = [world.model() for _ in range(golds)]
    model = world.model(leaking)
    return verdict(world.gold_statistics(bank), world.statistics(model, bank), FOUR, scales=SCALES)


@pytest.mark.parametrize("golds", [7, 16])
def test_held_out_golds_pass_on_real_leave_one_out_statistics(golds):
    found = [judged(seed, golds, leaking=0).outcome for seed in range(300)]
    assert at_most(found.count(APART), 300)
    assert TOO_FEW not in found


def test_a_model_that_remembers_is_caught_the_more_surely_the_more_images_it_remembers():
    caught = [
        sum(judged(seed, 12, leaking).outcome == APART for seed in range(60))
        for leaking in (0, 2, 8, 40)
    ]
    assert caught == sorted(caught)
    assert caught[0] <= 8
    assert caught[2] >= 40
    assert caught[3] == 60


def test_an_effect_of_the_tested_size_is_found_as_often_as_the_tested_power_says():
    rng, hits = np.random.default_rng(0), 0
    shift = np.array([smallest_effect(8, 3), 0, 0])
    for _ in range(1000):
        values = rng.normal(size=(9, 3))
        hits += verdict(values[:-1], values[-1] + shift, names(3)).findings[0].distinguishable
    # Holm's first step is passed with the power of the t-test; its later steps add a little
    assert binom.ppf(1e-4, 1000, 0.8) <= hits <= binom.isf(1e-4, 1000, 0.82)


def literal_holm(p_values):
    """Step by step: the smallest times k, the next times k - 1, and never falling."""
    corrected, so_far = [0.0] * len(p_values), 0.0
    for rank, j in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[j]))
        corrected[j] = so_far
    return corrected


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 20), k=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_p_values_are_those_of_one_against_n_corrected_by_holm(seed, n, k):
    draw = np.random.default_rng(seed)
    golds, model = draw.normal(3, 2, (n, k)), draw.normal(3, 4, k)
    result = verdict(golds, model, names(k))
    _, p = ttest_ind_from_stats(model, 0, 1, golds.mean(axis=0), golds.std(axis=0, ddof=1), n)
    np.testing.assert_allclose([f.p_value for f in result.findings], p, atol=1e-6)
    np.testing.assert_allclose([f.corrected for f in result.findings], literal_holm(p), atol=1e-6)
    effects = (model - golds.mean(axis=0)) / golds.std(axis=0, ddof=1)
    np.testing.assert_allclose([f.effect for f in result.findings], effects, rtol=1e-6)
    assert [f.name for f in result.findings] == names(k)
    assert (result.outcome == APART) == any(f.corrected <= 0.05 for f in result.findings)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 12), k=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_a_scale_is_the_same_as_transformed_statistics(seed, n, k):
    draw = np.random.default_rng(seed)
    golds, model = draw.chisquare(3, (n, k)) + 0.01, draw.chisquare(3, (n, k)) + 0.01
    for scale, there in (("cube root", np.cbrt), ("log", np.log)):
        bent = verdict(golds, model, names(k), scales=scale)
        flat = verdict(there(golds), there(model).mean(axis=0), names(k))
        np.testing.assert_allclose(
            [f.corrected for f in bent.findings], [f.corrected for f in flat.findings], atol=1e-9
        )
        for one, other in zip(bent.findings, flat.findings, strict=True):
            assert there(one.value) == pytest.approx(other.value)
            assert there(one.gold) == pytest.approx(other.gold)
            assert there(one.found_above) == pytest.approx(other.found_above)


def test_the_smallest_effect_is_given_in_units_of_the_statistic_too():
    golds = np.random.default_rng(0).normal(10, 2, (9, 1))
    (finding,) = verdict(golds, [10.0], ["a"]).findings
    reach = smallest_effect(9) * golds.std(ddof=1)
    assert finding.found_above == pytest.approx(golds.mean() + reach)
    assert finding.found_below == pytest.approx(golds.mean() - reach)


def test_too_few_golds_say_so_and_how_many_are_needed():
    golds = np.random.default_rng(0).normal(size=(5, 4))
    result = verdict(golds, golds.mean(axis=0), names(4))
    assert result.outcome == TOO_FEW
    assert (result.golds, result.golds_needed) == (5, golds_needed(4))
    assert result.smallest_effect > result.largest_effect


def test_too_few_golds_still_find_what_is_far_away():
    golds = np.random.default_rng(0).normal(size=(5, 4))
    assert verdict(golds, golds.mean(axis=0) + 100, names(4)).outcome == APART


@pytest.mark.parametrize("golds", [1, 2])
def test_one_or_two_golds_give_no_p_value_at_all(golds):
    result = verdict(np.arange(golds)[:, None], [1e6], ["a"])
    assert result.outcome == TOO_FEW
    assert math.isnan(result.findings[0].p_value)
    assert math.isnan(result.findings[0].corrected)
    assert not result.findings[0].distinguishable


def test_where_all_golds_agree_a_model_that_differs_is_one_odd_model_out():
    golds = np.full((9, 1), 0.1 + 0.2)
    same, other = verdict(golds, [0.3], ["a"]), verdict(golds, [0.4], ["a"])
    assert (same.outcome, same.findings[0].p_value) == (ALIKE, 1)
    assert (other.outcome, other.findings[0].p_value) == (TOO_FEW, 0.1)
    assert other.findings[0].effect == math.inf
    many = verdict(np.full((19, 1), 0.3), [0.2], ["a"])
    assert (many.outcome, many.findings[0].effect) == (APART, -math.inf)


def test_one_statistic_that_is_off_is_named_and_the_others_are_not():
    golds = np.random.default_rng(0).normal(size=(16, 3))
    result = verdict(golds, [0.0, 30.0, 0.0], ["a", "b", "c"])
    assert [f.name for f in result.findings if f.distinguishable] == ["b"]
    assert result.findings[1].effect > 0


def test_the_order_of_golds_and_of_statistics_does_not_matter():
    draw = np.random.default_rng(0)
    golds, model = draw.normal(size=(10, 3)), draw.normal(size=3)
    one = verdict(golds, model, names(3))
    other = verdict(golds[::-1, ::-1], model[::-1], names(3)[::-1])
    for finding, again in zip(one.findings, other.findings[::-1], strict=True):
        assert finding.p_value == pytest.approx(again.p_value)
        assert finding.corrected == pytest.approx(again.corrected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": ["a"]}, "names, scales: expected 2, one per statistic, got 1 and 2"),
        ({"scales": ["log"]}, "got 2 and 1"),
        ({"model_statistics": [[1.0, 1.0]] * 2}, "one row for each of 3 golds, got 2 rows"),
        ({"model_statistics": [1.0]}, "the same images, got 2 and 1"),
        ({"model_statistics": [1.0, np.nan]}, "model_statistics: expected finite"),
        ({"scales": ["rank", "identity"]}, "a has scale 'rank', known are 'identity'"),
        (
            {"model_statistics": [-1.0, 0.0], "scales": ["cube root", "log"]},
            "a has -1, which scale 'cube root' does not take; b has 0, which scale 'log'",
        ),
        ({"largest_effect": 1.0}, "effect: expected at least"),
        ({"level": 0.0}, "level"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    data = {
        "gold_statistics": [[1.0, 1.0], [2.0, 3.0], [2.0, 2.0]],
        "model_statistics": [1.0, 1.0],
        "names": ["a", "b"],
    }
    with pytest.raises(ValueError, match=said):
        verdict(**(data | change))
