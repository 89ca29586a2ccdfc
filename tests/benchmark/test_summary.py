import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from lotus_unlearning.benchmark.columns import COLUMNS
from lotus_unlearning.benchmark.ranking import rank
from lotus_unlearning.benchmark.significance import paired_p_value, stouffer
from lotus_unlearning.benchmark.summary import (
    Line,
    _gaps_to_gold,
    _is_apart,
    by_split,
    estimate,
)


def line(name, measure, values, gaps=None):
    found = Line(name, name, ("authors",))
    found.values[measure] = {(i, i): v for i, v in enumerate(values)}
    if gaps is not None:
        found.values[f"gap_{measure}"] = {(i, i): v for i, v in enumerate(gaps)}
    return found


def test_the_paired_test_is_scipys_and_knows_equal_values():
    one, other = {0: 1.0, 1: 2.0, 2: 4.0}, {0: 0.5, 1: 1.0, 2: 1.0}
    expected = ttest_rel([1.0, 2.0, 4.0], [0.5, 1.0, 1.0]).pvalue
    assert paired_p_value(one, other) == pytest.approx(expected)
    assert paired_p_value(one, one) == 1.0
    assert paired_p_value(one, {k: v - 1 for k, v in one.items()}) == 0.25  # all of 3 signs
    assert paired_p_value({0: 1.0}, {0: 0.0}) == 1.0
    less = {k: v - 1 for k, v in one.items()}
    assert paired_p_value(one, less, 1.0) == pytest.approx(ttest_1samp([0, 1, 2], 0).pvalue)
    assert paired_p_value(one, less, 0.01) < 1e-3


def test_what_differs_as_much_as_is_possible_in_every_seed_is_told_from_the_best():
    """Not by one image in every seed: of that a t-test of equal differences would be as sure."""
    gaps = {"forgets": [0.0] * 5, "nearly": [0.01] * 5, "nothing": [1.0] * 5}
    lines = [line(name, "forget_accuracy", [0.0] * 5, gaps=gap) for name, gap in gaps.items()]
    found = rank(lines, "forget_accuracy")
    assert (found.best, found.as_good) == ({0}, {1})
    values = {"all": [1.2, 1.1, 1.3, 1.4, 1.2], "most": [0.99, 1, 1, 0.98, 1], "nothing": [0.0] * 5}
    found = rank([line(name, "closes", some) for name, some in values.items()], "closes")
    assert (found.best, found.as_good) == ({0}, {1})


def test_seeds_of_one_choice_of_images_are_not_counted_as_independent():
    values = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 5.0, (1, 1): 7.0}
    assert by_split(values) == {0: 2.0, 1: 6.0}
    found = estimate(values)
    naive = estimate({(i, i): v for i, v in enumerate(values.values())})
    assert found.value == naive.value == 4.0
    assert found.high - found.low > naive.high - naive.low


def test_the_best_is_the_least_the_most_or_the_nearest_to_gold():
    down = [line("a", "js_divergence", [3, 3.1]), line("b", "js_divergence", [1, 1.1])]
    up = [line("a", "closes", [0.9, 0.8]), line("b", "closes", [0.1, 0.2])]
    near = [
        line("a", "forget_accuracy", [0.7, 0.7], gaps=[0.2, 0.2]),
        line("b", "forget_accuracy", [0.99, 0.99], gaps=[0.05, 0.06]),
    ]
    assert rank(down, "js_divergence").best == {1}
    assert rank(up, "closes").best == {0}
    assert rank(near, "forget_accuracy").best == {1}


def test_who_is_not_significantly_worse_is_as_good():
    draw = np.random.default_rng(0)
    noise = draw.normal(size=6)
    lines = [
        line("best", "js_divergence", noise),
        line("close", "js_divergence", noise + draw.normal(0.05, 1, size=6)),
        line("far", "js_divergence", noise + draw.normal(10, 0.1, size=6)),
    ]
    found = rank(lines, "js_divergence")
    assert found.tests == 2
    assert 2 not in found.as_good
    (best,) = found.best
    assert best in (0, 1)
    assert found.as_good == {1 - best}


def test_gold_and_the_original_do_not_compete_and_failed_methods_do_not_either():
    lines = [
        line("gold", "js_divergence", [0, 0]),
        line("original", "js_divergence", [0, 0]),
        line("a", "js_divergence", [2, 2.5]),
        line("b", "js_divergence", [1.0]),
        line("c", "js_divergence", [3, 3.5]),
    ]
    assert rank(lines, "js_divergence").best == {2}
    assert rank(lines[:3], "js_divergence") is None


def test_with_one_seed_nothing_is_tested():
    found = rank([line("a", "closes", [0.1]), line("b", "closes", [0.2])], "closes")
    assert (found.best, found.as_good, found.tests) == ({1}, frozenset(), 0)


def test_equal_means_share_the_first_place():
    lines = [line(name, "retain_accuracy", [1.0, 1.0], gaps=[0.0, 0.0]) for name in "abc"]
    assert rank(lines, "retain_accuracy").best == {0, 1, 2}


def test_more_than_all_of_the_way_is_not_better_than_all_of_it():
    lines = [line("a", "closes", [1.3, 0.9]), line("b", "closes", [1.0, 0.95])]
    assert rank(lines, "closes").best == {1}


def test_what_is_to_be_near_gold_has_no_best_without_gold():
    lines = [line("a", "rf_js_divergence", [0.1, 0.2]), line("b", "rf_js_divergence", [0.3, 0.4])]
    assert rank(lines, "rf_js_divergence") is None


@pytest.mark.parametrize("measure", [m for m, c in COLUMNS.items() if c.good == "near gold"])
def test_the_best_is_the_one_nearest_to_gold_and_not_the_least(measure):
    lines = [
        line("gold", measure, [0.5, 0.6]),
        line("less", measure, [0.1, 0.1]),
        line("near", measure, [0.55, 0.6]),
        line("more", measure, [0.9, 0.9]),
    ]
    _gaps_to_gold(lines)
    assert rank(lines, measure).best == {2}


def test_few_seeds_are_not_tested_and_who_is_worse_than_the_original_is_not_as_good():
    few = [line(name, "js_divergence", [1.0, 2.0, 4.0]) for name in ("a", "b")]
    assert rank(few, "js_divergence").tests == 0
    noise = np.array([0.0, 3.0, -2.0, 4.0, 1.0])
    lines = [
        line("original", "js_divergence", [2.0] * 5),
        line("best", "js_divergence", [1.0] * 5),
        line("unsteady", "js_divergence", 1.1 + noise),
        line("far", "js_divergence", 3.0 + 10 * noise),
    ]
    found = rank(lines, "js_divergence")
    assert found.best == {1}
    assert found.as_good == frozenset()
    lines[0] = line("original", "js_divergence", [3.0] * 5)
    assert rank(lines, "js_divergence").as_good == {2}


def test_many_weak_signs_are_one_strong_sign():
    assert stouffer([0.07, 0.19, 0.1, 0.12, 0.15]) < 0.05 < stouffer([0.5, 0.4, 0.7])


def test_settings_that_come_to_the_same_are_one_comparison():
    draw = np.random.default_rng(1)
    best, other = draw.normal(size=6), draw.normal(2.0, 1.5, size=6)
    once = [line("best", "js_divergence", best), line("paper", "js_divergence", other)]
    again = [*once, *(line(name, "js_divergence", other) for name in ("authors", "tuned"))]
    one, three = rank(once, "js_divergence"), rank(again, "js_divergence")
    assert one.tests == three.tests == 1
    assert bool(one.undecided) == (three.undecided == {1, 2, 3})


def test_who_was_measured_against_other_models_is_not_compared():
    lines = [line(name, "js_divergence", [float(i), i + 0.5]) for i, name in enumerate("abc")]
    lines[0].apart.add((1, 1))
    assert rank(lines, "js_divergence").best == {1}


def test_a_cell_says_by_digests_or_by_distances_that_it_was_measured_against_others():
    reference = {"values": {"distance_original": 0.25}, "against": ["a", "b"]}
    old = {"values": {"distance_original": 0.25}}
    other = {"values": {"distance_original": 0.25000001}}
    assert not _is_apart(reference, reference)
    assert _is_apart({**reference, "against": ["a", "c"]}, reference)
    assert not _is_apart(old, reference)
    assert _is_apart(other, reference)
    assert _is_apart(reference, other)
    assert not _is_apart({"values": {}}, reference)  # without golds


def test_costs_are_compared_on_one_machine_alone():
    lines = [line(name, "seconds", [1.0, 2.0]) for name in "ab"]
    on = {"device": "cpu", "processor": "one", "precision": "float32", "threads": 1}
    for found, threads in zip(lines, (1, 1), strict=True):
        found.records[0, 0] = {"on": {**on, "threads": threads}}
    assert rank(lines, "seconds").best == {0, 1}
    lines[1].records[1, 1] = {"on": {**on, "threads": 2}}
    assert rank(lines, "seconds") is None


def test_what_points_the_other_way_counts_against():
    assert stouffer([0.01, 0.99]) == pytest.approx(0.5)
    assert stouffer([0.999, 0.998]) > 0.99
